"""CaseTable: one numpy column per fact of a case, and one method that moves a case.

A million cases take 58 MB, 58 bytes each (a slotted dataclass a case was measured at 264 bytes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tui_sweep.core.arrays import np
from tui_sweep.core.states import FINAL, LIVE, Cause, Event, State, after

_STATES, _CAUSES = tuple(State), tuple(Cause)
"""By number: ``State(number)`` takes 0.5 µs, this 0.03."""

_LIVE, _FINAL = tuple(map(int, LIVE)), tuple(map(int, FINAL))

NO_CODE = -(1 << 15)
"""In the column ``exit_code``: none was read."""


class CaseRow(NamedTuple):
    """The latest attempt of one case, as the journal keeps it. Times are UNIX seconds or None."""

    case: int
    attempt: int
    state: int
    cause: int
    exit_code: int | None
    queued: float | None
    submitted: float | None
    started: float | None
    ended: float | None
    output_bytes: int
    reason: str | None
    status: str | None
    session: str | None
    revision: int


class CaseTable:
    """What is known of every case. ``move`` and ``move_all`` are the only writers of states.

    Columns, each of shape (cases,): ``state`` u1, ``cause`` u1, ``attempt`` u2, ``exit_code`` i2
    (NO_CODE: none), ``queued``, ``submitted``, ``started``, ``ended`` f8 in UNIX seconds (NaN: not
    yet), ``output_bytes`` u8, ``revision`` u8 (the table's revision at the case's last change).
    """

    def __init__(self, count: int) -> None:
        self.state = np.zeros(count, np.uint8)
        self.cause = np.zeros(count, np.uint8)
        self.attempt = np.zeros(count, np.uint16)
        self.exit_code = np.full(count, NO_CODE, np.int16)
        self.queued = np.full(count, np.nan)
        self.submitted = np.full(count, np.nan)
        self.started = np.full(count, np.nan)
        self.ended = np.full(count, np.nan)
        self.output_bytes = np.zeros(count, np.uint64)
        self.row_revision = np.zeros(count, np.uint32)
        self._reason = np.zeros(count, np.uint32)
        self._reasons: list[str | None] = [None]
        self._reason_numbers: dict[str | None, int] = {None: 0}
        self.status: dict[int, str] = {}
        """The engine's own word, by case; of live cases only."""
        self.session: dict[int, str] = {}
        """The engine's own id of the session, by case; of live cases only."""
        self.counts = [0] * len(State)
        """How many cases are in each state, by its number; kept by the movers."""
        self.counts[State.WAITING] = count
        self.revision = 0
        """Grows with every change of any case."""
        self.observe: Callable[[int, float], None] | None = None
        """Called with (case, UNIX seconds) after each move, if anybody listens."""
        self._dirty: list[int | np.ndarray] = []
        self._past: list[CaseRow] = []
        """Ends of attempts that a retry has replaced before they were taken."""

    def __len__(self) -> int:
        return len(self.state)

    # -- reading --------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """How many cases the engine may know."""
        return sum([self.counts[number] for number in _LIVE])

    @property
    def unfinished(self) -> int:
        """How many cases are not final."""
        return len(self.state) - sum([self.counts[number] for number in _FINAL])

    def word_counts(self) -> dict[str, int]:
        """The counts by state word, zeros left out."""
        return {state.word: self.counts[state] for state in State if self.counts[state]}

    def state_of(self, index: int) -> State:
        """What a case is; 0.2 µs, where to compare ``state[index]`` with a State takes 6."""
        return _STATES[self.state.item(index)]

    def reason(self, index: int) -> str | None:
        """Why the case waits, or why it ended as it did."""
        return self._reasons[self._reason.item(index)]

    @property
    def reasons(self) -> tuple[np.ndarray, Sequence[str | None]]:
        """All reasons at once: a number for each case, u4, and what the numbers stand for; read-only.

        What a number stands for never changes; new ones come at the end. Number 0 is None.
        """
        return self._reason, self._reasons

    def where(self, states: Iterable[State]) -> np.ndarray:
        """The indices of all cases in these states: int64, ascending."""
        found = np.zeros(len(self.state), bool)
        for state in states:
            found |= self.state == int(state)  # np.isin takes 8 ms for a million cases, this 0.1 a state
        return np.flatnonzero(found)

    def row(self, index: int) -> CaseRow:
        """One case as the journal keeps it; 2 µs, where ``rows`` of one takes 15."""
        code = self.exit_code.item(index)
        return CaseRow(
            index,
            self.attempt.item(index),
            self.state.item(index),
            self.cause.item(index),
            None if code == NO_CODE else code,
            _time(self.queued.item(index)),
            _time(self.submitted.item(index)),
            _time(self.started.item(index)),
            _time(self.ended.item(index)),
            self.output_bytes.item(index),
            self._reasons[self._reason.item(index)],
            self.status.get(index),
            self.session.get(index),
            self.row_revision.item(index),
        )

    def rows(self, indices: np.ndarray) -> list[CaseRow]:
        """Many cases as the journal keeps them; 1.3 µs each."""
        if len(indices) < 8:
            return [self.row(index) for index in indices.tolist()]
        reasons, status, session = self._reasons, self.status, self.session
        columns = (
            indices.tolist(),
            self.attempt[indices].tolist(),
            self.state[indices].tolist(),
            self.cause[indices].tolist(),
            [None if code == NO_CODE else code for code in self.exit_code[indices].tolist()],
            *(_optional(c[indices]) for c in (self.queued, self.submitted, self.started, self.ended)),
            self.output_bytes[indices].tolist(),
            [reasons[number] for number in self._reason[indices].tolist()],
            [status.get(index) for index in indices.tolist()],
            [session.get(index) for index in indices.tolist()],
            self.row_revision[indices].tolist(),
        )
        return [CaseRow(*values) for values in zip(*columns, strict=True)]

    def take_rows(self) -> list[CaseRow]:
        """Rows of all attempts that changed since the last call, each once, earlier attempts first."""
        past, self._past = self._past, []
        if not self._dirty:
            return past
        dirty = self._dirty_cases()
        self._dirty = []
        rows = past + self.rows(dirty)
        changed = dirty.tolist()
        for words in (self.status, self.session):
            # only who changed can have ended; with ten thousand live, looking at all took 1 ms each time
            among = changed if len(changed) < len(words) else list(words)
            for index in among:
                if index in words and self.state.item(index) not in LIVE:
                    del words[index]
        return rows

    def _dirty_cases(self) -> np.ndarray:
        """Cases that changed since the last ``take_rows``, each once: int64, ascending."""
        if all(isinstance(item, int) for item in self._dirty):
            return np.array(sorted(set(self._dirty)), np.int64)  # a few: 20 times as fast as below
        return np.unique(np.concatenate([np.atleast_1d(item) for item in self._dirty]).astype(np.int64))

    # -- writing --------------------------------------------------------------------------------

    def move(
        self,
        index: int,
        event: Event,
        at: float,
        *,
        reason: str | None = None,
        exit_code: int | None = None,
        cause: Cause = Cause.NONE,
        status: str | None = None,
    ) -> bool:
        """Let ``event`` happen to a case at ``at`` (UNIX seconds). False: it is illegal there.

        A case that is being ended keeps the reason it is ended for, whatever its end reports.
        """
        state = self.state_of(index)
        following = after(state, event, _CAUSES[self.cause.item(index)])
        if following is None:
            return False
        if event is Event.STOP and state is State.CANCELLING and self.cause[index] != Cause.NONE:
            return True  # the first cause counts
        if event is Event.RETRY:
            self._past.append(self.row(index))
        self.counts[state] -= 1
        self.counts[following] += 1
        self.state[index] = following
        if exit_code is not None:
            self.exit_code[index] = exit_code
        if event is Event.STOP:
            self.cause[index] = cause
        if state is not State.CANCELLING:
            self._set_reason(index, reason)
        if status is not None:
            self.status[index] = status
        self._stamp(index, event, following, at)
        self._changed(index)
        if self.observe is not None:
            self.observe(index, at)
        return True

    def _stamp(self, index: int, event: Event, following: State, at: float) -> None:
        """Write the time that an event sets, and clear what a step back unsets."""
        if event is Event.LAUNCH:
            self.submitted[index] = at
        elif event is Event.STARTED:
            if math.isnan(self.started.item(index)):
                self.started[index] = at
        elif event is Event.ACCEPTED:
            self.started[index] = np.nan
        elif event is Event.REFUSED and following is State.WAITING:
            self.submitted[index] = np.nan
        elif event is Event.RETRY:
            self.attempt[index] += 1
            self.exit_code[index] = NO_CODE
            self.cause[index] = Cause.NONE
            self.output_bytes[index] = 0
            for column in (self.queued, self.submitted, self.started, self.ended):
                column[index] = np.nan
        if following in FINAL:
            # the end is read off a file or a server, whose clock may be behind ours
            begun = self.started.item(index)
            if math.isnan(begun):
                begun = self.submitted.item(index)
            self.ended[index] = at if math.isnan(begun) else max(at, begun)

    def move_all(
        self, indices: np.ndarray, event: Event, at: float, *, reason: str | None = None
    ) -> np.ndarray:
        """``move`` for many cases that are not live; those that could move: int64.

        For STOP, HOLD, RELEASE and RETRY; a million take 50 ms.
        """
        legal = [state for state in State if state not in LIVE and after(state, event) is not None]
        moved = indices[np.isin(self.state[indices], [int(state) for state in legal])]
        if event is Event.RETRY and self._dirty:
            self._past += self.rows(np.intersect1d(moved, self._dirty_cases()))
        for state in legal:
            chosen = moved[self.state[moved] == state]
            following = after(state, event)
            if not len(chosen) or following is None:
                continue
            self.counts[state] -= len(chosen)
            self.counts[following] += len(chosen)
            self.state[chosen] = following
            if following in FINAL:
                self.ended[chosen] = at
        if event is Event.RETRY:
            self.attempt[moved] += 1
            self.exit_code[moved] = NO_CODE
            self.cause[moved] = Cause.NONE
            self.output_bytes[moved] = 0
            for column in (self.queued, self.submitted, self.started, self.ended):
                column[moved] = np.nan
        self._reason[moved] = self._number(reason)
        if len(moved):
            self.revision += 1
            self.row_revision[moved] = self.revision
            self._dirty.append(moved)
        if self.observe is not None:
            for index in moved.tolist():
                self.observe(index, at)
        return moved

    def turn(self, index: int, at: float) -> None:
        """Note when a case's turn came; the first time counts."""
        if math.isnan(self.queued.item(index)):
            self.queued[index] = at
            self._changed(index)

    def tell(self, index: int, *, reason: str | None = None, status: str | None = None) -> None:
        """Note why a case waits, or the engine's own word for where it is, without moving it."""
        if status is not None and self.status.get(index) != status:
            self.status[index] = status
            self._changed(index)
        if reason is not None and self.reason(index) != reason:
            self._set_reason(index, reason)
            self._changed(index)

    def identify(self, index: int, session: str) -> None:
        """Note the engine's own id of a case's session."""
        if self.session.get(index) != session:
            self.session[index] = session
            self._changed(index)

    def grew(self, index: int, output_bytes: int) -> None:
        """Note how much a case has written, in bytes."""
        if self.output_bytes.item(index) != output_bytes:
            self.output_bytes[index] = output_bytes
            self._changed(index)

    def put(self, row: CaseRow) -> None:
        """Take over a row of the journal, unless a later attempt of its case is known."""
        index = row.case
        if row.attempt < self.attempt[index]:
            return
        self.counts[self.state[index]] -= 1
        self.counts[row.state] += 1
        self.state[index], self.cause[index], self.attempt[index] = row.state, row.cause, row.attempt
        self.exit_code[index] = NO_CODE if row.exit_code is None else row.exit_code
        for name in ("queued", "submitted", "started", "ended"):
            value = getattr(row, name)
            getattr(self, name)[index] = np.nan if value is None else value
        self.output_bytes[index] = row.output_bytes
        self._set_reason(index, row.reason)
        for words, word in ((self.status, row.status), (self.session, row.session)):
            if word is None or row.state not in LIVE:
                words.pop(index, None)
            else:
                words[index] = word
        self.row_revision[index] = row.revision
        self.revision = max(self.revision, row.revision)

    def check(self) -> None:
        """Raise AssertionError unless the counts are the counts; for tests."""
        assert self.counts == np.bincount(self.state, minlength=len(State)).tolist()

    def _changed(self, index: int) -> None:
        self.revision += 1
        self.row_revision[index] = self.revision
        self._dirty.append(index)

    def _set_reason(self, index: int, reason: str | None) -> None:
        self._reason[index] = self._number(reason)

    def _number(self, reason: str | None) -> int:
        """The number under which a reason is kept once for all cases that share it."""
        number = self._reason_numbers.get(reason)
        if number is None:
            number = self._reason_numbers[reason] = len(self._reasons)
            self._reasons.append(reason)
        return number


def _time(at: float) -> float | None:
    """A time, or None for NaN."""
    return None if at != at else at


def _optional(times: np.ndarray) -> list[Any]:
    """Times with None for NaN."""
    return [None if at != at else at for at in times.tolist()]
