"""Summary: the two or three lines on top of the board, drawn only when they say something else."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_sweep.core.plain import plain
from tui_sweep.core.states import FINAL, LIVE, State
from tui_sweep.ui.look import LOOKS, glyph
from tui_sweep.view.follow import Follower
from tui_sweep.view.times import brief

_ORDER = (
    State.DONE,
    State.FAILED,
    State.TIMEOUT,
    State.LOST,
    State.CANCELLED,
    State.RUNNING,
    State.CANCELLING,
    State.STARTING,
    State.PENDING,
    State.SUBMITTING,
    State.HELD,
    State.WAITING,
)
"""Left to right in the bar: what is behind us, what is under way, what is to come."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the summary says at one moment."""

    title: str
    engine: str
    counts: tuple[tuple[State, int], ...]
    cases: int
    running: str
    """How many run, and with a limit how many of those it allows are between their submission and their end."""
    elapsed: str
    left: str
    note: str
    """Whether it lives: live, held, no runner, ended."""


def said(follower: Follower, now: float, *, left: float | None = None) -> Said:
    """The summary of a sweep at ``now`` (UNIX seconds) that has ``left`` seconds to go, if that is known."""
    facts, counts = follower.facts, follower.counts
    about, dispatch = facts["sweep"], facts.get("dispatch", {})
    live = sum(counts.get(state.word, 0) for state in LIVE)
    running = counts.get(State.RUNNING.word, 0)
    limit = dispatch.get("max_parallel")
    ended = facts.get("ended")
    if follower.is_finished:
        note = "ended"
    elif follower.runner is None:
        note = "NO RUNNER"
    elif dispatch.get("trouble") or (facts.get("engine") or {}).get("trouble"):
        note = "DISK TROUBLE"
    else:
        note = "held" if dispatch.get("holding") else "live"
    return Said(
        title=plain(about["name"] or follower.folder.id),
        engine=plain(_engine(follower)),
        counts=tuple((state, counts[state.word]) for state in _ORDER if counts.get(state.word)),
        cases=follower.cases,
        running=f"run {running}  sent {live}/{limit}" if limit else f"run {running}",
        elapsed=brief((ended or now) - about["started"]),
        left="" if left is None or follower.runner is None else f"~{brief(left)} left",
        note=note,
    )


def _engine(follower: Follower) -> str:
    place = follower.record.place
    interpreter = place.get("interpreter")
    engine: str = follower.facts["sweep"]["engine"]
    server = (follower.facts.get("engine") or {}).get("server")
    if interpreter or not server:
        return f"{engine}: {interpreter}" if interpreter else engine
    return str(server)


class Summary(Widget):
    """Title, progress and counts."""

    DEFAULT_CSS = """
    Summary { height: 2; background: $panel; color: $foreground; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._ascii = ascii_only
        self._said: Said | None = None

    def show(self, new: Said) -> None:
        """Say this from now on; nothing is drawn when it is what is said already."""
        if new != self._said:
            self._said = new
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._said is None:
            return Strip.blank(width, self.rich_style)
        draw = (self._first, self._bar, self._words)[min(y, 2)]
        segments = [Segment(" ", self.rich_style), *draw(self._said, max(width - 2, 0))]
        styled = [Segment(text, self.rich_style + (style or Style())) for text, style, _ in segments]
        return Strip(styled).adjust_cell_length(width, self.rich_style)

    def _first(self, now: Said, width: int) -> list[Segment]:
        """Who, where, how many, how long; what gives way first stands last."""
        note = f"[{now.note}]"
        parts = [
            now.title,
            f"{now.cases:,} case{'s' if now.cases != 1 else ''}",
            now.running,
            f"{now.elapsed} gone",
            now.left,
            now.engine,
        ]
        line = ""
        for part in filter(None, parts):
            if cell_len(line) + cell_len(part) + cell_len(note) + 4 > width:
                continue
            line += part + "  "
        style = Style(bold=True, reverse=now.note.isupper())
        room = max(width - cell_len(line) - cell_len(note), 0)
        return [Segment(line, Style(bold=True)), Segment(" " * room), Segment(note, style)]

    def _bar(self, now: Said, width: int) -> list[Segment]:
        """The states of all cases as one bar, and the counts that fit behind it."""
        final = sum(count for state, count in now.counts if state in FINAL)
        text = f" {final * 100 // max(now.cases, 1)}%"
        if self.size.height < 3:  # no room for a line of words
            text += "".join(f" {glyph(s, ascii_only=self._ascii)}{n:,}" for s, n in now.counts)
        text = set_cell_size(text, min(cell_len(text), max(width - 12, 0)))
        room = max(width - cell_len(text) - 2, 0)
        segments = [Segment("[")]
        drawn = done = 0
        for state, count in now.counts:
            done += count
            end = max(room * done // max(now.cases, 1), drawn + (1 if drawn < room else 0))
            cells = min(end, room) - drawn
            drawn += cells
            look = Style.parse(LOOKS[state].style)
            segments.append(Segment(self._fill(state) * cells, look))
        return [*segments, Segment(" " * (room - drawn)), Segment("]"), Segment(text)]

    def _fill(self, state: State) -> str:
        if state is State.DONE:
            return "#" if self._ascii else "⣿"
        return glyph(state, ascii_only=self._ascii)

    def _words(self, now: Said, width: int) -> list[Segment]:
        segments = []
        for state, count in now.counts:
            look = LOOKS[state]
            segments.append(Segment(f"{look.word} {count:,}   ", Style.parse(look.style)))
        return segments
