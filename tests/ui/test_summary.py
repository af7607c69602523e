"""What stands above the board, as a value."""

import pytest

from tests.folders import EPOCH, make_folder
from tui_sweep.ui.summary import said
from tui_sweep.view.follow import Follower


class Living(Follower):
    """A sweep that seems to have a runner."""

    runner = 4711


def test_what_is_left_is_told_as_a_guess(tmp_path):
    follower = Living(make_folder(tmp_path, ["running", "waiting"]))
    assert said(follower, EPOCH + 60, left=150.0).left == "~2:30 left"
    assert said(follower, EPOCH + 60).left == ""


def test_without_a_runner_no_end_is_foretold(tmp_path):
    told = said(Follower(make_folder(tmp_path, ["running", "waiting"])), EPOCH + 60, left=150.0)
    assert (told.left, told.note) == ("", "NO RUNNER")


@pytest.mark.parametrize(("states", "note"), [(["done"], "ended"), (["running"], "live")])
def test_whether_it_lives_is_said(tmp_path, states, note):
    assert said(Living(make_folder(tmp_path, states)), EPOCH + 60).note == note


@pytest.mark.parametrize(
    "facts", [{"dispatch": {"trouble": "disk full"}}, {"engine": {"trouble": "disk full", "notes": []}}]
)
def test_a_disk_that_takes_nothing_is_said_whether_the_journal_or_the_output_waits(tmp_path, facts):
    folder = make_folder(tmp_path, ["running"], facts=facts)
    assert said(Living(folder), EPOCH + 60).note == "DISK TROUBLE"
