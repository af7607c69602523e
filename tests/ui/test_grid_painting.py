"""What of the case grid is painted again, and what the terminal is sent: what changed and nothing else."""

import pytest

from tests.folders import EPOCH
from tests.ui.stage import Terminal, changed, forget, lines, play, spoken, staged
from tui_sweep.core.cases import NO_CODE
from tui_sweep.core.states import State


@pytest.fixture
def stage(tmp_path):
    """An app over a sweep of 60 cases."""
    app = staged(tmp_path)
    yield app
    app.follower.close()


def test_nothing_is_painted_when_nothing_changed(stage):
    async def again(app, pilot):
        forget(app)
        for _ in range(3):
            app.grid.update()
            app.grid.tick()
            await pilot.pause()
        changed(app.grid, 59, output_bytes=1)  # out of sight
        app.grid.update()
        await pilot.pause()
        assert (app.grid.regions, app.grid.lines) == ([], [])

    play(stage, then=again)


def test_only_the_cells_that_differ_are_painted(stage):
    async def change(app, pilot):
        forget(app)
        spoken(app, 2, b"epoch 1 loss 0.49\n")
        app.grid.update()
        await pilot.pause()
        (((region,),), painted) = app.grid.regions, app.grid.lines
        assert painted == [3]
        assert region.y == 3
        assert region.height == 1
        text = lines(app.grid)[3]
        assert text[region.x : region.right] == "49"
        strip = app.grid.render_line(3)
        assert "49" in strip.text

    play(stage, then=change)


def test_output_that_ends_in_the_same_line_paints_nothing(stage):
    async def change(app, pilot):
        forget(app)
        spoken(app, 2, b"and more\nepoch 1 loss 0.50\n")
        app.grid.update()
        await pilot.pause()
        assert (app.grid.regions, app.grid.lines) == ([], [])

    play(stage, then=change)


def test_a_second_paints_the_times_of_live_cases_alone(stage):
    async def second(app, pilot):
        forget(app)
        app.now += 1
        app.grid.tick()
        await pilot.pause()
        assert sorted(app.grid.lines) == [3, 4, 5]
        (regions,) = app.grid.regions
        assert [(r.y, r.width) for r in regions] == [(3, 1), (4, 1), (5, 1)]
        text = lines(app.grid)
        assert [text[r.y][r.x : r.right] for r in regions] == ["9", "8", "7"]

    play(stage, then=second)


def test_moving_the_cursor_paints_two_lines(stage):
    async def move(app, pilot):
        forget(app)
        await pilot.press("j")
        await pilot.pause()
        assert sorted(app.grid.lines) == [1, 2]

    play(stage, then=move)


def test_a_case_that_ends_is_painted_with_its_state(stage):
    async def end(app, pilot):
        forget(app)
        changed(app.grid, 3, state=State.DONE, exit_code=0, ended=EPOCH + 50)
        app.grid.update()
        await pilot.pause()
        assert app.grid.lines == [4]
        assert lines(app.grid)[4] == "    3 + ok    0.1  64    3   10s   37s    0 epoch 2 loss 0.40"

    play(stage, then=end)


def test_why_cases_wait_is_painted_when_it_changes_for_all(stage):
    async def hold(app, pilot):
        forget(app)
        app.follower.facts["dispatch"]["holding"] = True
        app.grid.update()
        await pilot.pause()
        assert sorted(app.grid.lines) == list(range(7, 24))
        assert lines(app.grid)[7].endswith("held: nothing new is sent")

    play(stage, then=hold)


def test_changes_while_it_is_not_painted_add_up(stage):
    async def twice(app, pilot):
        forget(app)
        spoken(app, 2, b"epoch 1 loss 0.49\n")
        app.grid.update()
        spoken(app, 2, b"epoch 7 loss 0.49\n")
        app.grid.update()
        await pilot.pause()
        cells = {x for regions in app.grid.regions for r in regions for x in range(r.x, r.right)}
        text = lines(app.grid)[3]
        assert {text.index("epoch 7") + 6, text.index("0.49") + 2, text.index("0.49") + 3} == cells

    play(stage, then=twice)


def test_a_terminal_that_was_sent_only_changes_shows_the_whole(stage):
    async def change(app, pilot):
        assert app.terminal.display == app.painted()
        for step in range(40):
            app.now += 0.4
            wide = "한국어"[: step % 4]
            spoken(app, 2 + step % 2, f"epoch {step} {wide} loss {step / 7:.2f}{'!' * (step % 3)}\n".encode())
            if step == 12:
                changed(app.grid, 3, state=State.FAILED, exit_code=NO_CODE, ended=app.now)
            app.grid.update()
            await pilot.press(["j", "k", "space", "pagedown", "pageup", "s", "v", "l"][step % 8])
            await pilot.pause()
            assert app.terminal.display == app.painted()

    play(Terminal(stage.follower), then=change)


def test_a_line_of_output_costs_the_terminal_little(stage):
    async def change(app, pilot):
        app.written = 0
        for step in range(10):
            spoken(app, 2, f"epoch 1 loss 0.5{step}\n".encode())
            app.grid.update()
            await pilot.pause()
        assert 0 < app.written < 10 * 60

    play(Terminal(stage.follower), then=change)
