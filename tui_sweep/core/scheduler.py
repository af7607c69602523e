"""Scheduler: what happens next, as a function of what happened and when.

It owns every decision about a sweep: which case goes next, what a report means, who is retried,
what a limit ends, when a halt stops all. It never waits, reads no clock and touches nothing but its
table: ``handle(event, now)`` returns what has to be done, so a week of retries is tested in a
millisecond. ``now`` is UNIX seconds.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tui_sweep.core.arrays import np
from tui_sweep.core.cases import CaseTable
from tui_sweep.core.session import Refusal, Report
from tui_sweep.core.states import ENDINGS, FINAL, LIVE, Cause, Event, State
from tui_sweep.core.sweep import Sweep

LONGEST_RETRY_DELAY = 300.0
"""Seconds; delays double up to this."""
SPARED, SPARED_DELAY = 3, 10.0
"""Attempts of a case that cost no retry, as a fault of the engine ended them before they began; and the seconds until
the next one, which double."""

_NEXT = 8
"""Cases looked at one by one before that: in a sweep that runs in order it is the first or the second."""
_SCAN = 4096
"""Cases looked at in one step of the search for the next waiting one."""

_FAILURES = (State.FAILED, State.TIMEOUT, State.LOST)


# -- events: what happened ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitted:
    """The engine has taken room for the candidate."""

    index: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The engine has no room for the candidate, or could not take it after all."""

    index: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Told:
    """An engine's report about one attempt of a case."""

    index: int
    attempt: int
    report: Report


@dataclass(frozen=True, slots=True)
class RoomFreed:
    """The engine may have room again."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """A user's wish to end cases; None means all."""

    cases: Sequence[int] | None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """A user's wish to run cases again; None means every case that failed, timed out or was lost."""

    cases: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A user's wish that cases wait; None holds all that was not sent yet."""

    cases: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Release:
    """The opposite of Hold."""

    cases: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Parallel:
    """A user's wish for another ``--max-parallel``; None lifts it."""

    limit: int | None


Happening = Admitted | Refused | Told | RoomFreed | Tick | Cancel | Retry | Hold | Release | Parallel


# -- instructions: what is to be done -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submit:
    """Commit the intent, then submit and follow this attempt."""

    index: int
    attempt: int


@dataclass(frozen=True, slots=True)
class End:
    """Commit, then end this attempt on the engine, with ``grace`` seconds before force."""

    index: int
    attempt: int
    grace: float


Instruction = Submit | End


@dataclass(order=True, slots=True)
class _Timer:
    at: float
    index: int
    attempt: int = field(compare=False)
    limit: str = field(compare=False)
    """``wait``, ``run`` or ``retry``."""


class Scheduler:
    """Decides for one sweep, over one table."""

    def __init__(self, sweep: Sweep, table: CaseTable) -> None:
        self._sweep = sweep
        self._table = table
        self.max_parallel = sweep.max_parallel
        self.holding = False
        """Nothing new is sent: the user holds the dispatch."""
        self.halted = False
        """``--halt`` has struck."""
        self.stopping = False
        """The runner wants to leave: nothing new is sent."""
        self._cursor = 0
        """No case before it waits, except those that are delayed or due."""
        self._delayed: dict[int, float] = {}
        """Cases that wait for a retry, and when they are due."""
        self._due: list[int] = []
        """Cases whose delay is over; a heap."""
        self._gate: tuple[float, str] | None = None
        """The engine refused: (try again at, why)."""
        self._timers: list[_Timer] = []
        self._over: set[int] = set()
        """Live cases whose session has ended, how is still to be read."""
        self._first_attempt: dict[int, int] = {}
        """The attempt that a user's retry began with: retries count from it. One more for each that was spared."""
        self._spared: dict[int, int] = {}
        """How many attempts of a case a fault of the engine ended before they began, and cost no retry."""
        self._forgiven = 0
        """Failures that do not count for ``--halt`` any more, because the user went on."""

    # -- questions ------------------------------------------------------------------------------

    def candidate(self, now: float) -> int | None:
        """The case to launch next, or None.

        The lowest index that is WAITING and not delayed, when fewer than max-parallel are live, the
        engine's gate is open, and nobody holds, halts or stops. Notes the turn of the case it names.
        """
        if self.holding or self.halted or self.stopping:
            return None
        if self._gate is not None and now < self._gate[0]:
            return None
        if self.max_parallel is not None and self._table.live >= self.max_parallel:
            return None
        index = self._next_waiting()
        if index is not None and math.isnan(self._table.queued.item(index)):
            self._table.turn(index, now)
            if self._sweep.max_wait is not None:
                self._set_timer(now + self._sweep.max_wait, index, "wait")
        return index

    def wake_at(self) -> float | None:
        """When a Tick is due at the latest, or None."""
        times = [self._timers[0].at] if self._timers else []
        if self._gate is not None:
            times.append(self._gate[0])
        return min(times, default=None)

    @property
    def refusal(self) -> str | None:
        """Why the engine takes nothing now, if it does not."""
        return None if self._gate is None else self._gate[1]

    @property
    def finished(self) -> bool:
        """Whether every case is final."""
        return self._table.unfinished == 0

    # -- the one entrance -----------------------------------------------------------------------

    def handle(self, event: Happening, now: float) -> list[Instruction]:
        """Take note of what happened; what has to be done about it, in order."""
        match event:
            case Told(index, attempt, report):
                return self._told(index, attempt, report, now)
            case Admitted(index):
                self._gate = None
                self._table.move(index, Event.LAUNCH, now)
                return [Submit(index, int(self._table.attempt[index]))]
            case Refused(index, refusal):
                return self._refused(index, refusal, now)
            case RoomFreed():
                self._gate = None
                return []
            case Tick():
                return self._tick(now)
            case Cancel(cases, force):
                return self._cancel(cases, force, now)
            case Retry(cases):
                self._retry(cases, now)
                return []
            case Hold(None):
                self.holding = True
                return []
            case Release(None):
                self.holding = False
                self._release(self._table.where([State.HELD]), now)
                return []
            case Hold(cases):
                self._table.move_all(self._known(cases), Event.HOLD, now, reason="held by you")
                return []
            case Release(cases):
                self._release(self._known(cases), now)
                return []
            case Parallel(limit):
                self.max_parallel = limit
                return []

    def recall(self, now: float) -> None:
        """Set the timers of cases that a former runner left live or waiting for their turn."""
        for index in self._table.where(LIVE - {State.CANCELLING}).tolist():
            if self._table.state_of(index) is State.RUNNING:
                self._limit_run(index)
            elif self._sweep.max_wait is not None and not np.isnan(self._table.queued[index]):
                self._set_timer(self._table.queued[index] + self._sweep.max_wait, index, "wait")
        queued = np.flatnonzero((self._table.state == State.WAITING) & ~np.isnan(self._table.queued))
        for index in queued.tolist():
            if self._sweep.max_wait is not None:
                self._set_timer(self._table.queued[index] + self._sweep.max_wait, index, "wait")

    # -- what the engine says -------------------------------------------------------------------

    def _told(self, index: int, attempt: int, report: Report, now: float) -> list[Instruction]:
        """A report. One about an attempt that is not the latest any more changes nothing.

        Its time is what an engine believes, perhaps by another machine's clock: it is noted, where it is not
        still to come, and what is decided counts from ``now``.
        """
        table = self._table
        at = min(report.at, now)
        if attempt != table.attempt.item(index):
            return []
        if report.session is not None:
            table.identify(index, report.session)
        if report.over:
            self._over.add(index)
            if report.reason is None:
                return []  # its end follows; a row in between would cost a million cases a commit each
        elif report.event is not None:
            self._over.discard(index)
        if report.event is None:
            table.tell(index, reason=report.reason, status=report.status)
            return []
        if report.event is Event.STOP:
            cause = Cause.MEMORY if report.out_of_memory else Cause.USER
            return self._stop([index], cause, report.reason, now, grace=0.0)
        if report.event is Event.REFUSED:
            retry = Refusal(report.reason or "the engine is busy", report.retry_after)
            return self._refused(index, retry, now)
        was = table.state_of(index)
        if not table.move(
            index,
            report.event,
            at,
            reason=report.reason,
            exit_code=report.exit_code,
            status=report.status,
        ):
            return []
        if report.event is Event.STARTED and was is not State.RUNNING:
            self._limit_run(index)
        return self._ended(index, now, unbegun=report.unbegun) if report.event in ENDINGS else []

    def _refused(self, index: int, refusal: Refusal, now: float) -> list[Instruction]:
        """Close the gate, one for all cases, and put the case back if it was on its way."""
        self._gate = (now + refusal.retry_after, refusal.reason)
        if self._table.state_of(index) is State.WAITING:
            self._table.tell(index, reason=refusal.reason)
        elif self._table.move(index, Event.REFUSED, now, reason=refusal.reason):
            self._cursor = min(self._cursor, index)
        return self._check_halt(now)

    def _ended(self, index: int, now: float, *, unbegun: bool = False) -> list[Instruction]:
        """A case came to an end: retry it, or see whether its failure halts the sweep."""
        table, sweep = self._table, self._sweep
        if table.state_of(index) in _FAILURES and not self.halted:
            first, spared = self._first_attempt.get(index, 0), self._spared.get(index, 0)
            tried = int(table.attempt[index]) - first
            if unbegun and spared < SPARED:
                self._spared[index] = spared + 1
                self._first_attempt[index] = first + 1
                self._delay(index, SPARED_DELAY * 2.0**spared, "never began, sent again", now)
            elif tried < sweep.retries:
                delay = min(sweep.retry_delay * 2.0 ** min(tried, 60), LONGEST_RETRY_DELAY)
                self._delay(index, delay, f"retry {tried + 1} of {sweep.retries}", now)
        return self._check_halt(now)

    def _delay(self, index: int, delay: float, word: str, now: float) -> None:
        """Send a failed case back to wait ``delay`` seconds for its next attempt."""
        why = self._table.reason(index)
        self._table.move(index, Event.RETRY, now, reason=f"{word} in {delay:g} s, after: {why}")
        self._delayed[index] = now + delay
        self._set_timer(now + delay, index, "retry")

    # -- limits ---------------------------------------------------------------------------------

    def _limit_run(self, index: int) -> None:
        if self._sweep.timeout is not None:
            self._set_timer(float(self._table.started[index]) + self._sweep.timeout, index, "run")

    def _set_timer(self, at: float, index: int, limit: str) -> None:
        heapq.heappush(self._timers, _Timer(at, index, int(self._table.attempt[index]), limit))

    def _tick(self, now: float) -> list[Instruction]:
        """Act on every timer that is due."""
        instructions: list[Instruction] = []
        if self._gate is not None and self._gate[0] <= now:
            self._gate = None
        while self._timers and self._timers[0].at <= now:
            timer = heapq.heappop(self._timers)
            if timer.attempt == self._table.attempt.item(timer.index):
                instructions += self._expire(timer, now)
        return instructions

    def _expire(self, timer: _Timer, now: float) -> list[Instruction]:
        index, state = timer.index, self._table.state_of(timer.index)
        if timer.limit == "retry":
            if self._delayed.pop(index, None) is not None and state is State.WAITING:
                heapq.heappush(self._due, index)
            return []
        if index in self._over:
            return []  # its end may have come long before, while no runner was there to hear of it
        if timer.limit == "run":
            limit = self._sweep.timeout or 0.0
            if state is not State.RUNNING or now < float(self._table.started[index]) + limit:
                return []  # it has ended, or was sent back to waiting and started anew
            reason = f"over --timeout {_seconds(self._sweep.timeout)}"
            return self._stop([index], Cause.TIMEOUT, reason, now, grace=self._sweep.grace)
        reason = f"waited longer than --max-wait {_seconds(self._sweep.max_wait)}"
        if state in (State.SUBMITTING, State.PENDING, State.STARTING):
            return self._stop([index], Cause.TIMEOUT, reason, now, grace=self._sweep.grace)
        if state is State.WAITING and self._table.move(index, Event.EXPIRED, now, reason=reason):
            return self._ended(index, now)
        return []

    # -- halt -----------------------------------------------------------------------------------

    def _failures(self) -> int:
        return sum(self._table.counts[state] for state in _FAILURES)

    def _check_halt(self, now: float) -> list[Instruction]:
        """Halt when enough has failed; once halted, end what never began when nothing is live."""
        halt, table = self._sweep.halt, self._table
        instructions: list[Instruction] = []
        if halt.when != "never" and not self.halted:
            enough = math.ceil(len(table) * halt.fail / 100) if halt.percent else halt.fail
            if self._failures() - self._forgiven >= max(enough, 1):
                self.halted = True
                if halt.when == "now":
                    live = table.where(LIVE).tolist()
                    grace = self._sweep.grace
                    instructions = self._stop(live, Cause.HALT, "halted", now, grace=grace)
        if self.halted and table.live == 0:
            rest = table.where([State.WAITING, State.HELD])
            table.move_all(rest, Event.STOP, now, reason="halted")
        return instructions

    # -- what the user wants --------------------------------------------------------------------

    def _known(self, cases: Iterable[int] | None) -> np.ndarray:
        """Indices as an array; those out of range are left out."""
        indices = np.unique(np.array(sorted(cases or ()), np.int64))
        return indices[(indices >= 0) & (indices < len(self._table))]

    def _cancel(self, cases: Sequence[int] | None, force: bool, now: float) -> list[Instruction]:
        table = self._table
        if cases is None:
            indices = np.flatnonzero(~np.isin(table.state, [int(state) for state in FINAL]))
        else:
            indices = self._known(cases)
        self._undelay(table.move_all(indices, Event.STOP, now, reason="cancelled by you"))
        live = indices[np.isin(table.state[indices], [int(state) for state in LIVE])].tolist()
        grace = 0.0 if force else self._sweep.grace
        instructions = self._stop(live, Cause.USER, "cancelled by you", now, grace=grace)
        return instructions + self._check_halt(now)

    def _stop(
        self, indices: Iterable[int], cause: Cause, reason: str | None, now: float, *, grace: float
    ) -> list[Instruction]:
        """Move live cases towards their end; asking twice asks the engine twice, which is fine."""
        table = self._table
        return [
            End(index, int(table.attempt[index]), grace)
            for index in indices
            if table.move(index, Event.STOP, now, reason=reason, cause=cause)
            and table.state_of(index) is State.CANCELLING
        ]

    def _retry(self, cases: Sequence[int] | None, now: float) -> None:
        table = self._table
        indices = table.where(_FAILURES) if cases is None else self._known(cases)
        moved = table.move_all(indices, Event.RETRY, now, reason="run again by you")
        if not len(moved):
            return
        self._undelay(moved)
        for index in moved.tolist() if self._sweep.retries else ():
            self._first_attempt[index] = int(table.attempt[index])
        self._cursor = min(self._cursor, int(moved[0]))
        self.halted = False
        self._forgiven = self._failures()

    def _undelay(self, moved: np.ndarray) -> None:
        """A user's wish overtakes the delay before a retry."""
        for index in [index for index in self._delayed if index in moved]:
            del self._delayed[index]

    def _release(self, indices: np.ndarray, now: float) -> None:
        moved = self._table.move_all(indices, Event.RELEASE, now)
        if len(moved):
            self._cursor = min(self._cursor, int(moved[0]))

    # -- whose turn it is -----------------------------------------------------------------------

    def _next_waiting(self) -> int | None:
        """The lowest waiting case that is not delayed; amortised O(1), 4,096 cases a step."""
        state = self._table.state
        while self._due:
            if state.item(self._due[0]) == State.WAITING and self._due[0] not in self._delayed:
                return self._due[0]
            heapq.heappop(self._due)
        for index in range(self._cursor, min(self._cursor + _NEXT, len(state))):
            if state.item(index) == State.WAITING and index not in self._delayed:
                self._cursor = index
                return index
        while self._cursor < len(state):
            window = state[self._cursor : self._cursor + _SCAN]
            for offset in np.flatnonzero(window == State.WAITING):
                index = self._cursor + int(offset)
                if index not in self._delayed:
                    self._cursor = index
                    return index
            self._cursor += len(window)
        return None


def _seconds(limit: float | None) -> str:
    return f"{limit:g} s"
