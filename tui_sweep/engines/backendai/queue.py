"""Why a session waits: computed from quota, group and resource-group figures.

26.x tells ordinary users no reason (PROTOCOL.md 3.5), older servers do in ``status_data``. All
sessions of a sweep ask the same, so one sentence is true for all of them; the place differs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from tui_sweep.core.errors import EngineDenied
from tui_sweep.core.plain import plain
from tui_sweep.core.slots import Slots
from tui_sweep.engines.backendai.api import Api

log = logging.getLogger(__name__)

_LIMITS = """query MyLimits {
  keypair { rate_limit concurrency_used }
  keypair_resource_policy { %s }
}"""
_POLICY = ("name", "total_resource_slots", "max_concurrent_sessions", "max_containers_per_session")
_LATER_POLICY = ("max_pending_session_count",)
"""Since 24.03.4."""
_NODES = """query Nodes($limit: Int!, $offset: Int!) {
  agent_summary_list(limit: $limit, offset: $offset) {
    total_count
    items { status schedulable scaling_group available_slots }
  }
}"""
_PAGE = 100
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Shares:
    """The figures of ``POST /resource/check-presets``: amounts by slot name, as the server counts."""

    mine: Mapping[str, Decimal] = field(default_factory=dict)
    """What our own sessions hold, all of this key's or user's."""
    mine_left: Mapping[str, Decimal] = field(default_factory=dict)
    mine_limit: Mapping[str, Decimal] = field(default_factory=dict)
    group_left: Mapping[str, Decimal] = field(default_factory=dict)
    groups: Mapping[str, tuple[Mapping[str, Decimal], Mapping[str, Decimal]]] = field(default_factory=dict)
    """(held, free) of each resource group that we may use."""
    are_whole: bool = True
    """``held`` is what everybody holds. Otherwise it is our own part: all that a site tells that hides its nodes."""

    def there(self, group: str | None) -> tuple[Mapping[str, Decimal], Mapping[str, Decimal]]:
        """(held, free) of one resource group, or of all together when none is named."""
        if group is not None and group in self.groups:
            return self.groups[group]
        held: dict[str, Decimal] = {}
        free: dict[str, Decimal] = {}
        for one_held, one_free in self.groups.values():
            for total, part in ((held, one_held), (free, one_free)):
                for name, amount in part.items():
                    total[name] = total.get(name, Decimal(0)) + amount
        return held, free


@dataclass(frozen=True, slots=True)
class Limits:
    """What the site allows this key."""

    concurrent: int | None = None
    """Sessions at once; None or 0 is no limit."""
    pending: int | None = None
    containers: int | None = None
    rate: int | None = None
    """Requests in 900 s."""

    def record(self) -> dict[str, Any]:
        """JSON values, those that are known."""
        told = {
            "sessions at once": self.concurrent,
            "sessions waiting": self.pending,
            "requests per 15 minutes": self.rate,
        }
        return {name: value for name, value in told.items() if value}


async def read_limits(client: Api) -> Limits:
    """The limits of our key; none where the server does not tell users of this role. Raises EngineError."""
    fields = _POLICY + (_LATER_POLICY if client.dialect.has_pending_limit else ())
    try:
        told = await client.graphql(_LIMITS % " ".join(fields), {})
    except EngineDenied as error:
        log.info("no limits of this key: error=%s", error)
        return Limits()
    key, policy = _mapping(told.get("keypair")), _mapping(told.get("keypair_resource_policy"))
    return Limits(
        concurrent=_count(policy.get("max_concurrent_sessions")),
        pending=_count(policy.get("max_pending_session_count")),
        containers=_count(policy.get("max_containers_per_session")),
        rate=_count(key.get("rate_limit")),
    )


Totals = Mapping[str, Mapping[str, Decimal]]
"""Resource group → slot → what its nodes have in all."""


async def read_totals(client: Api) -> Totals:
    """What there is, by the nodes that take sessions. Raises EngineError: EngineDenied where a site hides its nodes."""
    totals: dict[str, dict[str, Decimal]] = {}
    offset, count = 0, 1
    while offset < count:
        told = await client.graphql(_NODES, {"limit": _PAGE, "offset": offset})
        page = _mapping(told.get("agent_summary_list"))
        count = _count(page.get("total_count")) or 0
        offset += _PAGE
        items = page.get("items")
        for node in map(_mapping, items if isinstance(items, list) else []):
            if node.get("status") == "ALIVE" and node.get("schedulable") is not False:
                total = totals.setdefault(plain(str(node.get("scaling_group"))), {})
                for name, amount in _amounts(_read(node.get("available_slots"))).items():
                    total[name] = total.get(name, Decimal(0)) + amount
    return totals


async def read_shares(client: Api, group: str, resource_group: str | None, totals: Totals) -> Shares:
    """Who holds what; ``totals`` may be without a group, or empty. Raises EngineError."""
    body: dict[str, Any] = {"group": group}
    if resource_group:
        body["scaling_group"] = resource_group
    told = _mapping(await client.check_presets(body))
    groups = {}
    for name, figures in _mapping(told.get("scaling_groups")).items():
        figures = _mapping(figures)
        held = _amounts(figures.get("occupied", figures.get("using")))
        free = _amounts(figures.get("available", figures.get("remaining")))
        name = plain(str(name))
        for slot, amount in totals.get(name, {}).items():
            held[slot] = max(amount - free.get(slot, Decimal(0)), held.get(slot, Decimal(0)))
            # of what has just been taken a server may say for a while that it is ours, and free (26.9.6)
            free[slot] = max(min(free.get(slot, Decimal(0)), amount - held[slot]), Decimal(0))
        groups[name] = (held, free)
    return Shares(
        mine=_amounts(told.get("keypair_using")),
        mine_left=_amounts(told.get("keypair_remaining")),
        mine_limit=_amounts(told.get("keypair_limits")),
        group_left=_amounts(told.get("group_remaining")),
        groups=groups,
        are_whole=groups.keys() <= totals.keys(),
    )


def why(
    asked: Slots, shares: Shares | None, limits: Limits, *, group: str | None, project: str, running: int
) -> str:
    """One sentence: why a session that asks this still waits.

    ``running``: how many sessions of this key hold slots now; ``group``: its resource group.
    """
    if limits.concurrent and running >= limits.concurrent:
        return f"you may run {limits.concurrent} sessions at once, and {running} of yours hold slots"
    if shares is None:
        return "waits for capacity"
    if group is None and len(shares.groups) == 1:
        group = next(iter(shares.groups))
    held, free = shares.there(group)
    place = plain(group) if group else "your resource groups"
    for left, whose in (
        (shares.mine_left, "your own limit"),
        (shares.group_left, f"the limit of {plain(project)}"),
    ):
        for name in asked:
            if name in left and left[name] < asked[name]:
                return (
                    f"over {whose} of {name}: asks {asked.shown(name)}, {_shown(name, left[name])} left; "
                    + _hold(running, name, shares)
                )
    for name in asked:
        if shares.groups and name not in free and name not in held:
            return f"there is no {name} in {place}"
        if name in free and free[name] < asked[name]:
            total = held.get(name, Decimal(0)) + free[name]
            if total < asked[name] and shares.are_whole:
                return f"can never start: asks {name} {asked.shown(name)}, {place} has {_shown(name, total)} in all"
            return (
                f"short of {name}: asks {asked.shown(name)}, {_shown(name, free[name])} free in {place}; "
                + _hold(running, name, shares)
            )
    return f"{place} has room for it: the scheduler has not come to it, or no single node has enough free"


def said(data: Mapping[str, Any], info: str | None) -> str | None:
    """The reason that servers before 26 give themselves, in ``status_data.scheduler``; None where it is that there is
    no room, which our figures tell better ("Could not find a contiguous resource region in any agent …")."""
    if info == "no-available-instances":
        return None
    scheduler = _mapping(data.get("scheduler"))
    failed = scheduler.get("failed_predicates")
    texts = []
    for predicate in failed if isinstance(failed, list) else []:
        text = _mapping(predicate).get("msg") or _mapping(predicate).get("name")
        if text and isinstance(text, str):
            texts.append(text)
    if not texts and isinstance(scheduler.get("msg"), str):
        texts.append(scheduler["msg"])
    if not texts and info in ("predicate-checks-failed", "scheduler-error"):
        texts.append(info.replace("-", " "))
    return plain("; ".join(texts))[:_LONGEST] or None


def capacity(shares: Shares, group: str | None) -> dict[str, dict[str, str]]:
    """Slot → total and used, for the bars; where the site hides its nodes, of what we hold and could have."""
    held, free = shares.there(group)
    names: Iterable[str] = dict.fromkeys([*held, *free])
    return {
        plain(name): {
            "total": _text(held.get(name, Decimal(0)) + free.get(name, Decimal(0))),
            "used": _text(held.get(name, Decimal(0))),
        }
        for name in names
        if held.get(name, Decimal(0)) + free.get(name, Decimal(0)) > 0
    }


def _hold(running: int, name: str, shares: Shares) -> str:
    mine = shares.mine.get(name, Decimal(0))
    if not running and not mine:
        return "none of it is yours"
    sessions = "session holds" if running == 1 else "sessions hold"
    return f"your own {running} running {sessions} {_shown(name, mine)}"


def _shown(name: str, amount: Decimal) -> str:
    return Slots({name: amount}).shown(name) if amount > 0 else "0"


def _text(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def _amounts(value: object) -> dict[str, Decimal]:
    """Amounts that are finite: "Infinity" is no limit, "NaN" is hidden by the site."""
    found = {}
    for name, text in _mapping(value).items():
        try:
            amount = Decimal(str(text))
        except InvalidOperation:
            continue
        if amount.is_finite() and abs(amount) < Decimal(1 << 60):
            found[plain(str(name))] = amount
    return found


def _read(value: object) -> object:
    """A JSONString: text that has to be read once more."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        return int(value) or None
    except ValueError:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
