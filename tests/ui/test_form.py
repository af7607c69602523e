"""A new sweep, typed into the home screen; checked by the real parsing."""

import os

import pytest
from rich.cells import cell_len
from textual import events

from tests.ui.home_window import Window, make, picture, preview, put, run, shown, until, wrong
from tui_sweep.config import read_settings
from tui_sweep.core.errors import EngineUnreachable, UsageError
from tui_sweep.store.layout import StateDir
from tui_sweep.ui.dialogs import Confirm
from tui_sweep.ui.form import Form
from tui_sweep.ui.preview import CommandLine
from tui_sweep.ui.sweeps import SweepList
from tui_sweep.view.draft import Draft


@pytest.fixture
def state(tmp_path):
    return StateDir(tmp_path / "state")


@pytest.fixture
def window(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = read_settings(environ=os.environ, cwd=tmp_path, options={})
    return lambda **options: Window(state, settings, **options)


# -- a new sweep ---------------------------------------------------------------------------------


def test_without_sweeps_the_form_is_ready_and_says_what_to_do(window):
    app = window()

    async def test(pilot):
        assert app.focused.id == "command"
        assert "Nothing to run. Type a range" in preview(app)
        assert shown(app.home.query_one(CommandLine))[0].strip() == "$ sweep-tui run python"

    run(app, test)


def test_the_count_and_the_first_cases_change_while_typing(window):
    app = window()

    async def test(pilot):
        await put(pilot, "command", "echo $lr $bs")
        await until(pilot, lambda: "there is no variable lr" in wrong(app, "command"))
        app.home.query_one("#ranges").focus()
        await pilot.press(*"lr=case:1,2", "enter", *"bs=range:3")
        await until(pilot, lambda: "6 cases = lr 2 x bs 3" in preview(app))
        assert wrong(app, "command") == ""
        assert preview(app).split("\n")[2].split() == ["#0", "1", "0"]
        assert "8 at once" in preview(app)
        await pilot.press("0")
        await until(pilot, lambda: "60 cases" in preview(app))
        line = " ".join(text.strip() for text in shown(app.home.query_one(CommandLine)))
        assert line.startswith("$ sweep-tui run --range lr=case:1,2 --range bs=range:30 --exec")

    run(app, test)


def test_an_error_stands_under_its_field_with_a_caret_under_the_offence(window):
    app = window()

    async def test(pilot):
        await put(pilot, "command", "echo $lr")
        await put(pilot, "ranges", "lr=linspace:0,1")
        await until(pilot, lambda: wrong(app, "ranges") != "")
        assert [line.rstrip() for line in wrong(app, "ranges").split("\n")][:2] == [
            "            ^^^",
            "--range: linspace needs three numbers (start,stop,num); two were",
        ]
        assert "cannot start yet" in preview(app)
        await put(pilot, "resources", "cpu=99")
        await pilot.press("shift+tab", "shift+tab", "end", *",5")
        await until(pilot, lambda: "local has 8 in all" in wrong(app, "resources"))
        assert wrong(app, "ranges") == ""

    run(app, test)


def test_start_is_refused_while_there_is_an_error_and_the_field_is_shown(window):
    app = window()

    async def test(pilot):
        await put(pilot, "max_parallel", "many")
        app.home.query_one("#image").focus()
        await pilot.press("ctrl+r")
        await until(pilot, lambda: app.focused.id == "max_parallel")
        assert "a whole number" in wrong(app, "max_parallel")
        await pilot.press("ctrl+u", "ctrl+r")
        await until(pilot, lambda: app.focused.id == "command")
        assert "nothing to run" in wrong(app, "command")
        assert app.asked == []

    run(app, test)


def test_start_posts_the_words_once(window):
    app = window()

    async def test(pilot):
        await put(pilot, "command", "echo $x")
        await put(pilot, "ranges", "x=range:3")
        await put(pilot, "resources", "cpu=2 mem=1g")
        await pilot.press("ctrl+r", "ctrl+r")
        await until(pilot, lambda: app.asked)
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert app.asked == [
            ["-r", "cpu=2", "-r", "mem=1g", "--range", "x=range:3", "--exec", "echo $x", "python"]
        ]

    run(app, test)


def test_what_start_was_refused_for_is_shown_and_it_may_be_tried_again(window):
    app = window()

    async def test(pilot):
        await put(pilot, "command", "true")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: app.asked)
        app.home.refuse(UsageError("python: no runtime of this name", text="python", span=(0, 6)))
        await until(pilot, lambda: app.focused.id == "image")
        assert "no runtime" in wrong(app, "image")
        app.home.refuse(EngineUnreachable("no answer"))
        await pilot.pause()
        assert "no answer" in preview(app)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(app.asked) == 2)

    run(app, test)


def test_a_large_sweep_is_started_only_when_it_is_meant(window):
    app = window()

    async def test(pilot):
        await put(pilot, "command", "echo $x")
        await put(pilot, "ranges", "x=range:1001")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.home)
        assert app.asked == []
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: app.asked)

    run(app, test)


def test_y_copies_the_exact_command_line_and_n_goes_back_to_the_field(state, window):
    make(state, "one")
    app = window(draft=Draft(image="python", code="a\nb", env="API_KEY=abc"))

    async def test(pilot):
        assert isinstance(app.focused, SweepList)
        assert "abc" not in "".join(shown(app.home.query_one(CommandLine)))
        await pilot.press("y")
        assert app.copied == ["sweep-tui run -e API_KEY=abc -c 'a\nb' python"]
        await pilot.press("n", "tab", "escape", "n")
        assert app.focused.id == "code"

    run(app, test)


def test_arrows_walk_the_fields_and_the_lines_of_a_field(window):
    app = window()

    async def test(pilot):
        await pilot.press("up")
        assert app.focused.id == "image"
        await pilot.press("enter")
        assert app.focused.id == "command"
        await pilot.press(*"a", "enter", *"b", "up")
        assert app.focused.id == "command"
        await pilot.press("up")
        assert app.focused.id == "image"
        assert app.home.query_one(Form).draft.command == "a\nb"

    run(app, test)


@pytest.mark.parametrize("name", ["image", "command"])
def test_what_is_pasted_cannot_control_the_terminal(window, name):
    app = window(draft=Draft())

    async def test(pilot):
        editor = app.home.query_one(f"#{name}")
        editor.focus()
        await pilot.pause()
        app.post_message(events.Paste("a\x1b[2J\x9b1m\r\nb\tc"))
        await until(pilot, lambda: editor.typed)
        assert editor.typed == ("a[2J1m b c" if name == "image" else "a[2J1m\nb\tc")
        await pilot.press("x")
        assert not any("\x1b" in line for line in picture(app))

    run(app, test)


def test_wide_and_hostile_values_keep_the_columns_straight(window):
    app = window()

    async def test(pilot):
        await put(pilot, "command", "echo $a $b")
        await put(pilot, "ranges", "a=case:가나,👩‍👩‍👧,[/x],\u202e\nb=case:1")
        await until(pilot, lambda: "4 cases" in preview(app))
        rows = preview(app).split("\n")[1:]
        assert len({cell_len(row.rstrip()) for row in rows if row.endswith("1")}) == 1
        assert "\u202e" not in preview(app)

    run(app, test, (120, 40))
