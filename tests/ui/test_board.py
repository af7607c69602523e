"""Every key of the board: what it asks of the runner, what it asks of the user, what it shows."""

import asyncio
from pathlib import Path

import pytest

from tests.folders import EPOCH, commit, make_folder
from tui_sweep.store import commands
from tui_sweep.store.journal import Entry
from tui_sweep.ui.app import Outside, SweepApp
from tui_sweep.ui.board import BoardScreen
from tui_sweep.ui.dialogs import Confirm, Leave, Prompt
from tui_sweep.ui.grid import CaseGrid
from tui_sweep.ui.help import Help
from tui_sweep.ui.log import LogPane
from tui_sweep.view.follow import Follower

STATES = ["done", "failed", "running", "waiting", "failed", "cancelled"]


class Alive(Follower):
    """A sweep that seems to have a runner."""

    runner = 4711


class Runner:
    """Stands in for the runner's process: answers each command in the journal, and remembers it."""

    def __init__(self, folder):
        self.folder = folder
        self.asked = []

    def __call__(self, _path=None):
        for name in commands.waiting(self.folder.commands):
            command = commands.read(self.folder.commands, name)
            self.asked.append((command.verb, {k: v for k, v in command.arguments.items() if k != "by"}))
            answer = {"ok": True, "cases": len(command.arguments.get("cases") or [])}

            commit(self.folder, Entry(answers=[(name, 1.0, command.verb, answer)]))
            commands.remove(self.folder.commands, name)


def outside(runner):
    """What the window is given from outside."""
    return Outside(runner, find=Follower, start_sweep=lambda words: "", clock=lambda: EPOCH + 60)


def board(tmp_path, states=STATES, alive=False, size=(80, 24), **more):
    """A board over a sweep with these states: (context of the pilot, the stand-in for the runner)."""
    folder = make_folder(
        tmp_path, states, outputs={1: b"Traceback\nboom\n", 2: b"epoch 1\nepoch 2\n"}, **more
    )
    runner = Runner(folder)
    follower = (Alive if alive else Follower)(folder)
    app = SweepApp(outside(runner), sweep=follower)
    return app.run_test(size=size), runner


async def asked(pilot, runner, count=1):
    """Wait until the runner was asked; what."""
    for _ in range(500):
        if len(runner.asked) >= count:
            break
        await pilot.pause(0.01)
    return runner.asked


def play(coroutine):
    asyncio.run(coroutine)


def test_x_asks_for_the_case_under_the_cursor_by_name_and_no_is_the_default(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("j", "j", "x")
            assert isinstance(pilot.app.screen, Confirm)
            assert pilot.app.screen._title == "cancel 1 case?"
            assert "#2" in pilot.app.screen._lines[0]
            await pilot.press("enter")
            assert isinstance(pilot.app.screen, BoardScreen)
            await pilot.press("x", "y")
            assert await asked(pilot, runner) == [("cancel", {"cases": [2], "force": False})]

    play(body())


def test_x_takes_the_marked_cases_that_have_not_ended(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("asterisk", "x", "y")
            assert await asked(pilot, runner) == [("cancel", {"cases": [2, 3], "force": False})]

    play(body())


def test_the_victims_are_fixed_when_the_question_opens(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("j", "j", "x")
            pilot.app.screen_stack[-2].query_one(CaseGrid).move_to(3)
            await pilot.press("y")
            assert await asked(pilot, runner) == [("cancel", {"cases": [2], "force": False})]

    play(body())


def test_capital_x_gives_no_grace(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("j", "j", "X", "y")
            assert await asked(pilot, runner) == [("cancel", {"cases": [2], "force": True})]

    play(body())


def test_x_on_an_ended_case_says_so_and_asks_nothing(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("x")
            assert isinstance(pilot.app.screen, BoardScreen)
            assert "r runs it again" in notices(pilot)
            assert runner.asked == []

    play(body())


def notices(pilot):
    return " ".join(str(notice.message) for notice in pilot.app._notifications)


def test_r_runs_one_ended_case_again_at_once(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("r")
            assert await asked(pilot, runner) == [("retry", {"cases": [0]})]

    play(body())


def test_r_on_a_running_case_says_so(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("j", "j", "r")
            assert "has not ended" in notices(pilot)
            assert runner.asked == []

    play(body())


def test_capital_r_names_the_failed_ones_and_runs_them_again(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("R")
            assert pilot.app.screen._title == "run 2 failed cases again?"
            assert [line.split()[0] for line in pilot.app.screen._lines] == ["#1", "#4"]
            await pilot.press("y")
            assert await asked(pilot, runner) == [("retry", {})]

    play(body())


@pytest.mark.parametrize(("holding", "verb"), [(False, "hold"), (True, "release")])
def test_p_holds_and_releases(tmp_path, holding, verb):
    async def body():
        context, runner = board(tmp_path, facts={"dispatch": {"holding": holding}})
        async with context as pilot:
            await pilot.press("p")
            assert await asked(pilot, runner) == [(verb, {})]

    play(body())


@pytest.mark.parametrize(("key", "limit"), [("plus", 5), ("minus", 3)])
def test_plus_and_minus_change_max_parallel(tmp_path, key, limit):
    async def body():
        context, runner = board(tmp_path, max_parallel=4)
        async with context as pilot:
            await pilot.press(key)
            assert await asked(pilot, runner) == [("parallel", {"limit": limit})]

    play(body())


def test_without_a_limit_there_is_nothing_to_raise(tmp_path):
    async def body():
        context, runner = board(tmp_path)
        async with context as pilot:
            await pilot.press("plus")
            assert "no limit" in notices(pilot)
            assert runner.asked == []

    play(body())


def test_slash_filters_the_cases_and_esc_takes_it_back(tmp_path):
    async def body():
        context, _ = board(tmp_path)
        async with context as pilot:
            await pilot.press("slash")
            assert isinstance(pilot.app.screen, Prompt)
            await pilot.press(*"state:failed", "enter")
            grid = pilot.app.screen.query_one(CaseGrid)
            assert grid.filter_text == "state:failed"
            assert grid.case == 1
            await pilot.press("escape")
            assert grid.filter_text == ""

    play(body())


def test_a_filter_that_is_none_is_told_and_changes_nothing(tmp_path):
    async def body():
        context, _ = board(tmp_path)
        async with context as pilot:
            await pilot.press("slash", *"state:nonsense", "enter")
            assert "nonsense" in notices(pilot)
            assert pilot.app.screen.query_one(CaseGrid).filter_text == ""

    play(body())


def test_slash_searches_the_log_when_it_has_the_focus(tmp_path):
    async def body():
        context, _ = board(tmp_path)
        async with context as pilot:
            await pilot.press("j", "2", "slash", *"boom", "enter")
            await pilot.pause()
            assert isinstance(pilot.app.screen, BoardScreen)
            assert pilot.app.focused is pilot.app.screen.query_one(LogPane)

    play(body())


def test_e_goes_to_the_failed_ones(tmp_path):
    async def body():
        context, _ = board(tmp_path)
        async with context as pilot:
            grid = pilot.app.screen.query_one(CaseGrid)
            await pilot.press("e")
            assert grid.case == 1
            await pilot.press("e")
            assert grid.case == 4
            await pilot.press("E")
            assert grid.case == 1

    play(body())


def test_e_without_failures_says_so(tmp_path):
    async def body():
        context, _ = board(tmp_path, states=["done", "running"])
        async with context as pilot:
            await pilot.press("e")
            assert "No case has failed" in notices(pilot)

    play(body())


def test_comma_and_full_stop_change_the_case_from_the_log(tmp_path):
    async def body():
        context, _ = board(tmp_path)
        async with context as pilot:
            await pilot.press("2", "full_stop", "full_stop")
            assert pilot.app.screen.query_one(CaseGrid).case == 2
            await pilot.press("comma")
            assert pilot.app.screen.query_one(CaseGrid).case == 1
            assert pilot.app.focused is pilot.app.screen.query_one(LogPane)

    play(body())


def test_panes_zoom_and_esc_come_back(tmp_path):
    async def body():
        context, _ = board(tmp_path)
        async with context as pilot:
            screen = pilot.app.screen
            grid, log = screen.query_one(CaseGrid), screen.query_one(LogPane)
            await pilot.press("2")
            assert log.has_focus
            await pilot.press("z")
            await pilot.pause()
            assert not grid.region.height
            await pilot.press("escape")
            await pilot.pause()
            assert grid.region.height
            await pilot.press("escape")
            assert grid.has_focus
            await pilot.press("3")
            await pilot.pause()
            assert screen.query_one("#queue").region.height
            await pilot.press("1")
            await pilot.pause()
            assert grid.has_focus
            assert grid.region.height
            await pilot.press("escape")
            assert pilot.app.is_running

    play(body())


def test_enter_opens_the_log_on_a_small_screen_and_esc_goes_back(tmp_path):
    async def body():
        context, _ = board(tmp_path, size=(50, 12))
        async with context as pilot:
            screen = pilot.app.screen
            await pilot.pause()
            assert not screen.query_one(LogPane).region.height
            await pilot.press("enter")
            await pilot.pause()
            assert screen.query_one(LogPane).region.height
            await pilot.press("escape")
            await pilot.pause()
            assert screen.query_one(CaseGrid).region.height

    play(body())


def test_question_mark_shows_every_key_of_the_screen(tmp_path):
    async def body():
        context, _ = board(tmp_path, size=(120, 60))
        async with context as pilot:
            await pilot.press("question_mark")
            assert isinstance(pilot.app.screen, Help)
            lines = {keys: words for _, part in pilot.app.screen._parts for keys, words in part}
            shown = " ".join(lines)
            for key in ["x", "X", "r", "R", "p", "+", "-", "/", "z", "q", "?", ":", "space", "G", "ctrl+z"]:
                assert key in shown.split(), key
            await pilot.press("escape")
            assert isinstance(pilot.app.screen, BoardScreen)

    play(body())


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
def test_the_palette_has_the_actions_of_the_board(tmp_path, key):
    async def body():
        context, _ = board(tmp_path)
        async with context as pilot:
            titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
            assert "Cancel this case, or the marked ones" in titles
            assert "Run all failed ones again" in titles
            assert "Theme" in titles
            assert len(titles) == len(set(titles))
            await pilot.press(key)
            assert type(pilot.app.screen).__name__ == "CommandPalette"

    play(body())


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
def test_leaving_a_live_sweep_asks_and_detaching_exits_0(tmp_path, key):
    async def body():
        context, _ = board(tmp_path, alive=True)
        async with context as pilot:
            await pilot.press(key)
            assert isinstance(pilot.app.screen, Leave)
            await pilot.press("escape")
            assert isinstance(pilot.app.screen, BoardScreen)
            await pilot.press(key, "d")
            await pilot.pause()
            assert pilot.app.return_code == 0

    play(body())


def test_leaving_an_ended_sweep_passes_its_exit_code(tmp_path):
    async def body():
        context, _ = board(tmp_path, states=["done", "failed"])
        async with context as pilot:
            await pilot.press("q")
            await pilot.pause()
            assert pilot.app.return_code == 1

    play(body())


def test_cancelling_everything_asks_again(tmp_path):
    async def body():
        folder = make_folder(tmp_path, STATES)
        runner = Runner(folder)
        follower = Alive(folder)
        app = SweepApp(outside(runner), sweep=follower)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("q", "c")
            assert isinstance(app.screen, Confirm)
            assert app.screen._title == "cancel all 2 cases that have not ended?"
            await pilot.press("n")
            assert isinstance(app.screen, BoardScreen)
            assert runner.asked == []

    play(body())


def test_nothing_is_drawn_while_nothing_changes(tmp_path, monkeypatch):
    async def body():
        context, _ = board(tmp_path, states=["done", "failed"])
        async with context as pilot:
            await pilot.pause()
            drawn = []
            for kind in (CaseGrid, LogPane):
                real = kind.render_line
                monkeypatch.setattr(
                    kind, "render_line", lambda self, y, real=real: drawn.append(y) or real(self, y)
                )
            for _ in range(5):
                pilot.app.screen._tick()
                await pilot.pause()
            assert drawn == []

    play(body())


@pytest.mark.parametrize(
    "size", [(200, 60), (120, 40), (80, 24), (60, 15), (40, 8), (20, 5), (10, 3), (2, 1)]
)
def test_no_size_is_refused(tmp_path, size):
    async def body():
        context, _ = board(tmp_path, size=size)
        async with context as pilot:
            await pilot.pause()
            await pilot.press("j", "x", "escape", "question_mark", "escape")
            assert pilot.app.is_running

    play(body())


def test_a_sweep_of_hostile_names_is_shown_as_it_is(tmp_path):
    async def body():
        hostile = {"X": "case:[/oops],\x1b[31mred,데이터 🎉,$(rm)"}
        context, _ = board(tmp_path, states=["done", "failed", "running", "waiting"], variables=hostile)
        async with context as pilot:
            await pilot.press("j", "j", "x")
            await pilot.pause()
            assert isinstance(pilot.app.screen, Confirm)
            await pilot.press("escape", "j")
            assert pilot.app.is_running

    play(body())


def test_what_cannot_be_asked_because_the_folder_is_gone_is_told(tmp_path):
    async def body():
        context, runner = board(tmp_path, states=["failed"])
        async with context as pilot:
            runner.folder.path.rename(tmp_path / "elsewhere")
            await pilot.press("r")
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()
            assert "cannot be read" in notices(pilot)

    play(body())


def test_an_exception_leaves_one_paragraph_and_exit_code_70(tmp_path, capsys):
    folder = make_folder(tmp_path, STATES)
    app = SweepApp(outside(Runner(folder)), sweep=Follower(folder))

    async def body():
        async with app.run_test(size=(80, 24)) as pilot:
            app.call_later(lambda: 1 / 0)
            await pilot.pause()

    with pytest.raises(ZeroDivisionError):
        play(body())
    assert app.return_code == 70
    said = capsys.readouterr().err
    assert "the cases still run" in said
    assert f"sweep-tui open {folder.id}" in said
    assert "Traceback" not in said
    crash = Path(said.split()[-1])
    assert "ZeroDivisionError" in crash.read_text()
    crash.unlink()
