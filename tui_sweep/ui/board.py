"""BoardScreen: one sweep, live. It reads the sweep's folder and drops commands, and does nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tui_sweep.core.errors import JournalError, SweepError
from tui_sweep.core.plain import plain
from tui_sweep.core.states import FINAL, State
from tui_sweep.ui.dialogs import Confirm, Leave, Prompt
from tui_sweep.ui.grid import CaseGrid
from tui_sweep.ui.log import LogPane
from tui_sweep.ui.look import LOOKS
from tui_sweep.ui.queue import QueueLine, QueuePanel
from tui_sweep.ui.summary import Summary, said
from tui_sweep.view.follow import Follower
from tui_sweep.view.interest import Interest
from tui_sweep.view.log import LogView
from tui_sweep.view.queue import queue
from tui_sweep.view.times import brief

_PACE = 0.1
"""Seconds between two looks at the folder: one timer for the whole screen."""
_LOG_TICKS = 2
"""Looks at the folder for each one at the log: as often as the runner notes when what was written, and
half the bytes that ten a second would take."""
_PAUSE = 0.01
"""Seconds between two steps of reading a sweep's cases when it is opened."""
_NAMED = 6
"""Cases that a question names before it counts the others."""
_KEYS = " ?help /filter x cancel r rerun spc mark f follow p hold z zoom 3queue q quit"


class BoardScreen(Screen[None]):
    """Summary, cases, log and queue of one sweep."""

    DEFAULT_CSS = """
    BoardScreen { layout: vertical; overflow: hidden; }
    BoardScreen #main { height: 1fr; }
    BoardScreen #left { width: 1fr; }
    BoardScreen CaseGrid { height: 11fr; }
    BoardScreen #lower { height: 8fr; }
    BoardScreen LogPane { width: 2fr; height: 100%; }
    BoardScreen #queue { width: 1fr; display: none; }
    BoardScreen #side { width: 38%; display: none; }
    BoardScreen #status, BoardScreen #keys { height: 1; background: $panel; }
    BoardScreen.-wide Summary { height: 3; }
    BoardScreen.-wide #queue { display: block; }
    BoardScreen.-wide CaseGrid { height: 1fr; }
    BoardScreen.-wide #lower { height: 15; }
    BoardScreen.-wide QueueLine { display: none; }
    BoardScreen.-huge #queue { display: none; }
    BoardScreen.-huge #side { display: block; }
    BoardScreen.-huge #lower { height: 24; }
    BoardScreen.-small #lower, BoardScreen.-small QueueLine, BoardScreen.-small #status { display: none; }
    BoardScreen.-small.-log CaseGrid { display: none; }
    BoardScreen.-small.-log #lower { display: block; height: 1fr; }
    BoardScreen.-tiny #keys { display: none; }
    BoardScreen.-zoom-grid #lower, BoardScreen.-zoom-grid #side { display: none; }
    BoardScreen.-zoom-log CaseGrid, BoardScreen.-zoom-log #side, BoardScreen.-zoom-log #queue { display: none; }
    BoardScreen.-zoom-log #lower { height: 1fr; }
    BoardScreen.-zoom-queue CaseGrid, BoardScreen.-zoom-queue LogPane { display: none; }
    BoardScreen.-zoom-queue #side { display: none; }
    BoardScreen.-zoom-queue #lower { height: 1fr; }
    BoardScreen.-zoom-queue #queue { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "cancel", "Cancel this case, or the marked ones", id="board.cancel"),
        Binding("X", "cancel(True)", "The same, by force and at once", id="board.force"),
        Binding("r", "rerun", "Run this case again, or the marked ones", id="board.rerun"),
        Binding("R", "rerun_failed", "Run all failed ones again", id="board.rerun_failed"),
        Binding("p", "hold", "Hold: send nothing new; again: go on", id="board.hold"),
        Binding("plus,equals_sign", "parallel(1)", "One more at once", id="board.more"),
        Binding("minus", "parallel(-1)", "One fewer at once", id="board.fewer"),
        Binding("slash", "search", "Filter the cases, or search the log", id="board.search"),
        Binding("e", "failure(1)", "Next failed case", id="board.next_failure"),
        Binding("E", "failure(-1)", "Previous failed case", id="board.previous_failure"),
        Binding("comma", "neighbour(-1)", "Previous case, from any pane", id="board.previous"),
        Binding("full_stop", "neighbour(1)", "Next case, from any pane", id="board.next"),
        Binding("1", "pane('grid')", "Cases", id="board.grid"),
        Binding("2", "pane('log')", "Log", id="board.log"),
        Binding("3", "pane('queue')", "Queue", id="board.queue"),
        Binding("z", "zoom", "Give this pane the whole screen, and back", id="board.zoom"),
        Binding("escape", "back", "Back: search, filter, zoom, board", id="board.back"),
        Binding("q,ctrl+q", "leave", "Leave", id="board.leave", priority=False),
    ]

    class Left(Message):
        """The user leaves this sweep; ``detached``: it goes on without a screen."""

        def __init__(self, *, detached: bool, home: bool = False, exit_code: int = 0) -> None:
            super().__init__()
            self.detached = detached
            self.home = home
            self.exit_code = exit_code

    def __init__(
        self,
        follower: Follower,
        *,
        start_runner: Callable[[], object],
        clock: Callable[[], float] = time.time,
        ascii_only: bool = False,
        from_home: bool = False,
    ) -> None:
        super().__init__()
        self._follower = follower
        self._start_runner = start_runner
        self._clock = clock
        self._interest = Interest(follower)
        self._ascii = ascii_only
        self._from_home = from_home
        self._second = -1
        self._ticks = 0
        self._shown: tuple[int, int] | None = None
        """(case, attempt) whose log is in the pane."""
        self._zoomed: str | None = None
        self._gone = False
        """The folder cannot be read any more, and that was told."""
        self._loads = follower.load()
        """Whether there are cases that were not read yet: the first ones are seen before that."""
        self._loaded = False
        """Whether some were read since the last tick."""

    # -- what is on it --------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        self._fit(self.app.size)  # before there is anything to be styled again
        yield Summary(ascii_only=self._ascii)
        with Horizontal(id="main"):
            with Vertical(id="left"):
                yield CaseGrid(self._follower, clock=self._clock, ascii_only=self._ascii)
                with Horizontal(id="lower"):
                    yield LogPane(ascii_only=self._ascii)
                    yield QueuePanel(ascii_only=self._ascii, id="queue")
            yield QueuePanel(ascii_only=self._ascii, id="side")
        yield QueueLine(ascii_only=self._ascii)
        yield Static(id="status")
        yield Static(Text(_KEYS, no_wrap=True, overflow="crop"), id="keys")

    def on_mount(self) -> None:
        self.query_one(CaseGrid).focus()
        self._look_again(changed=True)
        self.set_interval(_PACE, self._tick)
        if self._loads:
            # not at once: what is painted is on its way to the terminal, in another thread
            self.call_after_refresh(self.set_timer, _PAUSE, self._load)

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size)

    def _fit(self, size: Size) -> None:
        """Show what a size has room for."""
        width, height = size
        self.set_class(width >= 110 and height >= 30, "-wide")
        self.set_class(width >= 170 and height >= 50, "-huge")
        self.set_class(width < 60 or height < 15, "-small")
        self.set_class(width < 40 or height < 8, "-tiny")

    # -- looking --------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read on, in steps that are short enough for keys to find their way between them."""
        pause = _PAUSE
        try:
            self._loads = self._follower.load()
        except JournalError:
            pause = 1.0  # the next tick tells it
        self._loaded = True
        if self._loads:
            self.set_timer(pause, self._load)

    def _tick(self) -> None:
        try:
            changed = self._follower.refresh() or self._loaded
        except JournalError as error:
            if not self._gone:  # the folder was removed, or its disk is gone: what is known stays
                self._gone = True
                self._tell(str(error), severity="error")
            return
        self._loaded = False
        self._interest.show(self.query_one(CaseGrid).case, self._clock())
        second = int(self._clock())
        if changed or second != self._second:
            self._second = second
            self._look_again(changed=changed)
        self._ticks += 1
        if self._ticks % _LOG_TICKS == 0:
            self.query_one(LogPane).poll()

    def _look_again(self, *, changed: bool) -> None:
        """Bring every part up to date; each draws only what differs."""
        now = self._clock()
        grid = self.query_one(CaseGrid)
        if changed:
            grid.update()
        grid.tick()
        waiting = queue(self._follower, now)
        for panel in self.query(QueuePanel):
            panel.show(waiting)
        self.query_one(QueueLine).show(waiting)
        self.query_one(Summary).show(said(self._follower, now, left=waiting.left))
        self._show_status()
        self._show_log()

    def _show_status(self) -> None:
        grid = self.query_one(CaseGrid)
        parts = [f"{len(grid.marked):,} marked", *grid.describe()]
        text = plain(" " + " | ".join(parts))
        status = self.query_one("#status", Static)
        if getattr(status.content, "plain", None) != text:
            status.update(Text(text, no_wrap=True, overflow="crop"))

    def _show_log(self) -> None:
        """Bind the log pane to the case under the cursor."""
        case = self.query_one(CaseGrid).case
        if case is None:
            return
        row = self._follower.table.row(case)
        key = (case, row.attempt)
        message = self._silence(case)
        pane = self.query_one(LogPane)
        if key == self._shown:
            pane.say(message)
            return
        self._shown = key
        variables = self._follower.masked(case)
        words = " ".join(f"{name}={value}" for name, value in variables.items())
        attempt = f" attempt {row.attempt + 1}" if row.attempt else ""
        log = LogView(self._follower.folder.attempt(case, row.attempt))
        pane.show(log, plain(f"log #{case} {words}{attempt}"), message)

    def _silence(self, case: int) -> str:
        """What an empty log pane says about its case."""
        row = self._follower.table.row(case)
        state = State(row.state)
        look = LOOKS[state]
        if state in FINAL and row.started is not None and row.ended is not None:
            code = "" if row.exit_code is None else f", exit {row.exit_code}"
            return (
                f"{look.word}: finished in {brief(row.ended - row.started)}{code}, "
                "wrote nothing to stdout or stderr."
            )
        reason = self._follower.reason(row)
        return plain(f"{state.word}{f': {reason}' if reason else ''}")

    def on_case_grid_highlighted(self) -> None:
        self._show_log()
        self._show_status()

    def on_case_grid_arranged(self) -> None:
        self._show_status()

    def on_case_grid_chosen(self) -> None:
        self.add_class("-log")
        self.query_one(LogPane).focus()

    # -- panes ----------------------------------------------------------------------------------

    def action_pane(self, name: Literal["grid", "log", "queue"]) -> None:
        if name == "queue":
            self._zoom(None if self._zoomed == "queue" else "queue")
            return
        self.set_class(name == "log", "-log")
        if self._zoomed not in (None, name):
            self._zoom(None)
        self._pane(name).focus()

    def action_zoom(self) -> None:
        self._zoom(None if self._zoomed else "log" if self.query_one(LogPane).has_focus else "grid")

    def _zoom(self, name: str | None) -> None:
        self._zoomed = name
        for pane in ("grid", "log", "queue"):
            self.set_class(pane == name, f"-zoom-{pane}")

    def _pane(self, name: str) -> Widget:
        return self.query_one(LogPane) if name == "log" else self.query_one(CaseGrid)

    def action_search(self) -> None:
        if self.query_one(LogPane).has_focus:
            self.app.push_screen(Prompt("search the log:"), self._search)
        else:
            label = "filter: words, name=value, state:failed, #3-9; ! negates"
            self.app.push_screen(Prompt(label, self.query_one(CaseGrid).filter_text), self._filter)

    def _search(self, text: str | None) -> None:
        if text is not None:
            self.query_one(LogPane).search(text)

    def _filter(self, text: str | None) -> None:
        if text is None:
            return
        try:
            self.query_one(CaseGrid).filter(text)
        except SweepError as error:
            self._tell(str(error), severity="error")
        self._show_status()

    def action_back(self) -> None:
        """One level back; never leaves the program."""
        grid, pane = self.query_one(CaseGrid), self.query_one(LogPane)
        if self._zoomed:
            self._zoom(None)
        elif pane.has_focus:
            self.remove_class("-log")
            grid.focus()
        elif grid.filter_text:
            self._filter("")
        elif self._from_home:
            self.post_message(self.Left(detached=True, home=True))

    def action_failure(self, step: int) -> None:
        if not self.query_one(CaseGrid).seek([State.FAILED, State.TIMEOUT, State.LOST], step):
            self._tell("No case has failed.")

    def action_neighbour(self, step: int) -> None:
        self.query_one(CaseGrid).step(step)

    # -- asking the runner ----------------------------------------------------------------------

    def _victims(self) -> list[int]:
        """The marked cases, or the one under the cursor."""
        grid = self.query_one(CaseGrid)
        marked = list(grid.marked)
        return marked or ([grid.case] if grid.case is not None else [])

    def _named(self, cases: list[int]) -> list[str]:
        """Lines that name cases, the first few one by one."""
        lines = []
        for case in cases[:_NAMED]:
            row = self._follower.table.row(case)
            words = " ".join(f"{name}={value}" for name, value in self._follower.masked(case).items())
            ran = ""
            if row.started is not None and row.ended is None:
                ran = f" {brief(self._clock() - row.started)}"
            lines.append(plain(f"#{case}  {words}  {State(row.state).word}{ran}"))
        if len(cases) > _NAMED:
            lines.append(f"and {len(cases) - _NAMED:,} more")
        return lines

    def action_cancel(self, force: bool = False) -> None:
        victims = [c for c in self._victims() if State(self._follower.table.state[c]) not in FINAL]
        if not victims:
            self._tell("Nothing to cancel: it has ended. r runs it again.")
            return
        many = f"{len(victims):,} cases" if len(victims) != 1 else "1 case"
        question = f"{'kill' if force else 'cancel'} {many}?"
        then = partial(self._cancel, victims, force)
        self.app.push_screen(Confirm(question, self._named(victims), yes="yes, cancel"), then)

    def _cancel(self, victims: list[int], force: bool, answer: bool | None) -> None:
        if answer:
            self._ask("cancel", cases=victims, force=force)

    def action_rerun(self) -> None:
        ended = [c for c in self._victims() if State(self._follower.table.state[c]) in FINAL]
        if not ended:
            self._tell("Nothing to run again: it has not ended.")
        elif len(ended) == 1:
            self._ask("retry", cases=ended)
        else:
            question = f"run {len(ended):,} cases again?"
            self.app.push_screen(
                Confirm(question, self._named(ended), yes="yes, run again"), partial(self._rerun, ended)
            )

    def _rerun(self, cases: list[int] | None, answer: bool | None) -> None:
        if answer:
            self._ask("retry", **({} if cases is None else {"cases": cases}))

    def action_rerun_failed(self) -> None:
        counts = self._follower.counts
        failed = sum(counts.get(word, 0) for word in ("failed", "timeout", "lost"))
        if not failed:
            self._tell("No case has failed.")
            return
        states = [State.FAILED, State.TIMEOUT, State.LOST]
        lines = self._named(self._follower.table.where(states).tolist())
        question = f"run {failed:,} failed case{'s' if failed != 1 else ''} again?"
        self.app.push_screen(Confirm(question, lines, yes="yes, run again"), partial(self._rerun, None))

    def action_hold(self) -> None:
        holding = (self._follower.facts.get("dispatch") or {}).get("holding")
        self._ask("release" if holding else "hold")

    def action_parallel(self, step: int) -> None:
        limit = (self._follower.facts.get("dispatch") or {}).get("max_parallel")
        if limit is None and step > 0:
            self._tell("There is no limit but the engine's capacity.")
            return
        self._ask("parallel", limit=max((limit or max(self._follower.live, 1)) + step, 1))

    @work(thread=True, exit_on_error=False)  # it blocks until the answer; an error is told below
    def _ask(self, verb: str, **arguments: Any) -> None:
        from tui_sweep.view.ask import ask  # here, because a board is seen before it asks for anything

        try:
            reader = Follower(self._follower.folder)
            try:
                answer = ask(reader, verb, start_runner=self._start_runner, **arguments)
            finally:
                reader.close()
        except SweepError as error:
            self.app.call_from_thread(self._tell, str(error), severity="error")
            return
        severity: Literal["information", "error"] = "information" if answer["ok"] else "error"
        self.app.call_from_thread(self._tell, _told(verb, arguments, answer), severity=severity)

    def _tell(self, text: str, *, severity: Literal["information", "error"] = "information") -> None:
        self.notify(plain(text), severity=severity, markup=False, timeout=4)

    # -- leaving --------------------------------------------------------------------------------

    def action_leave(self) -> None:
        if self._follower.is_finished or self._follower.runner is None:
            self.post_message(self.Left(detached=False, exit_code=self._follower.exit_code))
            return
        counts = ", ".join(f"{count:,} {word}" for word, count in self._follower.counts.items())
        called = self._follower.name or self._follower.folder.id
        self.app.push_screen(Leave(plain(counts), plain(called)), self._leave)

    def _leave(self, answer: str | None) -> None:
        if answer == "detach":
            self.post_message(self.Left(detached=True))
        elif answer == "hold":
            self._ask("hold")
            self.post_message(self.Left(detached=True))
        elif answer == "cancel":
            waiting = self._follower.table.where(set(State) - FINAL).tolist()
            question = f"cancel all {len(waiting):,} cases that have not ended?"
            self.app.push_screen(
                Confirm(question, self._named(waiting), yes="yes, cancel all"), self._cancel_all
            )

    def _cancel_all(self, answer: bool | None) -> None:
        if answer:
            self._ask("cancel")


def _told(verb: str, arguments: dict[str, Any], answer: dict[str, Any]) -> str:
    """The runner's answer in a sentence."""
    if not answer["ok"]:
        return str(answer["message"])
    if verb == "cancel":
        return f"{answer['cases']:,} being cancelled." if answer["cases"] else "It has ended in the meantime."
    if verb == "retry":
        return f"{answer['cases']:,} to be run again."
    if verb == "parallel":
        return f"At most {arguments['limit']} at once."
    return "Held: nothing new is sent; p goes on." if verb == "hold" else "Going on."
