"""Sends the terminal the cells that differ from what it shows, and nothing else.

Textual writes a changed region from the left edge of its widget on, with a style of its own for each piece:
9 kB for a second of a clock and sixteen running times where 300 bytes will do.
"""

from __future__ import annotations

from typing import TypeVar

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import Console

# No public way leads to what an app writes; tests/ui/test_narrow.py holds it against a terminal.
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

T = TypeVar("T")

Cell = tuple[str, str]
"""A character and its style as the terminal is told it. Behind a wide character stands an empty one."""

_NOWHERE: Cell = ("", "?")
"""What is not known."""
_NEAR = 4
"""Equal cells between two that differ below which all are written: moving takes as many bytes."""


class Shown:
    """What the terminal shows, as far as it is known."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Cell]] = {}

    def clear(self) -> None:
        """Nothing is known any more."""
        self._rows.clear()

    def take(self, x: int, y: int, cells: list[Cell]) -> list[Cell]:
        """Note what is shown from a place on; what was shown there before."""
        row = self._rows.setdefault(y, [])
        row += [_NOWHERE] * (x + len(cells) - len(row))
        before = row[x : x + len(cells)]
        row[x : x + len(cells)] = cells
        return before


class NarrowUpdate(ChopsUpdate):
    """The same changes, without what is shown already."""

    def __init__(self, update: ChopsUpdate, shown: Shown) -> None:
        super().__init__(update.chops, update.spans, update.chop_ends)
        self._shown = shown

    def render_segments(self, console: Console) -> str:
        """What the terminal is sent; from then on that is what it shows."""
        pen = _Pen()
        for y, first, past in self.spans:
            for end, (start, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                left, right = max(start, first), min(end, past)
                if strip is None or left >= right:
                    continue
                cells = _cells(strip.crop(left - start, right - start), console)
                before = self._shown.take(left, y, cells)
                for at, upto in _runs(before, cells):
                    pen.write(left + at, y, cells[at:upto])
        return pen.written()


class WholeUpdate(LayoutUpdate):
    """All of the screen, which is written whatever it shows."""

    def __init__(self, update: LayoutUpdate, shown: Shown) -> None:
        super().__init__([list(strips) for strips in update.strips], update.region)
        self._shown = shown

    def render_segments(self, console: Console) -> str:
        """What the terminal is sent; from then on that is what it shows."""
        self._shown.clear()
        for y, strips in enumerate(self.strips, self.region.y):
            x = self.region.x
            for strip in strips:
                cells = _cells(strip, console)
                self._shown.take(x, y, cells)
                x += len(cells)
        return super().render_segments(console)


class _Pen:
    """Writes cells, and knows where it stands and in which style."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._style = ""
        self._place: tuple[int, int] | None = None
        """Where the cursor is; None when that is not sure."""

    def write(self, x: int, y: int, cells: list[Cell]) -> None:
        there, row = self._place or (x, -1)
        if row == y and there <= x:
            self._parts.append(f"\x1b[{x - there}C" if there < x else "")
        else:
            self._parts.append(f"\x1b[{y + 1};{x + 1}H")
        for text, style in cells:
            if style != self._style and text:
                self._parts.append(f"\x1b[0;{style}m" if style and self._style else f"\x1b[{style or '0'}m")
                self._style = style
            self._parts.append(text)
        # a terminal may hold another character for wide than we do
        narrow = all(text.isascii() and text for text, _ in cells)
        self._place = (x + len(cells), y) if narrow else None

    def written(self) -> str:
        return "".join(self._parts) + ("\x1b[0m" if self._style else "")


def _runs(before: list[Cell], cells: list[Cell]) -> list[tuple[int, int]]:
    """Which cells are to be written: (first, past the last), ascending. Where a character is wide, or
    more than one, it is all or none."""
    if before == cells:
        return []
    if not all(len(text) == 1 for part in (before, cells) for text, _ in part):
        return [(0, len(cells))]
    found: list[tuple[int, int]] = []
    for at, (old, new) in enumerate(zip(before, cells, strict=True)):
        if old != new:
            if found and at - found[-1][1] < _NEAR:
                found[-1] = (found[-1][0], at + 1)
            else:
                found.append((at, at + 1))
    return found


def _cells(strip: Strip, console: Console) -> list[Cell]:
    """The cells of a strip."""
    system = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001 - as Strip.render does
    cells: list[Cell] = []
    for text, style, _ in strip:
        ansi = "" if style is None else Strip.render_ansi(style, system)
        if text.isascii():
            cells += [(character, ansi) for character in text]
            continue
        for first, past, width in split_graphemes(text)[0]:
            if width:
                cells += [(text[first:past], ansi), *[("", ansi)] * (width - 1)]
            elif cells:
                cells[-1] = (cells[-1][0] + text[first:past], ansi)
    return cells


def narrowed(update: T, shown: Shown | None = None) -> T | NarrowUpdate | WholeUpdate:
    """An update of some cells without those that are ``shown``; of all of them noted as shown; anything else
    as it is. For ``App._display``."""
    shown = Shown() if shown is None else shown
    if isinstance(update, ChopsUpdate):
        return NarrowUpdate(update, shown)
    if isinstance(update, LayoutUpdate):
        return WholeUpdate(update, shown)
    return update
