"""How lines of a log become lines of the screen, with one width, one choice of columns and one theme."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from tui_sweep.core.slots import format_size
from tui_sweep.ui.line import Line
from tui_sweep.ui.look import CUT
from tui_sweep.view.logline import LogLine
from tui_sweep.view.search import Pattern

MOST_ROWS = 50
"""Rows that one wrapped line takes at most."""
_TAB = 8


@dataclass(frozen=True, slots=True)
class LogPaint:
    """Draws log lines. In front of each: its time if asked for, and ``E`` if it is of stderr."""

    console: Console
    width: int
    wrap: bool
    times: bool
    left: int
    """Cells scrolled sideways."""
    pattern: Pattern | None
    match: int | None
    """The number of the line that the search stopped at."""
    styles: Mapping[str, Style]
    """``row``, and the pane's component classes without their prefix."""
    ascii_only: bool

    @property
    def prefix(self) -> int:
        """Cells before the text."""
        return 11 if self.times else 2

    @property
    def room(self) -> int:
        """Cells of the text."""
        return max(2, self.width - self.prefix)

    def rows(self, line: LogLine) -> list[Line]:
        """One line of a log: one row, or as many as it takes when wrapped; at least one."""
        text = self._text(line)
        if not self.wrap:
            strip = Strip(text.render(self.console)).crop(self.left, self.left + self.room)
            return [self._row(self._mark(line), strip, text)]
        pieces, more = self._folded(text, line)
        rows = [
            self._row(
                self._mark(line) if at == 0 else self._continued, Strip(piece.render(self.console)), text
            )
            for at, piece in enumerate(pieces)
        ]
        if more:
            note = Strip([Segment(self._note(more, "more"), self.styles["note"])]).crop(0, self.room)
            rows.append(self._row(self._continued, note, text))
        return rows

    def cells(self, line: LogLine) -> int:
        """How wide the text of a line is."""
        return self._text(line).cell_len

    def message(self, text: str) -> Line:
        """A row of a text that stands where no log is."""
        return Line((set_cell_size(f" {text}", self.width),), (self.styles["message"],))

    def _text(self, line: LogLine) -> Text:
        """The text with its colours, tabs as blanks, what is left out named, matches marked."""
        base = self.styles["stderr" if line.stream == "stderr" else "row"]
        text = Text(line.text, style=base, end="")
        for first, past, style in line.spans:
            text.stylize(Style.parse(style), first, past)
        if self.pattern is not None:
            found = "current" if line.number is not None and line.number == self.match else "match"
            for first, past in self.pattern.spans(line.text):
                text.stylize(self.styles[found], first, past)
        if line.left_out:
            head, tail = text.divide([line.cut_at])
            text = head.append(f" {self._note(line.left_out, 'left out')} ", self.styles["note"])
            text.append_text(tail)
        text.expand_tabs(_TAB)
        return text

    def _folded(self, text: Text, line: LogLine) -> tuple[list[Text], int]:
        """The text in pieces that fit, and how many bytes are not in them."""
        places: list[int] = []
        for piece in chop_cells(text.plain, self.room):
            places.append((places[-1] if places else 0) + len(piece))
        if len(places) <= MOST_ROWS:
            return list(text.divide(places[:-1])), 0
        pieces = list(text.divide(places[: MOST_ROWS - 1]))
        return pieces[:-1], len(pieces[-1].plain.encode()) + line.left_out

    def _note(self, size: int, words: str) -> str:
        return f"{CUT} {format_size(size)} {words}"

    def _mark(self, line: LogLine) -> tuple[str, str]:
        """Time and mark of a line."""
        at = ""
        if self.times:
            clock = "" if line.at is None else time.strftime("%H:%M:%S", time.localtime(line.at))
            at = f" {clock:8}"
        return at, "E " if line.stream == "stderr" else "  "

    @property
    def _continued(self) -> tuple[str, str]:
        return " " * (self.prefix - 2), "\\ " if self.ascii_only else "↳ "

    def _row(self, mark: tuple[str, str], strip: Strip, text: Text) -> Line:
        """A row as wide as the pane. The number of pieces is the same for all lines without colours, so
        that of two of them only the cells are painted that differ."""
        base = text.style if isinstance(text.style, Style) else self.styles["row"]
        texts = [segment.text for segment in strip]
        styles = [segment.style or base for segment in strip]
        missing = " " * (self.room - cell_len("".join(texts)))
        if styles and styles[-1] == base:
            texts[-1] += missing
        else:
            texts.append(missing)
            styles.append(base)
        marks = (self.styles["time"], self.styles["mark"])
        return Line((*mark, *texts), (*marks, *styles))
