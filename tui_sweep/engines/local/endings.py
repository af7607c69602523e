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
from tui_sweep.engines.local.shim import is_another, is_shim
from tui_sweep.engines.local.spawner import children
from tui_sweep.engines.local.tree import Process, Subject, census, members, send, ticks

log = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.02, 0.25
"""Seconds between two rounds; it doubles while nothing changes."""
_LAST_WORDS = 2
"""Rounds that a shim whose children are all gone has to write the exit code."""
_PATIENCE = 20
"""Rounds of killing after which the shim is killed, too: something starts again and again."""
_YOUNG = 1
"""Clock ticks by which the start of a process that was forked after a look at the clock may lie before it."""


@dataclass(slots=True)
class _Ending:
    attempt: Attempt
    deadline: float
    """When asking turns into forcing, by the loop's clock."""
    began: float
    """In clock ticks after boot, as a process's start."""
    asked: set[tuple[int, int]] | None = None
    """(pid, start) of the processes that got TERM; None before the first round."""
    had_group: bool = False
    """Its process group got TERM before the first round."""
    unformed: frozenset[int] = frozenset()
    """pids of steps that had been forked just before that, and were no program yet."""
    seen: set[Process] = field(default_factory=set)
    """Every process that was found; some become zombies of ours."""
    kills: int = 0
    alone: int = 0
    """Rounds of killing in which the shim was the only one left."""


class Endings:
    """All that are being ended."""

    def __init__(self, gone: Callable[[Attempt], None]) -> None:
        """``gone`` is called when an attempt's shim is over and none of its processes is left; it has to
        call ``drop``."""
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
                ending.unformed = frozenset(
                    pid for pid in children(attempt.pid) if _is_unformed(pid, attempt)
                )
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
    """TERM, once for each: what a process starts in order to clean up is left alone.

    But the shim's own children are steps, and one may have slipped in between the shim's last look and
    the signal, or been forked just then: it had the shim's handler still, and has lost the signal. A
    step that was no program yet, if it lives at the next round, gets another, with what it started since.
    """
    is_first, asked = ending.asked is None, ending.asked or set()
    steps = {process.pid for process in living if process.parent == subject.pid}
    had_group = is_first and ending.had_group
    is_late = any(p.pid in steps and (p.pid, p.start) not in asked for p in living)
    for process in living:
        key = process.pid, process.start
        if had_group and process.group == subject.pid:
            if process.start < ending.began - _YOUNG and process.pid not in ending.unformed:
                asked.add(key)
        elif (is_first or is_late) and key not in asked:
            is_lost = process.pid in steps and _is_unformed(process.pid, subject)
            send(process, signal.SIGTERM)
            if not is_lost:
                asked.add(key)
        if process.is_stopped:
            send(process, signal.SIGCONT)
    ending.asked = asked


def _is_unformed(pid: int, of: Attempt | Subject) -> bool:
    """Whether a child of the shim is a copy of it still: it may lose a signal to the shim's handlers."""
    return is_shim(pid, of.folder)


def _force(ending: _Ending, subject: Subject, living: Sequence[Process]) -> None:
    """KILL, the shim last, because it writes down how its child ended."""
    others = [process for process in living if process.pid != subject.pid or subject.is_over]
    ending.kills += 1
    ending.alone = 0 if others else ending.alone + 1
    ending.asked = ending.asked or set()
    for process in living:
        if process in others:
            continue
        if ending.kills == 1:
            send(process, signal.SIGTERM)  # so that it starts no further step
        if process.is_stopped:
            send(process, signal.SIGCONT)
    for process in others:
        send(process, signal.SIGKILL)
    if ending.alone > _LAST_WORDS or ending.kills > _PATIENCE:
        for process in living:
            send(process, signal.SIGKILL)
    if ending.kills % _PATIENCE == 0:
        log.warning(
            "still alive after %d kills: session=%s processes=%d", ending.kills, subject.name, len(living)
        )


def _signal_group(attempt: Attempt, number: signal.Signals) -> bool:
    """Signal the shim's group, unless the spawner has waited for the shim, we were not told so far, and
    its number is another's now."""
    if is_another(attempt.pid, attempt.folder):
        return False
    try:
        os.killpg(attempt.pid, number)
    except (ProcessLookupError, PermissionError):
        return False  # gone, or changed its user: the next round sees what is left
    return True


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("ending of cases stopped working", exc_info=task.exception())
