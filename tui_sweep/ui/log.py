"""LogPane: what one attempt prints, as it prints it. Only the lines that are seen are read and drawn."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import Worker, WorkerState, get_current_worker

from tui_sweep.core.plain import plain
from tui_sweep.ui.line import Frame, Line
from tui_sweep.ui.logheading import STREAMS_SHOWN, heading
from tui_sweep.ui.logpaint import LogPaint
from tui_sweep.ui.logscroll import Kept, Scroll
from tui_sweep.ui.logsearch import Found, LogSearch, look
from tui_sweep.view.log import LogView, Mode
from tui_sweep.view.logline import LogLine

_PARTS = ("heading", "stderr", "mark", "time", "match", "current", "note", "message")
_AT_ONCE = 1 << 18
"""Bytes that are indexed without a worker: 0.1 ms, less than the way to a thread and back."""
_BACK = 1000
"""Lines that can be gone back while the log is not indexed yet."""
_ASIDE = 8
"""Cells that one step sideways goes."""


class LogPane(Widget, can_focus=True, inherit_bindings=False):
    """The log of one attempt at a time, under a row that says what is shown.

    It follows while its place is the end; going up pauses it. It has no timer: the screen's calls
    ``poll``. A worker indexes the files, in steps; until that is done the end of the log is shown.
    """

    ALLOW_SELECT = False

    DEFAULT_CSS = """
    LogPane {
        background: $surface;
        color: $foreground;
        & > .log-pane--heading { background: $panel; }
        &:focus > .log-pane--heading { background: $panel; text-style: bold; }
        & > .log-pane--stderr { color: $text-warning; }
        & > .log-pane--mark { color: $text-warning; text-style: bold; }
        & > .log-pane--time { color: $text-muted; }
        & > .log-pane--match { text-style: reverse; }
        & > .log-pane--current { text-style: reverse bold underline; }
        & > .log-pane--note { color: $text-muted; text-style: italic; }
        & > .log-pane--message { color: $text-muted; }
    }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log-pane--{part}" for part in _PARTS}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "rows(1)", "Line down", show=False, id="log.down"),
        Binding("k,up", "rows(-1)", "Line up; pauses", show=False, id="log.up"),
        Binding("pagedown", "page(1.0)", "Page down", show=False, id="log.page_down"),
        Binding("pageup", "page(-1.0)", "Page up; pauses", show=False, id="log.page_up"),
        Binding("ctrl+d", "page(0.5)", "Half a page down", show=False, id="log.half_down"),
        Binding("ctrl+u", "page(-0.5)", "Half a page up; pauses", show=False, id="log.half_up"),
        Binding("g,home", "first", "First line", show=False, id="log.first"),
        Binding("G,end", "last", "Last line, and follow", show=False, id="log.last"),
        Binding("h,left", "aside(-1)", "To the left", show=False, id="log.left"),
        Binding("l,right", "aside(1)", "To the right", show=False, id="log.right"),
        Binding("f", "follow", "Follow what is printed, or stay", id="log.follow"),
        Binding("w", "wrap", "Wrap long lines, or cut them", id="log.wrap"),
        Binding("t", "times", "Time of each line", id="log.times"),
        Binding("b", "streams", "Both streams, stdout, stderr", id="log.streams"),
        Binding("n", "match(True)", "Next match of the search", show=False, id="log.next_match"),
        Binding("N", "match(False)", "Previous match", show=False, id="log.previous_match"),
        Binding("escape", "forget_search", "End the search", show=False, id="log.forget_search"),
    ]

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self._ascii = ascii_only
        self._view: LogView | None = None
        self._version = -1
        """The view's, when it was last drawn."""
        self._title = "log"
        self._message = ""
        self._scroll = Scroll(Kept([]), self._rows_of, 0)
        self._read_up_to: int | None = None
        """Lines there were when the reader paused; None when they were not counted."""
        self._mode: Mode = "both"
        self._wrap = self._times = False
        self._left = 0
        self._search = LogSearch()
        self._indexing: Worker[None] | None = None
        self._painting: LogPaint | None = None
        self._drawn: LRUCache[tuple[object, ...], list[Line]] = LRUCache(512)
        self._lines: list[Line] = []
        """What the rows of the pane show now."""
        self._frame = Frame()

    # -- what a screen asks ---------------------------------------------------------------------

    @property
    def follows(self) -> bool:
        """Whether the end is shown, whatever comes."""
        return self._scroll.follows

    def show(self, view: LogView | None, title: str, message: str = "") -> None:
        """Show another log from its end, or the same one under another title.

        ``message`` stands where there are no lines yet. Markup and control characters have no effect.
        """
        self._title, self._message = plain(title), message
        if view is not self._view:
            if self.is_mounted:
                self.workers.cancel_node(self)  # a thread ends with its step
            self._indexing = None
            self._view, self._version, self._left = view, -1, 0
            self._drawn.clear()
            self._scroll = Scroll(view or Kept([]), self._rows_of, self._scroll.height)
            self._search.lose()
            if view is not None:
                view.mode = self._mode
        self.poll()
        self._redraw()

    def say(self, message: str) -> None:
        """Say something else where there are no lines."""
        if message != self._message:
            self._message = message
            self._redraw()

    def poll(self) -> None:
        """Look whether there is more, and draw it. Three stats when there is not."""
        view = self._view
        if view is None or not self.is_mounted:
            return
        if self._indexing is None or self._indexing.is_finished:
            behind = view.behind()
            if behind > _AT_ONCE:
                # a view tells errors of the disk by itself; any other is a bug, and must be seen
                self._indexing = self.run_worker(
                    partial(_index, view), group="index", thread=True, exit_on_error=True
                )
            elif behind or not view.complete:
                view.grow()
        if view.version != self._version or not view.complete:
            self._version = view.version
            self._renew(view)

    def search(self, text: str) -> None:
        """Mark a text wherever it is seen, and go to the next line that shows it. "" ends the search."""
        if not text:
            self.action_forget_search()
            return
        self._search.begin(text)
        self._seek(forward=True)
        self._repaint()

    # -- reading --------------------------------------------------------------------------------

    def _renew(self, view: LogView) -> None:
        """Take up what the view knows now."""
        source = self._scroll.source
        if self._scroll.follows:
            self._scroll.renew(view if view.complete else Kept(view.tail(max(1, self._scroll.height))))
        elif isinstance(source, Kept) and view.complete:
            top = source.window(self._scroll.top, 1)
            self._scroll.renew(view)
            self._scroll.top_at(view.place(top[0]) if top else 0)
        else:
            self._scroll.renew()
        if view.complete and self._read_up_to is None:
            self._read_up_to = view.count
        if view.complete and self._search.waits is not None:
            self._seek(forward=self._search.waits)
        self._redraw()

    def _hold(self) -> None:
        """Before pausing: what was read of a log that is not indexed must not go on under the reader."""
        if self._view is not None and self._scroll.follows:
            self._scroll.renew(self._view if self._view.complete else Kept(self._view.tail(_BACK)))
            self._read_up_to = self._view.count if self._view.complete else None

    def _seek(self, *, forward: bool) -> None:
        """Look for the next line that shows the pattern."""
        if self._view is None:
            return
        places = self._search.places(self._view, self._scroll.top, forward=forward)
        if places is not None:
            # as in poll; and a new search ends the one before it
            self.run_worker(
                partial(look, places), group="search", thread=True, exclusive=True, exit_on_error=True
            )

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A search is done: go there."""
        found = event.worker.result if event.state == WorkerState.SUCCESS else None
        if isinstance(found, Found) and self._view is not None:
            self._search.arrive(found)
            if found.line is not None:
                self._renew(self._view)
                self._hold()
                self._scroll.to(found.line)
            self._repaint()

    # -- keys -----------------------------------------------------------------------------------

    def action_rows(self, count: int) -> None:
        if count < 0:
            self._hold()
        self._scroll.by(count)
        if self._scroll.follows and self._view is not None:
            self._renew(self._view)
        self._redraw()

    def action_page(self, pages: float) -> None:
        """Some pages on; a whole page keeps a row in sight."""
        rows = max(1, self._scroll.height - 1 if abs(pages) == 1 else self._scroll.height // 2)
        self.action_rows(rows if pages > 0 else -rows)

    def action_first(self) -> None:
        self._hold()
        if self._view is not None:
            self._scroll.renew(self._view)
        self._scroll.top_at(0)
        self._redraw()

    def action_last(self) -> None:
        self._scroll.follows = True
        if self._view is not None:
            self._renew(self._view)

    def action_follow(self) -> None:
        if self._scroll.follows:
            self._hold()
            self._scroll.pause()
            self._redraw()
        else:
            self.action_last()

    def action_aside(self, steps: int) -> None:
        """Sideways, as far as the widest line that is seen goes."""
        if self._wrap:
            return
        paint = self._paint
        widest = max((paint.cells(line) for line in self._scroll.seen()[0]), default=0)
        self._left = max(0, min(self._left + steps * _ASIDE, widest - paint.room))
        self._repaint()

    def action_wrap(self) -> None:
        self._wrap, self._left = not self._wrap, 0
        if not self._scroll.follows:
            self._scroll.top_at(self._scroll.top)
        self._repaint()

    def action_times(self) -> None:
        self._times = not self._times
        self._repaint()

    def action_streams(self) -> None:
        """The next mode, at the same line or the one after it."""
        view = self._view
        if view is None:
            return
        top = self._scroll.source.window(self._scroll.top, 1)
        modes = list(STREAMS_SHOWN)
        view.mode = self._mode = modes[(modes.index(view.mode) + 1) % len(modes)]
        self.workers.cancel_group(self, "search")
        self._search.lose()
        if not self._scroll.follows:
            self._scroll.top_at(view.place(top[0]) if top else 0)
            self._read_up_to = view.count
        self._scroll.renew(None if self._scroll.follows else view)
        self._renew(view)
        self._repaint()

    def action_match(self, forward: bool) -> None:
        self._seek(forward=forward)
        self._redraw()

    def action_forget_search(self) -> None:
        self.workers.cancel_group(self, "search")
        self._search.end()
        self._repaint()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a search its keys are the screen's: esc goes back."""
        if action in {"match", "forget_search"}:
            return self._search.pattern is not None
        return super().check_action(action, parameters)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_rows(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_rows(-3)

    # -- painting -------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.poll()

    def on_resize(self) -> None:
        self._scroll.height = max(0, self.size.height - 1)
        if self._view is not None:
            self._renew(self._view)
        self._repaint()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted:
            self.call_later(self._repaint)  # the component classes get theirs after this call

    def render_line(self, y: int) -> Strip:
        return self._frame.strip(y, self.size.width, self._line)

    def _repaint(self) -> None:
        """Draw all lines anew: they look otherwise."""
        self._painting = None
        self._drawn.clear()
        self._redraw()

    def _redraw(self) -> None:
        """Paint the cells that differ from what is painted, and nothing else."""
        width, height = self.size
        if not (self.is_mounted and width and height):
            return
        self._scroll.height = height - 1
        rows = self._scroll.seen()[1] if self._view is not None else []
        if not rows or (self._view is not None and self._view.trouble):
            rows = self._said_instead(width)
        said = heading(self._title, self._view, self._scroll, self._read_up_to, self._search.note)
        style = self._paint.styles["heading"]
        self._lines = [Line((said.text(width),), (style,)), *rows]
        changes = self._frame.changes(width, self._line)
        if changes:
            self.refresh(*[Region(first, y, past - first, 1) for y, first, past in changes])

    def _line(self, y: int) -> Line:
        """What row ``y`` of the pane shows."""
        return self._lines[y] if y < len(self._lines) else self._paint.message("")

    def _said_instead(self, width: int) -> list[Line]:
        """The message, or why nothing can be read."""
        trouble = self._view.trouble if self._view is not None else ""
        if self._view is not None and not self._view.complete and not trouble:
            return []
        lines = [plain(line) for line in (trouble or self._message).splitlines()]
        folded = Text("\n").join(map(Text, lines)).wrap(self.app.console, max(1, width - 2))
        return [self._paint.message(line.plain) for line in folded]

    def _rows_of(self, line: LogLine) -> list[Line]:
        """The rows of one line, drawn once."""
        cuts = self._view.cuts if self._view is not None else 0
        key = (line.stream, line.start, line.length, line.at, line.number == self._search.match, cuts)
        rows = self._drawn.get(key)
        if rows is None:
            rows = self._drawn[key] = self._paint.rows(line)
        return rows

    @property
    def _paint(self) -> LogPaint:
        """Draws with the width, the choices and the theme of now."""
        if self._painting is None:
            styles = {name: self.get_component_rich_style(f"log-pane--{name}") for name in _PARTS}
            styles["row"] = self.rich_style
            if self.app.no_color:
                styles["heading"] += Style(bold=True)
            self._painting = LogPaint(
                console=self.app.console,
                width=self.size.width,
                wrap=self._wrap,
                times=self._times,
                left=self._left,
                pattern=self._search.pattern,
                match=self._search.match,
                styles=styles,
                ascii_only=self._ascii,
            )
        return self._painting


def _index(view: LogView) -> None:
    """Index what is there, in a worker's thread."""
    worker = get_current_worker()
    while not worker.is_cancelled and view.grow():
        pass
