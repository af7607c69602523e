"""Follower: one sweep as a viewer sees it, read from its folder and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tui_sweep.core.cases import CaseRow, CaseTable
from tui_sweep.core.outcome import exit_code
from tui_sweep.core.plan import Plan
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import FINAL, State
from tui_sweep.store.journal import Reader
from tui_sweep.store.layout import SweepDir
from tui_sweep.store.lock import holder
from tui_sweep.store.sweeps import Record, load
from tui_sweep.view.mask import Mask

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Follower", "SweepDir"]

_WINDOW = 10_000
"""Cases read from the journal at once."""
_STEP = 2_000
"""Cases that ``load`` takes at once."""
_SCREEN = 200
"""Cases that ``load`` takes at first: no screen shows more, and a user waits for it."""

_FINAL_WORDS = {state.word for state in FINAL}


class Follower:
    """Follows a sweep's folder. Every call is a short read; nothing is held open between two."""

    def __init__(self, folder: SweepDir) -> None:
        """Raises JournalError when the folder holds no sweep that can be read."""
        self.folder = folder
        self._reader = Reader(folder.database)
        self._version: tuple[int, int] | None = None
        self.facts: dict[str, Any] = {}
        self._table: CaseTable | None = None
        self._room: Future[CaseTable] | None = None
        self._loaded = 0
        """Cases that ``load`` has read, from the first on."""
        self._revision = 0
        """Up to this one every change of a case that was loaded is in the table."""
        self.refresh()

    def whole(self) -> Follower:
        """This one, of which more than the journal is wanted. Raises JournalError when what was asked
        cannot be read."""
        _ = self.plan
        return self

    def close(self) -> None:
        self._reader.close()

    def refresh(self) -> bool:
        """Look again; whether anything was committed since the last look."""
        version = self._reader.version()
        if version == self._version:
            return False
        self._version = version
        self.facts = self._reader.facts()
        if self._table is not None:
            rows = self._reader.changed(self._revision)
            self._put(rows)
            self._revision = rows[-1].revision if rows else self._revision
        return True

    @property
    def table(self) -> CaseTable:
        """Every case, kept up to date by ``refresh``; read-only. Loaded when it is first asked for:
        100,000 rows take 0.5 s, a case that was never touched nothing. While ``load`` is at it, what it
        has not come to yet waits."""
        if self._table is None:
            while self.load():
                pass
            assert self._table is not None
        return self._table

    def make_room(self) -> None:
        """Make the empty table in a thread, for a caller that has something else to do before ``load``:
        34 MB of fresh memory of a million cases take 10 ms, where the machine is virtual up to 80.
        """
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(1)
        self._room = pool.submit(CaseTable, self.cases)
        pool.shutdown(wait=False)

    def load(self) -> bool:
        """Take some more cases into ``table``, in at most 15 ms; whether there are more.

        For a screen that is to be seen before all have been read. What changes in the meantime comes by
        ``refresh``, as it does later.
        """
        if self._table is None:
            self._revision = self._reader.revision()  # first: what is read below may be newer, never older
            self._table = CaseTable(self.cases) if self._room is None else self._room.result()
            self._room = None
        rows: list[CaseRow] = []
        while self._loaded < len(self._table) and not rows:
            step = _STEP if self._loaded else min(_SCREEN, _STEP)
            rows = self._reader.between(self._loaded, step)
            self._put(rows)
            self._loaded += step
        return self._loaded < len(self._table)

    def _put(self, rows: Iterable[CaseRow]) -> None:
        assert self._table is not None
        for row in rows:
            self._table.put(row)

    @cached_property
    def record(self) -> Record:
        """What was asked."""
        return load(self.folder)

    @cached_property
    def plan(self) -> Plan:
        return Plan(self.record.sweep)

    @property
    def slots(self) -> Slots:
        """What each case asks of the engine."""
        return self.record.sweep.slots

    @property
    def name(self) -> str | None:
        """The sweep's name, if it was given one."""
        name: str | None = self.facts["sweep"]["name"]
        return name

    @property
    def cases(self) -> int:
        return int(self.facts["sweep"]["cases"])

    @property
    def counts(self) -> dict[str, int]:
        """How many cases are in each state, by its word; zeros left out."""
        return dict(self.facts["counts"])

    @property
    def is_finished(self) -> bool:
        """Whether every case is final."""
        return sum(self.counts.get(word, 0) for word in _FINAL_WORDS) == self.cases

    @property
    def runner(self) -> int | None:
        """The pid of the runner that holds the sweep now, or None."""
        return holder(self.folder.lock)

    @property
    def exit_code(self) -> int:
        """What the counts mean as an exit code, if the sweep has ended."""
        return exit_code(self.counts, halted=self.facts.get("dispatch", {}).get("halted", False))

    def summary(self) -> dict[str, Any]:
        """The sweep as one JSON object (CONTRACT: ``ls --json``)."""
        about = self.facts["sweep"]
        return {
            "v": 1,
            "id": self.folder.id,
            "name": about["name"],
            "engine": about["engine"],
            "cases": about["cases"],
            "counts": self.counts,
            "runner": self.runner,
            "started": about["started"],
            "ended": self.facts.get("ended"),
            "dir": str(self.folder.path),
        }

    def rows(
        self, *, offset: int = 0, limit: int | None = None, states: Collection[State] | None = None
    ) -> Iterator[CaseRow]:
        """The latest attempts by index, those that were never touched included.

        ``offset`` and ``limit`` count the cases that ``states`` lets through.
        """
        passed = given = 0
        for first in range(0 if states is not None else offset, self.cases, _WINDOW):
            count = min(_WINDOW, self.cases - first)
            found = {row.case: row for row in self._reader.between(first, count)}
            for index in range(first, first + count):
                row = found.get(index) or _untouched(index)
                if states is not None and row.state not in states:
                    continue
                passed += 1
                if states is not None and passed <= offset:
                    continue
                if limit is not None and given >= limit:
                    return
                given += 1
                yield row

    def attempts(self, index: int) -> list[CaseRow]:
        """Every attempt of one case; one untouched row where there was none yet."""
        return self._reader.attempts(index) or [_untouched(index)]

    def answer(self, command: str) -> dict[str, Any] | None:
        """The runner's answer to a command, once there is one."""
        return self._reader.answer(command)

    def session(self, row: CaseRow) -> str | None:
        """The attempt's name on the engine, once it was to be sent there."""
        if row.submitted is None:
            return None
        from tui_sweep.core.session import session_name  # 3 ms, and not of the first paint

        return session_name(self.folder.id, self.name, row.case, row.attempt)

    def reason(self, row: CaseRow) -> str | None:
        """Why a case waits, or why it ended as it did."""
        if row.reason is not None or row.state != State.WAITING:
            return row.reason
        dispatch = self.facts.get("dispatch", {})
        if dispatch.get("holding"):
            return "held: nothing new is sent"
        limit = dispatch.get("max_parallel")
        if limit is not None and self.live >= limit:
            return f"not sent yet: max-parallel {limit}"
        refusal = dispatch.get("refusal")
        return f"not sent yet: {refusal}" if refusal else "not sent yet"

    @property
    def live(self) -> int:
        """How many cases the engine may know."""
        waiting = {"waiting", "held"} | _FINAL_WORDS
        return sum(count for word, count in self.counts.items() if word not in waiting)

    @cached_property
    def mask(self) -> Mask:
        """Which of its variables hold a secret."""
        return Mask(self.record.sweep)

    def masked(self, index: int) -> dict[str, str]:
        """A case's variables by column, secrets masked."""
        return self.mask.masked(self.plan.values(index))

    def case(self, row: CaseRow) -> dict[str, Any]:
        """One case as a JSON object (CONTRACT: ``show --json``)."""
        return {
            "v": 1,
            "index": row.case,
            "attempt": row.attempt,
            "state": State(row.state).word,
            "session": self.session(row),
            "status": row.status,
            "reason": self.reason(row),
            "exit_code": row.exit_code,
            "variables": self.masked(row.case),
            "submitted": row.submitted,
            "started": row.started,
            "ended": row.ended,
            "output_bytes": row.output_bytes,
        }


def _untouched(index: int) -> CaseRow:
    """A case that nothing has happened to."""
    return CaseRow(index, 0, State.WAITING, 0, None, None, None, None, None, 0, None, None, None, 0)
