"""The columns of the case grid: which of them a width has room for, and how wide they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size

from tui_sweep.core.plain import plain
from tui_sweep.ui.look import CUT
from tui_sweep.view.columns import Column as Values
from tui_sweep.view.columns import number
from tui_sweep.view.select import SortKey

_WIDEST, _NARROW = 24, 12
"""Cells of a parameter, and where there is too little room for all columns."""

_SAMPLES = 200
"""Values of a parameter that are measured at most."""

_LONGEST = 200
"""Characters of a value that are measured."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it shows, and its cells."""

    key: SortKey
    """What is sorted by; ``"mark"``, ``"text"`` and ``"blank"`` are no orders."""
    title: str
    width: int
    """Cells of its text; blanks around it come on top."""
    right: bool = False
    before: int = 1
    after: int = 0

    @property
    def span(self) -> int:
        """All its cells."""
        return self.before + self.width + self.after

    def cell(self, text: str) -> str:
        """The text in exactly ``span`` cells."""
        return " " * self.before + fit(text, self.width, right=self.right) + " " * self.after

    def head(self, arrow: str, blank: str) -> str:
        """The title in exactly ``span`` cells, cut if need be so that the arrow behind it is seen;
        ``blank`` stands before it.
        """
        title = set_cell_size(self.title, min(cell_len(self.title), max(self.width - len(arrow), 0)))
        return blank * self.before + fit(title + arrow, self.width, right=self.right) + " " * self.after


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one width."""

    columns: tuple[Column, ...]
    more_left: bool = False
    """Whether parameters are scrolled out on the left, and so on the right."""
    more_right: bool = False

    def start(self, place: int) -> int:
        """The first cell of a column."""
        return sum(column.span for column in self.columns[:place])

    def at(self, x: int) -> Column | None:
        """The column that a cell belongs to."""
        return next((c for i, c in enumerate(self.columns) if 0 <= x - self.start(i) < c.span), None)


_MARK = Column("mark", "", 1, before=0)
_STATE = Column("state", "state", 6, before=0)
_WAIT = Column("waited", "wait", 5, right=True)
_RUN = Column("ran", "run", 5, right=True)
_TEXT = "last line / why"
_EXIT = Column("exit", "exit", 4, right=True)


def parameter(place: int, values: Values) -> Column:
    """A column for a variable, as wide as its values; ``place`` is its number in ``Plan.names``."""
    texts = [values.text(i) for i in range(0, values.count, math.ceil(values.count / _SAMPLES))]
    widest = max(cell_len(plain(text[:_LONGEST])[:_LONGEST]) for text in texts)
    numeric = not any(math.isnan(number(text)) for text in texts)
    width = min(max(widest, cell_len(values.name)), _WIDEST)
    return Column(place, values.name, width, right=numeric)


def arrange(width: int, cases: int, parameters: Sequence[Column], first: int = 0) -> Layout:
    """The columns for a width in cells. They give way in this order: exit, wait, wide parameters, the
    parameters before number ``first`` and at the end, the last line, run; never the index and the state.
    """
    index = Column("index", "#", max(len(str(cases - 1)), 3), right=True, after=1)
    fixed = (_MARK, index, _STATE)
    room = width - sum(column.span for column in fixed)
    narrow = [replace(column, width=min(column.width, _NARROW)) for column in parameters]
    for shown, times, least in (
        (parameters, (_WAIT, _RUN, _EXIT), 30),
        (narrow, (_WAIT, _RUN, _EXIT), 30),
        (narrow, (_WAIT, _RUN), 24),
        (narrow, (_RUN,), 16),
    ):
        if sum(column.span for column in (*shown, *times)) + least <= room:
            return Layout(_filled((*fixed, *shown, *times), width))
    first = min(first, max(len(narrow) - 1, 0))
    for least in (_RUN.span + 16, _RUN.span, 0):
        some = _fitting(narrow[first:], room - least)
        if some:
            run = (_RUN,) if least else ()
            more = first + len(some) < len(narrow)
            return Layout(_filled((*fixed, *some, *run), width), first > 0, more)
    return Layout(_filled((*fixed, _RUN) if room >= _RUN.span else fixed, width))


def _fitting(columns: Sequence[Column], room: int) -> list[Column]:
    """The first columns, as many as there is room for."""
    found = []
    for column in columns:
        room -= column.span
        if room < 0:
            break
        found.append(column)
    return found


def _filled(columns: tuple[Column, ...], width: int) -> tuple[Column, ...]:
    """The columns, and the last line in the rest of the width, if it is worth reading."""
    rest = width - sum(column.span for column in columns)
    if rest < 1:
        return columns
    return (*columns, Column("text", _TEXT, rest - 1) if rest > 8 else Column("blank", "", rest - 1))


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly ``width`` cells: what is too long is cut with CUT, what is short is filled up."""
    text = text[: 4 * width + _LONGEST]  # many characters may share a cell
    size = cell_len(text)
    if size > width:
        text = set_cell_size(text, max(width - len(CUT), 0)) + CUT[: max(width, 0)]
    elif size < width:
        text = " " * (width - size) + text if right else text + " " * (width - size)
    return text
