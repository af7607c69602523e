"""A line of pieces, and which of its cells differ from what was painted before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

_NEAR = 16
"""Cells between two changes below which all is painted as one: moving and styling anew takes 40 bytes."""


class Line(NamedTuple):
    """What one line of a widget shows."""

    texts: tuple[str, ...]
    styles: tuple[Style, ...]

    def strip(self, width: int) -> Strip:
        """The line in exactly ``width`` cells."""
        strip = Strip(map(Segment, self.texts, self.styles)).simplify()
        return strip.adjust_cell_length(width, self.styles[-1])


def differences(old: Line, new: Line, width: int) -> list[tuple[int, int]]:
    """Which cells of ``new`` differ from ``old``: (first, past the last), ascending."""
    if len(old.texts) != len(new.texts):
        return [(0, width)]
    found: list[tuple[int, int]] = []
    start = past = 0
    for before, text, was, style in zip(old.texts, new.texts, old.styles, new.styles, strict=True):
        cells = cell_len(text)
        if cells != cell_len(before):
            found.append((start, width))
            break
        past = start + cells
        if was != style:
            found.append((start, past))
        elif before != text:
            left, right = _narrowed(before, text)
            found.append((start + left, past - right))
        start = past
    return _joined(found)


def _narrowed(before: str, text: str) -> tuple[int, int]:
    """How many cells are the same from the left and from the right; none where cells are no characters."""
    if not (before.isascii() and text.isascii()):
        return 0, 0
    left = next(i for i in range(len(text)) if before[i] != text[i])
    right = next(i for i in range(len(text)) if before[-1 - i] != text[-1 - i])
    return left, right


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, past in spans:
        if joined and first - joined[-1][1] < _NEAR:
            joined[-1] = (joined[-1][0], past)
        else:
            joined.append((first, past))
    return joined


class Frame:
    """What is painted in the lines of a widget, so that only what differs has to be painted again."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}

    def clear(self) -> None:
        """Everything is painted anew."""
        self._lines.clear()

    def strip(self, y: int, width: int, make: Callable[[int], Line]) -> Strip:
        """Line ``y`` as it is to be painted. What was not painted yet is made now."""
        line = self._lines.get(y)
        if line is None:
            line = self._lines[y] = make(y)
        return line.strip(width)

    def changes(self, width: int, make: Callable[[int], Line]) -> list[tuple[int, int, int]]:
        """Make every painted line again, and keep it; the cells that differ: (y, first, past the last)."""
        found = []
        for y, old in self._lines.items():
            new = make(y)
            if new != old:
                self._lines[y] = new
                found += [(y, first, past) for first, past in differences(old, new, width)]
        return found
