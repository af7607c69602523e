"""How the rows of the case grid become lines, with one layout and the styles of one theme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style

from tui_sweep.ui.columns import Column, Layout
from tui_sweep.ui.line import Line
from tui_sweep.ui.look import LOOKS, glyph
from tui_sweep.view.row import Row
from tui_sweep.view.select import Sort, SortKey

PARTS = ("header", "cursor", "mark", "message")
"""What of the grid has a style of its own, beside the states."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Draws lines of the grid."""

    layout: Layout
    parameters: tuple[Column, ...]
    """Of the variables that vary, in the order of ``Row.values``, whether they are in the layout or not."""
    styles: Mapping[str, Style]
    """Of ``row`` and of each of PARTS."""
    ascii_only: bool

    def case(self, row: Row, *, cursor: bool, marked: bool) -> Line:
        """One case."""
        look = LOOKS[row.state]
        texts: dict[SortKey, str] = {
            "mark": "*" if marked else ">" if cursor else "",
            "index": str(row.index),
            "state": f"{glyph(row.state, ascii_only=self.ascii_only, sent_back=row.sent_back)} {look.word}",
            "waited": row.wait,
            "ran": row.run,
            "exit": "" if row.exit_code is None else str(row.exit_code),
            "text": row.text,
            "blank": "",
        }
        for column, value in zip(self.parameters, row.values, strict=True):
            texts[column.key] = value
        base, mark, state = self.styles["row"], self.styles["mark"], Style.parse(look.style)
        styles: dict[SortKey, Style] = {"mark": mark, "state": base + state}
        if cursor:
            # the cursor's colours win: every theme has made sure that they can be read
            base = self.styles["cursor"]
            styles = {"mark": mark + base, "state": state + base}
        columns = self.layout.columns
        return Line(
            tuple(column.cell(texts[column.key]) for column in columns),
            tuple(styles.get(column.key, base) for column in columns),
        )

    def header(self, sort: Sort) -> Line:
        """The titles, an arrow at the one that is sorted by."""
        titles = []
        columns = self.layout.columns
        inside = False
        for column in columns:
            arrow = ("v" if sort.reverse else "^") if column.key == sort.key else ""
            blank = " "
            if isinstance(column.key, int) != inside:  # before the first parameter, and after the last
                inside = not inside
                more = self.layout.more_left if inside else self.layout.more_right
                blank = ("<" if inside else ">") if more else " "
            titles.append(column.head(arrow, blank))
        return Line(tuple(titles), (self.styles["header"],) * len(titles))

    def message(self, text: str) -> Line:
        """A text where no case is."""
        return Line((text,), (self.styles["message"],))
