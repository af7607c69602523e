"""LogPane under everything a case may print, at any size."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.logs import Board, PaneApp, Run, check_harmless, in_pane, numbered
from tui_sweep.ui.logheading import Heading


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return in_pane(tmp_path)


HOSTILE = [
    b"\x1b]0;owned\x07title",
    b"\x1b]2;owned\x1b\\title",
    b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]52;c;b3duZWQ=\x07clipboard",
    b"\x1b[2J\x1b[H\x1b[10;10Hcursor\x1b[5A\x1b[3D",
    b"\x1b[?1049h\x1b[?25l\x1b[?1000hscreen",
    b"\x1b]0;never ends",
    b"\x1bPnever ends",
    b"\x1b[12;",
    b"\x1b",
    b"\x1b7\x1b8\x1bc\x1b(0\x1b#8reset",
    b"\xff\xfe\x80invalid\xc3",
    b"nul\x00\x00\x07bell\x08\x0b\x0c\x0e\x0f\x7f",
    b"[red]markup[/red] [@click=app.quit]x[/] [/oops]",
    "bidi \u202etxt.exe\u202c \u2066x\u2069 \u200f".encode(),
    "zero\u200bwidth\u200d\u2060\ufeff\u00ad".encode(),
    "c1 \x9b31m\x9d0;owned\x9c\x85".encode(),
    "\u2028lines\u2029".encode(),
    "👩\u200d💻👍🏽🇰🇷❤\ufe0f日本e\u0301\u0301\u0301".encode(),
    b"\x1b[31;1;4;5;8;38;2;1;2;3;48;5;300;99999999999mstyled",
    b"\t\ttabs\t",
    b"\x08\x08back\x08\x08",
    b"\rover\rwritten\r",
    b"\x1b[31m" * 3000,
    "日".encode() * 5000,
    b"%s %d {0} $(x) `x`",
]


@pytest.mark.parametrize("keys", [(), ("w",), ("t",), ("l", "l"), ("w", "t", "b", "b")], ids="".join)
def test_nothing_that_a_case_prints_reaches_the_terminal_but_text_and_colours(
    run: Run, keys: tuple[str, ...]
) -> None:
    async def script(board: Board) -> None:
        for raw in HOSTILE:
            board.write(raw + b"\n")
            board.write(raw + b"\n", "stderr")
        board.sample(1.0)
        await board.show()
        await board.press(*keys, "g")
        check_harmless(board)
        while not board.pane.follows:
            await board.press("pagedown")
            check_harmless(board)
        await board.search("e")
        check_harmless(board)
        assert board.app.is_running

    run(script)


@pytest.mark.parametrize("raw", HOSTILE, ids=lambda raw: repr(raw[:12]))
def test_what_one_line_prints_stays_in_its_line(run: Run, raw: bytes) -> None:
    async def script(board: Board) -> None:
        board.write(b"before\n" + raw + b"\nafter\n")
        await board.show()
        assert board.rows[1] == "  before"
        assert board.rows[3] == "  after"
        (_, style), (_, other) = board.styles(1)[0], board.styles(3)[0]
        assert style == other

    run(script)


@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=3000), width=st.integers(1, 100))
def test_random_bytes_are_harmless_at_any_width(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, width: int
) -> None:
    folder = tmp_path_factory.mktemp("attempt")
    (folder / "stdout").write_bytes(content)

    async def main() -> None:
        app = PaneApp()
        async with app.run_test(size=(width, 10)) as pilot:
            board = Board(app, pilot, folder)
            await board.show()
            check_harmless(board)
            board.pane.action_wrap()
            check_harmless(board)
            board.pane.action_first()
            check_harmless(board)

    asyncio.run(main())


@pytest.mark.parametrize("size", [(1, 1), (5, 2), (20, 5), (40, 8), (200, 60)], ids=str)
def test_any_size_will_do(run: Run, size: tuple[int, int]) -> None:
    async def script(board: Board) -> None:
        board.write(numbered(0, 100) + "日本語".encode() * 40 + b"\n")
        await board.show()
        for key in ("w", "t", "k", "g", "G", "b"):
            await board.press(key)
            check_harmless(board)
        await board.pilot.resize_terminal(33, 7)
        await board.pilot.pause()
        check_harmless(board)
        await board.pilot.resize_terminal(100, 30)
        await board.pilot.pause()
        check_harmless(board)

    run(script, size=size)


def test_the_heading_gives_way_from_the_least_important() -> None:
    heading = Heading("log #204 lr=0.03 bs=128 seed=1", "out+err", "FOLLOW", "1,204 lines", "no needle")
    shown = [heading.text(width) for width in (100, 80, 60, 40, 30, 10, 3)]
    assert [cell_len(text) for text in shown] == [100, 80, 60, 40, 30, 10, 3]
    first = "-- log #204 lr=0.03 bs=128 seed=1 -- out+err -- FOLLOW -- 1,204 lines -- no needle "
    assert shown[0].rstrip("-") == first
    assert "log #204" in shown[1]
    assert "1,204 lines" in shown[1]
    assert "1,204 lines" not in shown[3]
    assert "no needle" in shown[3]
    assert "FOLLOW" in shown[4]
    assert shown[5].strip() == "FOLLOW"


def test_ascii_only_draws_nothing_else_of_its_own(run: Run) -> None:
    async def script(board: Board) -> None:
        board.write(b"x" * 100_000 + b"\n")
        await board.show()
        await board.press("w")
        assert all(row.isascii() for row in board.rows)
        assert board.body[1].startswith("\\ x")

    run(script, ascii_only=True, size=(40, 60))
