"""The spool of what viewers ask of a runner: one small file each, taken in the order of their names.

A file is written aside and renamed, so that it is there whole or not at all. Its name begins with
the time, so that the spool is also a record of who asked what. The runner commits the effect and the
answer together and removes the file after that: a crash in between finds the answer there, and does
nothing twice.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import JournalError

log = logging.getLogger(__name__)

VERBS = ("cancel", "retry", "hold", "release", "parallel", "watch")
_LARGEST = 64 << 20
"""Bytes; a command file above this is not read."""


@dataclass(frozen=True, slots=True)
class Command:
    """One wish of a viewer."""

    name: str
    """The file's name: orders the commands and identifies this one for ever."""
    verb: str
    at: float
    arguments: dict[str, Any]


def drop(folder: Path, verb: str, **arguments: Any) -> str:
    """Ask the runner for something; the command's name, under which the answer will be found.

    Raises JournalError when there is no room for it.
    """
    import secrets  # 5 ms, and a board is seen before it asks for anything

    name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(3)}.json"
    text = json.dumps({"verb": verb, "at": time.time(), "by": os.getpid(), **arguments})
    aside = folder / f".{name}"
    try:
        aside.write_text(text, encoding="utf-8")
        aside.rename(folder / name)
    except OSError as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise JournalError(f"{folder}: nothing can be asked of the runner: {error.strerror}") from error
    return name


def waiting(folder: Path) -> list[str]:
    """The names of the commands that nobody has taken yet, in their order."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def read(folder: Path, name: str) -> Command | str:
    """A command, or why it is none: what lies in the folder may be anything."""
    path = folder / name
    try:
        if path.stat().st_size > _LARGEST:
            return "the command file is too large"
        record = json.loads(path.read_text(encoding="utf-8"))
        verb, at = record.pop("verb"), float(record.pop("at"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"not a command: {error.__class__.__name__}"
    if verb not in VERBS:
        return f"unknown verb {verb!r}"
    return Command(name, verb, at, record)


def remove(folder: Path, name: str) -> None:
    """Forget a command that was answered."""
    try:
        (folder / name).unlink(missing_ok=True)
    except OSError as error:
        log.warning("command file stays: name=%s error=%s", name, error)
