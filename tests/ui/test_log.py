"""LogPane under every key."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from textual import events
from textual.binding import Binding

from tests.logs import BODY, TITLE, Board, Run, in_pane, named, numbered
from tui_sweep.ui.help import described
from tui_sweep.ui.log import LogPane
from tui_sweep.ui.logpaint import MOST_ROWS
from tui_sweep.view.log import LogView


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return in_pane(tmp_path)


def test_it_follows_what_is_printed(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 3))
        await board.show()
        assert board.body == named(0, 3)
        board.write(numbered(3, 100))
        await board.poll()
        assert board.body == named(100 - BODY, 100)
        assert "FOLLOW" in board.heading
        assert "100 lines" in board.heading
        assert TITLE in board.heading
        board.write(b"not ended")
        await board.poll()
        assert board.body[-1] == "  not ended"
        board.write(b" but now\n")
        await board.poll()
        assert board.body[-1] == "  not ended but now"

    run(script)


def test_going_up_pauses_and_says_how_much_is_new(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 100))
        await board.show()
        await board.press("k")
        seen = named(99 - BODY, 99)
        assert board.body == seen
        assert "PAUSED, G follows" in board.heading
        board.write(numbered(100, 1304))
        await board.poll()
        assert board.body == seen
        assert "+1,204 new, G follows" in board.heading
        assert "of 1,304 lines" in board.heading
        await board.press("G")
        assert board.body == named(1304 - BODY, 1304)
        assert "FOLLOW" in board.heading
        await board.press("k")
        assert "new" not in board.heading

    run(script)


def test_a_log_that_fits_does_not_pause_for_going_up(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 5))
        await board.show()
        await board.press("k", "up", "pageup", "ctrl+u")
        assert board.pane.follows

    run(script)


@pytest.mark.parametrize(
    ("keys", "top"),
    [
        (["k"], -1),
        (["up", "up"], -2),
        (["k", "k", "k", "j"], -2),
        (["up", "up", "down"], -1),
        (["pageup"], -(BODY - 1)),
        (["ctrl+u"], -(BODY // 2)),
        (["pageup", "ctrl+d"], -(BODY - 1) + BODY // 2),
        (["pageup", "pageup", "pagedown"], -(BODY - 1)),
    ],
    ids=str,
)
def test_keys_move_by_lines_half_pages_and_pages(run: Run, keys: list[str], top: int) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 1000))
        await board.show()
        await board.press(*keys)
        assert board.body == named(1000 - BODY + top, 1000 + top)
        assert not board.pane.follows

    run(script)


@pytest.mark.parametrize("key", ["g", "home"])
def test_the_first_line(run: Run, key: str) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 1000))
        await board.show()
        await board.press(key)
        assert board.body == named(0, BODY)
        assert "1 of 1,000 lines" in board.heading
        await board.press("k", "pageup")
        assert board.body == named(0, BODY)

    run(script)


@pytest.mark.parametrize("keys", [["end"], ["G"], ["f"], ["pagedown"], ["j", "j"]], ids=" ".join)
def test_the_end_follows_again(run: Run, keys: list[str]) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 1000))
        await board.show()
        await board.press("k", "k")
        assert not board.pane.follows
        await board.press(*keys)
        assert board.pane.follows
        board.write(b"more\n")
        await board.poll()
        assert board.body[-1] == "  more"

    run(script)


def test_f_stays_where_it_is(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 100))
        await board.show()
        await board.press("f")
        assert not board.pane.follows
        board.write(b"more\n")
        await board.poll()
        assert board.body == named(100 - BODY, 100)
        assert "+1 new" in board.heading

    run(script)


def test_the_mouse_wheel_scrolls(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 100))
        await board.show()
        where = {"x": 5, "y": 5, "delta_x": 0, "delta_y": 0, "button": 0}
        keys = {"shift": False, "meta": False, "ctrl": False}
        board.pane.post_message(events.MouseScrollUp(board.pane, **where, **keys))
        await board.pilot.pause()
        assert board.body == named(97 - BODY, 97)
        board.pane.post_message(events.MouseScrollDown(board.pane, **where, **keys))
        await board.pilot.pause()
        assert board.pane.follows

    run(script)


def test_stderr_is_told_apart_by_mark_and_colour_in_sampled_order(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"one\n")
        board.write(b"oops\n", "stderr")
        board.sample(1.0)
        board.write(b"two\n")
        board.sample(2.0)
        await board.show()
        assert board.body == ["  one", "E oops", "  two"]
        (_, mark), (_, text) = board.styles(2)
        assert mark.color == text.color != board.styles(1)[0][1].color

    run(script)


def test_b_shows_both_streams_or_one(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"one\n")
        board.write(b"oops\n", "stderr")
        await board.show()
        seen = []
        for _ in range(4):
            seen.append((board.heading.split(" -- ")[1], board.body))
            await board.press("b")
        both = ("out+err", ["  one", "E oops"])
        assert seen == [both, ("out", ["  one"]), ("err", ["E oops"]), both]

    run(script)


def test_b_keeps_the_line_one_reads(run: Run) -> None:
    async def script(board: Board) -> None:
        for part in range(20):
            board.write(numbered(part * 50, part * 50 + 50))
            board.write(b"oops\n", "stderr")
            board.sample(float(part))
        await board.show()
        await board.press("pageup", "pageup", "pageup")
        first = next(row for row in board.body if row.startswith("  line"))
        await board.press("b")
        assert board.body[0] == first

    run(script)


def test_another_case_is_shown_the_way_the_last_was(run: Run, tmp_path: Path) -> None:
    async def script(board: Board) -> None:
        await board.show()
        await board.press("b", "b", "w", "t")
        await board.search("oops")
        other = tmp_path / "other"
        other.mkdir()
        (other / "stdout").write_bytes(b"one\n")
        (other / "stderr").write_bytes(b"oops\n")
        board.pane.show(LogView(other), "log #205")
        await board.pilot.pause()
        assert board.heading.startswith("-- log #205 -- err -- FOLLOW -- 1 line --")
        assert board.body == ["         E oops"]
        assert [text for text, style in board.styles(1) if style.reverse] == ["oops"]

    run(script)


def test_another_theme_paints_everything_anew(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"one\n")
        await board.show()
        before = [board.styles(y)[0][1].bgcolor for y in (0, 1)]
        board.app.theme = "textual-light"
        await board.pilot.pause()
        after = [board.styles(y)[0][1].bgcolor for y in (0, 1)]
        assert all(old != new for old, new in zip(before, after, strict=True))

    run(script)


def test_t_shows_when_a_line_was_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()

    async def script(board: Board) -> None:
        board.write(b"one\n")
        board.sample(1_800_000_000.0)
        board.write(b"oops\n", "stderr")
        board.sample(1_800_000_001.2)
        board.write(b"not sampled\n")
        await board.show()
        await board.press("t")
        assert board.body == [" 17:00:00  one", " 17:00:01E oops", "           not sampled"]
        await board.press("t")
        assert board.body == ["  one", "E oops", "  not sampled"]

    try:
        run(script)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_colours_survive(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"\x1b[1;31mred\x1b[0m plain\n")
        await board.show()
        (red, style), (plain, other) = board.styles(1)
        assert (red, plain.rstrip()) == ("red", " plain")
        assert (style.bold, style.color.name if style.color else "") == (True, "red")
        assert not other.bold

    run(script)


def test_no_color_leaves_the_mark(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(board: Board) -> None:
        board.write(b"\x1b[31mred\x1b[0m\n")
        board.write(b"oops match\n", "stderr")
        await board.show()
        await board.search("match")
        assert board.body == ["  red", "E oops match"]
        strips = board.app.screen._compositor.render_strips()
        colours = {segment.style.color.get_truecolor() for segment in strips[2] if segment.style}
        assert all(colour.red == colour.green == colour.blue for colour in colours)
        assert [text for text, style in board.styles(2) if style.reverse] == ["match"]

    run(script)


def test_wrap_shows_all_of_a_line_and_sideways_the_rest_of_it(run: Run) -> None:
    long = "".join(f"{number:09d}," for number in range(30))

    async def script(board: Board) -> None:
        board.write(long.encode() + b"\nshort\n")
        await board.show()
        assert board.body == ["  " + long[:78], "  short"]
        await board.press("l")
        assert board.body == ["  " + long[8:86]]
        await board.press("right", "left", "h", "h")
        assert board.body[0] == "  " + long[:78]
        for _ in range(40):
            await board.press("l")
        assert board.body[0] == "  " + long[-78:]
        await board.press("w")
        assert "".join(row[2:] for row in board.body[:4]) == long
        assert [row[:2] for row in board.body] == ["  ", "↳ ", "↳ ", "↳ ", "  "]
        await board.press("l")
        assert board.body[0] == "  " + long[:78]

    run(script)


def test_a_wrapped_line_is_scrolled_row_by_row(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 50) + b"".join(b"%078d" % number for number in range(10)) + b"\n")
        await board.show()
        await board.press("w")
        assert [int(row[2:]) for row in board.body[-10:]] == list(range(10))
        await board.press("k", "k", "k")
        assert int(board.body[-1][2:]) == 6
        for _ in range(15):
            await board.press("j")
        assert int(board.body[-1][2:]) == 9
        assert board.pane.follows

    run(script)


def test_a_line_of_ten_megabytes_is_harmless(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"before\n" + b"x" * 10_000_000 + b"\nafter\n")
        view = await board.show()
        while not view.complete:
            await board.poll()
        await board.poll()
        assert board.body[0] == "  before"
        assert board.body[1] == "  " + "x" * 78
        assert board.body[2] == "  after"
        await board.press("w", "g")
        assert board.body[:2] == ["  before", "  " + "x" * 78]
        await board.press("G")
        assert board.body[-1] == "  after"
        assert board.body[-2] == "↳ .. 9.5 MiB more"
        await board.press("g", *["j"] * (MOST_ROWS - 1))
        assert board.body[-1] == "  after" or "more" in board.body[-2]

    run(script)


def test_a_progress_bar_is_its_last_state(run: Run) -> None:
    async def script(board: Board) -> None:
        for done in range(0, 101, 20):
            board.write(b"\r%3d%%|%s|" % (done, b"#" * (done // 20)))
            await (board.poll() if done else board.show())
            assert board.body == [f"  {done:3d}%|{'#' * (done // 20)}|"]

    run(script)


def test_wide_characters_and_tabs_keep_the_columns(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write("日本語 한국어|x\n🎉🎉|x\ncafé\u0301|x\na\tb\tc\n日\tb\n".encode())
        await board.show()
        a_tab = "  a       b       c"
        assert board.body == [
            "  日本語 한국어|x",
            "  🎉🎉|x",
            "  café\u0301|x",
            a_tab,
            "  日      b",
        ]
        strips = board.app.screen._compositor.render_strips()
        assert {strip.cell_length for strip in strips} == {80}

    run(script)


def test_search_goes_to_a_match_and_marks_all_that_are_seen(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 500) + b"an Error\n" + numbered(500, 600) + b"error error\nERROR\n")
        await board.show()
        await board.press("g")
        await board.search("error")
        assert "  an Error" in board.body
        assert "error" in board.heading
        y = board.rows.index("  an Error")
        assert [text for text, style in board.styles(y) if style.reverse] == ["Error"]
        await board.press("n")
        await board.found()
        y = board.rows.index("  error error")
        assert [text for text, style in board.styles(y) if style.reverse] == ["error", "error"]
        assert [style.underline for text, style in board.styles(y + 1) if style.reverse] == [None]
        await board.press("n")
        await board.found()
        assert [style.underline for text, style in board.styles(y + 1) if style.reverse] == [True]
        await board.press("n")
        await board.found()
        assert "from the other end" in board.heading
        assert "  an Error" in board.body
        await board.press("N")
        await board.found()
        assert "  ERROR" in board.body

    run(script)


def test_search_for_what_is_not_there_says_so_and_stays(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 500))
        await board.show()
        before = board.body
        await board.search("nowhere\x1b[2J")
        assert "no nowhere\\x1b[2J" in board.heading
        assert board.body == before
        assert board.pane.follows

    run(script)


def test_escape_ends_the_search_and_then_goes_back(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"needle\n")
        await board.show()
        await board.search("needle")
        assert any(style.reverse for _, style in board.styles(1))
        await board.press("escape")
        assert not any(style.reverse for _, style in board.styles(1))
        assert board.app.backs == 0
        await board.press("escape")
        assert board.app.backs == 1
        await board.search("needle")
        await board.search("")
        assert not any(style.reverse for _, style in board.styles(1))

    run(script)


def test_a_search_begun_before_the_log_is_indexed_waits_for_it(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"needle\n" + b"x" * 999 + b"\n" + numbered(0, 40_000))
        view = await board.show()
        assert not view.complete or view.count
        board.pane.search("needle")
        while not view.complete:
            await board.poll()
        await board.poll()
        await board.found()
        assert board.body[0] == "  needle"

    run(script)


def test_where_there_is_no_line_stands_what_the_screen_says(run: Run, tmp_path: Path) -> None:
    async def script(board: Board) -> None:
        view = LogView(tmp_path / "not" / "there")
        board.pane.show(view, TITLE, "Waits for [b]cpu[/b].\n#3 of 87.\x1b[2J")
        await board.pilot.pause()
        assert board.body == [" Waits for [b]cpu[/b].", " #3 of 87.\\x1b[2J"]
        assert "0 lines" in board.heading
        board.pane.say("word " * 30)
        await board.pilot.pause()
        assert len(board.body) == 2, "it is folded"
        board.pane.show(view, "log #5", "same")
        await board.press("j", "k", "G", "g", "f", "w", "t", "b", "n", "N", "h", "l", "pageup", "ctrl+d")
        assert board.body == [" same"]

    run(script)


def test_a_log_that_cannot_be_read_says_why_and_comes_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(board: Board) -> None:
        board.write(b"one\n")
        real = os.open
        locked = [True]

        def opened(path: Path, flags: int, mode: int = 0o777) -> int:
            if locked[0]:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, flags, mode)

        monkeypatch.setattr(os, "open", opened)
        await board.show()
        await board.poll()
        assert "cannot read" in board.body[0]
        assert "Permission denied" in " ".join(board.body)
        await board.press("k", "g", "G", "b", "b", "b")
        locked[0] = False
        await board.poll()
        assert board.body == ["  one"]

    run(script)


def test_a_stream_that_its_case_cut_is_told(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"one\n")
        board.write(b"long gone\n", "stderr")
        await board.show()
        (board.folder / "stderr").write_bytes(b"new\n")
        await board.poll()
        assert board.body == ["  one", "E new"]
        assert "stderr cut by the case" in board.heading

    run(script)


def test_the_heading_tells_where_the_keys_go(run: Run) -> None:
    async def script(board: Board) -> None:
        await board.show()
        assert [style.bold for _, style in board.styles(0)] == [True]
        board.app.screen.set_focus(None)
        await board.pilot.pause()
        assert [style.bold for _, style in board.styles(0)] == [None]

    run(script)


def test_every_key_is_described_and_has_an_id() -> None:
    bindings = [binding for binding in LogPane.BINDINGS if isinstance(binding, Binding)]
    assert len(bindings) == len(LogPane.BINDINGS)
    assert all(binding.id and binding.id.startswith("log.") and binding.description for binding in bindings)
    assert len({binding.id for binding in bindings}) == len(bindings)
    keys = {key for binding in bindings for key in binding.key.split(",")}
    wanted = "j k h l g G f w t b n N up down left right home end pageup pagedown ctrl+u ctrl+d escape"
    assert keys == set(wanted.split())
    assert len(described(LogPane())) == len(bindings)
