"""SweepApp: themes, screens, global keys, manners. Small, and stays small."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

from rich.console import RenderableType
from rich.text import Text
from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.screen import Screen
from textual.scrollbar import ScrollBar
from textual.theme import ThemeProvider

from tui_sweep.core.errors import SweepError
from tui_sweep.core.plain import plain
from tui_sweep.ui import chrome
from tui_sweep.ui.board import BoardScreen
from tui_sweep.ui.narrow import Shown, narrowed
from tui_sweep.view.crash import keep_traceback
from tui_sweep.view.follow import Follower, SweepDir

if TYPE_CHECKING:
    from tui_sweep.ui.home import HomeScreen

_CRASHED = 70
"""The exit code of our own fault (CONTRACT)."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the window cannot do itself and is given: layers above it do it."""

    start_runner: Callable[[SweepDir], object]
    """Start a detached runner; raises SweepError."""
    find: Callable[[str], Follower]
    """A sweep by its id; raises SweepError."""
    start_sweep: Callable[[Sequence[str]], str]
    """Create and start a sweep from the words behind ``sweep-tui run``; its id. Raises SweepError."""
    home: Callable[[], HomeScreen] | None = None
    clock: Callable[[], float] = time.time
    painted: Callable[[], object] = lambda: None
    """Called once the first screen has been seen."""


class SweepApp(App[int]):
    """The window: home, and the board of a sweep."""

    TITLE = "sweep-tui"
    ENABLE_COMMAND_PALETTE = True
    CSS = chrome.CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "This help", id="app.help"),
        Binding("colon,ctrl+p", "command_palette", "All actions, by name", id="app.palette"),
        Binding("ctrl+l", "redraw", "Draw everything anew", id="app.redraw"),
        Binding("ctrl+z", "suspend_process", "Back to the shell; the sweep goes on", id="app.suspend"),
        Binding("ctrl+q", "leave", "Leave", id="app.leave", show=False, priority=True),
    ]

    def __init__(self, outside: Outside, *, sweep: Follower | None = None, ascii_only: bool = False) -> None:
        """With ``sweep`` its board is all there is; without, home is."""
        super().__init__()
        ScrollBar.renderer = chrome.Bar
        self._outside = outside
        self._sweep = sweep
        self._ascii = ascii_only
        self._crashed = False
        self._shown = Shown()

    def get_default_screen(self) -> Screen[Any]:
        """The screen that is there from the start, instead of an empty one below it."""
        if self._sweep is not None:
            return self._board(self._sweep)
        return super().get_default_screen() if self._outside.home is None else self._outside.home()

    def on_mount(self) -> None:
        self.app_resume_signal.subscribe(self, lambda _: self._shown.clear())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Textual restores the terminal on SIGINT only
            loop.add_signal_handler(number, partial(self.exit, return_code=128 + number))
        self.screen.call_after_refresh(self._outside.painted)

    def open(self, sweep: Follower) -> None:
        """Show the board of a sweep."""
        self.push_screen(self._board(sweep))

    def _board(self, sweep: Follower) -> BoardScreen:
        start = partial(self._outside.start_runner, sweep.folder)
        from_home = self._sweep is None
        clock = self._outside.clock
        return BoardScreen(
            sweep, start_runner=start, clock=clock, ascii_only=self._ascii, from_home=from_home
        )

    def on_home_screen_open(self, event: HomeScreen.Open) -> None:
        self._open(event.sweep_id)

    def _open(self, sweep_id: str) -> None:
        try:
            self.open(self._outside.find(sweep_id))
        except SweepError as error:
            self.notify(plain(str(error)), severity="error", markup=False)

    def on_home_screen_start(self, event: HomeScreen.Start) -> None:
        self._start(event.words)

    @work(thread=True, exit_on_error=False)  # it copies files and waits for the runner; errors are told
    def _start(self, words: Sequence[str]) -> None:
        try:
            started = self._outside.start_sweep(words)
        except SweepError as error:
            self.call_from_thread(self._refuse, error)
        else:
            self.call_from_thread(self._open, started)

    def _refuse(self, error: SweepError) -> None:
        for screen in self.screen_stack:
            if _is_home(screen):
                screen.refuse(error)

    def on_board_screen_left(self, event: BoardScreen.Left) -> None:
        if event.home:
            self.pop_screen()
            below: Screen[object] = self.screen
            if _is_home(below):
                below.action_sweeps()  # a form that kept the focus would swallow the next key
            return
        code = 0 if event.detached else event.exit_code
        self.exit(code, return_code=code)

    def action_leave(self) -> None:
        """ctrl+q is what q is: a reflex must not lose the screen."""
        screen = self.screen
        if isinstance(screen, BoardScreen):
            screen.action_leave()
        elif _is_home(screen):
            self.exit(0)

    def action_redraw(self) -> None:
        self._shown.clear()
        self.refresh(repaint=True, layout=True)

    def action_help(self) -> None:
        """Every key of this screen, then of the pane that has the focus, then those that always work."""
        from tui_sweep.ui.help import Help, described

        screen = self.screen
        if isinstance(screen, Help):
            return
        nodes = [node for node in (screen, self.focused, self) if node is not None]
        self.push_screen(
            Help([(_TITLES.get(type(node).__name__, "Here"), described(node)) for node in nodes])
        )

    def action_command_palette(self) -> None:
        """Every action by its name."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="an action, by name"))

    def search_themes(self) -> None:
        """Every theme by its name."""
        self.push_screen(CommandPalette([ThemeProvider], placeholder="a theme, by name"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action of the screen below, and the themes. Of Textual's own the other ones
        are ours already (keys, leaving, zooming)."""
        from tui_sweep.ui.help import key_name

        yield SystemCommand("Theme", "other colours", self.search_themes)
        seen: set[str] = set()
        for active in screen.active_bindings.values():
            binding, node = active.binding, active.node
            ours = binding.description and type(node).__module__.startswith("tui_sweep")
            if ours and binding.description not in seen:  # an action with two keys is one
                seen.add(binding.description)
                run = partial(self.run_action, binding.action, node)
                yield SystemCommand(binding.description, f"key {key_name(binding.key)}", run)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Send only the cells that differ from what the terminal shows."""
        super()._display(screen, narrowed(renderable, self._shown))

    def _fatal_error(self) -> None:
        """One paragraph in place of Textual's traceback; Textual has no public hook for it."""
        self._return_code = _CRASHED
        if self._crashed:
            return  # what follows from the first one explains nothing
        self._crashed = True
        kept = keep_traceback()
        back = f"sweep-tui open {self._sweep.folder.id}" if self._sweep is not None else "sweep-tui"
        self._exit_renderables.append(
            Text(
                "sweep-tui: internal error of the screen; the cases still run.\n"
                f"Come back with: {back}\n{plain(kept)}"
            )
        )
        self._close_messages_no_wait()


def _is_home(screen: Screen[object]) -> TypeGuard[HomeScreen]:
    """Whether a screen is home, which who opens a board never loads: 25 ms of its first paint."""
    return type(screen).__name__ == "HomeScreen"


_TITLES: dict[str, str] = {
    "BoardScreen": "The board",
    "CaseGrid": "The cases",
    "LogPane": "The log",
    "HomeScreen": "Home",
    "SweepApp": "Everywhere",
}
"""What a person calls the parts whose keys the help lists."""
