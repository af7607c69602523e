"""How fast a sweep goes and when it will have ended, taken from the cases that ended last.

What counts is the time between two ends, not how long a case runs: it has in it what runs beside what, what a
cluster takes to prepare a session and to put it away, and the waiting for others' sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.states import LIVE, State

_ENOUGH = 3
"""Ended cases below which nothing is foretold."""
_LOOKED_AT = 1000
"""Ended cases that are looked at: the latest ones are the most alike."""
_WAVES = 8
"""At least so many times as many as run at once: cases that began together end together."""
_AROUND = 30.0
"""Seconds that a slot may be taken before and after its case runs. Where the longest run and these go by without
an end, the sweep was held or had no runner."""
_ON_A_SLOT = (State.STARTING, State.RUNNING, State.CANCELLING)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a sweep goes."""

    typical: float
    """Seconds that most cases with exit code 0 ran."""
    apart: float
    """Seconds between the ends of two cases, on the average."""
    last: float
    """When the last one ended, UNIX seconds."""


def pace(table: CaseTable) -> Pace | None:
    """The pace of the cases that ended last by themselves, or None while they are too few to tell.

    A million ended cases take 5 ms.
    """
    if table.counts[State.DONE] < _ENOUGH:
        return None
    ran = table.where((State.DONE, State.FAILED, State.TIMEOUT))
    ran = ran[~np.isnan(table.started[ran])]
    window = max(_LOOKED_AT, _WAVES * sum(table.counts[state] for state in _ON_A_SLOT))
    whole = len(ran) <= window
    if not whole:
        ran = ran[np.argpartition(table.ended[ran], -window - 1)[-window - 1 :]]
    ended = np.sort(table.ended[ran])
    took = table.ended[ran] - table.started[ran]
    well = np.sort(took[table.state[ran] == State.DONE])
    if len(well) < _ENOUGH:
        return None
    # of all that ended, the first took its time from the first one's sending on
    began = np.fmin.reduce(table.submitted[ran], initial=ended[0])
    gaps = np.diff(ended, prepend=began) if whole else np.diff(ended)
    gaps = np.minimum(gaps, float(took.max()) + _AROUND)
    # np.median would load numpy's masked arrays, 40 ms, and statistics 3 ms
    typical = float(well[(len(well) - 1) // 2 : len(well) // 2 + 1].mean())
    return Pace(typical, float(gaps.mean()), float(ended[-1]))


def left(table: CaseTable, pace: Pace | None, now: float) -> float | None:
    """Seconds from ``now`` until every case that is not held has ended, if it goes on at this pace.

    None when that cannot be told: too few have ended, nothing runs, or it should have ended by now.
    """
    on_a_slot = sum(table.counts[state] for state in _ON_A_SLOT)
    rest = table.unfinished - table.counts[State.HELD]
    if pace is None or not on_a_slot:
        return None
    live = table.where(LIVE)
    since = float(np.fmax.reduce(table.submitted[live], initial=pace.last))  # later where it was resumed
    by_pace = pace.apart * rest - (now - since)
    if rest > on_a_slot:  # others come after these, and take as long as most
        return max(by_pace, pace.typical) if by_pace > 0 else None
    started = table.started[live]
    ran = 0.0 if np.isnan(started).any() else now - float(started.max())
    seconds = max(by_pace, pace.typical - ran)  # the one that began last will be the last
    return seconds if seconds > 0 else None
