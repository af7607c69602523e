"""The arrays beneath a selection: marks, words, columns."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.sweep import Sweep
from tui_sweep.view.columns import Column, Words, number
from tui_sweep.view.marks import Marks


def test_marks_are_a_set_of_cases():
    marks = Marks(10)
    assert (len(marks), 3 in marks, marks.cases().tolist(), list(marks)) == (0, False, [], [])
    assert marks.toggle(3) is True
    marks.mark(np.array([5, 3, 7]))
    assert (len(marks), 5 in marks, list(marks)) == (3, True, [3, 5, 7])
    assert marks.toggle(5) is False
    marks.unmark(np.array([7, 8]))
    assert marks.cases().tolist() == [3]
    marks.mark(slice(None))
    assert len(marks) == 10
    marks.clear()
    assert not list(marks)


@given(st.lists(st.text("aAbß\0é한", max_size=4), max_size=8), st.text("aAbsSé한", min_size=1, max_size=3))
def test_words_are_found_as_python_finds_them(texts, word):
    assert Words(texts).holding(word).tolist() == [word.casefold() in text.casefold() for text in texts]


def test_a_column_ranks_numbers_as_numbers_and_others_as_texts():
    def column(expr, *, hidden=False):
        ranges = (parse_range(f"x={expr}"),)
        plan = Plan(Sweep(image="python", engine="local", ranges=ranges, exec="$x"))
        return Column(plan.variables[0], hidden=hidden)

    assert column("case:10,9,1e1,-1").ranks.tolist() == [2, 1, 2, 0]
    assert column("case:10,9,x").ranks.tolist() == [0, 1, 2]
    assert column("case:10,9", hidden=True).ranks.tolist() == [0, 0]
    assert column("range:70000").ranks.dtype == np.uint32
    assert [math.isnan(number(text)) for text in ("nan", "1_0", "", "0x1", "1e3", " 2 ")] == [True] * 4 + [
        False,
        False,
    ]
