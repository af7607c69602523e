"""Routes of capacity and limits, and of the manager itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.engines.backendai.manager import gql, keys, problems, schema
from tests.engines.backendai.manager.calls import Call, reply
from tests.engines.backendai.manager.schema import Context, plain

PRESET = "cpu01-small"
PRESET_SLOTS = {"cpu": "1", "mem": "1073741824"}
PRESET_ID = "b97482b8-1e1d-468e-aae0-1cc771cf21f2"


def _preset(call: Call) -> dict[str, Any]:
    with_id = {} if call.manager.dialect.api < "v8" else {"id": PRESET_ID}
    return with_id | {
        "name": PRESET,
        "shared_memory": None,
        "resource_slots": PRESET_SLOTS,
    }


async def version(call: Call) -> web.Response:
    return reply({"version": call.manager.dialect.api, "manager": call.manager.dialect.manager})


async def announcement(_: Call) -> web.Response:
    return reply({"enabled": False, "message": ""})


async def authorized(call: Call) -> web.Response:
    return reply({"authorized": "yes", "echo": call.query.get("echo", "")})


async def slot_types(call: Call) -> web.Response:
    units = {"cpu": "count", "mem": "bytes"}
    return reply({slot: units.get(slot, "count") for slot in call.manager.scheduler.total})


async def presets(call: Call) -> web.Response:
    return reply({"presets": [_preset(call)]})


async def scaling_groups(call: Call) -> web.Response:
    group = call.query.get("group", call.query.get("group_id"))
    if group is None:
        raise problems.invalid("Input validation error", data={"group": "is required"})
    return reply({"scaling_groups": [{"name": keys.SCALING_GROUP}]})


async def check_presets(call: Call) -> web.Response:
    """Limits, use and room, of the caller and of the resource group (PROTOCOL 8.3)."""
    body = await call.read_json()
    if "group" not in body:
        raise problems.invalid("Input validation error", data={"group": "is required"})
    scheduler = call.manager.scheduler
    own = dict.fromkeys(scheduler.total, Decimal(0))
    for session in call.manager.store.of_owner[call.user.access_key]:
        if scheduler.holds_room(session):
            for slot in own:
                own[slot] += session.asked.slots.get(slot, Decimal(0))
    limits = call.user.policy.total_resource_slots
    using = {slot: plain(amount) for slot, amount in own.items()}
    free = {slot: plain(total - scheduler.used[slot]) for slot, total in scheduler.total.items()}
    infinite = dict.fromkeys(scheduler.total, "Infinity")
    remaining = {slot: plain(Decimal(limit) - own.get(slot, Decimal(0))) for slot, limit in limits.items()}
    fits = all(Decimal(PRESET_SLOTS.get(slot, "0")) <= Decimal(free[slot]) for slot in free)
    return reply(
        {
            "presets": [_preset(call) | {"allocatable": fits}],
            "keypair_limits": infinite | limits,
            "keypair_using": using,
            "keypair_remaining": infinite | remaining,
            "group_limits": infinite,
            "group_using": using,
            "group_remaining": infinite,
            "scaling_group_remaining": free,
            "scaling_groups": {keys.SCALING_GROUP: {"using": using, "remaining": free}},
        }
    )


async def graphql(call: Call) -> web.Response:
    body = await call.read_json()
    manager = call.manager
    manager.queries.append(body)
    context = Context(manager, call.user)
    variables = body.get("variables") or {}
    data, errors = gql.execute(
        schema.of_version(manager.dialect.version), body.get("query", ""), variables, context
    )
    told: dict[str, Any] = {"data": data}
    if errors or manager.dialect.is_26:
        told["errors"] = errors or None
    return reply(told)
