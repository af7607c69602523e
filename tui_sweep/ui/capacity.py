"""CapacityLine: the program, its engine, and what of it is in use, as bars in one line."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_sweep.core.states import State
from tui_sweep.ui.carets import fitted
from tui_sweep.ui.look import LOOKS
from tui_sweep.view.capacity import Bar, Capacity

_DIM, _BOLD, _WARN = Style(dim=True), Style(bold=True), Style(bold=True, reverse=True)
_WIDEST = 24
"""Cells of a bar at most."""


class CapacityLine(Widget):
    """One line; drawn again only when it says something else."""

    DEFAULT_CSS = "CapacityLine { height: 1; background: $panel; color: $foreground; }"

    def __init__(self, engine: str, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._ascii = ascii_only
        self._shown: Capacity | None = None
        self._engine = engine
        """Whom is asked, until there is an answer."""

    @property
    def engine(self) -> str:
        """Whose capacity it is, or will be."""
        return self._engine if self._shown is None else self._shown.engine

    @property
    def shown(self) -> Capacity | None:
        """What was told last; None before the first answer."""
        return self._shown

    def show(self, new: Capacity) -> None:
        """Show this from now on."""
        if new != self._shown:
            self._shown = new
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        segments = self._segments(width) if y == 0 else []
        styled = [Segment(text, base + (style or Style())) for text, style, _ in segments]
        return Strip(styled).adjust_cell_length(width, base)

    def _segments(self, width: int) -> list[Segment]:
        now = self._shown
        title = " sweep-tui  " if width >= 40 else " "
        if now is None:
            return [Segment(title, _BOLD), Segment(f"{self._engine}: asking ...", _DIM)]
        if now.trouble:
            told = fitted(f" {now.engine}: {now.trouble} ", width - cell_len(title))
            return [Segment(title, _BOLD), Segment(told, _WARN)]
        server = f" ({now.server})" if now.server and width >= 110 else ""
        segments = [Segment(title, _BOLD), Segment(fitted(f"{now.engine}{server}", width // 3), _BOLD)]
        room = width - sum(cell_len(text) for text, _, _ in segments)
        for place, bar in enumerate(now.bars):
            drawn = self._bar(bar, room, len(now.bars) - place)
            room -= sum(cell_len(text) for text, _, _ in drawn)
            if room < 0:
                break
            segments += drawn
        return segments

    def _bar(self, bar: Bar, room: int, shared_by: int) -> list[Segment]:
        """One slot in its share of the room; the bar itself gives way before the numbers do."""
        head, tail = f"  {bar.slot} ", f"{bar.used}/{bar.total}"
        cells = min(room // shared_by - cell_len(head) - cell_len(tail) - 3, _WIDEST)
        if cells < 4:
            return [Segment(head), Segment(tail)]
        full = round(cells * bar.fraction)
        style = Style.parse(LOOKS[State.PENDING if bar.fraction >= 1 else State.DONE].style)
        fill = "#" if self._ascii else "⣿"
        return [
            Segment(f"{head}["),
            Segment(fill * full, style),
            Segment("." * (cells - full), _DIM),
            Segment(f"] {tail}"),
        ]
