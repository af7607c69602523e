"""Recent: the newest sweeps of a user with their counts, looked at often and cheaply."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tui_sweep.core.errors import JournalError
from tui_sweep.core.states import FINAL, State
from tui_sweep.store.layout import StateDir, SweepDir
from tui_sweep.store.lock import holder
from tui_sweep.view.follow import Follower

NEWEST = 50
"""Sweeps that are shown at most; ``sweep-tui ls`` has them all."""

_FOLLOWED = 12
"""Journals kept open at most: three descriptors each, and macOS gives a process 256."""

_SETTLED = 2.0
"""Seconds after which a folder's time of change can be trusted: file systems count in steps."""


@dataclass(frozen=True, slots=True)
class RecentSweep:
    """One sweep of the list at one moment."""

    id: str
    name: str | None
    engine: str
    cases: int
    counts: tuple[tuple[State, int], ...]
    """How many cases are in each state, zeros left out, in the order of the states."""
    started: float
    """UNIX seconds."""
    ended: float | None
    runner: int | None
    """The pid of its runner, or None."""

    @property
    def final(self) -> int:
        """How many cases have ended."""
        return sum(count for state, count in self.counts if state in FINAL)

    @property
    def is_finished(self) -> bool:
        return self.final == self.cases


@dataclass(slots=True)
class _Looked:
    """What is remembered of one folder."""

    mark: tuple[int, ...]
    """Times and sizes of its journal, taken before it was read."""
    sweep: RecentSweep | None
    """None: it could not be read."""
    follower: Follower | None = None
    """Kept open while a runner writes."""


class Recent:
    """The newest sweeps, the newest first; those that cannot be read are only counted.

    All calls are of one thread. A folder is read again only when its journal changed: by SQLite's
    own version where a runner is at work, else by the times and sizes of its files.
    """

    def __init__(self, state: StateDir, *, limit: int = NEWEST) -> None:
        self._state = state
        self._limit = limit
        self._listed = -1
        """When the folder of all sweeps changed before it was listed; -1: list it again."""
        self._born: dict[str, int] = {}
        self._order: list[str] = []
        self._looked: dict[str, _Looked] = {}
        self.sweeps: tuple[RecentSweep, ...] = ()
        self.unreadable = 0
        """Folders among the newest that hold no sweep that can be read."""

    def refresh(self) -> bool:
        """Look again; whether anything is different."""
        before = (self.sweeps, self.unreadable)
        self._list()
        found: list[RecentSweep] = []
        seen = set()
        for sweep_id in self._order:
            if len(found) == self._limit:
                break
            seen.add(sweep_id)
            sweep = self._look(sweep_id)
            if sweep is not None:
                found.append(sweep)
        for sweep_id in self._looked.keys() - seen:
            _close(self._looked.pop(sweep_id))
        self.sweeps = tuple(sorted(found, key=lambda sweep: (sweep.started, sweep.id), reverse=True))
        self.unreadable = len(seen) - len(found)
        return (self.sweeps, self.unreadable) != before

    def close(self) -> None:
        """Let go of every journal."""
        for looked in self._looked.values():
            _close(looked)
        self._looked.clear()

    def _list(self) -> None:
        """Bring the order of ids up to date; costs one stat while no sweep comes or goes."""
        try:
            changed = self._state.sweeps.stat().st_mtime_ns
        except OSError:
            changed = 0
        if changed == self._listed:
            return
        try:
            ids = [folder.id for folder in self._state.all()]
        except JournalError:
            ids = []
        self._born = {sweep_id: self._born.get(sweep_id) or self._birth(sweep_id) for sweep_id in ids}
        self._order = sorted(self._born, key=lambda sweep_id: (self._born[sweep_id], sweep_id), reverse=True)
        self._listed = changed if time.time() - changed / 1e9 > _SETTLED else -1

    def _birth(self, sweep_id: str) -> int:
        """When a sweep was asked for, in ns: ``sweep.json`` is written once. 0 without one."""
        return _times(self._state.sweep(sweep_id).sweep_json)[0]

    def _look(self, sweep_id: str) -> RecentSweep | None:
        """One sweep as it is now, or None when it cannot be read."""
        folder = self._state.sweep(sweep_id)
        looked = self._looked.get(sweep_id)
        mark = (*_times(folder.database), *_times(folder.path / "sweep.db-wal"))
        runner = _runner(folder)
        try:
            if looked is None or (looked.follower is None and looked.mark != mark):
                looked = self._looked[sweep_id] = _read(folder, mark)
            elif looked.follower is not None and looked.follower.refresh():
                looked.sweep = _told(looked.follower)
        except (JournalError, KeyError, TypeError, ValueError):
            if looked is not None:
                _close(looked)
            self._looked[sweep_id] = _Looked(mark, None)
            return None
        if looked.sweep is not None and looked.sweep.runner != runner:
            looked.sweep = replace(looked.sweep, runner=runner)
        self._keep(looked, mark, runner)
        return looked.sweep

    def _keep(self, looked: _Looked, mark: tuple[int, ...], runner: int | None) -> None:
        """Close the journal unless a runner writes to it and there is room for it."""
        if looked.follower is None:
            return
        followed = sum(other.follower is not None for other in self._looked.values())
        if runner is None or followed > _FOLLOWED:
            looked.mark = mark
            _close(looked)


def _read(folder: SweepDir, mark: tuple[int, ...]) -> _Looked:
    follower = Follower(folder)
    try:
        return _Looked(mark, _told(follower), follower)
    except BaseException:
        follower.close()
        raise


def _told(follower: Follower) -> RecentSweep:
    """What a journal says. Raises KeyError and its like when it is none of ours."""
    about = follower.facts["sweep"]
    counts = {State[word.upper()]: int(count) for word, count in follower.facts["counts"].items()}
    return RecentSweep(
        id=follower.folder.id,
        name=about["name"],
        engine=str(about["engine"]),
        cases=int(about["cases"]),
        counts=tuple((state, counts[state]) for state in State if counts.get(state)),
        started=float(about["started"]),
        ended=follower.facts.get("ended"),
        runner=None,
    )


def _close(looked: _Looked) -> None:
    if looked.follower is not None:
        looked.follower.close()
        looked.follower = None


def _times(path: Path) -> tuple[int, int]:
    """A file's time of change in ns and its size; zeros when it is not there or empty.

    A reader leaves an empty write-ahead log behind, which is no news.
    """
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return (found.st_mtime_ns, found.st_size) if found.st_size else (0, 0)


def _runner(folder: SweepDir) -> int | None:
    try:
        return holder(folder.lock)
    except JournalError:
        return None  # somebody else's sweep
