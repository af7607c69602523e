"""The case grid at fixed sizes, on real folders, with a frozen clock: what it shows, its keys, its cursor."""

import pytest
from rich.cells import set_cell_size

from tests.folders import make_folder
from tests.ui.stage import Probe, Stage, changed, forget, lines, play, staged
from tui_sweep.core.errors import UsageError
from tui_sweep.core.states import State
from tui_sweep.ui.grid import CaseGrid
from tui_sweep.ui.look import LOOKS
from tui_sweep.view.follow import Follower
from tui_sweep.view.select import Sort


@pytest.fixture
def stage(tmp_path):
    """An app over a sweep of 60 cases."""
    app = staged(tmp_path)
    yield app
    app.follower.close()


# What is shown


def test_the_board_of_eighty_columns(stage):
    seen = play(stage).seen
    assert seen[:8] == [
        "   #^ state    lr  bs seed  wait   run exit last line / why",
        ">   0 + ok    0.1  64    0   10s   10s    0 saved",
        "    1 x FAIL  0.1  64    1   10s   10s    1 exit 1  Error",
        "    2 > run   0.1  64    2   10s  1:28      epoch 1 loss 0.50",
        "    3 > run   0.1  64    3   10s  1:27      epoch 2 loss 0.40",
        "    4 ~ pend  0.1  64    4  1:36",
        "    5 - canc  0.1  64    5                  cancelled by you",
        "    6 . wait  0.1  64    6                  not sent yet",
    ]
    assert len(seen) == 24


def test_more_of_it_is_seen_in_a_larger_window(stage):
    seen = play(stage, size=(120, 40)).seen
    assert (len(seen), seen[39].split()[:3]) == (40, ["38", ".", "wait"])


def test_index_and_state_stay_in_the_smallest_window(stage):
    assert play(stage, size=(20, 5)).seen == [
        "   #^ state    lr>",
        ">   0 + ok    0.1",
        "    1 x FAIL  0.1",
        "    2 > run   0.1",
        "    3 > run   0.1",
    ]


def test_every_state_has_its_glyph_and_word(tmp_path):
    words = [state.word for state in State]
    follower = Follower(make_folder(tmp_path, words))
    seen = play(Stage(follower, ascii_only=False), size=(60, 20)).seen
    for state, line in zip(State, seen[1:], strict=False):
        assert f"{LOOKS[state].glyph} {LOOKS[state].word}" in line


def test_all_is_ascii_where_that_is_asked(stage):
    assert all(line.isascii() for line in play(stage).seen)


@pytest.mark.parametrize("width", [1, 5, 12, 13, 20, 33, 58, 80, 120, 200])
def test_hostile_values_keep_the_columns_straight(tmp_path, width):
    values = [
        "[/oops]",
        "\x1b[31mred\x1b]0;t\x07",
        "한국어매개변수",
        "👩‍👩‍👧",
        "❤️",
        "x" * 3000,
        "e\u0301" * 50,
        "\t\r",
        "\u202eabc",
    ]
    path = tmp_path / "values"
    path.write_text("\n".join(values).replace("\r", "\v"), newline="\n")
    states = ["running"] * len(values)
    outputs = {i: f"{value} {value}\n".encode() for i, value in enumerate(values)}
    follower = Follower(make_folder(tmp_path, states, variables={"X": f"lines:{path}"}, outputs=outputs))
    app = play(Stage(follower), "h", "l", size=(width, 12))
    assert not any("\x1b" in line or "\u202e" in line for line in app.seen)
    if width >= 80:
        # the run times end under their title, whatever stands to the left of them
        end = app.seen[0].index("run") + len("run")
        times = [set_cell_size(line, end).split()[-1] for line in app.seen[1 : len(values) + 1]]
        assert times == [f"1:{30 - case}" for case in range(len(values))]


def test_secrets_are_masked(tmp_path):
    follower = Follower(make_folder(tmp_path, ["waiting"] * 2, variables={"API_KEY": "case:s1,s2"}))
    seen = play(Stage(follower)).seen
    assert "****" in seen[1]
    assert not any("s1" in line for line in seen)


def test_the_cursor_is_seen_without_colours(stage, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    styles = []

    async def look(app, pilot):
        styles.extend({segment.style.reverse for segment in app.grid.render_line(y)} for y in (1, 2))

    app = Stage(stage.follower)
    play(app, then=look)
    assert app.no_color
    assert styles[0] == {True}
    assert True not in styles[1]


# The cursor


@pytest.mark.parametrize(
    ("keys", "case"),
    [
        (["j"], 1),
        (["down", "down", "up"], 1),
        (["j", "j", "k"], 1),
        (["k"], 0),
        (["G"], 59),
        (["end", "j"], 59),
        (["G", "g"], 0),
        (["end", "home"], 0),
        (["pagedown"], 23),
        (["pagedown", "pagedown", "pagedown"], 59),
        (["pagedown", "pageup"], 0),
        (["G", "pageup"], 36),
        (["ctrl+d"], 11),
        (["ctrl+d", "ctrl+d", "ctrl+u"], 11),
    ],
)
def test_a_key_moves_the_cursor(stage, keys, case):
    app = play(stage, *keys)
    assert app.grid.case == case
    assert [line for line in app.seen if line.startswith(">")] == [
        line for line in app.seen if f" {case} " in line[:6]
    ]
    assert app.said[-1] == ("highlighted", case)


def test_the_first_case_is_highlighted_at_once_and_each_only_when_it_changes(stage):
    assert play(stage, "k", "j", "k", "k").said == [
        ("highlighted", 0),
        ("highlighted", 1),
        ("highlighted", 0),
    ]


def test_enter_opens_the_case(stage):
    assert play(stage, "j", "enter").said[-1] == ("chosen", 1)


def test_the_keys_are_named_for_help_and_can_be_bound_anew():
    ids = [binding.id for binding in CaseGrid.BINDINGS]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert all(binding.description for binding in CaseGrid.BINDINGS)


def test_a_click_selects_and_a_second_one_opens(stage):
    async def click(app, pilot):
        await pilot.click(Probe, offset=(10, 5))
        assert app.grid.case == 4
        await pilot.click(Probe, offset=(10, 5), times=2)
        assert app.said[-1] == ("chosen", 4)
        await pilot.click(Probe, offset=(13, 0))
        assert app.grid.describe()[-1] == "sort: lr"
        assert app.grid.case == 4

    play(stage, then=click)


def test_a_click_below_the_last_case_does_nothing(stage):
    async def click(app, pilot):
        app.grid.filter("#0-2")
        await pilot.pause()
        await pilot.click(Probe, offset=(10, 9))
        assert app.grid.case == 0

    play(stage, then=click)


def test_the_wheel_scrolls_and_leaves_the_cursor_where_it_is(stage):
    async def turn(app, pilot):
        app.grid._scroll_down_for_pointer(animate=False)
        await pilot.pause()
        assert app.grid.scroll_offset.y > 0
        assert app.grid.case == 0

    play(stage, then=turn)


def test_steps_and_seeking_for_the_screen(stage):
    async def ask(app, pilot):
        grid = app.grid
        grid.step(3)
        assert grid.case == 3
        assert grid.seek([State.FAILED], 1)
        assert grid.case == 1
        assert not grid.seek([State.LOST], 1)
        assert grid.move_to(50)
        assert grid.case == 50
        grid.filter("#0-9")
        assert not grid.move_to(50)

    play(stage, then=ask)


# Views, filters, orders


def test_s_sorts_by_the_next_column_and_the_cursor_stays_on_its_case(stage):
    seen = []

    async def sort(app, pilot):
        for _ in range(8):
            await pilot.press("s")
            assert app.grid.case == 2
            seen.append(app.grid.describe()[-1])
        assert app.grid.has_focus

    play(stage, "j", "j", then=sort)
    assert seen == [f"sort: {name}" for name in ("state", "lr", "bs", "seed", "wait", "run", "exit", "#")]


def test_the_cursor_keeps_its_line_when_the_order_changes(stage):
    async def sort(app, pilot):
        app.grid.move_to(25)
        await pilot.pause()
        line = app.grid._row - app.grid.scroll_offset.y
        app.grid.sort_by(Sort(2))
        await pilot.pause()
        assert (app.grid.case, app.grid._row - app.grid.scroll_offset.y) == (25, line)
        await pilot.press("S")
        assert app.grid.case == 25
        assert next(x for x in lines(app.grid) if x.startswith(">")).split()[1] == "25"

    play(stage, then=sort)


def test_the_order_is_shown_in_the_header(stage):
    assert " lr^ " in play(stage, "s", "s").seen[0]
    assert " lrv " in play(Stage(stage.follower), "s", "s", "S").seen[0]


def test_v_goes_through_the_views(stage):
    seen = []

    async def view(app, pilot):
        for _ in range(5):
            await pilot.press("v")
            seen.append((app.grid._selection.view, app.grid.case, len(app.grid._selection)))

    app = play(stage, then=view)
    assert seen == [("live", 2, 3), ("waiting", 6, 54), ("failed", 1, 1), ("done", 0, 2), ("all", 0, 60)]
    assert ("arranged", ["view: live (3 of 60)", "filter: none", "sort: #"]) in app.said


def test_a_filter_leaves_the_cursor_on_its_case_or_the_nearest_row(stage):
    async def narrow(app, pilot):
        grid = app.grid
        grid.move_to(25)
        grid.filter("bs=64")
        assert grid.case == 25
        grid.filter("lr=0.1")
        assert grid.case == 15, "the row where the cursor was shows this case now"
        grid.filter("")
        assert grid.case == 15
        with pytest.raises(UsageError):
            grid.filter("nothing=1")
        assert grid.filter_text == ""

    play(stage, then=narrow)


def test_a_message_stands_where_no_case_is(stage):
    async def narrow(app, pilot):
        app.grid.filter("bs=512")
        await pilot.pause()
        assert app.grid.case is None
        assert app.said[-2:] == [("highlighted", None), ("arranged", app.grid.describe())]
        await pilot.press("j", "k", "G", "g", "pagedown", "space", "M", "asterisk", "enter", "S", "S")
        assert app.grid.case is None
        assert not app.grid.seek([State.FAILED], 1)

    assert play(stage, then=narrow).seen[1] == " No case matches `bs=512`. 60 hidden. esc clears."
    assert not stage.grid.marked


def test_the_message_goes_when_cases_come_back(stage):
    async def narrow(app, pilot):
        app.grid.filter("bs=512")
        await pilot.pause()
        app.grid.filter("")

    app = play(stage, then=narrow)
    assert app.seen[1].startswith(">   0")
    assert app.said[-2][1] == 0


def test_a_case_that_leaves_the_view_hands_the_cursor_to_its_row(stage):
    async def end(app, pilot):
        changed(app.grid, 2, state=State.DONE)
        app.grid.update()
        await pilot.pause()
        assert app.grid.case == 3
        assert len([line for line in lines(app.grid) if line.strip()]) == 3

    play(stage, "v", then=end)


# Marks


@pytest.mark.parametrize(
    ("keys", "marked"),
    [
        (["space", "space"], [0, 1]),
        (["space", "k", "space"], []),
        (["j", "space", "j", "j", "M"], [1, 2, 3, 4]),
        (["G", "space", "k", "k", "M"], [57, 58, 59]),
        (["j", "M"], [1]),
        (["asterisk"], list(range(60))),
        (["v", "asterisk"], [2, 3, 4]),
        (["asterisk", "U"], []),
    ],
)
def test_marks_by_key(stage, keys, marked):
    app = play(stage, *keys)
    assert list(app.grid.marked) == marked
    starred = [int(line[1:5]) for line in app.seen[1:] if line.startswith("*")]
    assert starred == [case for case in marked if any(f" {case} " in line[:6] for line in app.seen[1:])]


def test_marks_stay_on_their_cases_when_the_order_changes(stage):
    assert list(play(stage, "space", "s", "S", "v", "v").grid.marked) == [0]


# Sizes


def test_resizing_keeps_the_cursor_in_sight(stage):
    async def resize(app, pilot):
        for size in ((20, 5), (200, 60), (40, 3), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert len(lines(app.grid)) == size[1]
            assert any(line.startswith(">  40") for line in lines(app.grid))

    play(stage, *["j"] * 40, then=resize)


def test_the_last_of_a_million_cases_is_a_key_away(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.folders.CaseTable.take_rows", lambda table: [])

    class Many(list):
        def __len__(self):
            return 1_000_000

    variables = {"a": "range:100", "b": "range:100", "c": "range:100"}
    follower = Follower(make_folder(tmp_path, Many(), variables=variables))
    app = Stage(follower)
    made = []

    async def far(app, pilot):
        forget(app)
        await pilot.press("G")
        await pilot.pause()
        made.append(len(app.grid.lines))
        await pilot.press("pageup", "pagedown")

    play(app, then=far)
    assert app.grid.case == 999_999
    assert made == [24]
    assert app.seen[-1].startswith("> 999999 . wait 99 99 99")
    assert app.grid._selection.order is None
