"""The recent sweeps, from real folders."""

import asyncio
import os
import subprocess
import sys

import pytest

from tui_sweep.core.states import State
from tui_sweep.core.sweep import Sweep
from tui_sweep.store import sweeps
from tui_sweep.store.journal import Entry, Journal
from tui_sweep.store.layout import StateDir
from tui_sweep.view import recent as module
from tui_sweep.view.recent import Recent


@pytest.fixture
def state(tmp_path):
    return StateDir(tmp_path / "state")


@pytest.fixture
def recent(state):
    one = Recent(state)
    yield one
    one.close()


def make(state, name=None, *, cases=4):
    sweep = Sweep("python", "local", name=name, exec="true")
    return sweeps.create(state, sweep, {}, cases=cases, merged=0, snapshot=lambda path: None)


def tell(folder, **facts):
    async def write():
        journal = Journal(folder.database)
        await journal.commit(Entry(facts=facts))
        await journal.close()

    asyncio.run(write())


@pytest.fixture
def hold():
    """Has another process hold a sweep's lock; its pid."""
    started = []

    def start(folder):
        program = (
            "import sys; from pathlib import Path; from tui_sweep.store.lock import Lock;"
            "lock = Lock(Path(sys.argv[1])); print(lock.take(), flush=True); sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"True\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_without_a_folder_there_are_none_and_nothing_changes(recent):
    assert recent.refresh() is False
    assert recent.sweeps == ()


def test_the_newest_comes_first_and_a_new_one_is_seen(state, recent):
    first = make(state, "one")
    assert recent.refresh() is True
    second = make(state, "two")
    assert recent.refresh() is True
    assert [(one.id, one.name) for one in recent.sweeps] == [(second.id, "two"), (first.id, "one")]
    assert recent.sweeps[0].counts == ((State.WAITING, 4),)
    assert not recent.sweeps[0].is_finished
    assert recent.refresh() is False


def test_counts_that_were_committed_are_seen_and_the_end_too(state, recent):
    folder = make(state)
    recent.refresh()
    tell(folder, counts={"done": 3, "failed": 1}, ended=5.0)
    assert recent.refresh() is True
    (one,) = recent.sweeps
    assert one.counts == ((State.DONE, 3), (State.FAILED, 1))
    assert (one.final, one.is_finished, one.ended) == (4, True, 5.0)
    assert recent.refresh() is False


def test_a_runner_is_seen_to_come_and_to_go(state, recent, hold):
    folder = make(state)
    recent.refresh()
    assert recent.sweeps[0].runner is None
    process = hold(folder)
    tell(folder, counts={"running": 4})
    assert recent.refresh() is True
    assert recent.sweeps[0].runner == process.pid
    tell(folder, counts={"running": 3, "done": 1})
    assert recent.refresh() is True
    assert dict(recent.sweeps[0].counts) == {State.RUNNING: 3, State.DONE: 1}
    process.kill()
    process.wait()
    assert recent.refresh() is True
    assert recent.sweeps[0].runner is None


def test_a_journal_is_read_again_only_when_it_changed(state, recent, monkeypatch):
    folder, _ = make(state), make(state)
    recent.refresh()
    opened = []
    real = module.Follower
    monkeypatch.setattr(module, "Follower", lambda folder: opened.append(folder.id) or real(folder))
    recent.refresh()
    assert opened == []
    tell(folder, counts={"done": 4})
    recent.refresh()
    assert opened == [folder.id]


def test_no_more_journals_are_kept_open_than_may_be(state, recent, hold, monkeypatch):
    monkeypatch.setattr(module, "_FOLLOWED", 2)
    for _ in range(4):
        folder = make(state)
        hold(folder)
    recent.refresh()
    assert all(one.runner for one in recent.sweeps)
    open_files = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    # those of other tests stay open until garbage is collected: a connection of sqlite3 holds itself
    journals = {os.path.realpath(one.database) for one in state.all()}
    assert sum(path in journals for path in open_files) == 2
    tell(state.sweep(recent.sweeps[-1].id), counts={"running": 1, "waiting": 3})
    tell(state.sweep(recent.sweeps[0].id), counts={"running": 1, "waiting": 3})
    assert recent.refresh() is True
    counts = [dict(one.counts)[State.WAITING] for one in recent.sweeps]
    assert counts == [3, 4, 4, 3]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.database.write_bytes(b"no database" * 100),
        lambda folder: folder.database.unlink(),
        lambda folder: tell(folder, sweep={"name": "x"}),
        lambda folder: tell(folder, counts={"sleeping": 4}),
        lambda folder: tell(folder, sweep=[]),
    ],
)
def test_a_broken_folder_hides_no_other(state, recent, spoil):
    good = make(state)
    spoil(make(state))
    recent.refresh()
    assert [one.id for one in recent.sweeps] == [good.id]
    assert recent.unreadable == 1
    assert recent.refresh() is False


def test_a_sweep_that_breaks_while_it_is_looked_at_leaves_and_one_that_heals_returns(state, recent):
    folder = make(state)
    recent.refresh()
    tell(folder, counts={"sleeping": 4})
    assert recent.refresh() is True
    assert (recent.sweeps, recent.unreadable) == ((), 1)
    tell(folder, counts={"done": 4})
    assert recent.refresh() is True
    assert len(recent.sweeps) == 1


def test_a_removed_sweep_leaves(state, recent):
    folder = make(state)
    recent.refresh()
    sweeps.remove(folder)
    assert recent.refresh() is True
    assert recent.sweeps == ()
    assert recent.unreadable == 0


def test_only_the_newest_are_looked_at(state):
    folders = [make(state) for _ in range(5)]
    for number, folder in enumerate(folders):
        os.utime(folder.sweep_json, (1000 + number, 1000 + number))
    one = Recent(state, limit=2)
    one.refresh()
    assert [sweep.id for sweep in one.sweeps] == [folder.id for folder in folders[:2:-1]]
    one.close()
