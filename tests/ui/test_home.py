"""The home screen: sweeps and capacity, driven by keys, over real folders."""

import asyncio
import os

import pytest
from rich.cells import cell_len
from textual.screen import Screen
from textual.widget import Widget

from tests.ui.home_window import HOSTILE, NOW, SIZES, Window, make, picture, run, shown, tell, until
from tui_sweep.config import read_settings
from tui_sweep.core.errors import EngineUnreachable
from tui_sweep.store.layout import StateDir
from tui_sweep.ui.capacity import CapacityLine
from tui_sweep.ui.form import FIELDS, Field, Form
from tui_sweep.ui.home import HomeScreen
from tui_sweep.ui.sweeps import SweepList, age


@pytest.fixture
def state(tmp_path):
    return StateDir(tmp_path / "state")


@pytest.fixture
def window(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = read_settings(environ=os.environ, cwd=tmp_path, options={})
    return lambda **options: Window(state, settings, **options)


# -- the sweeps ----------------------------------------------------------------------------------


def test_recent_sweeps_are_listed_and_enter_opens_the_one_under_the_cursor(state, window):
    old = make(state, "old", counts={"done": 3, "failed": 1})
    new = make(state, "new")
    for folder, started in ((old, NOW - 7200), (new, NOW - 90)):
        about = {"id": folder.id, "name": folder.path.name[:3], "engine": "local", "cases": 4}
        tell(folder, sweep={**about, "merged": 0, "started": started})
    app = window()

    async def test(pilot):
        head, first, second = shown(app.home.query_one(SweepList))[:3]
        assert head.split()[:7] == ["id", "name", "engine", "age", "runner", "progress", "cases"]
        assert first.split() == [">", new.id, new.id[:3], "local", "1m", "gone", "[..........]", ".4"]
        assert second.split() == [old.id, old.id[:3], "local", "2h", "-", "[⣿⣿⣿⣿⣿⣿⣿✗✗✗]", "✓3", "✗1"]
        await pilot.press("j", "enter")
        assert app.asked == [old.id]
        await pilot.press("g", "enter")
        assert app.asked == [old.id, new.id]

    run(app, test)


def test_counts_are_live_and_the_cursor_stays_on_its_sweep(state, window):
    folder = make(state, "first")
    app = window()

    async def test(pilot):
        found = app.home.query_one(SweepList)
        assert found.chosen == folder.id
        newer = await asyncio.to_thread(make, state, "second")
        await asyncio.to_thread(tell, folder, counts={"done": 4})
        await until(pilot, lambda: "✓4" in "".join(shown(found)))
        await until(pilot, lambda: newer.id in shown(found)[1])
        assert found.chosen == folder.id

    run(app, test)


def test_nothing_is_drawn_when_nothing_changed(state, window):
    make(state, "first")
    app = window()

    async def test(pilot):
        await until(pilot, lambda: app.home.query_one(CapacityLine).shown is not None)
        await pilot.pause()
        drawn = []
        real = Widget.refresh
        Widget.refresh = lambda self, *args, **more: drawn.append(self) or real(self, *args, **more)
        try:
            looks = app.home._looks
            await until(pilot, lambda: app.home._looks >= looks + 2)
        finally:
            Widget.refresh = real
        assert drawn == []

    run(app, test)


def test_the_screen_has_one_timer(window):
    app = window()

    async def test(pilot):
        await pilot.press("n")
        running = [
            timer
            for node in (app, app.home, *app.home.walk_children())
            for timer in node._timers
            if timer._active.is_set() and not timer._task.done()
        ]
        assert running == [app.home._timer]

    run(app, test)


@pytest.mark.parametrize(
    ("size", "ascii_only"), [*((size, False) for size in SIZES), ((80, 24), True)], ids=str
)
def test_every_size_shows_something_and_takes_the_keys(state, window, size, ascii_only):
    chosen = make(state, "a-sweep", counts={"done": 2, "running": 1, "waiting": 1})
    app = window(ascii_only=ascii_only)

    async def test(pilot):
        lines = picture(app)
        assert all(cell_len(line) == size[0] for line in lines)
        if size[0] >= 20:
            assert any(chosen.id in line for line in lines)
        if ascii_only:
            assert all(line.isascii() for line in shown(app.home.query_one(SweepList)))
        await pilot.press("n")
        assert isinstance(app.focused.parent.parent, Field)
        for _ in FIELDS[::2]:
            await pilot.press("tab", "tab")
            if size[1] >= 5 and isinstance(app.focused.parent.parent, Field):
                assert app.focused.region.overlaps(app.screen.region)
        await pilot.press("escape", "enter")
        assert app.asked == [chosen.id]
        await pilot.resize_terminal(80, 24)
        await pilot.resize_terminal(*size)
        await pilot.press("q")
        assert app.left

    run(app, test, size)


@pytest.mark.parametrize("name", [HOSTILE, "이름이긴스윕" * 5, "👩‍👩‍👧 emoji", "x" * 500, ""])
def test_a_hostile_name_is_shown_and_harms_nothing(state, window, name):
    make(state, name)
    make(state, "plain")
    app = window()

    async def test(pilot):
        lines = picture(app)
        assert not any(set(line) & {"\x1b", "\x07", "\n", "\u202e"} for line in lines)
        one, other = shown(app.home.query_one(SweepList))[1:3]
        assert cell_len(one.partition("local")[0]) == cell_len(other.partition("local")[0])

    run(app, test)


def test_folders_that_cannot_be_read_are_counted(state, window):
    make(state).database.write_bytes(b"broken" * 200)
    app = window()

    async def test(pilot):
        lines = shown(app.home.query_one(SweepList))
        assert "1 unreadable" in lines[0]
        assert "No sweeps yet" in lines[1]

    run(app, test)


def test_ages_are_one_number():
    assert [age(s) for s in (-5, 0, 59, 60, 3599, 7200, 86400 * 3)] == [
        *("now", "now", "now", "1m", "59m", "2h", "3d")
    ]


# -- the engine ----------------------------------------------------------------------------------


def test_capacity_is_drawn_as_bars(window):
    app = window()

    async def test(pilot):
        line = app.home.query_one(CapacityLine)
        await until(pilot, lambda: line.shown is not None)
        assert "cpu [⣿⣿⣿⣿⣿⣿" in shown(line)[0]
        assert "] 3/8" in shown(line)[0]
        assert "8 GiB/16 GiB" in shown(line)[0]

    run(app, test)


def test_an_engine_that_cannot_be_reached_says_why(window):
    app = window(facts=EngineUnreachable("no answer from [/b]\x1b[2J"))

    async def test(pilot):
        line = app.home.query_one(CapacityLine)
        await until(pilot, lambda: line.shown is not None)
        assert "local: no answer from [/b]\\x1b[2J" in shown(line)[0]

    run(app, test)


# -- manners ----------------------------------------------------------------------------------------


def test_a_theme_and_no_colour_change_nothing_in_the_words(state, window, monkeypatch):
    make(state, "one", counts={"failed": 4})
    monkeypatch.setenv("NO_COLOR", "1")
    app = window()

    async def test(pilot):
        before = shown(app.home.query_one(SweepList))
        app.theme = "textual-light"
        await pilot.pause()
        assert shown(app.home.query_one(SweepList)) == before
        assert "✗4" in before[1]

    run(app, test)


def test_the_screen_rests_while_another_is_on_top(state, window):
    app = window()

    async def test(pilot):
        app.push_screen(Screen())
        await pilot.pause()
        assert not app.home._timer._active.is_set()
        await asyncio.to_thread(make, state, "late")
        app.pop_screen()
        await until(pilot, lambda: app.home.query_one(SweepList).chosen)

    run(app, test)


def test_every_key_has_a_name_and_words():
    for cls in (HomeScreen, SweepList, Form):
        for binding in cls.BINDINGS:
            assert binding.id, binding
            assert binding.description, binding


def test_every_state_that_has_a_case_has_a_cell_in_the_bar(state, window):
    make(state, cases=1000, counts={"done": 994, "failed": 2, "running": 2, "waiting": 2})
    app = window()

    async def test(pilot):
        bar = shown(app.home.query_one(SweepList))[1].partition("[")[2].partition("]")[0]
        assert set(bar) >= {"⣿", "✗", "▸"}
        assert len(bar) == 10

    run(app, test)
