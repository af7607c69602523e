"""QueuePanel: capacity as bars, who waits, why, and what frees next. QueueLine: the same in one line."""

from __future__ import annotations

import textwrap

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_sweep.view.capacity import Bar
from tui_sweep.view.queue import Next, Queue, Waiting
from tui_sweep.view.times import brief

_DIM, _BOLD, _WARN = Style(dim=True), Style(bold=True), Style(color="yellow")


class _QueueWidget(Widget):
    """Draws lines made of a Queue; nothing while it stays the same."""

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._ascii = ascii_only
        self._lines: list[list[Segment]] = []
        self._queue: Queue | None = None
        self._width = 0

    def show(self, queue: Queue) -> None:
        """Show this from now on."""
        self._queue = queue
        self._redo()

    def on_resize(self) -> None:
        self._redo()

    def _redo(self) -> None:
        if self._queue is None:
            return
        lines = self.lines(self._queue, self.size.width)
        if lines != self._lines or self._width != self.size.width:
            self._lines, self._width = lines, self.size.width
            self.refresh()

    def lines(self, queue: Queue, width: int) -> list[list[Segment]]:
        raise AssertionError("each kind draws its own lines")

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        line = self._lines[y] if y < len(self._lines) else []
        styled = [Segment(text, base + (style or Style())) for text, style, _ in line]
        return Strip(styled).adjust_cell_length(self.size.width, base)


class QueuePanel(_QueueWidget):
    """The whole of it, for screens with room."""

    DEFAULT_CSS = "QueuePanel { background: $surface; color: $foreground; }"

    def lines(self, queue: Queue, width: int) -> list[list[Segment]]:
        head = set_cell_size(f"-- queue  {queue.server} " + "-" * width, width)
        made = [[Segment(head, _BOLD)], *(self._bar(bar, width) for bar in queue.bars)]
        if queue.limits:
            made += _wrapped(f"your limits: {queue.limits}", width)
        made += [line for note in queue.notes for line in _wrapped(f"note: {note}", width)]
        if not queue.first:
            made.append([Segment(" Nothing waits.")])
        else:
            made += _wrapped(f"{queue.waiting:,} waiting, each needs {queue.needs}", width)
            room = max(self.size.height - len(made) - len(queue.next) - 2, 1)
            made += self._waiting(queue, width)[:room]
        if queue.next:
            typical = f", most take {brief(queue.typical)}" if queue.typical is not None else ""
            made.append([Segment(f" frees next{typical}:", _DIM)])
            made += [[Segment(" " + _next(one))] for one in queue.next]
        return made

    def _bar(self, bar: Bar, width: int) -> list[Segment]:
        text = f"{bar.used} of {bar.total}"
        room = max(min(width - cell_len(bar.slot) - cell_len(text) - 6, 30), 0)
        full = round(room * bar.fraction)
        style = _WARN if bar.fraction >= 1 else Style(color="green")
        fill = "#" if self._ascii else "⣿"
        return [
            Segment(f" {bar.slot:<4}["),
            Segment(fill * full, style),
            Segment("." * (room - full), _DIM),
            Segment(f"] {text}"),
        ]

    def _waiting(self, queue: Queue, width: int) -> list[list[Segment]]:
        """Why the first one waits, in full; the others by number, unless they wait for something else."""
        first, *others = queue.first
        made = _wrapped(_why(first), width)
        alike = [one for one in others if not one.why or one.why.endswith(first.why)]
        for one in others:
            if one not in alike:
                made += _wrapped(_why(one), width)
        more = queue.waiting - len(queue.first)
        then = " ".join(f"#{one.case}" for one in alike) + (f" and {more:,} more" if more else "")
        return made + (_wrapped(f"then {then}", width) if then else [])


def _why(one: Waiting) -> str:
    """One case that waits, in a sentence."""
    waited = f" waits {brief(one.waited)}" if one.waited is not None else ""
    return f"#{one.case}{waited}: {one.why}" if one.why else f"#{one.case}{waited}"


def _wrapped(text: str, width: int) -> list[list[Segment]]:
    """A text over as many lines as it takes."""
    lines = textwrap.wrap(text, max(width - 2, 10), subsequent_indent="  ")
    return [[Segment(f" {line}")] for line in lines]


class QueueLine(_QueueWidget):
    """The one sentence, for screens without room."""

    DEFAULT_CSS = "QueueLine { height: 1; background: $panel; color: $foreground; }"

    def lines(self, queue: Queue, width: int) -> list[list[Segment]]:
        if not queue.waiting:
            free = ", ".join(f"{bar.slot} {bar.used} of {bar.total} in use" for bar in queue.bars)
            return [[Segment(f" queue: nothing waits; {free}")]]
        text = f" queue {queue.waiting:,} waiting. {queue.sentence}"
        if queue.next:
            text += f"; frees next: {_next(queue.next[0])}"
        return [[Segment(set_cell_size(text, min(cell_len(text), width)))]]


def _next(one: Next) -> str:
    left = "" if one.left is None else f", ~{brief(one.left)} left"
    return f"#{one.case} running {brief(one.ran)}{left}"
