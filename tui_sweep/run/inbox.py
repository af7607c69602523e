"""The inbox: commands of viewers, as events for the scheduler with an answer each."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.scheduler import Cancel, Happening, Hold, Parallel, Release, Retry
from tui_sweep.core.states import FINAL, State
from tui_sweep.store import commands
from tui_sweep.store.commands import Command

log = logging.getLogger(__name__)

_EXPIRES = 60.0
"""Seconds before a runner's start after which a command is too old to be meant; a retry never is."""


class Inbox:
    """Takes each command once, in the order of their names."""

    def __init__(self, folder: Path, started: float) -> None:
        """``started``: when this runner started, UNIX seconds."""
        self._folder = folder
        self._started = started
        self._seen: tuple[int, int] | None = None
        self._taken: set[str] = set()
        """Answered, but the file was not removed yet."""

    def forget_answered(self, answered: Callable[[str], bool]) -> None:
        """Pass over commands that an earlier runner answered and did not live to remove."""
        for name in commands.waiting(self._folder):
            if answered(name):
                self._taken.add(name)
                self.remove(name)

    def remove(self, name: str) -> None:
        """Forget a command whose answer is on disk."""
        commands.remove(self._folder, name)

    def peek(self) -> bool:
        """Whether a command waits, looked up on disk."""
        return bool(set(commands.waiting(self._folder)) - self._taken)

    def take(
        self, now: float, table: CaseTable
    ) -> Iterator[tuple[Command, dict[str, Any], Happening | None]]:
        """Each new command with its answer and what it means; None where it means nothing.

        Costs one stat while the folder does not change. The caller commits effect and answer
        together, and removes the file after that.
        """
        try:
            status = os.stat(self._folder)
        except OSError as error:
            log.error("commands cannot be read: error=%s", error)
            return
        stamp = (status.st_mtime_ns, status.st_nlink)
        if stamp == self._seen:
            return
        self._seen = stamp
        for name in commands.waiting(self._folder):
            if name in self._taken:
                continue
            self._taken.add(name)
            found = commands.read(self._folder, name)
            if isinstance(found, str):
                log.warning("command refused: name=%s why=%s", name, found)
                yield Command(name, "unknown", now, {}), {"ok": False, "message": found}, None
            elif found.verb != "retry" and found.at < self._started - _EXPIRES:
                yield found, {"ok": False, "message": "expired", "expired": True}, None
            else:
                yield found, *_meaning(found, table)


def _meaning(command: Command, table: CaseTable) -> tuple[dict[str, Any], Happening | None]:
    """The answer to a command and the event it becomes."""
    try:
        cases = _cases(command, table)
        match command.verb:
            case "cancel":
                chosen = table.where(set(State) - FINAL).tolist() if cases is None else cases
                count = sum(table.state_of(index) not in FINAL for index in chosen)
                return _ok(count), Cancel(cases, bool(command.arguments.get("force")))
            case "retry":
                failed = [State.FAILED, State.TIMEOUT, State.LOST]
                chosen = table.where(failed).tolist() if cases is None else cases
                return _ok(sum(table.state_of(index) in FINAL for index in chosen)), Retry(cases)
            case "hold":
                return _ok(0 if cases is None else len(cases)), Hold(cases)
            case "release":
                return _ok(0 if cases is None else len(cases)), Release(cases)
            case "parallel":
                limit = command.arguments.get("limit")
                if limit is not None and (not isinstance(limit, int) or limit < 1):
                    raise ValueError("max-parallel must be 1 or more")
                return _ok(0), Parallel(limit)
            case _:
                return _ok(0), None
    except (TypeError, ValueError) as error:
        return {"ok": False, "message": str(error)}, None


def _cases(command: Command, table: CaseTable) -> list[int] | None:
    """The indices a command names; None: all that it can mean."""
    cases = command.arguments.get("cases")
    if cases is None:
        return None
    if not isinstance(cases, list) or not all(isinstance(index, int) for index in cases):
        raise ValueError("cases must be a list of indices")
    beyond = [index for index in cases if not 0 <= index < len(table)]
    if beyond:
        raise ValueError(f"there is no case {beyond[0]}; they go from 0 to {len(table) - 1}")
    return sorted(set(cases))


def _ok(cases: int) -> dict[str, Any]:
    return {"ok": True, "cases": cases}
