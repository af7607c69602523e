"""What one line of the case grid says, and where it is read."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from tui_sweep.core.cases import CaseRow, CaseTable
from tui_sweep.core.plain import last_line, plain
from tui_sweep.core.session import SENT_BACK
from tui_sweep.core.states import FINAL, State
from tui_sweep.store.output import tail
from tui_sweep.view import durations
from tui_sweep.view.follow import Follower
from tui_sweep.view.mask import MASKED
from tui_sweep.view.times import brief

_TAIL = 4096
"""Bytes at the end of an output in which its last line is looked for; of a longer line this much is seen."""

LONGEST = 500
"""Characters of a value or a line that are ever looked at: wider than any screen."""

_REMEMBERED = 500
"""Cases whose last line is kept, so that a page that was seen is not read again."""

_UNTOUCHED = CaseTable(1).row(0)


@dataclass(frozen=True, slots=True)
class Row:
    """One case, ready to be drawn: texts are plain and secrets masked."""

    index: int
    state: State
    values: tuple[str, ...]
    """Of the variables that vary, as ``Plan.varying`` names them."""
    waited: float | None
    """Seconds from its turn to its start; None before its turn."""
    ran: float | None
    """Seconds since its start, or from it to its end; None before its start."""
    exit_code: int | None
    sent_back: bool
    """It waits once more: the engine had started it, and took it back."""
    text: str
    """Why it waits, why it ended, and the last line it wrote."""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def wait(self) -> str:
        """How long it waited, for a person."""
        return elapsed(self.waited, moving=not self.is_final and self.ran is None)

    @property
    def run(self) -> str:
        """How long it ran, for a person."""
        return elapsed(self.ran, moving=not self.is_final)


class Rows:
    """Makes rows from what a Follower knows."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        shown = follower.mask.masked(dict.fromkeys(follower.plan.names, ""))
        self._hidden = {name for name, value in shown.items() if value == MASKED}
        self._lines: OrderedDict[int, tuple[tuple[int, int, int], str]] = OrderedDict()
        """The last line by case, and of which attempt, state and size of output it was."""

    def why(self) -> str | None:
        """Why a case waits of which nothing is noted; the same for all of them."""
        return self._follower.reason(_UNTOUCHED)

    def row(self, case: int, now: float) -> Row:
        """One case as it is now (UNIX seconds). Reads the end of its output if that has changed. 50 µs."""
        known = self._follower.table.row(case)
        variables = self._follower.plan.values(case)
        return Row(
            case,
            State(known.state),
            tuple(
                MASKED if name in self._hidden else plain(variables[name][:LONGEST])
                for name in self._follower.plan.varying
            ),
            durations.waited(known, now),
            durations.ran(known, now),
            known.exit_code,
            known.state == State.PENDING and (known.reason or "").startswith(SENT_BACK),
            self._text(known),
        )

    def _text(self, known: CaseRow) -> str:
        state = State(known.state)
        reason = plain((self._follower.reason(known) or "")[:LONGEST])
        if state in (State.WAITING, State.HELD):
            return reason
        if state in (State.SUBMITTING, State.PENDING, State.STARTING):
            return reason or plain((known.status or "").lower())
        line = self._last_line(known)
        if state is State.RUNNING:
            return line or reason
        return f"{reason}  {line}" if reason and line else reason or line

    def _last_line(self, known: CaseRow) -> str:
        """What the attempt wrote last; kept until its output or its state changes."""
        stamp = (known.attempt, known.state, known.output_bytes)
        kept = self._lines.get(known.case)
        if kept is not None and kept[0] == stamp:
            self._lines.move_to_end(known.case)
            return kept[1]
        line = ""
        if known.output_bytes:
            folder = self._follower.folder.attempt(known.case, known.attempt)
            names = ("stderr", "stdout") if known.state == State.FAILED else ("stdout", "stderr")
            line = next((said for name in names if (said := last_line(tail(f"{folder}/{name}", _TAIL)))), "")
        self._lines[known.case] = (stamp, line[:LONGEST])
        self._lines.move_to_end(known.case)
        if len(self._lines) > _REMEMBERED:
            self._lines.popitem(last=False)
        return line[:LONGEST]


def elapsed(seconds: float | None, *, moving: bool) -> str:
    """A duration for a person; of one that still grows no tenths, which would only flicker."""
    if seconds is not None and moving and seconds < 10:
        return f"{int(seconds)}s"
    return brief(seconds)
