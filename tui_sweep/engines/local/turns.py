"""Whose turn it is: the rules of the ledger, without the ledger."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tui_sweep.core.slots import Slots
from tui_sweep.engines.local.capacity import Capacity


@dataclass(frozen=True, slots=True)
class Hold:
    """Slots that one session has."""

    name: str
    sweep: str
    case: int
    folder: str
    """The attempt's folder: enough to end the session without knowing more of its sweep."""
    slots: Slots
    cpus: tuple[int, ...]
    """Pinned ones; empty for fractions."""
    gpus: tuple[str, ...]
    since: int
    """When it was admitted, in ns of the wall clock."""

    def record(self) -> bytes:
        """This hold as JSON; ``restore`` reads it back."""
        return json.dumps(
            {
                "name": self.name,
                "sweep": self.sweep,
                "case": self.case,
                "folder": self.folder,
                "slots": _record(self.slots),
                "cpus": self.cpus,
                "gpus": self.gpus,
                "since": self.since,
            }
        ).encode()

    @classmethod
    def restore(cls, record: Mapping[str, Any]) -> Hold:
        """The hold that ``record()`` wrote. Raises ValueError, KeyError, TypeError."""
        return cls(
            str(record["name"]), str(record["sweep"]), int(record["case"]), str(record["folder"]), Slots(record["slots"]), tuple(map(int, record["cpus"])),
            tuple(map(str, record["gpus"])), int(record["since"]),
        )  # fmt: skip


@functools.lru_cache(maxsize=16)
def _record(slots: Slots) -> dict[str, str]:
    """As ``Slots.record``, once for all cases of a sweep: 10 us."""
    return slots.record()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A sweep's place in the queue: it asked, did not fit, and waits."""

    sweep: str
    slots: Slots
    since: int
    """When it was refused, in ns of the wall clock."""
    key: str = field(default="", compare=False)
    """Its file's name."""

    def record(self) -> bytes:
        """This ticket as JSON; ``restore`` reads it back."""
        return json.dumps({"sweep": self.sweep, "slots": self.slots.record(), "since": self.since}).encode()

    @classmethod
    def restore(cls, record: Mapping[str, Any], key: str) -> Ticket:
        """The ticket that ``record()`` wrote. Raises ValueError, KeyError, TypeError."""
        return cls(str(record["sweep"]), Slots(record["slots"]), int(record["since"]), key)


def used(holds: Iterable[Hold], capacity: Capacity) -> Slots:
    """What of ``capacity`` is taken. A pinned hold counts by its cpus: a runner under ``taskset`` may
    have others than we have."""
    total: dict[str, Decimal] = {}
    mine = set(capacity.cpus)
    for hold in holds:
        for name, amount in hold.slots.items():
            if name == "cpu" and hold.cpus:
                amount = Decimal(len(mine.intersection(hold.cpus)))
            elif name == "cuda.device" and hold.gpus:
                amount = Decimal(len(set(capacity.gpus).intersection(hold.gpus)))
            total[name] = total.get(name, Decimal(0)) + amount
    return Slots(total)


def may_pass(request: Slots, oldest: Ticket, holds: Sequence[Hold], capacity: Capacity) -> bool:
    """Whether a younger request may be taken although ``oldest`` waits.

    It may when the oldest could start even if nothing that was admitted after it asked ever ended:
    then it waits only for what was there before it, which ends, and so it is never starved.
    """
    if not oldest.slots.fits(capacity.slots):
        return True  # it asked a larger machine (ours is cut by taskset): what we leave is no use to it
    later = used((hold for hold in holds if hold.since > oldest.since), capacity)
    return (later + request + oldest.slots).fits(capacity.slots)


def why_not(
    request: Slots, sweep: str, holds: Iterable[Hold], total: Slots, taken: Slots, ahead: Ticket | None
) -> str:
    """The sentence for a request that has to wait, e.g. ``needs cpu 2; 1 of 8 free; #3 and #7 hold 4``."""
    free = Slots({name: max(total[name] - taken[name], Decimal(0)) for name in total})
    short = request.short_of(free)
    name = short[0] if short else "cpu" if "cpu" in request else next(iter(request), "cpu")
    if request[name] > total[name]:
        return f"needs {name} {request.shown(name)}; this machine has {total.shown(name)} in all"
    told = [f"needs {name} {request.shown(name)}", f"{free.shown(name)} of {total.shown(name)} free"]
    if not short and ahead is not None:
        who = "an earlier case of this sweep" if ahead.sweep == sweep else f"sweep {ahead.sweep}"
        told.append(f"{who} waits for it since earlier")
        return "; ".join(told)
    own: list[int] = []
    amounts: dict[str, Decimal] = {}
    for hold in holds:
        amount = hold.slots[name]
        if amount:
            amounts[hold.sweep] = amounts.get(hold.sweep, Decimal(0)) + amount
            if hold.sweep == sweep:
                own.append(hold.case)
    mine = amounts.pop(sweep, None)
    if mine is not None:
        told.append(
            f"{_listed(sorted(own))} hold{'s' if len(own) == 1 else ''} {Slots({name: mine}).shown(name)}"
        )
    others = sorted(amounts)[:2]
    told += [f"sweep {other} holds {Slots({name: amounts[other]}).shown(name)}" for other in others]
    return "; ".join(told)


def _listed(cases: Sequence[int]) -> str:
    """``#3``, ``#3 and #7``, ``#3, #7 and 4 more``."""
    if len(cases) > 3:
        return f"#{cases[0]}, #{cases[1]} and {len(cases) - 2} more"
    shown = [f"#{case}" for case in cases]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
