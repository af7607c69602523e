"""What the terminal is sent makes it show what Textual holds the screen to be, in as few bytes as that takes."""

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui_sweep.ui.narrow import Shown, narrowed

WIDTH = 40
PLAIN, RED = Style(color="white", bgcolor="black"), Style(color="red", bold=True)


@pytest.fixture
def terminal():
    """Sends rows as Textual does, and tells what was sent."""
    shown, screen = Shown(), pyte.Screen(WIDTH, 3)
    stream, console = pyte.Stream(screen), Console(force_terminal=True, color_system="truecolor")

    def send(*rows, spans=None, whole=False):
        strips = [Strip([Segment(*piece) for piece in row]).adjust_cell_length(WIDTH, PLAIN) for row in rows]
        if whole:
            update = LayoutUpdate([[strip] for strip in strips], Region(0, 0, WIDTH, len(strips)))
        else:
            spans = spans or [(y, 0, WIDTH) for y in range(len(strips))]
            update = ChopsUpdate([{0: strip} for strip in strips], spans, [[WIDTH]] * len(strips))
        sent = narrowed(update, shown).render_segments(console)
        stream.feed(sent.replace("\n", "\r\n"))
        for y, strip in enumerate(strips):
            if whole or any(span == (y, 0, WIDTH) for span in spans):
                assert screen.display[y].rstrip() == strip.text.rstrip()
        return sent

    send.screen, send.shown = screen, shown
    return send


def test_what_is_shown_is_not_sent_again(terminal):
    assert terminal([("loss 0.5", PLAIN)])
    assert terminal([("loss 0.5", PLAIN)]) == ""


def test_of_a_row_only_the_cells_that_differ_are_sent(terminal):
    terminal([("epoch 1 loss 0.123 and so on", PLAIN)])
    sent = terminal([("epoch 2 loss 0.456 and so on", PLAIN)])
    assert "2" in sent
    assert "456" in sent
    assert "epoch" not in sent
    assert "and" not in sent


def test_a_style_is_said_once_and_ends(terminal):
    terminal([("a" * 9, PLAIN)], [("b" * 9, PLAIN)])
    sent = terminal([("x" * 9, RED)], [("y" * 9, RED)])
    assert sent.count("31") == 1
    assert sent.endswith("\x1b[0m")
    assert terminal.screen.buffer[1][8].fg == "red"
    assert terminal.screen.buffer[1][9].fg == "white"


def test_another_style_alone_is_sent(terminal):
    terminal([("abc", PLAIN)])
    terminal([("a", PLAIN), ("b", RED), ("c", PLAIN)])
    assert [terminal.screen.buffer[0][x].fg for x in range(3)] == ["white", "red", "white"]


@pytest.mark.parametrize("text", ["日本 x", "x 日本", "xx日", "áb", "⣿⣿⣿▸", "plain"])
@pytest.mark.parametrize("before", ["日本語", "abcdef", "x日本", ""])
def test_wide_and_combined_characters_come_whole(terminal, before, text):
    terminal([(before, PLAIN)])
    sent = terminal([(text, PLAIN)])
    assert text.split()[0] in sent


def test_of_a_span_only_its_cells_are_sent(terminal):
    terminal([("abcdefgh", PLAIN)])
    terminal([("ABCDEFGH", PLAIN)], spans=[(0, 2, 4)])
    assert terminal.screen.display[0].rstrip() == "abCDefgh"


def test_a_whole_screen_is_sent_whatever_was_shown_and_known_after_it(terminal):
    terminal([("same", PLAIN)])
    assert "same" in terminal([("same", PLAIN)], whole=True)
    assert terminal([("same", PLAIN)]) == ""


def test_after_it_was_forgotten_all_is_sent(terminal):
    terminal([("same", PLAIN)])
    terminal.shown.clear()
    assert "same" in terminal([("same", PLAIN)])
