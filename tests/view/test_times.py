"""Durations in few cells."""

import pytest

from tui_sweep.view.times import brief


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-1, "0.0s"),
        (0.34, "0.3s"),
        (9.9, "9.9s"),
        (12.7, "12s"),
        (59.9, "59s"),
        (60, "1:00"),
        (291, "4:51"),
        (3599, "59:59"),
        (3840, "1h04"),
        (90_000, "1d01h"),
    ],
)
def test_as_few_cells_as_will_do(seconds, text):
    assert brief(seconds) == text
