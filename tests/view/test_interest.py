"""Interest: a viewer tells a runner far from its engine what it shows, seldom and only when it matters."""

import pytest

from tests.folders import EPOCH, make_folder
from tui_sweep.store import commands
from tui_sweep.view.follow import Follower
from tui_sweep.view.interest import Interest

STATES = ["running", "done", "running"]


def said(folder):
    """The cases of each word so far."""
    words = [commands.read(folder.commands, name) for name in commands.waiting(folder.commands)]
    return [word.arguments["cases"] for word in words if word.verb == "watch"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Follower, "runner", 4711)  # a lock of this very process would not be seen
    return make_folder(tmp_path, STATES, engine="backendai")


def test_a_live_case_is_said_once_and_again_after_half_a_minute(folder):
    interest = Interest(Follower(folder))
    for second in (0, 1, 2, 29, 31, 32):
        interest.show(0, EPOCH + second)
    assert said(folder) == [[0], [0]]


def test_an_ended_case_takes_the_word_back(folder):
    interest = Interest(Follower(folder))
    for case, second in ((1, 0), (2, 10), (1, 20), (None, 30)):
        interest.show(case, EPOCH + second)
    assert said(folder) == [[2], []]


def test_a_cursor_that_runs_down_the_table_says_one_word_a_second(folder):
    interest = Interest(Follower(folder))
    for tenth in range(31):
        interest.show(tenth % 2 * 2, EPOCH + tenth / 10)
    assert len(said(folder)) == 3


def test_on_this_machine_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(Follower, "runner", 4711)
    folder = make_folder(tmp_path, STATES)
    Interest(Follower(folder)).show(0, EPOCH)
    assert said(folder) == []


def test_without_a_runner_nothing_is_said(tmp_path):
    folder = make_folder(tmp_path, STATES, engine="backendai")
    Interest(Follower(folder)).show(0, EPOCH)
    assert said(folder) == []
