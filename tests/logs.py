"""A log pane that is a whole screen, its attempt's files, and what can be seen of it."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.cells import cell_len
from rich.style import Style
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.pilot import Pilot

from tui_sweep.ui.log import LogPane
from tui_sweep.view.log import LogView

TITLE = "log #204 lr=0.03 bs=128 seed=1"
SIZE = (80, 24)
BODY = SIZE[1] - 1
"""Rows under the heading."""


class PaneApp(App[None]):
    """A screen that is all log pane; ``esc`` would go back."""

    BINDINGS = [Binding("escape", "back", "Back")]  # noqa: RUF012 - Textual's form
    backs = 0

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.pane = LogPane(ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        yield self.pane

    def action_back(self) -> None:
        self.backs += 1


class Board:
    """What a test holds: the pane, the keys, the files."""

    def __init__(self, app: PaneApp, pilot: Pilot[None], folder: Path) -> None:
        self.app, self.pilot, self.folder = app, pilot, folder
        self.pane = app.pane

    def write(self, content: bytes, stream: str = "stdout") -> None:
        with open(self.folder / stream, "ab") as file:
            file.write(content)

    def sample(self, at: float) -> None:
        sizes = [os.stat(self.folder / name).st_size for name in ("stdout", "stderr")]
        with open(self.folder / "timeline", "ab") as file:
            file.write(b"%.3f %d %d\n" % (at, *sizes))

    async def show(self, message: str = "") -> LogView:
        view = LogView(self.folder)
        self.pane.show(view, TITLE, message)
        await self.pilot.pause()
        return view

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def poll(self) -> None:
        self.pane.poll()
        await self.pilot.pause()

    async def search(self, text: str) -> None:
        self.pane.search(text)
        await self.found()

    async def found(self) -> None:
        """Wait for the worker that searches."""
        await self.app.workers.wait_for_complete()
        await self.pilot.pause()

    @property
    def rows(self) -> list[str]:
        """What is on the screen, row by row."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def heading(self) -> str:
        return self.rows[0]

    @property
    def body(self) -> list[str]:
        """The rows under the heading that hold anything."""
        return [row for row in self.rows[1:] if row]

    def styles(self, y: int) -> list[tuple[str, Style]]:
        """The pieces of a row with their styles."""
        return [(one.text, one.style or Style()) for one in self.pane.render_line(y) if one.text.strip()]


Script = Callable[[Board], Awaitable[None]]
Run = Callable[..., None]


def in_pane(folder: Path) -> Run:
    """``run(script, size=…, ascii_only=…)``: the script, with a pane that has the focus and files that
    are empty."""

    def run(script: Script, *, size: tuple[int, int] = SIZE, ascii_only: bool = False) -> None:
        async def main() -> None:
            for name in ("stdout", "stderr", "timeline"):
                (folder / name).touch()
            app = PaneApp(ascii_only=ascii_only)
            async with app.run_test(size=size) as pilot:
                app.pane.focus()
                await pilot.pause()
                await script(Board(app, pilot, folder))

        asyncio.run(main())

    return run


def numbered(first: int, past: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, past))


def named(first: int, past: int) -> list[str]:
    return [f"  line {number}" for number in range(first, past)]


def check_harmless(board: Board) -> None:
    """No cell of the screen holds anything a terminal would obey, and every row is as wide as the screen."""
    width = board.app.size.width
    for y in range(board.app.size.height):
        strip = board.pane.render_line(y)
        for segment in strip:
            assert not segment.control
            kinds = {unicodedata.category(character) for character in segment.text}
            assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}, segment.text
            assert segment.style is None or not segment.style.meta
            assert segment.style is None or segment.style.link is None
        assert strip.cell_length == width == sum(cell_len(segment.text) for segment in strip)
