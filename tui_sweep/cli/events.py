"""What ``run --headless`` says of a sweep, on stdout: a line for each ended case, or JSON lines of all events."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import Any, Protocol

from tui_sweep.core.cases import CaseRow, CaseTable
from tui_sweep.core.plain import last_line, plain
from tui_sweep.core.session import session_name
from tui_sweep.core.states import FINAL, State
from tui_sweep.core.sweep import Sweep
from tui_sweep.store.layout import SweepDir
from tui_sweep.store.output import tail
from tui_sweep.store.sweeps import Record
from tui_sweep.view.mask import Mask

_TAIL = 2048
"""Bytes of an output that are looked at for its last line."""
_FAILURE_LINES = 5
"""Lines of a failed case's stderr that are shown."""
_LONGEST = 400
"""Characters of a line of output."""


class Teller(Protocol):
    """Says how a sweep goes, in one of three manners."""

    def begin(self) -> None: ...
    def changed(self, table: CaseTable, index: int, at: float) -> None: ...
    def stop(self) -> None:
        """Leave the terminal as it was; also when the run breaks off."""

    def end(self, table: CaseTable, code: int) -> None: ...


class Lines:
    """A line for each ended case; for a failed one also the last lines of its stderr."""

    def __init__(self, folder: SweepDir, record: Record, *, quiet: bool = False) -> None:
        from tui_sweep.core.plan import Plan

        self._folder, self._record, self._quiet = folder, record, quiet
        self._plan = Plan(record.sweep)
        self._mask = Mask(record.sweep)
        self._ended = 0
        self._began = time.time()

    def begin(self) -> None:
        if self._quiet:
            return
        sweep, cases = self._record.sweep, self._record.cases
        name = f" {sweep.name}" if sweep.name else ""
        say(f"sweep {self._folder.id}{name}: {cases:,} case{'s' if cases != 1 else ''} on {sweep.engine}")

    def changed(self, table: CaseTable, index: int, at: float) -> None:
        state = table.state_of(index)
        if state not in FINAL:
            return
        self._ended = sum([table.counts[final] for final in FINAL])
        if state is State.DONE and self._quiet:
            return
        self.say(self.line(table, index))
        if state is not State.DONE and state is not State.CANCELLED:
            for line in self._failure(table, index):
                self.say(f"    {line}")

    def say(self, text: str) -> None:
        say(text)

    def stop(self) -> None:
        """Nothing is on the terminal that would have to go."""

    def line(self, table: CaseTable, index: int) -> str:
        """How a case ended, in one line."""
        state, why = table.state_of(index), table.reason(index)
        seconds = table.ended.item(index) - table.started.item(index)
        took = "-" if math.isnan(seconds) else f"{seconds:.1f}s"
        shown = self._mask.masked(self._plan.values(index))
        variables = plain(" ".join([f"{name}={value}" for name, value in shown.items()]))
        reason = f"  {plain(why)}" if why else ""
        said = ""
        if table.output_bytes.item(index):
            folder = self._folder.attempt(index, table.attempt.item(index))
            said = last_line(tail(f"{folder}/stdout", _TAIL))[:_LONGEST]
        width = len(f"{len(table):,}")
        return (
            f"[{self._ended:>{width},}/{len(table):,}] #{index} {state.word:<9} {took:>7}  {variables}"
            f"{reason}" + (f"  | {said}" if said else "")
        )

    def _failure(self, table: CaseTable, index: int) -> list[str]:
        folder = self._folder.attempt(index, int(table.attempt[index]))
        raw = tail(f"{folder}/stderr", _TAIL) or tail(f"{folder}/stdout", _TAIL)
        lines = raw.decode("utf-8", "replace").splitlines()
        return [plain(line[:_LONGEST]) for line in lines[-_FAILURE_LINES:]]

    def end(self, table: CaseTable, code: int) -> None:
        if self._quiet:
            return
        counts = ", ".join(f"{count:,} {word}" for word, count in table.word_counts().items())
        say(f"{counts} in {time.time() - self._began:.1f}s; logs: sweep-tui log {self._folder.id} CASE")


class JsonLines:
    """One JSON object a line for the sweep, each change of a case, and the end."""

    def __init__(self, folder: SweepDir, record: Record) -> None:
        self._folder, self._record = folder, record
        self._began = time.time()

    def begin(self) -> None:
        sweep = self._record.sweep
        _write(
            event="sweep",
            id=self._folder.id,
            name=sweep.name,
            cases=self._record.cases,
            merged=self._record.merged,
            engine=sweep.engine,
            dir=str(self._folder.path),
            at=self._began,
        )

    def changed(self, table: CaseTable, index: int, at: float) -> None:
        row = table.row(index)
        _write(
            event="case",
            index=index,
            attempt=row.attempt,
            state=table.state_of(index).word,
            session=_session(self._folder, self._record.sweep, row),
            status=row.status,
            reason=row.reason,
            exit_code=row.exit_code,
            at=at,
        )

    def stop(self) -> None:
        """Nothing is on the terminal that would have to go."""

    def end(self, table: CaseTable, code: int) -> None:
        seconds = round(time.time() - self._began, 3)
        _write(event="end", counts=table.word_counts(), exit_code=code, seconds=seconds)


def _session(folder: SweepDir, sweep: Sweep, row: CaseRow) -> str | None:
    if row.submitted is None:
        return None
    return session_name(folder.id, sweep.name, row.case, row.attempt)


def _write(**values: Any) -> None:
    say(json.dumps({"v": 1, **values}))


def say(text: str) -> None:
    """A line on stdout, at once. Who stopped listening must not stop the sweep."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # it lasts as long as we do
