"""The part of the GraphQL schema that a client of sessions needs, per version, and where values come from.

Field names are those of the published managers 26.9.6, 25.5.2 and 23.9.10.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from tests.engines.backendai.manager import keys
from tests.engines.backendai.manager.dialects import DIALECTS, Dialect
from tests.engines.backendai.manager.gql import Field, QueryError, Schema
from tests.engines.backendai.manager.keys import Keypair
from tests.engines.backendai.manager.sessions import ENDED, Session, moment

if TYPE_CHECKING:
    from tests.engines.backendai.manager.server import Manager

AGENT = "i-bai-test"
IDLE_CHECKS = {"session_lifetime": {"remaining": None, "remaining_time_type": "expire_after", "extra": None}}


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks whom."""

    manager: Manager
    keypair: Keypair

    @property
    def is_26(self) -> bool:
        return self.manager.dialect.is_26


Value = Callable[[Context, Any], Any]


def plain(number: Decimal) -> str:
    """An amount as the server writes it: no exponent, no needless zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def slots(amounts: Mapping[str, Decimal]) -> str:
    return _slots(tuple(amounts.items()))


@lru_cache(1024)
def _slots(amounts: tuple[tuple[str, Decimal], ...]) -> str:
    return json.dumps({slot: plain(amount) for slot, amount in amounts})


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _when(at: float | None) -> str | None:
    return None if at is None else moment(at)


def _occupying(context: Context, session: Session) -> str:
    return slots(context.manager.scheduler.occupying(session))


def _status_info(context: Context, session: Session) -> str | None:
    return context.manager.scheduler.why(session)[0]


def _status_data(context: Context, session: Session) -> str | None:
    data = context.manager.scheduler.why(session)[1]
    return None if data is None else json.dumps(data)


def _agents(session: Session) -> list[str]:
    return [AGENT] if "SCHEDULED" in session.history else []


_SESSION: dict[str, Value] = {
    "id": lambda _, session: session.id,
    "tag": lambda context, session: session.asked.tag or ("" if context.is_26 else None),
    "name": lambda _, session: session.name,
    "type": lambda context, session: session.asked.kind.upper(),
    "priority": lambda _, session: session.asked.priority,
    "cluster_template": lambda *_: None,
    "cluster_mode": lambda _, session: session.asked.cluster_mode,
    "cluster_size": lambda _, session: session.asked.cluster_size,
    "domain_name": lambda *_: keys.DOMAIN,
    "user_id": lambda _, session: session.owner.user_id,
    "access_key": lambda _, session: session.owner.access_key,
    "status": lambda _, session: session.status,
    "status_info": _status_info,
    "status_data": _status_data,
    "status_history": lambda _, session: json.dumps({k: moment(at) for k, at in session.history.items()}),
    "created_at": lambda context, session: moment(session.created_at + context.manager.skew),
    "terminated_at": lambda context, session: (
        None if session.terminated_at is None else moment(session.terminated_at + context.manager.skew)
    ),
    "starts_at": lambda _, session: _when(session.history.get("RUNNING")),
    "scheduled_at": lambda _, session: _when(session.history.get("SCHEDULED")),
    "startup_command": lambda _, session: session.asked.startup_command,
    "result": lambda _, session: session.result,
    "commit_status": lambda *_: "ready",
    "abusing_reports": lambda *_: [None],
    "idle_checks": lambda *_: json.dumps(IDLE_CHECKS),
    "agent_ids": lambda _, session: _agents(session),
    "resource_opts": lambda _, session: json.dumps({"main1": {"shmem": 67108864}}),
    "scaling_group": lambda _, session: session.asked.scaling_group,
    "service_ports": lambda *_: None,
    "vfolder_mounts": lambda *_: [],
    "num_queries": lambda *_: 0,
    "inference_metrics": lambda *_: None,
    "requested_slots": lambda _, session: slots(session.asked.slots),
}
_LIST_ITEM: dict[str, Value] = {
    "session_id": lambda _, session: session.id,
    "main_kernel_id": lambda _, session: session.kernel_id,
    "main_kernel_role": lambda *_: "main",
    "image": lambda _, session: session.asked.image,
    "architecture": lambda _, session: session.asked.architecture,
    "registry": lambda *_: "local",
    "group_name": lambda _, session: session.asked.group,
    "group_id": lambda *_: keys.GROUP_ID,
    "user_email": lambda _, session: session.owner.email,
    "full_name": lambda _, session: session.owner.full_name,
    "created_user_email": lambda _, session: session.owner.email,
    "created_user_id": lambda _, session: session.owner.user_id,
    "status_changed": lambda _, session: moment(session.history[session.status]),
    "agents": lambda _, session: _agents(session),
    "mounts": lambda *_: [],
    "occupying_slots": _occupying,
    "occupied_slots": _occupying,
}
_CONTAINER: dict[str, Value] = {
    "id": lambda _, session: session.kernel_id,
    "idx": lambda *_: 1,
    "role": lambda *_: "main",
    "hostname": lambda *_: "main1",
    "cluster_idx": lambda *_: 1,
    "local_rank": lambda *_: 0,
    "cluster_role": lambda *_: "main",
    "cluster_hostname": lambda *_: "main1",
    "session_id": lambda _, session: session.id,
    "image": lambda _, session: session.asked.image,
    "architecture": lambda _, session: session.asked.architecture,
    "registry": lambda *_: "local",
    "status": lambda _, session: session.status,
    "status_changed": lambda _, session: moment(session.history[session.status]),
    "status_info": lambda _, session: session.kernel_info,
    "status_data": lambda _, session: _json(session.kernel_data),
    "created_at": lambda context, session: moment(session.created_at + context.manager.skew),
    "terminated_at": lambda context, session: (
        None if session.terminated_at is None else moment(session.terminated_at + context.manager.skew)
    ),
    "starts_at": lambda _, session: _when(session.history.get("RUNNING")),
    "scheduled_at": lambda _, session: _when(session.history.get("SCHEDULED")),
    "abusing_report": lambda *_: None,
    "agent": lambda _, session: next(iter(_agents(session)), None),
    "agent_addr": lambda *_: None,
    "container_id": lambda _, session: session.container_id,
    "resource_opts": lambda *_: json.dumps({"shmem": 67108864}),
    "occupied_slots": _occupying,
    "live_stat": lambda *_: None,
    "last_stat": lambda *_: None,
    "preopen_ports": lambda _, session: session.asked.preopen_ports,
}
_NODE: dict[str, Value] = {
    "id": lambda _, session: base64.b64encode(f"ComputeSessionNode:{session.id}".encode()).decode(),
    "row_id": lambda _, session: session.id,
    "project_id": lambda *_: keys.GROUP_ID,
    "permissions": lambda *_: [],
    "occupied_slots": _occupying,
}
_KEYPAIR: dict[str, Value] = {
    "id": lambda _, keypair: keypair.access_key,
    "user_id": lambda _, keypair: keypair.email,
    "full_name": lambda _, keypair: keypair.full_name,
    "access_key": lambda _, keypair: keypair.access_key,
    "secret_key": lambda _, keypair: keypair.secret_key,
    "is_active": lambda _, keypair: keypair.is_active,
    "is_admin": lambda _, keypair: keypair.is_admin,
    "resource_policy": lambda _, keypair: keypair.policy.name,
    "created_at": lambda *_: "2020-01-01T00:00:00+00:00",
    "last_used": lambda *_: None,
    "rate_limit": lambda _, keypair: keypair.rate_limit,
    "num_queries": lambda context, keypair: context.manager.limits.count(keypair.access_key),
    "user": lambda _, keypair: keypair.user_id,
    "projects": lambda *_: [keys.GROUP],
    "ssh_public_key": lambda *_: None,
    "concurrency_used": lambda context, keypair: context.manager.scheduler.running[keypair.access_key],
}
_POLICY: dict[str, Value] = {
    "name": lambda _, policy: policy.name,
    "created_at": lambda *_: "2020-01-01T00:00:00+00:00",
    "default_for_unspecified": lambda *_: "UNLIMITED",
    "total_resource_slots": lambda _, policy: json.dumps(policy.total_resource_slots),
    "max_session_lifetime": lambda *_: 0,
    "max_concurrent_sessions": lambda _, policy: policy.max_concurrent_sessions,
    "max_containers_per_session": lambda *_: 1,
    "idle_timeout": lambda *_: 3600,
    "allowed_vfolder_hosts": lambda *_: "{}",
    "max_vfolder_count": lambda *_: None,
}
_GROUP: dict[str, Value] = {
    "id": lambda *_: keys.GROUP_ID,
    "name": lambda *_: keys.GROUP,
    "description": lambda *_: "The default user group",
    "is_active": lambda *_: True,
    "domain_name": lambda *_: keys.DOMAIN,
    "total_resource_slots": lambda *_: "{}",
    "scaling_groups": lambda *_: [keys.SCALING_GROUP],
}
_SCALING_GROUP: dict[str, Value] = {
    "name": lambda *_: keys.SCALING_GROUP,
    "description": lambda *_: "The default agent scaling group",
    "is_active": lambda *_: True,
    "is_public": lambda *_: True,
    "driver": lambda *_: "static",
    "scheduler": lambda *_: "fifo",
    "scheduler_opts": lambda *_: json.dumps({"allowed_session_types": ["interactive", "batch", "inference"]}),
    "use_host_network": lambda *_: True,
}


def _own_slots(context: Context, _: Any) -> str:
    own: dict[str, Decimal] = dict.fromkeys(context.manager.scheduler.total, Decimal(0))
    for session in context.manager.store.of_owner[context.keypair.access_key]:
        if context.manager.scheduler.holds_room(session):
            for slot in own:
                own[slot] += session.asked.slots.get(slot, Decimal(0))
    return slots(own)


def _queue_position(context: Context, session: Session) -> int | None:
    if session.status != "PENDING":
        return None
    return context.manager.queue().get(session.id)


# -- root fields


def _owner(context: Context, arguments: Mapping[str, Any]) -> str | None:
    """Whose sessions are listed: one's own, unless one is superadmin."""
    asked = arguments.get("access_key")
    if context.keypair.is_admin:
        return asked
    if asked not in (None, context.keypair.access_key):
        raise QueryError("Forbidden operation. (Only admin can access other users' sessions)", code=None)
    return context.keypair.access_key


def _session(context: Context, _: Any, arguments: Mapping[str, Any]) -> Session | None:
    session = context.manager.store.by_id.get(str(arguments.get("id")).lower())
    if session is None or not (
        context.keypair.is_admin or session.owner.access_key == context.keypair.access_key
    ):
        return None
    return session


def _session_list(context: Context, _: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    found = context.manager.lists.matching(
        _owner(context, arguments),
        arguments.get("filter"),
        arguments.get("order"),
        arguments.get("status"),
    )
    first = arguments["offset"]
    return {"total_count": len(found), "items": found[first : first + arguments["limit"]]}


def _connection(found: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    first = arguments.get("offset") or 0
    if arguments.get("after"):
        first = int(base64.b64decode(arguments["after"]).rpartition(b":")[2]) + 1
    last = first + (arguments.get("first") or arguments.get("last") or 100)
    edges = [
        {"cursor": base64.b64encode(f"ComputeSessionNode:{at}".encode()).decode(), "node": one}
        for at, one in enumerate(found[first:last], first)
    ]
    info = {
        "hasNextPage": last < len(found),
        "hasPreviousPage": first > 0,
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
    }
    return {"count": len(found), "edges": edges, "pageInfo": info}


def _session_nodes(context: Context, _: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    found = context.manager.lists.matching(
        None if context.keypair.is_admin else context.keypair.access_key,
        arguments.get("filter"),
        arguments.get("order"),
    )
    return _connection(found, arguments)


def _pending_queue(context: Context, _: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    _superadmin(context)
    return _connection([context.manager.store.by_id[one] for one in context.manager.queue()], arguments)


def _superadmin(context: Context) -> None:
    if not context.keypair.is_admin:
        msg = "Forbidden operation. (superadmin privilege required)"
        raise QueryError(msg, code="backendai_generic_forbidden" if context.is_26 else None)


def _agent_rows(context: Context, _: Any, __: Any) -> list[dict[str, Any]]:
    _superadmin(context)
    return _nodes(context)


def _summaries(context: Context, _: Any, __: Any) -> dict[str, Any]:
    """What every user may know of the nodes, where the site does not hide them."""
    found = _nodes(context)
    return {"total_count": len(found), "items": found}


def _nodes(context: Context) -> list[dict[str, Any]]:
    scheduler = context.manager.scheduler
    alive = not context.manager.agent_lost
    return [
        {
            "id": AGENT,
            "status": "ALIVE" if alive else "LOST",
            "schedulable": True,
            "scaling_group": keys.SCALING_GROUP,
            "available_slots": slots(scheduler.total),
            "occupied_slots": slots(scheduler.used),
        }
    ]


def _one(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _type(values: Mapping[str, Value], more: Mapping[str, Value] | None = None) -> dict[str, Field]:
    return {name: Field(value=value) for name, value in {**values, **(more or {})}.items()}


def _rows(*names: str) -> dict[str, Field]:
    return {name: Field() for name in names}


def _build(dialect: Dialect) -> Schema:
    since_25 = dialect.api >= "v8"
    session = {**_SESSION, **_LIST_ITEM}
    container = dict(_CONTAINER)
    keypair = dict(_KEYPAIR)
    policy = dict(_POLICY)
    scaling_group = dict(_SCALING_GROUP)
    if since_25:
        container["kernel_id"] = container["id"]
        keypair["rolling_count"] = keypair["num_queries"]
        policy["max_pending_session_count"] = lambda _, one: one.max_pending_session_count
        policy["max_pending_session_resource_slots"] = _one(None)
        scaling_group["own_session_occupied_resource_slots"] = _own_slots
        scaling_group["accelerator_quantum_size"] = _one(1.0)
    else:
        del session["requested_slots"], session["priority"]
    if dialect.is_26:
        keypair["is_default"] = lambda _, one: one.is_active
    paging = frozenset(("filter", "order", "offset", "before", "after", "first", "last"))
    page = frozenset(
        ("limit", "offset", "filter", "order", "domain_name", "group_id", "access_key", "status")
    )
    root = {
        "compute_session": Field("ComputeSession", frozenset(("id",)), resolve=_session),
        "compute_session_list": Field("ComputeSessionList", page, resolve=_session_list),
        "keypair": Field(
            "KeyPair",
            frozenset(("domain_name", "access_key")),
            resolve=lambda context, *_: context.keypair,
        ),
        "keypair_resource_policy": Field(
            "KeyPairResourcePolicy",
            frozenset(("name",)),
            resolve=lambda context, *_: context.keypair.policy,
        ),
        "groups": Field("Group", frozenset(("domain_name", "is_active")), many=True, resolve=_one([{}])),
        "groups_by_name": Field(
            "Group",
            frozenset(("name", "domain_name")),
            many=True,
            resolve=lambda _, __, arguments: [{}] if arguments["name"] == keys.GROUP else [],
        ),
        "agents": Field("Agent", frozenset(("scaling_group", "status")), many=True, resolve=_agent_rows),
        "agent_summary_list": Field(
            "AgentSummaryList",
            frozenset(("limit", "offset", "filter", "order", "scaling_group", "status")),
            resolve=_summaries,
        ),
    }
    types: dict[str, dict[str, Field]] = {
        "ComputeSession": _type(session)
        | {
            "containers": Field("ComputeContainer", many=True, resolve=lambda _, one, __: [one]),
            "dependencies": Field("ComputeSession", many=True, resolve=_one([])),
        },
        "ComputeSessionList": {
            "items": Field("ComputeSession", many=True),
            "total_count": Field(),
        },
        "ComputeContainer": _type(container),
        "KeyPair": _type(keypair),
        "KeyPairResourcePolicy": _type(policy),
        "Group": _type(_GROUP),
        "ScalingGroup": _type(scaling_group),
        "Agent": _rows("id", "status", "scaling_group", "available_slots", "occupied_slots"),
        "AgentSummary": _rows(
            "id", "status", "schedulable", "scaling_group", "available_slots", "occupied_slots"
        ),
        "AgentSummaryList": {"items": Field("AgentSummary", many=True), "total_count": Field()},
        "Queries": root,
    }
    if since_25:
        scope = paging | {"scope_id", "project_id", "permission"}
        root["compute_session_nodes"] = Field("ComputeSessionConnection", scope, resolve=_session_nodes)
        root["accessible_scaling_groups"] = Field(
            "ScalingGroup", frozenset(("project_id",)), many=True, resolve=_one([{}])
        )
        node = {**_SESSION, **_NODE}
        if dialect.is_26:
            node["queue_position"] = _queue_position
            queue = frozenset(("resource_group_id", "offset", "before", "after", "first", "last"))
            root["session_pending_queue"] = Field("ComputeSessionConnection", queue, resolve=_pending_queue)
        types["ComputeSessionNode"] = _type(node)
        types["ComputeSessionConnection"] = {
            "count": Field(),
            "edges": Field("ComputeSessionEdge", many=True),
            "pageInfo": Field("PageInfo"),
        }
        types["ComputeSessionEdge"] = {"cursor": Field(), "node": Field("ComputeSessionNode")}
        types["PageInfo"] = _rows("hasNextPage", "hasPreviousPage", "startCursor", "endCursor")
    return types


@cache
def of_version(version: str) -> Schema:
    """The schema of a server version."""
    return _build(DIALECTS[version])


STATUSES = {
    "26.9.6": frozenset(
        (
            *("PENDING", "DEPRIORITIZING", "RESERVED", "SCHEDULED", "PREPARING", "PULLING", "PREPARED"),
            *("CREATING", "RUNNING", "RESTARTING", "RUNNING_DEGRADED", "PREEMPTED", "RESCHEDULING"),
            *("TERMINATING", *ENDED),
        )
    ),
    "25.5.2": frozenset(
        (
            *("PENDING", "SCHEDULED", "PREPARING", "PULLING", "PREPARED", "CREATING", "RUNNING"),
            *("RESTARTING", "RUNNING_DEGRADED", "TERMINATING", *ENDED),
        )
    ),
    "23.9.10": frozenset(
        (
            *("PENDING", "SCHEDULED", "PULLING", "PREPARING", "RUNNING", "RESTARTING"),
            *("RUNNING_DEGRADED", "TERMINATING", *ENDED),
        )
    ),
}
"""What a filter may ask of ``status``."""
