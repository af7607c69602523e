"""The journal: what was committed is there, whoever dies; readers are never in the way."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tui_sweep.core.cases import CaseRow
from tui_sweep.core.errors import JournalError
from tui_sweep.store.journal import Entry, Journal, Reader, create, file_system


def row(case, attempt=0, state=5, revision=1, **more):
    values = dict.fromkeys(CaseRow._fields)
    values.update(case=case, attempt=attempt, state=state, cause=0, output_bytes=0, revision=revision)
    return CaseRow(**{**values, **more})


@pytest.fixture
def path(tmp_path):
    create(tmp_path / "sweep.db", {"counts": {"waiting": 3}})
    return tmp_path / "sweep.db"


def written(path, *entries):
    """Write entries as a runner does."""

    async def write():
        journal = Journal(path)
        for entry in entries:
            await journal.commit(entry)
        await journal.close()

    asyncio.run(write())


def test_what_was_committed_is_read_back_by_revision(path):
    written(path, Entry([row(0, revision=1), row(1, revision=2)]), Entry([row(0, state=7, revision=3)]))
    reader = Reader(path)
    assert [(r.case, r.state, r.revision) for r in reader.changed(0)] == [(1, 5, 2), (0, 7, 3)]
    assert [r.case for r in reader.changed(2)] == [0]
    assert reader.changed(3) == []


def test_every_attempt_keeps_a_row_and_windows_give_the_latest(path):
    written(path, Entry([row(1, 0, 8), row(1, 1, 5, revision=2), row(2, 0, 7, revision=3)]))
    reader = Reader(path)
    assert [(r.attempt, r.state) for r in reader.attempts(1)] == [(0, 8), (1, 5)]
    assert [(r.case, r.attempt) for r in reader.between(0, 10)] == [(1, 1), (2, 0)]
    assert reader.between(2, 0) == []


def test_a_session_id_is_not_overwritten_by_a_row_that_has_none(path):
    written(path, Entry([row(0, session="uuid")]), Entry([row(0, state=7, revision=2)]))
    assert Reader(path).attempts(0)[0].session == "uuid"


def test_facts_are_replaced_one_by_one(path):
    written(path, Entry(facts={"counts": {"done": 3}, "ended": 5.5}), Entry(facts={"ended": None}))
    reader = Reader(path)
    assert reader.facts() == {"counts": {"done": 3}, "ended": None}
    assert reader.fact("counts") == {"done": 3}
    assert reader.fact("nothing") is None


def test_an_answer_is_kept_once(path):
    written(path, Entry(answers=[("a.json", 1.0, "cancel", {"ok": True})]))
    written(path, Entry(answers=[("a.json", 2.0, "cancel", {"ok": False})]))
    assert Reader(path).answer("a.json") == {"ok": True}
    assert Reader(path).answer("b.json") is None


def test_a_reader_sees_that_somebody_committed(path):
    reader = Reader(path)
    before = reader.version()
    assert reader.version() == before
    written(path, Entry([row(0)]))
    assert reader.version() != before


def test_a_reader_holds_no_transaction_so_the_log_does_not_grow_for_ever(path):
    reader = Reader(path)

    async def work():
        journal = Journal(path)
        for revision in range(1, 60):
            await journal.commit(Entry([row(case, revision=revision) for case in range(1000)]))
            reader.changed(revision - 1)
        size = os.stat(f"{path}-wal").st_size
        await journal.close()
        return size

    assert asyncio.run(work()) < 8 << 20


def test_a_commit_survives_kill_9_of_the_writer(path):
    code = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.store.test_journal import row
from tui_sweep.store.journal import Entry, Journal
async def main():
    journal = Journal(Path(sys.argv[1]))
    await journal.commit(Entry([row(0, state=2)]))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    process = subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, check=False)
    assert process.returncode == -signal.SIGKILL
    assert Reader(path).attempts(0)[0].state == 2


def test_a_disk_in_trouble_is_told_and_the_commit_comes_when_it_is_over(path, monkeypatch):
    monkeypatch.setattr("tui_sweep.store.journal._RETRY_SECONDS", 0.01)

    async def work():
        journal = Journal(path)
        blocker = sqlite3.connect(path, isolation_level=None)
        journal._connection.execute("PRAGMA busy_timeout = 1")
        blocker.execute("BEGIN IMMEDIATE")
        commit = asyncio.ensure_future(journal.commit(Entry([row(0)])))
        while journal.trouble is None:
            await asyncio.sleep(0)
        assert "cannot be written" in journal.trouble
        assert not commit.done()
        blocker.execute("ROLLBACK")
        await asyncio.wait_for(commit, 5)
        assert journal.trouble is None
        await journal.close()

    asyncio.run(work())
    assert len(Reader(path).changed(0)) == 1


def test_a_journal_that_stays_unwritable_is_an_error_when_it_is_closed(path):
    async def work():
        journal = Journal(path)
        journal._connection.execute("PRAGMA query_only = ON")
        journal.write(Entry([row(0)]))
        await journal.close()

    with pytest.raises(JournalError, match="cannot be written"):
        asyncio.run(work())


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be taken for one" * 40])
def test_what_is_no_journal_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "sweep.db").write_bytes(content)
    with pytest.raises(JournalError, match=r"sweep\.db"):
        Reader(tmp_path / "sweep.db")


def test_a_missing_journal_is_an_error_and_is_not_created(tmp_path):
    with pytest.raises(JournalError):
        Reader(tmp_path / "sweep.db")
    assert list(tmp_path.iterdir()) == []


@contextmanager
def full():
    """Files grow no more, as on a full disk. Within a test: pytest's own output may be a file."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_what_ended_is_read_where_no_file_can_grow(path):
    with full():
        reader = Reader(path)
        told = reader.facts()
        reader.close()
    assert told == {"counts": {"waiting": 3}}
    assert {file.name for file in path.parent.iterdir()} <= {path.name, "sweep.db-shm", "sweep.db-wal"}


@pytest.mark.parametrize("log", ["sweep.db-wal", "sweep.db-journal"])
def test_a_journal_that_a_log_is_beside_is_not_taken_for_one_that_does_not_change(path, log):
    path.with_name(log).write_bytes(b"x")
    with full(), pytest.raises(JournalError):
        Reader(path)


def test_a_reader_from_a_full_disk_sees_what_is_written_when_there_is_room(path):
    with full():
        reader = Reader(path)
        before = reader.version()
        again = reader.version()
    assert again == before
    writer = sqlite3.connect(path)
    with writer:
        writer.execute("UPDATE facts SET value = '7'")
    assert reader.version() != before
    assert reader.fact("counts") == 7
    writer.close()
    reader.close()


def test_the_file_system_of_a_path_is_known(tmp_path):
    assert file_system(tmp_path)
    assert file_system(tmp_path / "does" / "not" / "exist") == file_system(tmp_path)
