"""Routes of a session's life: create, info, logs, delete, and what is asked of it by name."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.engines.backendai.manager import creation, keys, problems
from tests.engines.backendai.manager.calls import Call, nothing, reply
from tests.engines.backendai.manager.problems import Problem
from tests.engines.backendai.manager.schema import IDLE_CHECKS
from tests.engines.backendai.manager.sessions import Creation, Session, moment

LONGEST_DELETE = 10.0
"""Seconds that a DELETE before 26 waits for the container's end."""


def _ports(session: Session, *, reused: bool) -> list[dict[str, Any]]:
    """Service ports of a running session, as a create tells them (``reused``: one that existed)."""
    first = 30000 + 2 * (session.number % 500)
    if not reused:
        return [
            {"name": "sshd", "protocol": "tcp", "ports": [first]},
            {"name": "ttyd", "protocol": "http", "ports": [first + 1]},
        ]
    return [
        {
            "name": name,
            "protocol": protocol,
            "host_ports": [port],
            "is_inference": False,
            "container_ports": [port],
        }
        for name, protocol, port in (("sshd", "tcp", first), ("ttyd", "http", first + 1))
    ]


async def create(call: Call) -> web.Response:
    manager = call.manager
    body = await call.read_json()
    manager.received.append(body)
    asked = creation.read(body, manager.dialect, manager.images)
    existing = manager.store.living(call.user.access_key, asked.name)
    if existing is not None:
        if not asked.reuse:
            raise problems.exists(existing.id)
        return reply(_reused(call, existing), 201)
    creation.check(asked, manager.dialect, manager.slots)
    creation.check_kind(asked, manager.dialect, manager.kinds)
    _check_quota(call, asked)
    session = manager.store.add(asked, call.user)
    manager.scheduler.enqueue(session)
    status = "PENDING" if asked.enqueue_only else await _wait(call, session)
    ports = _ports(session, reused=False) if status == "RUNNING" else []
    return reply(
        {
            "sessionId": session.id,
            "sessionName": session.name,
            "status": status,
            "servicePorts": ports,
            "created": True,
        },
        201,
    )


def _reused(call: Call, session: Session) -> dict[str, Any]:
    ports = _ports(session, reused=True) if session.has_container else None
    told = {
        "sessionId": session.id,
        "sessionName": session.name,
        "status": session.status,
        "service_ports": ports,
    }
    if call.manager.dialect.is_26:
        told["servicePorts"] = ports
    return told | {"created": False}


def _check_quota(call: Call, asked: Creation) -> None:
    """26.x refuses at creation what older servers keep pending."""
    limit = call.user.policy.max_pending_session_count
    if not call.manager.dialect.is_26 or limit is None:
        return
    count = len(call.manager.store.pending[call.user.access_key])
    if count >= limit:
        msg = (
            f"You already have {count} pending sessions, which exceeds the pending-session limit of {limit}."
        )
        raise problems.quota(msg)


async def _wait(call: Call, session: Session) -> str:
    """The status that a create without enqueueOnly answers with."""
    try:
        async with asyncio.timeout(session.asked.max_wait or None):
            await session.settled.wait()
    except TimeoutError:
        return "TIMEOUT"
    if call.manager.dialect.is_26 and not session.is_alive:
        msg = "Session terminated during scheduling"
        raise Problem(404, "object-not-found", "No such session.", "session_read_not-found", msg)
    return session.status


def _decimals(amounts: dict[str, Decimal], *, is_26: bool) -> str:
    if is_26:
        amounts = {slot: amount.quantize(Decimal("0.000001")) for slot, amount in amounts.items()}
    return repr(amounts)


async def info(call: Call) -> web.Response:
    session = call.session()
    manager = call.manager
    is_26 = manager.dialect.is_26
    status_info, status_data = manager.scheduler.why(session)
    age = int((time.time() - session.created_at) * 1000)
    created = moment(session.created_at)
    asked = _decimals(session.asked.slots, is_26=is_26)
    told: dict[str, Any] = {"age": age} if is_26 else {}
    told |= {
        "domainName": keys.DOMAIN,
        "groupId": keys.GROUP_ID,
        "userId": session.owner.user_id,
        "lang": session.asked.image,
        "image": session.asked.image,
        "architecture": session.asked.architecture,
        "registry": "local",
        "tag": session.asked.tag or ("" if is_26 else None),
        "containerId": session.container_id if is_26 else str(session.container_id),
        "occupiedSlots": asked,
        "occupyingSlots": _decimals(manager.scheduler.occupying(session), is_26=is_26),
        "requestedSlots": asked,
        "occupiedShares": "{}",
        "environ": "{}",
        "resourceOpts": "{'main1': {'shmem': 67108864}}",
        "status": session.status,
        "statusInfo": str(status_info),
        "statusData": status_data,
        "age": age,
        "creationTime": created if is_26 else created.replace("T", " "),
        "terminationTime": None,
        "numQueriesExecuted": 0,
        "lastStat": None,
        "idleChecks": IDLE_CHECKS,
    }
    return reply(told)


async def status_history(call: Call) -> web.Response:
    session = call.session()
    return reply({status: moment(at) for status, at in session.history.items()})


async def logs(call: Call) -> web.Response:
    session = call.session(dead=True)
    dialect = call.manager.dialect
    if session.container is None:
        if "SCHEDULED" in session.history and session.is_alive:
            raise problems.agent_failed("KeyError('container_id')")
        if dialect.predicates and "pending_session_count_limit" not in dialect.predicates:
            raise problems.internal()  # 23.9
        kernel = None if session.is_alive else session.kernel_id
        thing = "agent" if dialect.is_26 else "agent instance"
        msg = "Kernel has not been assigned to an agent."
        raise problems.no_such(thing, "agent_read_not-found", msg, data={"kernel_id": kernel})
    if session.lost and session.is_alive:
        raise problems.agent_failed("TimeoutError()")
    try:
        text = session.container.log.read().decode()
    except UnicodeDecodeError as error:
        raise problems.agent_failed(repr(error)) from error
    return reply({"result": {"logs": text}})


async def delete(call: Call) -> web.Response:
    manager = call.manager
    forced = call.query.get("forced", "false").lower() in ("true", "1", "yes", "y", "t")
    reason = "force-terminated" if forced else "user-requested"
    session = call.session(dead=manager.dialect.is_26)
    if manager.dialect.is_26:
        word = manager.scheduler.terminate(session, reason, forced=forced)
        return reply({"stats": {"status": word} if word else {}})
    if session.status not in ("PENDING", "RUNNING") and not forced:
        raise problems.forbidden(f"Cannot destroy sessions in {manager.dialect.undeletable} status")
    ran = session.status == "RUNNING"
    manager.scheduler.terminate(session, reason, forced=forced)
    try:
        async with asyncio.timeout(LONGEST_DELETE):
            await session.ended.wait()
    except TimeoutError:
        pass  # as the server, which gives up on the agent
    if ran:
        await asyncio.sleep(manager.dialect.delete_seconds)
    return reply({"stats": {"status": "terminated"}})


async def restart(call: Call) -> web.Response:
    call.session()
    if call.manager.dialect.is_26:
        raise Problem(501, "not-implemented", "This API is not implemented.", "api_generic_not-implemented")
    return nothing()


async def rename(call: Call) -> web.Response:
    name = None if call.manager.dialect.is_26 else call.query.get("name")
    if name is None:
        name = (await call.read_json()).get("name")
    session = call.session()
    call.manager.store.rename(session, str(name))
    call.manager.lists.forget()
    return nothing()


async def match(_: Call) -> web.Response:
    """Nothing ever matched on the running clusters."""
    return reply({"matches": []})
