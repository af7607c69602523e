"""Every path that a sweep ever writes is named here.

::

    STATE/sweeps/ID/            0700
      sweep.json                what was asked, and where
      sweep.db                  attempts, answers to commands, facts (SQLite)
      commands/                 what viewers ask, one small file each
      files/                    the snapshot of FILES
      lock                      held by the runner
      run.log
      out/000/000042.0/         one attempt: case 42, first attempt
        stdout stderr           bytes as the case wrote them
        timeline                when how much of each was there, sampled
        exit                    the exit code and a newline
        work/                   local, when FILES were given: the case's own copy
"""

from __future__ import annotations

import functools
import os
import string
from dataclasses import dataclass
from pathlib import Path

from tui_sweep.core.errors import JournalError

_ALPHABET = string.ascii_lowercase + string.digits
ID_LENGTH = 8


def new_id() -> str:
    """A new sweep's id: 8 of a–z0–9, a letter first, so that it begins a session's name well."""
    import secrets  # 5 ms, and who opens a sweep makes none

    first = secrets.choice(string.ascii_lowercase)
    return first + "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH - 1))


def is_id(text: str) -> bool:
    """Whether a folder's name is a sweep's id."""
    return len(text) == ID_LENGTH and all(letter in _ALPHABET for letter in text)


@functools.lru_cache(maxsize=64)
def _thousand(sweep: Path, number: int) -> Path:
    return sweep / "out" / f"{number:03d}"


@dataclass(frozen=True, slots=True)
class SweepDir:
    """The folder of one sweep."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def sweep_json(self) -> Path:
        return self.path / "sweep.json"

    @property
    def database(self) -> Path:
        return self.path / "sweep.db"

    @property
    def commands(self) -> Path:
        return self.path / "commands"

    @property
    def files(self) -> Path:
        return self.path / "files"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def log(self) -> Path:
        return self.path / "run.log"

    def attempt(self, index: int, attempt: int) -> Path:
        """The folder of one attempt; a thousand cases share a parent, so that none grows too wide."""
        return _thousand(self.path, index // 1000) / f"{index:06d}.{attempt}"


@dataclass(frozen=True, slots=True)
class StateDir:
    """The folder of all sweeps of a user (``--state-dir``)."""

    path: Path

    @property
    def sweeps(self) -> Path:
        return self.path / "sweeps"

    def sweep(self, sweep_id: str) -> SweepDir:
        return SweepDir(self.sweeps / sweep_id)

    def unfinished(self, sweep_id: str) -> Path:
        """Where a sweep's folder is put together before it appears under its name."""
        return self.sweeps / f".new-{sweep_id}"

    def all(self) -> list[SweepDir]:
        """Every sweep there is, in no order. Raises JournalError when the folder cannot be read."""
        try:
            return [SweepDir(path) for path in self.sweeps.iterdir() if is_id(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise JournalError(f"{self.sweeps}: cannot be read: {error.strerror}") from error

    def holds(self, sweep_id: str) -> bool:
        """Whether there is a sweep of this id; one that nobody may look for is none."""
        return is_id(sweep_id) and os.path.isdir(self.sweep(sweep_id).path)
