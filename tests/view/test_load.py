"""A table that is read step by step while the sweep goes on."""

import pytest

from tests.folders import EPOCH, commit, make_folder
from tui_sweep.core.states import State
from tui_sweep.store.journal import Entry
from tui_sweep.view import follow
from tui_sweep.view.follow import Follower

WORDS = ["done", "failed", "running", "waiting", "pending", "cancelled", "waiting", "waiting", "done"]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(follow, "_STEP", 2)


def test_the_first_cases_are_there_before_the_others(tmp_path):
    follower = Follower(make_folder(tmp_path, WORDS))
    assert follower.load()
    assert [State(state).word for state in follower.table.state[:4]] == [
        "done",
        "failed",
        "waiting",
        "waiting",
    ]
    while follower.load():
        pass
    assert [State(state).word for state in follower.table.state] == WORDS
    assert not follower.load()


def test_room_that_was_made_before_is_filled_as_any_other(tmp_path):
    follower = Follower(make_folder(tmp_path, WORDS))
    follower.make_room()
    assert [State(state).word for state in follower.table.state] == WORDS
    assert follower.table.counts == Follower(follower.folder).table.counts


def test_no_more_than_a_screen_is_read_at_first(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "_SCREEN", 1)
    follower = Follower(make_folder(tmp_path, WORDS))
    assert follower.load()
    assert [State(state).word for state in follower.table.state[:2]] == ["done", "waiting"]
    assert [State(state).word for state in Follower(follower.folder).table.state] == WORDS


@pytest.mark.parametrize("case", [0, 2, 8])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_changes_meanwhile_is_not_lost(tmp_path, case, steps):
    folder = make_folder(tmp_path, WORDS)
    follower = Follower(folder)
    for _ in range(steps):
        follower.load()
    row = Follower(folder).table.row(case)._replace(state=State.LOST, ended=EPOCH + 60)
    for revision, word in ((99, State.LOST), (100, State.DONE)):
        commit(folder, Entry([row._replace(state=word, revision=revision)], {}))
        assert follower.refresh()
    while follower.load():
        pass
    assert State(follower.table.state[case]) is State.DONE
    others = [State(state).word for at, state in enumerate(follower.table.state) if at != case]
    assert others == [word for at, word in enumerate(WORDS) if at != case]
    follower.table.check()


def test_a_row_read_ahead_of_a_refresh_hides_no_other_of_its_commit(tmp_path):
    folder = make_folder(tmp_path, WORDS)
    follower = Follower(folder)
    follower.load()
    first, last = (Follower(folder).table.row(case) for case in (0, 8))
    rows = [first._replace(state=State.LOST, revision=99), last._replace(state=State.LOST, revision=100)]
    commit(folder, Entry(rows, {}))
    while follower.load():
        pass
    assert follower.refresh()
    assert State(follower.table.state[0]) is State.LOST
    assert State(follower.table.state[8]) is State.LOST
