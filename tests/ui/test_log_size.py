"""LogPane and logs of gigabytes: what is read, what is painted, where one is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.geometry import Region

from tests.logs import BODY, TITLE, Board, Run, in_pane, named, numbered
from tui_sweep.ui.line import Line
from tui_sweep.ui.logscroll import Kept, Scroll
from tui_sweep.view.log import LogView
from tui_sweep.view.logline import LogLine


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return in_pane(tmp_path)


GIB = 1 << 30


def big(folder: Path) -> None:
    with open(folder / "stdout", "wb") as file:
        file.seek(GIB)
        file.write(b"\n" + numbered(0, 2000))


def test_the_end_of_a_gigabyte_is_shown_before_anything_is_indexed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = [0]

    def pread(fd: int, count: int, offset: int, real=os.pread) -> bytes:
        block = real(fd, count, offset)
        read[0] += len(block)
        return block

    async def script(board: Board) -> None:
        big(board.folder)
        monkeypatch.setattr(os, "pread", pread)
        monkeypatch.setattr(board.pane, "run_worker", lambda *args, **kwargs: None)
        view = LogView(board.folder)
        board.pane.show(view, TITLE)
        assert (view.complete, view.progress) == (False, 0.0), "nothing was scanned"
        assert read[0] < 1 << 20
        await board.pilot.pause()
        assert board.body == named(2000 - BODY, 2000)
        await board.press("k", "k")
        assert board.body == named(1998 - BODY, 1998)
        board.write(b"more\n")
        await board.poll()
        assert board.body == named(1998 - BODY, 1998), "held, though nothing is counted"
        while view.grow():
            pass
        await board.poll()
        assert board.body == named(1998 - BODY, 1998)
        assert f"{2001 - BODY - 1:,} of 2,002 lines" in board.heading

    run(script)


def test_a_gigabyte_is_indexed_by_a_worker_while_the_end_is_read(run: Run) -> None:
    async def script(board: Board) -> None:
        big(board.folder)
        view = await board.show()
        assert board.body == named(2000 - BODY, 2000)
        while not view.complete:
            await board.poll()
        await board.poll()
        assert "2,001 lines" in board.heading
        await board.press("g")
        assert board.rows[2:] == named(0, BODY - 1), "the first line is a gigabyte of nothing"
        assert board.rows[1].startswith("  \\x00\\x00")

    run(script)


def test_another_log_ends_the_work_on_the_last(run: Run) -> None:
    async def script(board: Board) -> None:
        big(board.folder)
        await board.show()
        worker = board.pane._indexing
        assert worker is not None
        board.pane.show(None, "nothing", "no case")
        assert worker.is_cancelled
        await board.pilot.pause()
        assert board.heading.startswith("-- nothing ---")
        assert board.body == [" no case"]

    run(script)


def test_nothing_is_painted_when_nothing_changed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 100))
        await board.show()
        await board.press("pageup")
        painted: list[Region] = []
        monkeypatch.setattr(board.pane, "refresh", lambda *regions, **_: painted.extend(regions))
        board.pane.poll()
        board.pane.say("")
        assert painted == []
        board.write(b"more\n")
        board.pane.poll()
        assert {region.y for region in painted} == {0}, "only the heading counts it"

    run(script)


def test_of_a_row_only_what_changed_is_painted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(board: Board) -> None:
        board.write(b"".join(b"21:40:%02d step %4d loss 0.4 and so on\n" % (n, n) for n in range(60)))
        await board.show()
        painted: list[Region] = []
        monkeypatch.setattr(board.pane, "refresh", lambda *regions, **_: painted.extend(regions))
        board.write(b"21:40:59 step   60 loss 0.4 and so on\n")
        board.pane.poll()
        assert painted
        assert max(region.width for region in painted if region.y) < 20

    run(script)


def test_no_log_is_read_when_nothing_changed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 100))
        await board.show()

        def opened(path: Path, flags: int) -> int:
            raise AssertionError(path)

        monkeypatch.setattr(os, "open", opened)
        await board.poll()

    run(script)


def a_line(number: int, height: int) -> LogLine:
    return LogLine("stdout", number, number, height, True, "", (), 0, 0, None)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 7), max_size=30),
    st.integers(1, 12),
    st.lists(st.integers(-15, 15), max_size=12),
    st.integers(0, 29),
)
def test_scrolling_row_by_row_is_a_window_over_all_rows(
    heights: list[int], height: int, moves: list[int], target: int
) -> None:
    rows = [Line((f"{number}.{row}",), ()) for number, tall in enumerate(heights) for row in range(tall)]
    scroll = Scroll(
        Kept([a_line(number, tall) for number, tall in enumerate(heights)]),
        lambda line: [Line((f"{line.start}.{row}",), ()) for row in range(line.length)],
        height,
    )
    end = place = max(0, len(rows) - height)
    for move in moves:
        scroll.by(move)
        place = min(end, max(0, place + move))
        assert scroll.seen()[1] == rows[place : place + height]
        assert scroll.follows == (place == end)
    if heights:
        target %= len(heights)
        scroll.to(target)
        assert Line((f"{target}.0",), ()) in scroll.seen()[1]
        assert not scroll.follows
