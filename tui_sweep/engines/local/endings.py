"""Ends the process trees of cases: ask, wait, force, until nothing is found. One task, and one look
at /proc a round, for all that are being ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tui_sweep.engines.local.attempt import Attempt
from tui_sweep.engines.local.keeper import ticks
from tui_sweep.engines.local.tree import Process, Subject, census, members, send, started

log = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.02, 0.25
"""Seconds between two rounds; it doubles while nothing changes."""
_PATIENCE = 20
"""Rounds of killing after which it is told that something starts again and again."""
_YOUNG = 1
"""Clock ticks by which the start of a process that was forked after a look at the clock may lie before it."""


@dataclass(slots=True)
class _Ending:
    attempt: Attempt
    deadline: float
    """When asking turns into forcing, by the loop's clock."""
    began: float
    """In clock ticks after boot, as a process's start."""
    is_asked: bool = False
    """All that was found in the first round got TERM."""
    had_group: bool = False
    """Its process group got TERM before the first round."""
    seen: set[Process] = field(default_factory=set)
    """Every process that was found; some become zombies of ours."""
    kills: int = 0


class Endings:
    """All that are being ended."""

    def __init__(self, gone: Callable[[Attempt], None]) -> None:
        """``gone`` is called when an attempt is over and none of its processes is left; it has to call ``drop``."""
        self._gone = gone
        self._endings: dict[str, _Ending] = {}
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __contains__(self, attempt: Attempt) -> bool:
        return attempt.name in self._endings

    def end(self, attempt: Attempt, grace: float) -> None:
        """Ask an attempt's processes to end, and force them after ``grace`` seconds.

        Once begun, a further call can only shorten the time.
        """
        deadline = asyncio.get_running_loop().time() + grace
        ending = self._endings.get(attempt.name)
        if ending is None:
            ending = self._endings[attempt.name] = _Ending(attempt, deadline, ticks())
            if grace > 0 and attempt.is_ours and not attempt.is_over:
                # the group at once and as one: a fork between two signals would escape
                ending.had_group = _signal_group(attempt, signal.SIGTERM)
        else:
            ending.deadline = min(ending.deadline, deadline)
        self._more.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(_complain)

    def drop(self, attempt: Attempt) -> set[Process]:
        """It is gone. The processes that were seen of it."""
        ending = self._endings.pop(attempt.name, None)
        return set() if ending is None else ending.seen

    async def close(self) -> None:
        """Stop; what has not ended stays."""
        self._endings.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _SHORTEST
        while self._endings:
            self._more.clear()
            subjects = [ending.attempt.subject() for ending in self._endings.values()]
            living = await asyncio.to_thread(_living, subjects)
            for subject in subjects:
                ending = self._endings.get(subject.name)
                if ending is not None:
                    self._step(ending, subject, living.get(subject.name, []), loop.time())
            until = min((e.deadline for e in self._endings.values()), default=0.0) - loop.time()
            wait = min(pause, until) if until > 0 else pause
            try:
                await asyncio.wait_for(self._more.wait(), wait)
                pause = _SHORTEST
            except TimeoutError:
                pause = min(2 * pause, _LONGEST)

    def _step(self, ending: _Ending, subject: Subject, living: Sequence[Process], now: float) -> None:
        ending.seen.update(living)
        if not living and subject.is_over:
            self._gone(ending.attempt)
        elif now >= ending.deadline:
            _force(ending, subject, living)
        else:
            _ask(ending, subject, living)


def _living(subjects: Sequence[Subject]) -> dict[str, list[Process]]:
    return members(census(), subjects)


def _ask(ending: _Ending, subject: Subject, living: Sequence[Process]) -> None:
    """TERM, once for each: what a process starts in order to clean up is left alone."""
    for process in living:
        had_it = ending.had_group and process.group == subject.pid and process.start < ending.began - _YOUNG
        if not ending.is_asked and not had_it:
            send(process, signal.SIGTERM)
        if process.is_stopped:
            send(process, signal.SIGCONT)
    ending.is_asked = True


def _force(ending: _Ending, subject: Subject, living: Sequence[Process]) -> None:
    """KILL, first what was started for it, so that it starts nothing more."""
    ending.kills += 1
    for process in sorted(living, key=lambda process: process.pid != subject.pid):
        send(process, signal.SIGKILL)
    if ending.kills % _PATIENCE == 0:
        log.warning(
            "still alive after %d kills: session=%s processes=%d", ending.kills, subject.name, len(living)
        )


def _signal_group(attempt: Attempt, number: signal.Signals) -> bool:
    """Signal the attempt's group, unless its process was waited for, we were not told so far, and its
    number is another's now."""
    if started(attempt.pid, attempt.by) is None:
        return False
    try:
        os.killpg(attempt.pid, number)
    except (ProcessLookupError, PermissionError):
        return False  # gone, or changed its user: the next round sees what is left
    return True


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("ending of cases stopped working", exc_info=task.exception())
