"""Errors of what was typed, drawn in cells."""

import pytest
from rich.cells import cell_len

from tui_sweep.core.errors import UsageError
from tui_sweep.ui.carets import caret, complaint, wrapped


def test_a_caret_stands_under_what_was_typed_or_under_a_copy_of_it():
    error = UsageError("bad", text="가=x", span=(2, 3))
    assert [line.rstrip() for line in complaint(error, "가=x", 40).plain.split("\n")] == ["   ^", "bad"]
    lines = complaint(error, "a=1\n가=x", 40).plain.split("\n")
    assert [line.rstrip() for line in lines] == ["가=x", "   ^", "bad"]
    assert complaint(UsageError("bad", hint="do"), "", 40).plain == "bad (do)"


@pytest.mark.parametrize("width", [8, 20, 40])
def test_a_long_text_is_cut_around_its_caret(width):
    text = "前" * 50 + "OFFENCE" + "z" * 50
    line, marks = caret(text, 50, 57, width)
    assert cell_len(line) <= width
    assert set(marks.lstrip()) == {"^"}
    offence = "OFFENCE" if width > 14 else "OF.."
    assert cell_len(line.partition(offence)[0]) == marks.index("^")
    assert line.partition(offence)[1] == offence


def test_texts_are_wrapped_by_cells():
    assert wrapped("one two three", 7, 3) == ["one two", "three"]
    assert wrapped("가나다라", 4, 3) == ["가나", "다라"]
    assert wrapped("a b c d e f g", 3, 2) == ["a b", "c.."]
    assert wrapped("", 3, 2) == []
