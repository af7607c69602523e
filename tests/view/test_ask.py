"""Asking a runner that may not be there."""

import asyncio

import pytest

from tests.folders import commit, make_folder
from tui_sweep.core.errors import SweepError
from tui_sweep.store import commands
from tui_sweep.store.journal import Entry, Journal
from tui_sweep.view.ask import ask
from tui_sweep.view.follow import Follower


def test_without_a_runner_one_is_started_and_its_answer_is_given(tmp_path):
    folder = make_folder(tmp_path, ["done"])
    started = []

    def runner():
        started.append(commands.waiting(folder.commands))
        (name,) = commands.waiting(folder.commands)

        async def write():
            journal = Journal(folder.database)
            await journal.commit(Entry(answers=[(name, 1.0, "retry", {"ok": True, "cases": 1})]))
            await journal.close()

        asyncio.run(write())

    assert ask(Follower(folder), "retry", start_runner=runner, cases=[0]) == {"ok": True, "cases": 1}
    assert len(started) == 1


def test_a_runner_that_somebody_else_started_first_answers_too(tmp_path):
    folder = make_folder(tmp_path, ["done"])

    def runner():
        (name,) = commands.waiting(folder.commands)
        commit(folder, Entry(answers=[(name, 1.0, "retry", {"ok": True, "cases": 1})]))
        raise SweepError("already run by process 4711")

    assert ask(Follower(folder), "retry", start_runner=runner, cases=[0]) == {"ok": True, "cases": 1}


def test_a_runner_that_cannot_start_is_the_askers_error(tmp_path):
    def runner():
        raise SweepError("no engine")

    with pytest.raises(SweepError, match="no engine"):
        ask(Follower(make_folder(tmp_path, ["done"])), "retry", start_runner=runner)


def test_a_runner_that_never_answers_is_told_of_with_where_the_command_is(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_sweep.view.ask.PATIENCE", 0.0)
    follower = Follower(make_folder(tmp_path, ["done"]))
    with pytest.raises(SweepError, match="does not answer"):
        ask(follower, "hold", start_runner=lambda: None)
    assert len(commands.waiting(follower.folder.commands)) == 1
