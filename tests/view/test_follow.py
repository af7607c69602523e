"""What a viewer reads from a folder, and that it keeps up with it."""

import pytest

from tests.folders import EPOCH, commit, make_folder
from tui_sweep.core.errors import JournalError
from tui_sweep.core.states import State
from tui_sweep.store.journal import Entry
from tui_sweep.store.layout import SweepDir
from tui_sweep.view.follow import Follower

WORDS = ["done", "failed", "running", "waiting", "pending", "cancelled", "lost", "timeout", "held"]


def test_cases_nobody_touched_are_there_too(tmp_path):
    follower = Follower(make_folder(tmp_path, WORDS))
    assert [State(row.state).word for row in follower.rows()] == WORDS
    assert follower.table.word_counts() == follower.counts


def test_a_table_keeps_up_with_what_is_committed(tmp_path):
    folder = make_folder(tmp_path, ["running", "waiting"])
    follower = Follower(folder)
    row = follower.table.row(0)
    done = row._replace(state=State.DONE, exit_code=0, ended=EPOCH + 60, revision=99)
    commit(folder, Entry([done], {"counts": {"done": 1}}))
    assert follower.refresh()
    assert State(follower.table.state[0]) is State.DONE
    assert follower.counts == {"done": 1}
    assert not follower.refresh()


@pytest.mark.parametrize(
    ("dispatch", "reason"),
    [
        ({"holding": True}, "held: nothing new is sent"),
        ({"max_parallel": 1}, "not sent yet: max-parallel 1"),
        ({"refusal": "needs cpu 1; 0 of 2 free"}, "not sent yet: needs cpu 1; 0 of 2 free"),
        ({}, "not sent yet"),
    ],
)
def test_a_waiting_case_says_why(tmp_path, dispatch, reason):
    follower = Follower(make_folder(tmp_path, ["running", "waiting"], facts={"dispatch": dispatch}))
    assert follower.reason(list(follower.rows())[1]) == reason


def test_offsets_and_limits_count_what_the_states_let_through(tmp_path):
    follower = Follower(make_folder(tmp_path, WORDS * 3, variables={"X": "range:27"}))
    assert [row.case for row in follower.rows(offset=5, limit=2)] == [5, 6]
    assert [row.case for row in follower.rows(states={State.DONE}, offset=1)] == [9, 18]
    assert [row.case for row in follower.rows(states={State.DONE, State.LOST}, limit=3)] == [0, 6, 9]


def test_a_folder_that_is_no_sweep_is_an_error(tmp_path):
    with pytest.raises(JournalError):
        Follower(SweepDir(tmp_path))


def test_variables_that_hold_secrets_are_masked(tmp_path):
    follower = Follower(make_folder(tmp_path, ["done"], variables={"API_KEY": "case:hush"}))
    assert follower.masked(0) == {"API_KEY": "****"}
    assert "hush" not in str(follower.case(next(follower.rows())))


def test_a_sweep_is_finished_when_every_case_is_final(tmp_path):
    assert Follower(make_folder(tmp_path / "a", ["done", "cancelled"])).is_finished
    assert not Follower(make_folder(tmp_path / "b", ["done", "held"])).is_finished


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["done"], 0),
        (["done", "failed", "lost", "cancelled"], 1),
        (["timeout", "lost"], 1),
        (["lost", "cancelled"], 6),
        (["done", "cancelled"], 5),
    ],
)
def test_the_exit_code_is_the_first_that_applies(tmp_path, words, code):
    assert Follower(make_folder(tmp_path, words)).exit_code == code
