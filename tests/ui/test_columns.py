"""The columns of the case grid: their widths, and which give way."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.folders import make_folder
from tests.ui.stage import Stage, lines, play
from tui_sweep.ui.columns import CUT, Column, arrange, fit
from tui_sweep.view.follow import Follower


def test_parameters_scroll_where_they_have_no_room(tmp_path):
    variables = {name: f"case:{name}{name}{name}1,{name}{name}{name}2" for name in "abc"}
    follower = Follower(make_folder(tmp_path, ["waiting"] * 8, variables=variables))
    headers = []

    async def scroll(app, pilot):
        for key in ("x", "l", "right", "l", "h", "left", "h"):
            await pilot.press(key)
            headers.append(lines(app.grid)[0].split("state")[1].rstrip())

    play(Stage(follower), size=(40, 6), then=scroll)
    assert headers == [
        "  a   >  run last line / why",
        " <b   >  run last line / why",
        " <c      run last line / why",
        " <c      run last line / why",
        " <b   >  run last line / why",
        "  a   >  run last line / why",
        "  a   >  run last line / why",
    ]


def test_columns_give_way_in_their_order():
    parameters = [Column(place, f"v{place}", 6) for place in range(3)]
    gone = []
    for width in range(120, 0, -1):
        keys = [column.key for column in arrange(width, 1000, parameters).columns]
        assert keys[:3] == ["mark", "index", "state"]
        known = ("exit", "waited", 2, 1, 0, "text", "ran")
        gone += [key for key in known if key not in keys and key not in gone]
    assert gone == ["exit", "waited", 2, 1, "text", "ran", 0]


@given(
    st.integers(1, 250), st.lists(st.integers(1, 24), max_size=12), st.integers(0, 14), st.integers(1, 10**7)
)
def test_a_layout_has_the_width_it_was_made_for(width, widths, first, cases):
    parameters = [Column(place, "x", one) for place, one in enumerate(widths)]
    layout = arrange(width, cases, parameters, first)
    spans = sum(column.span for column in layout.columns)
    smallest = sum(column.span for column in layout.columns[:3])
    assert spans == max(width, smallest)
    assert all(column.width >= 0 for column in layout.columns)


@given(st.text(max_size=40), st.integers(0, 30), st.booleans())
def test_a_cell_is_as_wide_as_it_is_told(text, width, right):
    made = fit(text, width, right=right)
    assert cell_len(made) == width
    if cell_len(text) <= width:
        assert made.strip() == text.strip()
    elif width >= len(CUT):
        assert made.endswith(CUT)
