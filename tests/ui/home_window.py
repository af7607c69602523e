"""The home screen in a window of its own, and hands for it: real folders, the real parsing."""

import asyncio
from dataclasses import dataclass, field

import pytest
from textual import events
from textual.app import App

from tui_sweep.cli.draft import checker
from tui_sweep.core.sweep import Sweep
from tui_sweep.store import sweeps
from tui_sweep.store.journal import Entry, Journal
from tui_sweep.ui.form import Field
from tui_sweep.ui.home import HomeScreen
from tui_sweep.ui.preview import Preview
from tui_sweep.view.recent import Recent

SIZES = [(80, 24), (120, 40), (200, 60), (60, 15), (38, 12), (20, 5), (4, 2)]
HOSTILE = "[/red]\x1b[2J\x1b]0;title\x07[bold]\u202e\n"
NOW = 2_000_000_000.0


@dataclass
class Facts:
    reachable: bool = True
    server: str = "a test"
    capacity: dict = field(
        default_factory=lambda: {
            "cpu": {"total": "8", "used": "3"},
            "mem": {"total": str(2**34), "used": str(2**33)},
        }
    )


class Window(App):
    """Keeps what the screen asks for."""

    def __init__(self, state, settings, *, facts=None, **options):
        super().__init__()
        self.recent = Recent(state)
        self.asked = []
        self.left = False
        self.copied = []
        self.engines = []
        answer = facts or Facts()

        async def tell(engine):
            self.engines.append(engine)
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.home = HomeScreen(self.recent, facts=tell, check=checker(settings), clock=lambda: NOW, **options)

    def on_mount(self):
        self.push_screen(self.home)

    def on_home_screen_open(self, event):
        self.asked.append(event.sweep_id)

    def on_home_screen_start(self, event):
        self.asked.append(event.words)

    def action_leave(self):
        self.left = True

    def copy_to_clipboard(self, text):
        self.copied.append(text)


def make(state, name=None, *, counts=None, cases=4):
    sweep = Sweep("python", "local", name=name, exec="true")
    folder = sweeps.create(state, sweep, {}, cases=cases, merged=0, snapshot=lambda path: None)
    if counts:
        tell(folder, counts=counts)
    return folder


def tell(folder, **facts):
    async def write():
        journal = Journal(folder.database)
        await journal.commit(Entry(facts=facts))
        await journal.close()

    asyncio.run(write())


def run(app, test, size=(80, 24)):
    async def drive():
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await test(pilot)

    asyncio.run(drive())


async def until(pilot, condition):
    """Wait for a condition of the screen; the last one that was not met fails the test."""
    for _ in range(1000):
        if condition():
            return
        await pilot.pause(0.01)
    pytest.fail("the condition was not met in 10 s")


def shown(widget):
    """The lines that a widget draws itself."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


def picture(app):
    """Every line of the screen, as the terminal would have it."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


def preview(app):
    return "\n".join(shown(app.home.query_one(Preview)))


def wrong(app, name):
    """What is told under a field; "" for nothing."""
    one = app.home.query_one(f"#field-{name}", Field)
    return str(one.query_one(".wrong").content) if one.has_class("-wrong") else ""


async def put(pilot, name, text):
    """Type a text into a field as a user pastes it."""
    editor = pilot.app.home.query_one(f"#{name}")
    editor.focus()
    await pilot.pause()
    pilot.app.post_message(events.Paste(text))
    await until(pilot, lambda: text in editor.typed)
