"""Keeps cases to the memory they asked for, without root: by looking, five times a second.

RSS counts a shared page for every process that has it (1,472 MiB against 216 measured for a forked
pool), so it only raises the question; PSS, which costs a walk over page tables, answers it. A case
may be over its limit between two looks. Limits hold only while a runner looks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from tui_sweep.engines.local.attempt import Attempt
from tui_sweep.engines.local.tree import Process, Subject, census, clues, members, proportional

log = logging.getLogger(__name__)

_EVERY, _SELDOM = 0.2, 3.0
"""Seconds between two looks: usually, and at most when looking is dear."""
_SHARE = 0.02
"""Of one core, what looking may cost."""


class MemoryWatch:
    """All attempts that have a limit."""

    def __init__(self, exceeded: Callable[[Attempt], None]) -> None:
        self._exceeded = exceeded
        self._watched: dict[str, Attempt] = {}
        self._task: asyncio.Task[None] | None = None
        self._clues: dict[tuple[int, int], list[str]] = {}

    def add(self, attempt: Attempt) -> None:
        """Watch an attempt that has a limit."""
        self._watched[attempt.name] = attempt
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(_complain)

    def remove(self, attempt: Attempt) -> None:
        self._watched.pop(attempt.name, None)

    async def close(self) -> None:
        self._watched.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = _EVERY
        while True:
            await asyncio.sleep(pause)
            if not self._watched:
                return
            asked = [(attempt.subject(), attempt.limit or 0) for attempt in self._watched.values()]
            names, cost = await asyncio.to_thread(self._look, asked)
            for name in names:
                attempt = self._watched.pop(name, None)
                if attempt is not None:
                    self._exceeded(attempt)
            pause = min(max(_EVERY, cost / _SHARE), _SELDOM)

    def _look(self, asked: list[tuple[Subject, int]]) -> tuple[list[str], float]:
        """Names of those over their limit, and the seconds of work it took to know. In a thread."""
        began = time.thread_time()
        processes = census()
        living = members(processes, [subject for subject, _ in asked], self._clues_of)
        over = []
        for subject, limit in asked:
            tree = living.get(subject.name, [])
            if sum(process.rss for process in tree) > limit and _share(tree, limit) > limit:
                over.append(subject.name)
        there = {(process.pid, process.start) for process in processes.values()}
        self._clues = {key: found for key, found in self._clues.items() if key in there}
        return over, time.thread_time() - began

    def _clues_of(self, process: Process) -> Iterable[str]:
        """As ``clues``, asked once for each process: it keeps what it was executed with."""
        key = process.pid, process.start
        found = self._clues.get(key)
        if found is None:
            found = self._clues[key] = list(clues(process))
        return found


def _share(tree: Iterable[Process], limit: int) -> int:
    total = 0
    for process in tree:
        total += proportional(process)
        if total > limit:
            break
    return total


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("memory limits stopped working", exc_info=task.exception())
