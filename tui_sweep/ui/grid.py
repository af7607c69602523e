"""CaseGrid: every case of a sweep, a line each; only the lines that are seen exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_sweep.core.plain import plain
from tui_sweep.core.states import FINAL, State
from tui_sweep.ui.columns import Layout, arrange, parameter
from tui_sweep.ui.line import Frame, Line
from tui_sweep.ui.look import LOOKS
from tui_sweep.ui.paint import PARTS, Paint
from tui_sweep.view.follow import Follower
from tui_sweep.view.marks import Marks
from tui_sweep.view.row import Rows
from tui_sweep.view.select import VIEWS, Selection, Sort, SortKey

_WORDS = {look.word: state for state, look in LOOKS.items()}


class CaseGrid(ScrollView, can_focus=True, inherit_bindings=False):
    """The cases that a view and a filter let through, with a cursor on one of them.

    What is painted is kept for each visible line; when something changes only the cells that differ
    are painted again. A million cases cost what forty do.
    """

    ALLOW_SELECT = False

    DEFAULT_CSS = """
    CaseGrid {
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        background: $surface;
        color: $foreground;
        & > .case-grid--header { background: $panel; text-style: bold; }
        & > .case-grid--mark { color: $accent; text-style: bold; }
        & > .case-grid--message { color: $text-muted; }
        & > .case-grid--cursor {
            background: $block-cursor-blurred-background;
            color: $block-cursor-blurred-foreground;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .case-grid--cursor {
            background: $block-cursor-background;
            color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
    }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"case-grid--{part}" for part in PARTS}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "Next case", show=False, id="grid.down"),
        Binding("k,up", "step(-1)", "Previous case", show=False, id="grid.up"),
        Binding("pagedown", "page(1.0)", "Page down", show=False, id="grid.page_down"),
        Binding("pageup", "page(-1.0)", "Page up", show=False, id="grid.page_up"),
        Binding("ctrl+d", "page(0.5)", "Half a page down", show=False, id="grid.half_down"),
        Binding("ctrl+u", "page(-0.5)", "Half a page up", show=False, id="grid.half_up"),
        Binding("g,home", "first", "First case", show=False, id="grid.first"),
        Binding("G,end", "last", "Last case", show=False, id="grid.last"),
        Binding("h,left", "parameters(-1)", "Parameters to the left", show=False, id="grid.left"),
        Binding("l,right", "parameters(1)", "Parameters to the right", show=False, id="grid.right"),
        Binding("enter", "choose", "Open case", show=False, id="grid.choose"),
        Binding("space", "mark", "Mark", id="grid.mark"),
        Binding("M", "mark_range", "Mark from the last mark to here", show=False, id="grid.mark_range"),
        Binding("asterisk", "mark_shown", "Mark all shown", show=False, id="grid.mark_shown"),
        Binding("U", "clear_marks", "Clear all marks", show=False, id="grid.clear_marks"),
        Binding("v", "next_view", "View: all, live, waiting, failed, done", id="grid.view"),
        Binding("s", "next_sort", "Sort by the next column", id="grid.sort"),
        Binding("S", "reverse", "Reverse the order", show=False, id="grid.reverse"),
    ]

    @dataclass
    class Highlighted(Message):
        """The cursor is on another case; None: nothing is shown."""

        grid: CaseGrid
        case: int | None

    @dataclass
    class Chosen(Message):
        """A case is to be opened."""

        grid: CaseGrid
        case: int

    @dataclass
    class Arranged(Message):
        """The view, the filter, the order or the marks are others."""

        grid: CaseGrid

    def __init__(
        self,
        follower: Follower,
        *,
        clock: Callable[[], float],
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """``clock`` gives UNIX seconds. Loads ``follower.table``."""
        super().__init__(id=id)
        self._clock = clock
        self._ascii = ascii_only
        self._now = clock()
        self._table = follower.table
        self._rows = Rows(follower)
        self._selection = Selection(
            follower.table, follower.plan, follower.mask, why=self._rows.why, words=_WORDS
        )
        places = [follower.plan.names.index(name) for name in follower.plan.varying]
        self._parameters = tuple(parameter(place, self._selection.columns[place]) for place in places)
        self._sorts: list[SortKey] = ["index", "state", *places, "waited", "ran", "exit"]
        self._first = 0
        """Number of the first parameter that is shown where not all have room."""
        self._layout = Layout(())
        self._painting: Paint | None = None
        self._row: int | None = None
        self._case: int | None = None
        self._anchor: int | None = None
        """The case that was marked last, from which a range begins."""
        self._frame = Frame()
        self._lines: LRUCache[tuple[object, ...], Line] = LRUCache(400)
        self._selection.refresh(self._now)
        self._place_cursor(0)

    @property
    def case(self) -> int | None:
        """The case under the cursor; None when nothing is shown."""
        return self._case

    @property
    def marked(self) -> Marks:
        """The marked cases."""
        return self._selection.marks

    @property
    def filter_text(self) -> str:
        """The filter as it was written."""
        return self._selection.text

    def describe(self) -> list[str]:
        """The view, the filter and the order in words."""
        return self._selection.describe()

    def update(self) -> None:
        """Show what the follower knows now. Called when its revision has changed."""
        self._now = self._clock()
        if self._selection.refresh(self._now):
            self._reordered()
        self._redraw()

    def tick(self) -> None:
        """Let the running times go on. Called once a second."""
        self._now = self._clock()
        self._redraw()

    def filter(self, text: str) -> None:
        """Show what a filter lets through. Raises UsageError, and changes nothing then."""
        self._selection.filter(text)
        self._arranged()

    def show(self, view: str) -> None:
        """Show one of VIEWS."""
        self._selection.show(view)
        self._arranged()

    def sort_by(self, sort: Sort) -> None:
        """Put the cases in an order; the cursor stays on its case."""
        self._selection.sort_by(sort)
        self._arranged()

    def step(self, count: int) -> None:
        """Move the cursor down by a count of rows, or up."""
        if self._row is not None:
            self._move(self._row + count)

    def seek(self, states: Iterable[State], step: int) -> bool:
        """Move the cursor to the next case in one of the states, or to the previous one, and around the
        end; whether there is one.
        """
        row = None if self._row is None else self._selection.seek(states, self._row, step)
        if row is not None:
            self._move(row)
        return row is not None

    def move_to(self, case: int) -> bool:
        """Put the cursor on a case; False when it is not shown."""
        row = self._selection.place(case)
        if row is not None:
            self._move(row)
        return row is not None

    action_step = step

    def action_page(self, pages: float) -> None:
        if self._row is None:
            return
        rows = int(pages * self._page) or (1 if pages > 0 else -1)
        self._scroll_rows(self.scroll_offset.y + rows)
        self._move(self._row + rows)

    def action_first(self) -> None:
        self._move(0)

    def action_last(self) -> None:
        self._move(len(self._selection) - 1)

    def action_parameters(self, step: int) -> None:
        if self._layout.more_right if step > 0 else self._layout.more_left:
            self._first += step
            self._rearrange()

    def action_choose(self) -> None:
        if self._case is not None:
            self.post_message(self.Chosen(self, self._case))

    def action_mark(self) -> None:
        if self._case is not None:
            self.marked.toggle(self._case)
            self._anchor = self._case
            self.step(1)
            self._arranged()

    def action_mark_range(self) -> None:
        if self._row is None:
            return
        start = self._selection.place(self._anchor) if self._anchor is not None else None
        first, last = sorted((self._row if start is None else start, self._row))
        self.marked.mark(self._selection.cases(first, last + 1))
        self._anchor = self._case
        self._arranged()

    def action_mark_shown(self) -> None:
        self.marked.mark(self._selection.cases() if self._selection.hidden else slice(None))
        self._arranged()

    def action_clear_marks(self) -> None:
        self.marked.clear()
        self._anchor = None
        self._arranged()

    def action_next_view(self) -> None:
        views = list(VIEWS)
        self.show(views[(views.index(self._selection.view) + 1) % len(views)])

    def action_next_sort(self) -> None:
        place = self._sorts.index(self._selection.sort.key)
        self.sort_by(Sort(self._sorts[(place + 1) % len(self._sorts)]))

    def action_reverse(self) -> None:
        self.sort_by(self._selection.sort.by(self._selection.sort.key))

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1 + self.scroll_offset.y
        if event.y == 0:
            column = self._layout.at(event.x)
            if column is not None and column.key in self._sorts:
                self.sort_by(self._selection.sort.by(column.key))
        elif row < len(self._selection):
            self._move(row)
            if event.chain == 2:
                self.action_choose()

    @property
    def _page(self) -> int:
        """How many rows are seen."""
        return max(self.size.height - 1, 1)

    def _move(self, row: int) -> None:
        """Put the cursor on a row, or on the nearest that there is, and have it seen."""
        self._place_cursor(row)
        if self._row is not None:
            top = self.scroll_offset.y
            self._scroll_rows(min(max(top, self._row - self._page + 1), self._row))
        self._redraw()

    def _place_cursor(self, row: int) -> None:
        count = len(self._selection)
        self._row = min(max(row, 0), count - 1) if count else None
        case = None if self._row is None else self._selection[self._row]
        if case != self._case:
            self._case = case
            self.post_message(self.Highlighted(self, case))

    def _scroll_rows(self, top: int) -> None:
        # by force: the scrollbar that would allow it may not be there yet
        self.scroll_to(y=top, animate=False, force=True)

    def _reordered(self) -> None:
        """Other cases are shown, or in another order: the cursor keeps its case, and its line if it can."""
        old, top = self._row, self.scroll_offset.y
        self._measure()
        place = None if self._case is None else self._selection.place(self._case)
        self._place_cursor((old or 0) if place is None else place)
        seen = old is not None and self._row is not None and top <= old < top + self._page
        self._scroll_rows(top + (self._row or 0) - (old or 0) if seen else top)

    def _arranged(self) -> None:
        """The view, the filter, the order or the marks are others."""
        if self._selection.refresh(self._now):
            self._reordered()
            if self._row is not None:
                self._move(self._row)
        self._redraw()
        self.post_message(self.Arranged(self))

    def on_mount(self) -> None:
        self._rearrange()
        self._measure()

    def on_resize(self) -> None:
        self._rearrange()
        if self._row is not None:
            self._move(self._row)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._forget()

    def watch_show_vertical_scrollbar(self) -> None:
        self._rearrange()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if round(old_value) != round(new_value):
            self._frame.clear()
        super().watch_scroll_y(old_value, new_value)

    def render_line(self, y: int) -> Strip:
        return self._frame.strip(y, self.size.width, self._line)

    def _measure(self) -> None:
        self.virtual_size = Size(1, len(self._selection) + 1)

    def _rearrange(self) -> None:
        width = self.size.width - self.scrollbar_size_vertical
        self._layout = arrange(width, len(self._table), self._parameters, self._first)
        self._forget()

    def _forget(self) -> None:
        """Paint everything anew."""
        self._painting = None
        self._lines.clear()
        self._frame.clear()
        self.refresh()

    def _redraw(self) -> None:
        """Paint the cells that differ from what is painted, and nothing else."""
        changes = self._frame.changes(self.size.width, self._line)
        if changes:
            self.refresh(*[Region(first, y, past - first, 1) for y, first, past in changes])

    def _line(self, y: int) -> Line:
        """What line ``y`` of the widget shows."""
        if y == 0:
            return self._paint.header(self._selection.sort)
        row = y - 1 + self.scroll_offset.y
        if row < len(self._selection):
            return self._case_line(self._selection[row], cursor=row == self._row)
        return self._paint.message(f" {plain(self._selection.nothing)}" if row == 0 else "")

    def _case_line(self, case: int, *, cursor: bool) -> Line:
        final = State(self._table.state[case]) in FINAL
        # what of a row may change while its revision does not: the time, and why it waits
        moment = None if final else (self._now, self._rows.why())
        marked = case in self.marked
        key = (case, int(self._table.row_revision[case]), cursor, marked, moment)
        line = self._lines.get(key)
        if line is None:
            row = self._rows.row(case, self._now)
            line = self._lines[key] = self._paint.case(row, cursor=cursor, marked=marked)
        return line

    @property
    def _paint(self) -> Paint:
        """Draws with the layout and the theme of now."""
        if self._painting is None:
            styles = {part: self.get_component_rich_style(f"case-grid--{part}") for part in PARTS}
            if self.app.no_color:
                styles["cursor"] += Style(reverse=True)
            styles["row"] = self.rich_style
            self._painting = Paint(self._layout, self._parameters, styles, self._ascii)
        return self._painting
