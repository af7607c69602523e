"""Nothing that a case prints can do anything to a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_sweep.core.plain import last_line, plain, without_colours


@given(st.text(st.characters(codec=None)))
def test_a_plain_text_has_no_character_that_acts(text):
    shown = plain(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs")]
    assert "\n" not in shown
    assert not set(shown) & set("\u202a\u202e\u2066\u2069\u200b\u200e\ufeff")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 데이터 ✓", "plain ü 데이터 ✓"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\tb\n", "a\\tb\\n"),
        ("\u202eevil", "\\u202eevil"),
        ("[red]x[/]", "[red]x[/]"),
    ],
)
def test_what_acts_is_written_out(text, shown):
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\n\n  \n", "one"),
        (b" 10%\r 50%\r100%", "100%"),
        (b" 10%\r 50%\r", "50%"),
        (b"\x1b[32mgreen\x1b[0m\n", "green"),
        (b"\x1b]0;title\x07said\n", "said"),
        (b"\xff\xfe bad", "\ufffd\ufffd bad"),
        (b"bell\x07\n", "bell\\x07"),
    ],
)
def test_the_last_line_that_says_anything(raw, line):
    assert last_line(raw) == line


@given(st.binary())
def test_any_output_has_a_last_line_that_is_harmless(raw):
    assert plain(last_line(raw)) == last_line(raw)


def test_terminal_sequences_vanish_and_the_text_stays():
    assert without_colours("a\x1b[1;31mb\x1b[0mc\x1b]8;;http://x\x1b\\d\x1b[2Je") == "abcde"
