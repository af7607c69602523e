"""Where in a log one reads: a line and a row within it, so that nothing needs the height of all lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tui_sweep.ui.line import Line
from tui_sweep.view.logline import LogLine

Rows = Callable[[LogLine], list[Line]]
"""The rows that a line takes, at least one."""


class Source(Protocol):
    """Lines by number; a LogView is one."""

    @property
    def count(self) -> int: ...

    def window(self, first: int, count: int) -> list[LogLine]: ...


class Kept:
    """Some lines in a row, held: what is read of a log whose lines are not counted yet."""

    def __init__(self, lines: Sequence[LogLine]) -> None:
        self._lines = lines

    @property
    def count(self) -> int:
        return len(self._lines)

    def window(self, first: int, count: int) -> list[LogLine]:
        return list(self._lines[first : first + count])


class Scroll:
    """The reader's place. While it follows, the place is the end, whatever comes."""

    def __init__(self, source: Source, rows: Rows, height: int) -> None:
        self.source = source
        self._rows = rows
        self.height = height
        """Rows that are seen."""
        self.follows = True
        self._top = 0
        self._skip = 0
        """Rows of the top line that are above the pane."""
        self._read: dict[tuple[int, int], list[LogLine]] = {}

    def renew(self, source: Source | None = None) -> None:
        """Read the lines again: there may be more, or there is another source."""
        self._read.clear()
        self.source = source or self.source

    def _window(self, first: int, count: int) -> list[LogLine]:
        """Lines of the source, each window read once."""
        key = (first, count)
        if key not in self._read:
            self._read[key] = self.source.window(first, count)
        return self._read[key]

    @property
    def top(self) -> int:
        """The number of the first line that is seen, if a part of it only."""
        return self._place()[0]

    def seen(self) -> tuple[list[LogLine], list[Line]]:
        """The lines that are seen, and their rows, at most ``height``."""
        top, skip = self._place()
        lines: list[LogLine] = []
        rows: list[Line] = []
        for line in self._window(top, self.height):
            if len(rows) - skip >= self.height:
                break
            lines.append(line)
            rows += self._rows(line)
        return lines, rows[skip : skip + self.height]

    def by(self, rows: int) -> None:
        """Go down by some rows, or up. Going up pauses; reaching the end by going down follows."""
        top, skip = self._place()
        if rows < 0:
            place = self._up(top, skip, -rows)
            if place != (top, skip):
                self._top, self._skip = place
                self.follows = False
        elif not self.follows:
            self._top, self._skip = self._down(top, skip, rows)
            if (self._top, self._skip) >= self._end():
                self.follows = True

    def to(self, line: int) -> None:
        """Go where a line is seen with some rows before it, unless it is seen already. Pauses."""
        self.pause()
        seen = len(self.seen()[0])
        if not self._top + (self._skip > 0) <= line < self._top + seen:
            self._top, self._skip = self._up(line, 0, self.height // 3)

    def top_at(self, line: int) -> None:
        """Make a line the first that is seen. Pauses."""
        self.follows = False
        self._top, self._skip = line, 0

    def pause(self) -> None:
        """Stay where we are."""
        self._top, self._skip = self._place()
        self.follows = False

    def _place(self) -> tuple[int, int]:
        """Never beyond the end."""
        return self._end() if self.follows else min((self._top, self._skip), self._end())

    def _end(self) -> tuple[int, int]:
        """The place from which on the last row is seen at the bottom."""
        first = max(0, self.source.count - self.height)
        lines = self._window(first, self.height)
        rows = 0
        for place in range(first + len(lines) - 1, first - 1, -1):
            rows += len(self._rows(lines[place - first]))
            if rows >= self.height:
                return place, rows - self.height
        return first, 0

    def _up(self, top: int, skip: int, rows: int) -> tuple[int, int]:
        if rows <= skip:
            return top, skip - rows
        rows -= skip
        first = max(0, top - rows)
        for line in reversed(self._window(first, top - first)):
            top -= 1
            height = len(self._rows(line))
            if height >= rows:
                return top, height - rows
            rows -= height
        return first, 0

    def _down(self, top: int, skip: int, rows: int) -> tuple[int, int]:
        rows += skip
        for line in self._window(top, rows + 1):
            height = len(self._rows(line))
            if rows < height:
                return top, rows
            rows -= height
            top += 1
        return top, 0
