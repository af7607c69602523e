"""The journal: intent and outcome of every attempt, answers to commands, facts. SQLite.

The runner writes through ``Journal``. A few rows are committed in place, for that is two dozen system
calls on pages that the kernel keeps: 0.1 ms, where a thread took 2.5 ms with an interpreter that two
wanted (sqlite3 lets go of it for every row). What may take long is a thread's: many rows, the checkpoint
with its fsync, a disk in trouble, a network. What has gathered meanwhile becomes the next transaction.
Readers use ``Reader``, which never holds a transaction open between two calls: an open reader lets
the write-ahead log grow without limit (89 MB in 20,000 rows).

WAL with synchronous=NORMAL: a commit survives the death of the process; after a power cut the last
ones may be missing, and adoption asks the engine for what it knows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_sweep.core.cases import CaseRow
from tui_sweep.core.errors import JournalError

log = logging.getLogger(__name__)

_COLUMNS = ", ".join(f'"{name}"' for name in CaseRow._fields)
_UPSERT = f"""
    INSERT INTO attempts ({_COLUMNS}) VALUES ({", ".join("?" * len(CaseRow._fields))})
    ON CONFLICT ("case", attempt) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in CaseRow._fields[2:-2])},
        session = coalesce(excluded.session, session), revision = excluded.revision
"""
_NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "fuse.sshfs",
    "lustre",
    "gpfs",
    "beegfs",
}
_RETRY_SECONDS = 1.0
"""Pause before a transaction that failed (a full disk) is tried again."""
_FEW = 200
"""Rows that are committed in place: 1 ms."""
_BUSY_SECONDS = 0.25
"""How long a commit waits for whoever else has the write-ahead log; nobody but a stranger ever does."""
_NO_ROOM = ("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_READONLY")
"""How the errors begin that a reader gets where it cannot make the file that it shares with a writer."""
_CHECKPOINT = 1000
"""Pages, as estimated, in the write-ahead log after which they go into the database."""


@dataclass(slots=True)
class Entry:
    """What is to be committed together."""

    rows: Sequence[CaseRow] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    answers: Sequence[tuple[str, float, str, Mapping[str, Any]]] = ()
    """(command file's name, time, verb, answer)."""
    done: asyncio.Future[None] | None = None


def file_system(path: Path) -> str:
    """The type of the file system that ``path`` is on (``ext4``, ``nfs4`` …); "" when unknown."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    place = str(path.resolve())
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, behind.split()[0]
    return kind


def _connect(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection that may write, and whether it has a write-ahead log."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    kind = file_system(path.parent)
    is_ahead = kind not in _NETWORK_FILE_SYSTEMS
    if not is_ahead:
        # WAL needs memory shared between all who have the file open
        log.info("journal with a rollback file, slower: path=%s file_system=%s", path, kind)
    connection.execute(f"PRAGMA journal_mode = {'WAL' if is_ahead else 'DELETE'}")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection, is_ahead


def create(path: Path, facts: Mapping[str, Any]) -> None:
    """Make an empty journal with its first facts. Raises JournalError."""
    try:
        connection, _ = _connect(path)
        try:
            connection.executescript(Path(__file__).with_name("schema.sql").read_text("utf-8"))
            with connection:
                _write_facts(connection, facts)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise JournalError(f"{path}: the journal cannot be created: {error}") from error


def _write_facts(connection: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
    connection.executemany(
        "INSERT INTO facts (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [(key, json.dumps(value)) for key, value in facts.items()],
    )


class Journal:
    """The runner's side: the only writer.

    One connection, and one who uses it at a time: the loop, or the thread while it has entries.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._lent = 0
        """Entries that the thread has; the loop keeps off the connection until they are back."""
        self._pages = 0
        """In the write-ahead log since the last checkpoint, as estimated."""
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self.trouble: str | None = None
        """Why nothing can be written now; None when all is well."""
        try:
            self._connection, self._is_ahead = _connect(path)
            if self._is_ahead:
                self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")
                self._connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._connection.execute("SELECT count(*) FROM facts").fetchone()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: the journal cannot be opened: {error}") from error
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether all that was given to it is on disk."""
        return self._lent == 0

    def write(self, entry: Entry) -> None:
        """Commit an entry in its turn: now, if that takes no time."""
        is_quick = self._is_ahead and self._pages < _CHECKPOINT and len(entry.rows) <= _FEW
        if self._lent == 0 and is_quick and self.trouble is None:
            try:
                self._written([entry])
            except sqlite3.Error:
                pass  # the thread has the patience
            else:
                _resolve([entry])
                return
        self._lent += 1
        self._queue.put(entry)

    async def commit(self, entry: Entry) -> None:
        """Commit an entry and return when it is on disk; waits as long as the disk is in trouble."""
        entry.done = self._loop.create_future()
        self.write(entry)
        await entry.done

    async def close(self) -> None:
        """Write what is queued, and close. Raises JournalError when the disk refuses it."""
        self._closing.set()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()
        if self.trouble is not None:
            raise JournalError(f"{self._path}: {self.trouble}")

    def _work(self) -> None:
        """The writer thread: each transaction takes all that has gathered."""
        running = True
        while running:
            entries = [self._queue.get()]
            while not self._queue.empty():
                entries.append(self._queue.get())
            running = None not in entries
            batch = [entry for entry in entries if entry is not None]
            while batch and not self._is_written(batch):
                if self._closing.wait(_RETRY_SECONDS):
                    self._is_written(batch)
                    break

    def _is_written(self, batch: list[Entry]) -> bool:
        """Whether the batch is committed; if not, ``trouble`` says why. In the thread."""
        try:
            self._written(batch)
        except sqlite3.Error as error:
            if self.trouble is None:
                log.error("journal cannot be written: path=%s error=%s", self._path, error)
            self.trouble = f"the journal cannot be written: {error}"
            return False
        self.trouble = None
        if self._pages >= _CHECKPOINT:
            self._checkpoint()
        self._loop.call_soon_threadsafe(self._take_back, batch)
        return True

    def _written(self, batch: Sequence[Entry]) -> None:
        """Commit, as one. Raises sqlite3.Error."""
        rows = [row for entry in batch for row in entry.rows]
        answers = [(n, at, v, json.dumps(a)) for entry in batch for n, at, v, a in entry.answers]
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_UPSERT, rows)
            if answers:
                connection.executemany(
                    "INSERT OR IGNORE INTO commands (name, at, verb, answer) VALUES (?, ?, ?, ?)", answers
                )
            for entry in batch:
                _write_facts(connection, entry.facts)
        self._pages += 4 + len(rows) // 8

    def _checkpoint(self) -> None:
        """Move the write-ahead log into the database, so that it begins anew. Waits for the disk."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            log.warning("the write-ahead log stays: path=%s error=%s", self._path, error)
        self._pages = 0

    def _take_back(self, batch: Sequence[Entry]) -> None:
        """The thread has committed these."""
        self._lent -= len(batch)
        _resolve(batch)


def _resolve(entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.done is not None and not entry.done.done():
            entry.done.set_result(None)


class Reader:
    """A viewer's side: read-only, any number at once. Every call is one short read."""

    def __init__(self, path: Path) -> None:
        """Raises JournalError when there is no journal that can be read."""
        self._path = path
        self._opened = 0
        """How often: each connection counts the versions from one on."""
        self._still: tuple[int, int] | None = None
        """What the file was when it was opened as one that nobody writes; None: it was not."""
        self._connection: sqlite3.Connection
        try:
            self._open()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: the journal cannot be read: {error}") from error

    def _open(self) -> None:
        """Connect. What readers and writer share is a file, for which a full or a read-only disk has no
        room: there a journal that nobody writes is opened as a file that does not change, as long as it
        does not. Raises sqlite3.Error."""
        self._opened += 1
        try:
            self._connection, self._still = self._connected(""), None
        except sqlite3.OperationalError as error:
            still = self._alone()
            if still is None or not error.sqlite_errorname.startswith(_NO_ROOM):
                raise
            self._connection, self._still = self._connected("&immutable=1"), still

    def _connected(self, options: str) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?mode=ro{options}"
        connection = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
        connection.execute("SELECT 1 FROM facts LIMIT 1").fetchone()
        return connection

    def _alone(self) -> tuple[int, int] | None:
        """Size and time of the file while it is all there is; None when a log of what is being written is
        beside it."""
        logs = (f"{self._path}-wal", f"{self._path}-journal")
        try:
            if any(os.path.exists(log) and os.path.getsize(log) for log in logs):
                return None
            about = self._path.stat()
        except OSError:
            return None
        return about.st_size, about.st_mtime_ns

    def close(self) -> None:
        self._connection.close()

    def version(self) -> tuple[int, int]:
        """What changes whenever somebody committed. Costs 2 µs."""
        number = int(self._read("PRAGMA data_version")[0][0])
        return self._opened, number

    def facts(self) -> dict[str, Any]:
        """What holds for the sweep as a whole."""
        return {key: json.loads(value) for key, value in self._read("SELECT key, value FROM facts")}

    def fact(self, key: str) -> Any:
        """One fact, or None."""
        rows = self._read("SELECT value FROM facts WHERE key = ?", (key,))
        return json.loads(rows[0][0]) if rows else None

    def revision(self) -> int:
        """That of the last change of an attempt; 0 before the first."""
        return int(self._read("SELECT coalesce(max(revision), 0) FROM attempts")[0][0])

    def changed(self, since: int) -> list[CaseRow]:
        """Attempts that changed after a revision, oldest change first."""
        return self._rows("WHERE revision > ? ORDER BY revision", (since,))

    def between(self, first: int, count: int) -> list[CaseRow]:
        """The latest attempts of the cases first … first+count-1 that have one, by index."""
        found = self._rows(
            'WHERE "case" >= ? AND "case" < ? ORDER BY "case", attempt', (first, first + count)
        )
        return list({row.case: row for row in found}.values())

    def attempts(self, index: int) -> list[CaseRow]:
        """Every attempt of one case, the first first."""
        return self._rows('WHERE "case" = ? ORDER BY attempt', (index,))

    def answer(self, name: str) -> dict[str, Any] | None:
        """The answer to a command, once there is one."""
        rows = self._read("SELECT answer FROM commands WHERE name = ?", (name,))
        return dict(json.loads(rows[0][0])) if rows else None

    def _rows(self, where: str, values: tuple[int, ...]) -> list[CaseRow]:
        found = self._read(f"SELECT {_COLUMNS} FROM attempts {where}", values)
        return [CaseRow(*values) for values in found]

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            if self._still is not None and self._still != self._alone():
                self._connection.close()
                self._open()
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: the journal cannot be read: {error}") from error
