"""The journal: intent and outcome of every attempt, answers to commands, facts. SQLite.

The runner writes through ``Journal``: one thread, and whatever has gathered while it wrote becomes
the next transaction (70,000 single commits/s were measured, a million rows/s in batches). Readers
use ``Reader``, which never holds a transaction open between two calls: an open reader lets the
write-ahead log grow without limit (89 MB in 20,000 rows).

WAL with synchronous=NORMAL: a commit survives the death of the process; after a power cut the last
ones may be missing, and adoption asks the engine for what it knows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
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


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    kind = file_system(path.parent)
    if kind in _NETWORK_FILE_SYSTEMS:
        # WAL needs memory shared between all who have the file open
        log.info("journal with a rollback file, slower: path=%s file_system=%s", path, kind)
    connection.execute(f"PRAGMA journal_mode = {'DELETE' if kind in _NETWORK_FILE_SYSTEMS else 'WAL'}")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def create(path: Path, facts: Mapping[str, Any]) -> None:
    """Make an empty journal with its first facts. Raises JournalError."""
    try:
        connection = _connect(path)
        try:
            connection.executescript(resources.files(__package__).joinpath("schema.sql").read_text())
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
    """The runner's side: the only writer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self.trouble: str | None = None
        """Why nothing can be written now; None when all is well."""
        try:
            self._connection = _connect(path)
            self._connection.execute("SELECT count(*) FROM facts").fetchone()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: the journal cannot be opened: {error}") from error
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def write(self, entry: Entry) -> None:
        """Commit an entry in its turn; nobody waits for it."""
        self._queue.put(entry)

    async def commit(self, entry: Entry) -> None:
        """Commit an entry and return when it is on disk; waits as long as the disk is in trouble."""
        entry.done = self._loop.create_future()
        self._queue.put(entry)
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
            while batch and not self._written(batch):
                if self._closing.wait(_RETRY_SECONDS):
                    self._written(batch)
                    break

    def _written(self, batch: list[Entry]) -> bool:
        """Whether the batch is committed; if not, ``trouble`` says why."""
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(_UPSERT, (row for entry in batch for row in entry.rows))
                self._connection.executemany(
                    "INSERT OR IGNORE INTO commands (name, at, verb, answer) VALUES (?, ?, ?, ?)",
                    [(n, at, v, json.dumps(a)) for entry in batch for n, at, v, a in entry.answers],
                )
                for entry in batch:
                    _write_facts(self._connection, entry.facts)
        except sqlite3.Error as error:
            if self.trouble is None:
                log.error("journal cannot be written: path=%s error=%s", self._path, error)
            self.trouble = f"the journal cannot be written: {error}"
            return False
        self.trouble = None
        waiting = [entry.done for entry in batch if entry.done is not None]
        if waiting:
            self._loop.call_soon_threadsafe(_resolve, waiting)
        return True


def _resolve(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


class Reader:
    """A viewer's side: read-only, any number at once. Every call is one short read."""

    def __init__(self, path: Path) -> None:
        """Raises JournalError when there is no journal that can be read."""
        self._path = path
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30, isolation_level=None
            )
            self._connection.execute("SELECT 1 FROM facts LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: the journal cannot be read: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def version(self) -> int:
        """A number that changes whenever somebody committed. Costs 2 µs."""
        return int(self._read("PRAGMA data_version")[0][0])

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
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: the journal cannot be read: {error}") from error
