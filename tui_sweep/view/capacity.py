"""What an engine has, as the home screen shows it, and what of it a case asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Protocol

from tui_sweep.core.errors import UsageError
from tui_sweep.core.plain import plain
from tui_sweep.core.slots import Slots


class EngineFacts(Protocol):
    """What is read of ``engines.base.Facts``, which viewers do not know."""

    @property
    def reachable(self) -> bool: ...
    @property
    def server(self) -> str: ...
    @property
    def capacity(self) -> Mapping[str, Mapping[str, str]]: ...


@dataclass(frozen=True, slots=True)
class Bar:
    """One slot's capacity."""

    slot: str
    used: str
    total: str
    fraction: float
    """Share in use, 0 to 1."""


def bars(told: Mapping[str, Mapping[str, str]]) -> tuple[tuple[Bar, ...], Slots]:
    """A bar a slot, and the totals; figures that are none are left out: a server says what it likes."""
    found: list[Bar] = []
    total: dict[str, Decimal] = {}
    for slot, amounts in told.items():
        try:
            have, used = Decimal(amounts["total"]), Decimal(amounts["used"])
        except (KeyError, InvalidOperation, TypeError):
            continue
        fraction = float(used / have) if have > 0 else 0.0
        shown = [plain(Slots({slot: amount}).shown(slot)) or "0" for amount in (used, have)]
        found.append(Bar(plain(slot), shown[0], shown[1], min(max(fraction, 0.0), 1.0)))
        total[slot] = have
    return tuple(found), Slots(total)


@dataclass(frozen=True, slots=True)
class Capacity:
    """One engine's capacity at one moment."""

    engine: str
    server: str = ""
    bars: tuple[Bar, ...] = ()
    total: Slots = field(default_factory=Slots)
    trouble: str = ""
    """Why nothing is known, in words; "" when all is well."""


def capacity(engine: str, facts: EngineFacts) -> Capacity:
    """What an engine said of itself."""
    found, total = bars(facts.capacity)
    trouble = "" if facts.reachable else "does not answer"
    return Capacity(plain(engine), plain(facts.server), found, total, trouble)


def unfit(asked: Slots, there: Capacity) -> UsageError | None:
    """Why a case can never start on this engine; None when it may, or when that is not known.

    Only slots that the engine spoke of are judged: what a cluster left out it may have all the same.
    """
    for name in asked.short_of(there.total):
        if name not in there.total:
            continue
        text = f"{name}={asked.shown(name).replace(' ', '')}"
        return UsageError(
            f"-r {text}: {there.engine} has {there.total.shown(name)} in all",
            text=text,
            span=(len(name) + 1, len(text)),
            hint="ask for less",
        )
    return None


def at_once(asked: Slots, there: Capacity) -> int | None:
    """How many such cases an empty engine holds at once; None when that is not known."""
    known = [int(there.total[name] // asked[name]) for name in asked if name in there.total]
    return min(known, default=None)
