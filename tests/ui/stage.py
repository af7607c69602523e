"""A stage for the case grid: an app with nothing else on it, a frozen clock, and notes of what is painted."""

import asyncio

import pyte
from rich.cells import cell_len
from textual._compositor import CompositorUpdate
from textual.app import App

from tests.folders import EPOCH, make_folder
from tui_sweep.ui.grid import CaseGrid
from tui_sweep.ui.narrow import narrowed
from tui_sweep.view.follow import Follower

WORDS = ["done", "failed", "running", "running", "pending", "cancelled"]
VARIABLES = {"lr": "case:0.1,0.03,0.01", "bs": "case:64,128", "seed": "range:10"}


class Probe(CaseGrid):
    """A grid that notes which regions are painted again, and which lines are made for it."""

    def __init__(self, *args, **options):
        self.regions = []
        self.lines = []
        super().__init__(*args, **options)

    def refresh(self, *regions, **options):
        self.regions.append(regions)
        return super().refresh(*regions, **options)

    def render_line(self, y):
        self.lines.append(y)
        return super().render_line(y)


class Stage(App):
    """One grid, and what it said."""

    def __init__(self, follower, *, ascii_only=True):
        super().__init__()
        self.now = EPOCH + 100.0
        self.follower = follower
        self.said = []
        self.grid = Probe(follower, clock=lambda: self.now, ascii_only=ascii_only)

    def compose(self):
        yield self.grid

    def on_case_grid_highlighted(self, event):
        self.said.append(("highlighted", event.case))

    def on_case_grid_chosen(self, event):
        self.said.append(("chosen", event.case))

    def on_case_grid_arranged(self, event):
        self.said.append(("arranged", event.grid.describe()))


def play(app, *keys, size=(80, 24), then=None):
    """Start the app, focus the grid, press keys, and run ``then(app, pilot)``."""

    async def scene():
        async with app.run_test(size=size) as pilot:
            app.grid.focus()
            await pilot.pause()
            await pilot.press(*keys)
            await pilot.pause()
            if then is not None:
                await then(app, pilot)
            app.seen = lines(app.grid)

    asyncio.run(scene())
    return app


def lines(grid):
    """The text of every line as it is painted."""
    strips = [grid.render_line(y) for y in range(grid.size.height)]
    assert [strip.cell_length for strip in strips] == [grid.size.width] * len(strips)
    assert [cell_len(strip.text) for strip in strips] == [grid.size.width] * len(strips)
    return [strip.text.rstrip() for strip in strips]


def forget(app):
    app.grid.regions.clear()
    app.grid.lines.clear()


def changed(grid, case, **columns):
    """What a follower's refresh does to a case."""
    table = grid._table
    state = columns.pop("state", None)
    if state is not None:
        table.counts[table.state[case]] -= 1
        table.counts[state] += 1
        table.state[case] = state
    for name, value in columns.items():
        getattr(table, name)[case] = value
    table.revision += 1
    table.row_revision[case] = table.revision


def spoken(app, case, text):
    """A case writes something, and the runner notices."""
    path = app.follower.folder.attempt(case, 0) / "stdout"
    with path.open("ab") as file:
        file.write(text)
    changed(app.grid, case, output_bytes=path.stat().st_size)


class Terminal(Stage):
    """The same in front of a terminal, which is sent what Textual would write."""

    def __init__(self, follower):
        super().__init__(follower)
        self.terminal = pyte.Screen(80, 24)
        self.stream = pyte.Stream(self.terminal)
        self.written = 0

    def _display(self, screen, renderable):
        super()._display(screen, renderable)
        renderable = narrowed(renderable)
        if isinstance(renderable, CompositorUpdate):
            sent = renderable.render_segments(self.console)
            self.written += len(sent.encode())
            self.stream.feed(sent.replace("\n", "\r\n"))

    def painted(self):
        """What the compositor holds the screen to be."""
        return ["".join(strip.text) for strip in self.screen._compositor.render_strips()]


def staged(tmp_path):
    """A stage with a sweep of 60 cases."""
    states = WORDS + ["waiting"] * (60 - len(WORDS))
    outputs = {0: b"saved\n", 1: b"Error\n", 2: b"epoch 1 loss 0.50\n", 3: b"epoch 2 loss 0.40\n"}
    return Stage(Follower(make_folder(tmp_path, states, variables=VARIABLES, outputs=outputs)))
