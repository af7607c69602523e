"""SweepList: the recent sweeps, a line each; only lines that say something else are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui_sweep.core.plain import plain
from tui_sweep.core.states import FINAL, State
from tui_sweep.ui.carets import fitted
from tui_sweep.ui.look import LOOKS, glyph
from tui_sweep.view.recent import RecentSweep

_ORDER = (*(s for s in State if s in FINAL), *(s for s in reversed(State) if s not in FINAL))
"""Left to right: what is behind us, what is under way, what is to come."""

_DIM, _BOLD, _GONE = Style(dim=True), Style(bold=True), Style(bold=True, reverse=True)
_NOTHING = "No sweeps yet. Press n for a new one."


class SweepList(Widget, can_focus=True):
    """Recent sweeps."""

    DEFAULT_CSS = """
    SweepList { height: 1fr; background: $surface; color: $foreground; }
    SweepList > .head { background: $panel; color: $foreground; text-style: bold; }
    SweepList > .cursor { background: $boost; text-style: bold; }
    SweepList > .cursor-focused {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"head", "cursor", "cursor-focused"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open this sweep", id="sweeps.open"),
        Binding("down,j", "move(1)", "Next sweep", id="sweeps.next"),
        Binding("up,k", "move(-1)", "Previous sweep", id="sweeps.previous"),
        Binding("home,g", "move(-1000000)", "First sweep", id="sweeps.first"),
        Binding("end,G", "move(1000000)", "Last sweep", id="sweeps.last"),
        Binding("pagedown,ctrl+d", "page(1)", "A page down", id="sweeps.page_down"),
        Binding("pageup,ctrl+u", "page(-1)", "A page up", id="sweeps.page_up"),
    ]

    class Chosen(Message):
        """The user wants to see this sweep."""

        def __init__(self, sweep_id: str) -> None:
            super().__init__()
            self.sweep_id = sweep_id

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._ascii = ascii_only
        self._sweeps: tuple[RecentSweep, ...] = ()
        self._unreadable = 0
        self._now = 0.0
        self._lines: list[Strip] = []
        self._cursor: str | None = None
        """The id under the cursor: it stays on its sweep whatever comes above it."""
        self._top = 0

    # -- what it shows --------------------------------------------------------------------------

    def show(self, sweeps: Sequence[RecentSweep], now: float, *, unreadable: int = 0) -> None:
        """Show these from now on; ages are counted to ``now`` (UNIX seconds)."""
        self._sweeps, self._now, self._unreadable = tuple(sweeps), now, unreadable
        ids = [sweep.id for sweep in self._sweeps]
        if self._cursor not in ids:
            self._cursor = ids[0] if ids else None
        self._redo()

    @property
    def chosen(self) -> str | None:
        """The id under the cursor."""
        return self._cursor

    @property
    def wanted_height(self) -> int:
        """Lines that show everything."""
        return 1 + max(len(self._sweeps), 1)

    def on_resize(self, event: events.Resize) -> None:
        self._redo()

    def on_focus(self) -> None:
        self._redo()

    def on_blur(self) -> None:
        self._redo()

    def notify_style_update(self) -> None:
        """Another theme: the lines hold styles."""
        super().notify_style_update()
        self._redo()

    def _redo(self) -> None:
        """Make the lines anew and repaint those that differ."""
        width, height = self.size
        if not width:
            return
        rows = max(height - 1, 1)
        at = self._index
        self._top = max(min(self._top, at, len(self._sweeps) - rows), at - rows + 1, 0)
        lines = [self._head(width)]
        lines += [self._line(sweep, width) for sweep in self._sweeps[self._top : self._top + rows]]
        if not self._sweeps:
            lines.append(Strip([Segment(f" {_NOTHING}", self.rich_style + _DIM)]))
        lines = [line.adjust_cell_length(width, self.rich_style) for line in lines]
        old, self._lines = self._lines, lines
        for y in range(max(len(old), len(lines))):
            if y >= len(old) or y >= len(lines) or old[y] != lines[y]:
                self.refresh(Region(0, y, width, 1))

    def render_line(self, y: int) -> Strip:
        if y < len(self._lines):
            return self._lines[y]
        return Strip.blank(self.size.width, self.rich_style)

    def _head(self, width: int) -> Strip:
        style = self.get_component_rich_style("head")
        columns = _columns(width)
        words = {"counts": "cases"}
        text = "  " + " ".join(set_cell_size(words.get(name, name), size) for name, size in columns)
        first, last = self._top + 1, min(self._top + max(self.size.height - 1, 1), len(self._sweeps))
        place = f"{first}-{last} of {len(self._sweeps)}" if last - first + 1 < len(self._sweeps) else ""
        unread = f"{self._unreadable} unreadable" if self._unreadable else ""
        note = "  ".join(filter(None, (unread, place)))
        if note and width >= 40:
            text = set_cell_size(text, width - len(note) - 1) + note
        return Strip([Segment(text, style)]).adjust_cell_length(width, style)

    def _line(self, sweep: RecentSweep, width: int) -> Strip:
        here = sweep.id == self._cursor
        base = self.rich_style
        if here:
            base = self.get_component_rich_style("cursor-focused" if self.has_focus else "cursor")
        segments = [Segment("> " if here else "  ", base)]
        for name, size in _columns(width):
            cell = self._cell(name, sweep, size)
            for text, style, _ in cell:
                # on the cursor the states' own colours could not be told from its
                segments.append(
                    Segment(text, base + style if style and not (here and self.has_focus) else base)
                )
            room = size - sum(cell_len(text) for text, _, _ in cell)
            segments.append(Segment(" " * (max(room, 0) + 1), base))
        return Strip(segments).adjust_cell_length(width, base)

    def _cell(self, name: str, sweep: RecentSweep, size: int) -> list[Segment]:
        """What stands in a column, at most ``size`` cells."""
        match name:
            case "id":
                return [Segment(fitted(plain(sweep.id), size))]
            case "name":
                return [Segment(fitted(plain(sweep.name or "-"), size))]
            case "engine":
                return [Segment(fitted(plain(sweep.engine), size), _DIM)]
            case "age":
                return [Segment(age(self._now - sweep.started))]
            case "runner":
                return self._runner(sweep, size)
            case "progress":
                return self._bar(sweep, size)
        return self._counts(sweep, size)

    def _counts(self, sweep: RecentSweep, size: int) -> list[Segment]:
        """Glyph and number of each state, as many as fit."""
        found: list[Segment] = []
        counts = dict(sweep.counts)
        for state in _ORDER:
            if not (count := counts.get(state)):
                continue
            text = f"{glyph(state, ascii_only=self._ascii)}{count:,} "
            if cell_len(text) - 1 > size:
                found.append(Segment("+"[:size], _DIM))
                break
            size -= cell_len(text)
            found.append(Segment(text, Style.parse(LOOKS[state].style)))
        return found

    def _bar(self, sweep: RecentSweep, size: int) -> list[Segment]:
        """The states of all cases as one bar, every state that has a case with at least one cell."""
        counts = dict(sweep.counts)
        room = size - 2
        there = [state for state in _ORDER if counts.get(state)][:room]
        found, drawn, passed = [Segment("[")], 0, 0
        for place, state in enumerate(there, 1):
            passed += counts[state]
            end = place + (room - len(there)) * passed // max(sum(counts.values()), 1)
            fill = "#" if self._ascii else "⣿"
            fill = fill if state is State.DONE else glyph(state, ascii_only=self._ascii)
            found.append(Segment(fill * (end - drawn), Style.parse(LOOKS[state].style)))
            drawn = end
        return [*found, Segment(" " * (room - drawn)), Segment("]")]

    def _runner(self, sweep: RecentSweep, size: int) -> list[Segment]:
        if sweep.runner is not None:
            return [Segment(fitted("alive", size))]
        return [Segment("-", _DIM)] if sweep.is_finished else [Segment(fitted("gone", size), _GONE)]

    # -- what the user does ---------------------------------------------------------------------

    @property
    def _index(self) -> int:
        return next((i for i, sweep in enumerate(self._sweeps) if sweep.id == self._cursor), 0)

    def action_move(self, step: int) -> None:
        if self._sweeps:
            at = max(0, min(self._index + step, len(self._sweeps) - 1))
            self._cursor = self._sweeps[at].id
            self._redo()

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(self.size.height - 2, 1))

    def action_open(self) -> None:
        if self._cursor is not None:
            self.post_message(self.Chosen(self._cursor))

    def on_click(self, event: events.Click) -> None:
        at = self._top + event.y - 1
        if event.y > 0 and at < len(self._sweeps):
            self._cursor = self._sweeps[at].id
            self._redo()
            if event.chain == 2:
                self.action_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_move(-1)


def _columns(width: int) -> list[tuple[str, int]]:
    """Which columns there are, and their cells; engine, progress, age and runner give way in this order."""
    names = ["id", "name", "engine", "age", "runner", "progress", "counts"]
    sizes = {"id": 8, "name": 8, "engine": 9, "age": 5, "runner": 6, "progress": 12, "counts": 8}
    for giving_way in ("engine", "progress", "age", "runner", "name"):
        if sum(sizes[name] + 1 for name in names) + 2 <= width:
            break
        names.remove(giving_way)
    spare = max(width - 2 - sum(sizes[name] + 1 for name in names), 0)
    for name, most in (
        ("name", 14),
        ("counts", 22),
        ("name", 24),
        ("progress", 40),
        ("counts", 60),
        ("name", 60),
    ):
        if name in names:
            more = min(spare, most - sizes[name])
            sizes[name] += max(more, 0)
            spare -= max(more, 0)
    return [(name, sizes[name]) for name in names]


def age(seconds: float) -> str:
    """How long ago, in one number: what is drawn need not change more than once a minute."""
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{letter}"
    return "now"
