"""The queue: capacity and use per slot, who waits, why, and what frees next, as one frozen value."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tui_sweep.core.plain import plain
from tui_sweep.core.states import State
from tui_sweep.view.capacity import Bar, bars
from tui_sweep.view.follow import Follower
from tui_sweep.view.pace import left, pace


@dataclass(frozen=True, slots=True)
class Waiting:
    """One case that waits."""

    case: int
    waited: float | None
    """Seconds since its turn came; None before that."""
    why: str


@dataclass(frozen=True, slots=True)
class Next:
    """One running case that may free its slots soon."""

    case: int
    ran: float
    """Seconds."""
    left: float | None
    """Seconds until it ends if it takes as long as most; None when that is over, or nothing is known."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What the queue panel shows."""

    reachable: bool
    server: str
    bars: tuple[Bar, ...]
    limits: str
    """What the engine allows its user, in words."""
    notes: tuple[str, ...]
    """What this way of running cannot do, and what it cannot write to the disk now."""
    needs: str
    """What each case asks, in words."""
    waiting: int
    """How many cases wait, sent or not."""
    first: tuple[Waiting, ...]
    sentence: str
    """Why the first one waits, or that nothing does."""
    next: tuple[Next, ...]
    typical: float | None
    """Seconds that most ended cases ran; None before three have."""
    left: float | None
    """Seconds until the sweep ends at its pace; None when that cannot be told."""


def queue(follower: Follower, now: float, *, limit: int = 12) -> Queue:
    """The queue of a sweep at ``now`` (UNIX seconds), with the first ``limit`` that wait."""
    engine = follower.facts.get("engine") or {}
    goes = pace(follower.table)
    typical = None if goes is None else goes.typical
    held = (follower.facts.get("dispatch") or {}).get("holding")
    reachable = bool(engine.get("reachable", True))
    waiting = sum(follower.counts.get(word, 0) for word in ("waiting", "pending", "submitting"))
    first = tuple(_first(follower, now, limit))
    return Queue(
        reachable=reachable,
        server=plain(str(engine.get("server") or engine.get("error") or "")),
        bars=bars(engine.get("capacity") or {})[0],
        limits=", ".join(plain(f"{name} {value}") for name, value in (engine.get("limits") or {}).items()),
        notes=tuple(
            plain(str(note)) for note in (*(engine.get("notes") or ()), engine.get("trouble")) if note
        ),
        needs=", ".join(f"{slot} {follower.slots.shown(slot)}" for slot in follower.slots),
        waiting=waiting,
        first=first,
        sentence=_sentence(first, waiting),
        next=tuple(_next(follower, now, typical)),
        typical=typical,
        left=left(follower.table, goes, now) if reachable and not held else None,
    )


def _first(follower: Follower, now: float, limit: int) -> Iterable[Waiting]:
    """The first cases that wait: those the engine has, then those whose turn comes."""
    table = follower.table
    there = table.where([State.SUBMITTING, State.PENDING])[:limit].tolist()
    found = there + _lowest(table.state, State.WAITING, limit - len(there))
    for index in found:
        row = table.row(index)
        since = row.queued if row.queued is not None else row.submitted
        waited = None if since is None else max(now - since, 0.0)
        yield Waiting(index, waited, plain(follower.reason(row) or ""))


def _lowest(states: np.ndarray, state: State, count: int) -> list[int]:
    """The lowest indices in a state, without looking at a million when the first few will do."""
    found: list[int] = []
    for start in range(0, len(states), 65536):
        if len(found) >= count:
            break
        found += (start + np.flatnonzero(states[start : start + 65536] == state)).tolist()
    return found[: max(count, 0)]


def _sentence(first: tuple[Waiting, ...], waiting: int) -> str:
    if not waiting or not first:
        return "Nothing waits."
    return f"#{first[0].case}: {first[0].why}" if first[0].why else f"#{first[0].case} is next"


def _next(follower: Follower, now: float, typical: float | None, *, count: int = 3) -> Iterable[Next]:
    """The running cases that have run longest."""
    table = follower.table
    running = table.where([State.RUNNING]).tolist()
    for index in heapq.nsmallest(count, running, key=lambda index: float(table.started[index])):
        ran = max(now - float(table.started[index]), 0.0)
        left = None if typical is None or ran > typical else typical - ran
        yield Next(index, ran, left)
