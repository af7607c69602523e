"""Asking for the end of sessions until they end: a server may refuse it, not hear it, or take it and do nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from tui_sweep.core.errors import EngineError
from tui_sweep.engines.backendai import listing
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.statuses import ENDED
from tui_sweep.engines.backendai.watch import Watch

log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds that an accepted end may take until it is forced."""
_REFUSED_PATIENCE = 5.0
"""The same of one that is refused."""
_LONGEST_PATIENCE = 600.0
"""Seconds between two forced ones: each is given twice as long as the one before."""
_FIRST_PAUSE, _LISTED_PAUSE, _LONGEST_PAUSE = 1.0, 5.0, 15.0
"""Seconds between two looks, at what is watched and at what the list has to be read for; and while nobody answers."""


class Ending:
    """Has sessions terminated, whatever they do."""

    def __init__(
        self,
        client: Api,
        watch: Watch,
        *,
        is_over: Callable[[str], bool],
        go: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """``is_over``: whether the end of a session of this name was told. ``go``: to be done besides."""
        self._client, self._watch, self._is_over, self._go = client, watch, is_over, go

    async def ask(self, name: str, *, grace: float) -> None:
        """Return when the server has heard it, and, of a session that nobody watches, when it has ended.

        Raises EngineError: it has not heard it.
        """
        session = self._watch.sessions.get(name)
        id_ = session.id if session is not None else ""
        if not id_:
            if self._is_over(name):
                return
            items = [item for item in await listing.named(self._client, [name]) if item.status not in ENDED]
            if not items:
                return
            id_ = items[-1].id
        if session is not None:
            session.cancelled = True
        accepted = await self._client.terminate(id_, forced=False)
        self._watch.hint(name)
        insisting = self._insist(name, id_, grace, accepted=accepted, watched=session is not None)
        if session is None:
            await insisting  # nobody follows it: whoever asked for its end wants to know that it is gone
        else:
            self._go(insisting)

    async def _insist(self, name: str, id_: str, grace: float, *, accepted: bool, watched: bool) -> None:
        """Force an end that does not come. Servers before 26 do not end a session that is being prepared
        unless they are forced; 26.9.6 takes the wish, and then was seen to need over four minutes."""
        loop = asyncio.get_running_loop()
        patience = max(grace, _PATIENCE if accepted else _REFUSED_PATIENCE)
        until, pause = loop.time() + patience, _FIRST_PAUSE
        while True:
            await asyncio.sleep(max(until - loop.time(), _FIRST_PAUSE) if accepted and watched else pause)
            try:
                if await self._is_ending(name):
                    return
                forced = loop.time() >= until
                if forced or not accepted:
                    accepted = await self._client.terminate(id_, forced=forced)
                    self._watch.hint(name)
            except EngineError as error:
                log.warning("end not heard, asking again: session=%s error=%s", name, error)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE if watched else _LISTED_PAUSE
            if forced:
                patience = min(2 * patience, _LONGEST_PATIENCE)
                until = loop.time() + patience

    async def _is_ending(self, name: str) -> bool:
        """Whether a session has ended on the server. Raises EngineError."""
        session = self._watch.sessions.get(name)
        if session is not None:
            return session.ending
        if self._is_over(name):
            return True
        return all(item.status in ENDED for item in await listing.named(self._client, [name]))
