"""Interactive sessions: their commands are started from here, and their output comes live.

A session that runs is given its command once, as a run under an id of ours (PROTOCOL.md 4.2), and each
answer brings what was printed meanwhile. Nothing depends on those answers: what the command prints stands in
the container's log, too, in frames that say what is missing and how the case ended. So a lost
answer, a killed process or a restarted manager costs a look at the log. It is looked at *before* a run is
continued that may be over, because that would hang the session (NOTES.md); and a command that is started a
second time does nothing (``wrapper.sh``).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable

from tui_sweep.core.errors import EngineDenied, EngineError
from tui_sweep.engines.backendai.api import Api, Told
from tui_sweep.engines.backendai.frames import Decoder, End, Frame
from tui_sweep.engines.backendai.logs import Logs
from tui_sweep.engines.backendai.session import Session

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
"""Seconds until a server that does not answer is asked again."""
_SLOW_FIRST, _SLOW_LONGEST = 0.25, 8.0
"""Seconds between two questions to a server that slows with each request that names a session: doubled
each time, while no screen shows the case."""
_OVER = frozenset(("finished", "exec-timeout"))


class Runs:
    """Starts what interactive sessions run, and listens to it until it is over."""

    def __init__(self, client: Api, logs: Logs, command: Callable[[Session], str]) -> None:
        """``command`` is what a session runs."""
        self._client = client
        self._logs = logs
        self._command = command

    async def attend(self, session: Session) -> None:
        """Return when the case has ended, or the session has: then whoever watches that knows more."""
        command = None if session.begun and await self._began(session) else self._command(session)
        session.begun = True
        decoder = Decoder()
        delay, pause = _FIRST_DELAY, _SLOW_FIRST
        while not session.ending and session.final is None:
            try:
                told = await self._client.run(session.id, _run_id(session), command)
            except EngineDenied as error:
                # It is gone, or is being ended; if neither, its log tells the end of what has begun.
                log.warning("run refused: session=%s error=%s", session.name, error)
                if await self._began(session):
                    await self._logs.read_to_end(session, over=False)
                return
            except EngineError as error:
                log.info("run not heard: session=%s error=%s", session.name, error)
                session.streams = False
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
                if await self._began(session):
                    command = None
                continue
            command, delay = None, _FIRST_DELAY
            frames = decoder.feed(told.stdout)
            await self._heard(session, told, frames)
            if told.status in _OVER or any(isinstance(frame, End) for frame in frames):
                session.code = told.code
                await self._logs.read_to_end(session, over=True)
                return
            if self._client.dialect.slow_by_name and not self._logs.is_watched(session):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _SLOW_LONGEST)

    # inside

    async def _began(self, session: Session) -> bool:
        """Whether the log has anything of the command; asked until there is an answer, or it has ended."""
        delay = _FIRST_DELAY
        while not session.ending:
            try:
                received = await self._logs.read(session)
            except EngineError as error:
                log.info("log not fetched: session=%s error=%s", session.name, error)
            else:
                if received is not None:
                    return received.has_begun
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
        return True

    async def _heard(self, session: Session, told: Told, frames: Iterable[Frame]) -> None:
        """Write what came; where something before it is missing, have the log read soon."""
        if not told.stdout:
            return
        session.streams = await self._logs.stream(session, frames)
        if not session.streams:
            self._logs.hasten(session)


def _run_id(session: Session) -> str:
    """The id of a session's only run: the same in every process."""
    return hashlib.sha256(session.id.encode()).hexdigest()[:16]
