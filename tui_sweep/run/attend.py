"""The life of one attempt, from its intent to its end: one straight coroutine."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError
from tui_sweep.core.session import Report, SessionSpec
from tui_sweep.core.states import ENDINGS, Event, State
from tui_sweep.engines.base import Engine

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0
"""Seconds between two questions to an engine that gives no answer."""
_NO_FOLDER_DELAY = 10.0
"""Seconds until a disk that would not take a folder is asked again."""


class Attendant(Protocol):
    """What a worker needs of the runner."""

    engine: Engine

    def state(self, spec: SessionSpec) -> State: ...

    def tell(self, spec: SessionSpec, report: Report) -> None: ...

    async def committed(self) -> None: ...


async def attend(runner: Attendant, spec: SessionSpec, *, adopted: bool) -> None:
    """Submit one attempt unless it was adopted, and follow it to its end.

    An error of the engine becomes a report. Anything else is our own fault: it ends this one case as
    LOST with the traceback in run.log, and no other.
    """
    try:
        if adopted or await _submitted(runner, spec):
            await _followed(runner, spec)
    except Exception:
        log.exception("our own fault, case given up: session=%s", spec.name)
        _tell(runner, spec, Event.VANISHED, "internal error of sweep-tui; the traceback is in run.log")


async def _submitted(runner: Attendant, spec: SessionSpec) -> bool:
    """Whether the engine has the session now. The intent is on disk before it is asked."""
    await runner.committed()
    delay = _FIRST_DELAY
    while True:
        if runner.state(spec) is State.CANCELLING:
            runner.engine.withdraw(spec.name)
            _tell(runner, spec, Event.REFUSED, None)
            return False
        try:
            spec.sink.create()
            await runner.engine.submit(spec)
        except OSError as error:
            _give_back(runner, spec, f"its folder cannot be made: {error.strerror}", _NO_FOLDER_DELAY)
            return False
        except EngineBusy as busy:
            _give_back(runner, spec, str(busy), busy.retry_after)
            return False
        except EngineDenied as denied:
            runner.engine.withdraw(spec.name)
            _tell(runner, spec, Event.ERRED, str(denied))
            return False
        except EngineError as error:
            log.warning("submission unconfirmed: session=%s error=%s", spec.name, error)
            if await _exists(runner, spec):
                return True
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
            continue
        if runner.state(spec) is State.CANCELLING:  # asked for while it was being submitted
            await runner.engine.cancel(spec.name, grace=0.0)
        return True


async def _exists(runner: Attendant, spec: SessionSpec) -> bool:
    """Whether the engine knows a session whose submission was not confirmed; asks until it answers."""
    delay = _FIRST_DELAY
    while True:
        try:
            return spec.name in await runner.engine.find([spec])
        except EngineError as error:
            log.warning("no answer about a session: session=%s error=%s", spec.name, error)
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


async def _followed(runner: Attendant, spec: SessionSpec) -> None:
    """Pass on every report until the end; an engine that falls silent is asked again."""
    delay = _FIRST_DELAY
    while True:
        try:
            ended = False
            async for report in runner.engine.follow(spec):  # which stops behind the end: one that is left
                runner.tell(spec, report)  # before costs the loop a task and a word to itself
                ended = report.event in ENDINGS
            if ended:
                return
            _tell(runner, spec, Event.VANISHED, "the engine stopped telling of it")
            return
        except EngineDenied as denied:
            _tell(runner, spec, Event.VANISHED, str(denied))
            return
        except EngineError as error:
            log.warning("no answer while following: session=%s error=%s", spec.name, error)
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


def _give_back(runner: Attendant, spec: SessionSpec, reason: str, retry_after: float) -> None:
    """It never began: the room is free again, and the case waits for another try."""
    runner.engine.withdraw(spec.name)
    at = time.time()
    runner.tell(spec, Report(spec.name, Event.REFUSED, at, reason=reason, retry_after=retry_after))


def _tell(runner: Attendant, spec: SessionSpec, event: Event, reason: str | None) -> None:
    runner.tell(spec, Report(spec.name, event, time.time(), reason=reason))
