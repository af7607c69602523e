"""The watch: one event stream and one paged list for all sessions of a sweep.

Events are hints: which names to look up soon. What is believed is the list, since the stream
has no replay, its names differ by version and it falls silent without a word (PROTOCOL.md 7). So a
lost event costs seconds, never a case.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from tui_sweep.core.errors import EngineError
from tui_sweep.core.session import SENT_BACK, Report
from tui_sweep.core.states import Event
from tui_sweep.engines.backendai import listing, queue
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.listing import Item
from tui_sweep.engines.backendai.session import Session
from tui_sweep.engines.backendai.statuses import BACK, BROKEN, ENDED, cause, event

log = logging.getLogger(__name__)

_PERIOD, _DEAF_PERIOD = 20.0, 4.0
"""Seconds between two readings of the whole list, while the event stream is heard and while it is not."""
_PER_PAGE = 1.0
"""Seconds more for every page that a reading takes: a long list is read less often."""
_GAP = 0.3
"""Seconds in which hints gather."""
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
"""Seconds until a server that does not answer is asked again."""
_LASTING = 10.0
"""Seconds that an event stream holds that is worth opening again at once: each opening costs a reading of the
whole list."""
_UNKNOWN_LIMIT, _UNKNOWN_SECONDS = 3, 5.0
"""Answers in a row without a session, and seconds between the first and the last, after which it is believed to
be gone: a server that has just come up may know little for a moment."""

Finish = Callable[[Session, Item], Awaitable[Report]]


class Watch:
    """Keeps the sessions of one sweep up to date until it is cancelled."""

    def __init__(
        self,
        client: Api,
        prefix: str,
        *,
        finish: Finish,
        started: Callable[[Session], None],
        moved: Callable[[Session], None],
        is_limited: bool = True,
    ) -> None:
        """``finish`` reads a session's end; ``started`` hears of one that runs; ``moved`` of each change.
        ``is_limited``: a limit of time may strike a case while its end is being read."""
        self._client = client
        self._prefix = prefix
        self._finish = finish
        self._started = started
        self._moved = moved
        self._is_limited = is_limited
        self.sessions: dict[str, Session] = {}
        """Those whose end was not told yet, by name."""
        self._by_id: dict[str, str] = {}
        self._hints: set[str] = set()
        self._whole = True
        """The whole list is due."""
        self._wake = asyncio.Event()
        self._unknown: dict[str, tuple[int, float]] = {}
        """Those that the last answers did not have, by name: how many answers, and the loop time of the first."""
        self._ends: set[asyncio.Task[None]] = set()
        self._pages = 1
        self.hears = False
        """The event stream is open."""
        self.trouble: str | None = None
        """Why the last question had no answer."""
        self.trouble_since = 0.0

    # what is watched

    def add(self, session: Session) -> None:
        """Watch one more session."""
        self.sessions[session.name] = session
        if session.id:
            self._by_id[session.id] = session.name

    def confirm(self, session: Session, id_: str) -> None:
        """The server named it: from now on a list without it tells something."""
        self._name(session, id_)
        self.hint(session.name)

    def take_over(self, session: Session, item: Item) -> None:
        """Watch a session that another process had made, as a list has just told of it.

        Its events were of nobody's until now: one reading of the whole list tells what all such have missed.
        """
        self.add(session)
        self._name(session, item.id)
        self.apply(item)
        self._whole = True
        self._wake.set()

    def hint(self, *names: str) -> None:
        """Look these up soon."""
        self._hints.update(names)
        self._wake.set()

    def forget(self, session: Session) -> None:
        """It has ended, or never was."""
        if self.sessions.get(session.name) is session:
            del self.sessions[session.name]
        self._by_id.pop(session.id, None)
        self._unknown.pop(session.name, None)

    async def conclude(self, session: Session) -> None:
        """Read its end, though it lives on: its case is over, and it is kept. Raises EngineError."""
        item = (await self.look([session.name])).get(session.name)
        if item is not None and not session.ending:
            self._end(session, item)

    # the two streams

    async def run(self) -> None:
        """Watch until cancelled. When it fails, it may be begun anew."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._poll())
        except asyncio.CancelledError:
            for task in self._ends:
                task.cancel()
            raise
        except BaseException:  # the ends that are being read go on: nobody would begin them again
            self._whole, self.hears = True, False
            self.trouble = "internal error of sweep-tui; the traceback is in run.log"
            raise

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        while True:
            opened = math.inf
            try:
                async for name, data in self._client.events():
                    if opened is math.inf:
                        opened = loop.time()
                    self._heard(name, data)
            except EngineError as error:
                log.info("event stream lost: error=%s", error)
            self.hears = False
            self._wake.set()
            if loop.time() - opened >= _LASTING:
                delay = _FIRST_DELAY
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    def _heard(self, name: str, data: Mapping[str, Any]) -> None:
        """One event; the first, nameless one tells that the stream is open."""
        if not self.hears:
            self.hears = True
            self._whole = True
            self._wake.set()
        session = data.get("sessionName")
        if not isinstance(session, str) or session not in self.sessions:
            session = self._by_id.get(str(data.get("sessionId")))
        if session is not None and name.startswith("session_"):
            self.hint(session)
        elif session is not None and name in ("kernel_started", "kernel_preparing", "kernel_cancelled"):
            self.hint(session)  # 23.09 tells of starts by these alone

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        read = 0.0
        while True:
            while not self._whole and not self._hints and loop.time() < self._due(read):
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._due(read)):
                        await self._wake.wait()
            if not self.sessions:
                self._whole, read, self.trouble = False, loop.time(), None
                self._hints.clear()
                self._wake.clear()
                await self._wake.wait()
                continue
            began = loop.time()
            hints = self._hints & self.sessions.keys()
            self._hints = set()
            try:
                if self._whole or began >= self._due(read):
                    await self._read_all()
                    self._whole, read = False, began
                elif hints:
                    await self.look(hints)
            except EngineError as error:
                self._hints |= hints
                self._failed(error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
                continue
            delay = _FIRST_DELAY
            self.trouble = None
            await asyncio.sleep(max(_GAP, loop.time() - began))

    def _due(self, read: float) -> float:
        """Loop time at which the whole list, last read at ``read``, is due again."""
        return read + (_PERIOD if self.hears else _DEAF_PERIOD) + _PER_PAGE * (self._pages - 1)

    def _failed(self, error: EngineError) -> None:
        if self.trouble is None:
            self.trouble_since = time.time()
            log.warning("no answer about sessions: error=%s", error)
        self.trouble = str(error)

    def _name(self, session: Session, id_: str) -> None:
        session.id = id_
        session.confirmed = asyncio.get_running_loop().time()
        self._by_id[id_] = session.name

    # what the list tells

    async def _read_all(self) -> None:
        began = asyncio.get_running_loop().time()
        seen = set()
        async for item in listing.alive(self._client, self._prefix):
            seen.add(item.name)
            self.apply(item)
        self._pages = max(-(-len(seen) // listing.PAGE), 1)
        missing = [
            session.name
            for session in self.sessions.values()
            if session.name not in seen and 0 < session.confirmed < began and not session.ending
        ]
        if missing:
            await self.look(missing)

    async def look(self, names: Iterable[str]) -> dict[str, Item]:
        """Ask about these; the item of each name that the server knows, the latest where it knows several."""
        began = asyncio.get_running_loop().time()
        wanted = set(names)
        found: dict[str, Item] = {}
        for item in await listing.named(self._client, wanted):
            session = self.sessions.get(item.name)
            if session is None or not session.id or session.id == item.id:
                found[item.name] = item
        for item in found.values():
            self.apply(item)
        for name in wanted - found.keys():
            session = self.sessions.get(name)
            if session is not None and 0 < session.confirmed < began and not session.ending:
                self._miss(session)
        return found

    def _miss(self, session: Session) -> None:
        """The server answered and does not know it."""
        loop = asyncio.get_running_loop()
        count, since = self._unknown.get(session.name, (0, loop.time()))
        self._unknown[session.name] = count + 1, since
        if count + 1 < _UNKNOWN_LIMIT or loop.time() - since < _UNKNOWN_SECONDS:
            loop.call_later(_UNKNOWN_SECONDS / (_UNKNOWN_LIMIT - 1), self.hint, session.name)
            return
        reason = "the server does not know it any more"
        session.tell(Report(session.name, Event.VANISHED, time.time(), reason=reason, session=session.id))
        self.forget(session)
        self._moved(session)

    def apply(self, item: Item) -> None:
        """What the list tells of one session, as a report where something moved."""
        session = self.sessions.get(item.name)
        if session is None or session.ending or (session.id and session.id != item.id):
            return
        if not session.id:
            self.confirm(session, item.id)
        self._unknown.pop(session.name, None)
        if item.status in ENDED or item.status == BROKEN:
            self._end(session, item)
            return
        session.said = queue.said(item.data, item.info)
        if (item.status, item.info) == (session.status, session.info):
            return
        moved = event(item.status)
        if moved is Event.ACCEPTED and not session.since:
            session.since = item.created or time.time()
        on_its_way = session.ran or event(session.status) is Event.PREPARING
        if item.status in BACK or (on_its_way and moved is Event.ACCEPTED):
            why = cause(item.info) or (item.status.lower() if item.status in BACK else None)
            session.back = f"{SENT_BACK} by the server" + (f" ({why})" if why else "")
            session.since, session.ran, session.begun = time.time(), False, False
        session.status, session.info = item.status, item.info
        if moved is Event.STARTED and not session.ran:
            session.ran, session.back = True, None
            self._started(session)
        reason = session.back if moved is Event.ACCEPTED else None
        session.tell(
            Report(session.name, moved, time.time(), status=item.status, reason=reason, session=item.id)
        )
        self._moved(session)

    def _end(self, session: Session, item: Item) -> None:
        session.ending = True
        session.status, session.info = item.status, item.info
        if self._is_limited:
            now = time.time()
            session.tell(Report(session.name, None, now, status=item.status, session=item.id, over=True))
        task = asyncio.get_running_loop().create_task(self._read_end(session, item))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _read_end(self, session: Session, item: Item) -> None:
        try:
            report = await self._finish(session, item)
        except Exception:
            log.exception("our own fault, end not read: session=%s", session.name)
            reason = "internal error of sweep-tui while its end was read; the traceback is in run.log"
            report = Report(session.name, Event.VANISHED, time.time(), reason=reason, session=session.id)
        session.tell(report)
        self.forget(session)
        self._moved(session)
