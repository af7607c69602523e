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
_SETTLED, _LOOK = 30.0, 5.0
"""Seconds after which a submission that nobody confirmed is believed not to have reached the engine, and between
two looks until then: what a proxy has given up, the server behind it may still be at."""


class Attendant(Protocol):
    """What a worker needs of the runner."""

    engine: Engine

    def state(self, spec: SessionSpec) -> State: ...

    def tell(self, spec: SessionSpec, report: Report) -> None: ...

    def end(self, name: str, grace: float | None = None) -> None: ...

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
            if error.sent and await _appears(runner, spec):
                break
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
            continue
        break
    if runner.state(spec) is State.CANCELLING:  # asked for while it was being submitted
        runner.end(spec.name, 0.0)
    return True


async def _appears(runner: Attendant, spec: SessionSpec) -> bool:
    """Whether a submission that nobody confirmed has reached the engine after all: it is not sent twice, nor
    given up, while a server may still be at it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLED
    while True:
        if await _exists(runner, spec):
            return True
        if loop.time() >= until:
            return False
        await asyncio.sleep(_LOOK)


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
