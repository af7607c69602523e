"""The sweeps of a user: make one, read one, find one by what a user calls it, remove one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import JournalError, UsageError
from tui_sweep.core.sweep import Sweep
from tui_sweep.store import journal
from tui_sweep.store.layout import StateDir, SweepDir, new_id


@dataclass(frozen=True, slots=True)
class Record:
    """``sweep.json``: what was asked, and where it runs."""

    sweep: Sweep
    place: Mapping[str, Any]
    cases: int
    merged: int
    created: float
    """UNIX seconds."""


def create(
    state: StateDir,
    sweep: Sweep,
    place: Mapping[str, Any],
    *,
    cases: int,
    merged: int,
    snapshot: Callable[[Path], None],
) -> SweepDir:
    """A new sweep's folder, whole or not at all: it is put together aside and renamed.

    ``snapshot`` fills the folder it is given with FILES. Raises JournalError, or what it raises.
    """
    sweep_id = new_id()
    aside = SweepDir(state.unfinished(sweep_id))
    created = time.time()
    record = {
        "v": 1,
        "id": sweep_id,
        "created": created,
        "cases": cases,
        "merged": merged,
        "digest": sweep.digest,
        "sweep": sweep.record(),
        "place": dict(place),
    }
    about = {"id": sweep_id, "name": sweep.name, "engine": sweep.engine, "cases": cases}
    try:
        state.sweeps.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside.path.mkdir(mode=0o700)
        aside.commands.mkdir()
        aside.files.mkdir()
        if sweep.files:
            snapshot(aside.files)
        with open(aside.sweep_json, "x", encoding="utf-8", opener=_private) as file:
            json.dump(record, file, ensure_ascii=True)
            file.flush()
            os.fsync(file.fileno())
        journal.create(
            aside.database,
            {"sweep": {**about, "merged": merged, "started": created}, "counts": {"waiting": cases}},
        )
        aside.path.rename(state.sweep(sweep_id).path)
    except OSError as error:
        shutil.rmtree(aside.path, ignore_errors=True)
        raise JournalError(
            f"{error.filename or state.path}: the sweep's folder cannot be written: {error.strerror}; "
            "choose another place with --state-dir or SWEEP_TUI_STATE"
        ) from error
    except BaseException:
        shutil.rmtree(aside.path, ignore_errors=True)
        raise
    return state.sweep(sweep_id)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def load(folder: SweepDir) -> Record:
    """What was asked. Raises JournalError when it cannot be read."""
    try:
        record = json.loads(folder.sweep_json.read_text(encoding="utf-8"))
        if record["v"] != 1:
            raise JournalError(f"{folder.sweep_json}: written by another version of sweep-tui")
        return Record(
            sweep=Sweep.restore(record["sweep"]),
            place=record["place"],
            cases=record["cases"],
            merged=record["merged"],
            created=record["created"],
        )
    except OSError as error:
        raise JournalError(f"{folder.sweep_json}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{folder.sweep_json}: is damaged: {error!r}") from error


def about(folder: SweepDir) -> dict[str, Any]:
    """The facts of a sweep, from its journal. Raises JournalError."""
    reader = journal.Reader(folder.database)
    try:
        return reader.facts()
    finally:
        reader.close()


def newest_first(state: StateDir) -> list[tuple[SweepDir, dict[str, Any]]]:
    """Every sweep that can be read, with its facts."""
    found = []
    for folder in state.all():
        with suppress(JournalError):
            facts = about(folder)
            if "sweep" in facts:
                found.append((folder, facts))
    return sorted(found, key=lambda item: float(item[1]["sweep"]["started"]), reverse=True)


def find(state: StateDir, called: str) -> SweepDir:
    """The sweep that a user calls by its id, a unique prefix of it, its name, or ``@`` for the latest.

    Raises UsageError when there is none, or more than one, and JournalError when it cannot be known.
    """
    if state.holds(called):
        return state.sweep(called)
    known = newest_first(state)
    if not known:
        raise UsageError(f"there is no sweep in {state.sweeps}; start one with: sweep-tui run")
    if called == "@":
        return known[0][0]
    named = [item for item, facts in known if facts["sweep"]["name"] == called]
    matching = named or [item for item, _ in known if called and item.id.startswith(called)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise UsageError(f"there is no sweep called {called!r}; sweep-tui ls lists them")
    ids = ", ".join(item.id for item in matching[:10])
    raise UsageError(f"{len(matching)} sweeps are called {called!r}; name one by its id: {ids}")


def remove(folder: SweepDir) -> None:
    """Delete a sweep's folder. It disappears from the list first, then from the disk."""
    aside = folder.path.with_name(f".removed-{folder.id}")
    try:
        folder.path.rename(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise JournalError(f"{error.filename}: cannot be removed: {error.strerror}") from error
