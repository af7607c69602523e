"""Preview: what the form would start: how many cases, the first ones. CommandLine: how to start it elsewhere."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from tui_sweep.core.errors import UsageError
from tui_sweep.core.plain import plain
from tui_sweep.core.states import State
from tui_sweep.core.values import counted
from tui_sweep.ui.carets import fitted, wrapped
from tui_sweep.ui.look import LOOKS
from tui_sweep.view.draft import Checked

NOTHING = (
    "Nothing to run. Type a range, e.g. lr=case:0.1,0.01, and a command that uses it, e.g. echo $lr; "
    "or open a sweep."
)
"""What an untouched form says."""

_DIM, _BOLD, _BAD = Style(dim=True), Style(bold=True), Style.parse(LOOKS[State.FAILED].style)
_WIDEST = 24
"""Cells of a column at most."""

_Line = tuple[str, Style]


class _Told(Widget):
    """Lines of text in one style each; drawn again only when they differ."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[_Line] = []

    def on_resize(self) -> None:
        self.redo()

    def redo(self) -> None:
        """Make the lines anew."""
        lines = self.lines(self.size.width - 2) if self.size.width > 2 else []
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def lines(self, width: int) -> list[_Line]:
        raise AssertionError("each kind draws its own lines")

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        text, style = self._lines[y] if y < len(self._lines) else ("", Style())
        return Strip([Segment(" ", base), Segment(text, base + style)]).adjust_cell_length(width, base)


class Preview(_Told):
    """The number of cases, the sizes of the ranges, and the first cases as a table."""

    DEFAULT_CSS = "Preview { height: 5; background: $background; color: $foreground; }"

    def __init__(self) -> None:
        super().__init__()
        self._checked: Checked | None = None
        self._note = ""

    def show(self, checked: Checked | None, note: str = "") -> None:
        """Show this from now on; None: nothing was typed. ``note`` is about what the engine has."""
        self._checked, self._note = checked, note
        self.redo()

    def lines(self, width: int) -> list[_Line]:
        now = self._checked
        if now is None:
            return [(line, _DIM) for line in wrapped(NOTHING, width, self.size.height)]
        lines: list[_Line] = [(fitted(_head(now, self._note), width), _BOLD)]
        if now.error is not None:
            message = now.error.message if isinstance(now.error, UsageError) else str(now.error)
            lines += [(line, _BAD) for line in wrapped(plain(message), width, 2)]
            return lines
        lines += _table(now, width, self.size.height - 1)
        lines += [(line, _DIM) for notice in now.notices for line in wrapped(plain(notice), width, 2)]
        return lines


def _head(now: Checked, note: str) -> str:
    """How many, made of what, and how many fit."""
    sizes = " x ".join(f"{plain(name)} {counted(count)}" for name, count in now.sizes)
    if now.error is not None:
        return "cannot start yet" + (f"   ranges: {sizes}" if sizes else "")
    if now.count is None:
        return "? cases" + (f" of {sizes}" if sizes else "")
    parts = [f"{counted(now.count)} case{'s' if now.count != 1 else ''}" + (f" = {sizes}" if sizes else "")]
    if now.merged:
        parts.append(f"{counted(now.merged)} equal ones merged")
    if note:
        parts.append(note)
    return "   ".join(parts)


def _table(now: Checked, width: int, height: int) -> list[_Line]:
    """The first cases, one a line under the names of their variables; the last line counts the others."""
    if not now.rows or not now.rows[0]:
        return []
    names = list(now.rows[0])
    cells = [[plain(row[name]) for name in names] for row in now.rows]
    wide = [
        min(max(cell_len(plain(name)), *(cell_len(row[place]) for row in cells)), _WIDEST)
        for place, name in enumerate(names)
    ]
    number = len(str(len(cells) - 1)) + 1
    lines = [(_row("#".ljust(number), [plain(name) for name in names], wide, width), _DIM)]
    left = (now.count or 0) - len(cells)
    fit = max(height - 1, 1)
    shown = cells[:fit] if left <= 0 and len(cells) <= fit else cells[: max(fit - 1, 1)]
    lines += [(_row(f"#{i}".ljust(number), row, wide, width), Style()) for i, row in enumerate(shown)]
    if (rest := (now.count or 0) - len(shown)) > 0:
        lines.append((f"and {counted(rest)} more", _DIM))
    return lines


def _row(first: str, cells: list[str], wide: list[int], width: int) -> str:
    columns = [set_cell_size(fitted(text, size), size) for text, size in zip(cells, wide, strict=True)]
    return fitted("  ".join([first, *columns]).rstrip(), width)


class CommandLine(_Told):
    """The equivalent command line, without secrets."""

    DEFAULT_CSS = "CommandLine { height: auto; background: $surface; color: $foreground; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def show(self, text: str) -> None:
        """Show this from now on."""
        height = len(self._lines)
        self._text = text
        self.redo()
        if len(self._lines) != height:
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(len(self.lines(width - 2)), 1)

    def lines(self, width: int) -> list[_Line]:
        height = self.screen.size.height
        most = 1 if height < 20 else 2 if height < 30 else 4
        return [(line, Style()) for line in wrapped(f"$ {self._text}", max(width, 1), most)]
