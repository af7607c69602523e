"""When a session's log is fetched: live for those that a screen shows, once at the end for all, and
in between only as often as the server could otherwise lose more than it keeps.

Each fetch moves the whole log (PROTOCOL.md 6).
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Iterable

from tui_sweep.core.errors import EngineBusy, EngineError, EngineUnreachable
from tui_sweep.core.session import Report
from tui_sweep.engines.backendai import disk, ends, sent
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.disk import Disk
from tui_sweep.engines.backendai.frames import Frame
from tui_sweep.engines.backendai.listing import Item
from tui_sweep.engines.backendai.receive import Received, Receiver
from tui_sweep.engines.backendai.session import Session
from tui_sweep.engines.backendai.statuses import BROKEN

log = logging.getLogger(__name__)

KEPT = 10 << 20
"""Bytes that a server keeps of a log unless its site says otherwise."""
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 600.0
"""Seconds between two fetches while nobody looks: doubled while little comes, fourfold while nothing does."""
_LIVE_PAUSE, _LIVE_LONGEST = 2.0, 10.0
"""Seconds between two fetches while a screen shows it: by the log's size."""
_UNHEARD = 20.0
"""Seconds that a server may take to end a session whose command has come to its end."""
_AT_ONCE = 4
_TRIES = 7
"""Tries to have the last log when the server answers that there is none (yet): a minute in all."""
_TRIES_FOR_NOTHING = 3
"""The same for one that we had ended before it was seen to run: most likely there never was any."""
_LARGE = 200_000
"""Characters above which a log is read in a thread."""


class Logs:
    """Fetches logs and writes what they hold into the cases' files."""

    def __init__(self, client: Api, disk: Disk) -> None:
        self._client = client
        self._disk = disk
        self._due: list[tuple[float, int, Session]] = []
        self._count = 0
        self._watched: frozenset[str] = frozenset()
        self._running: dict[str, Session] = {}
        self._wake = asyncio.Event()
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def follow(self, session: Session) -> None:
        """It runs: fetch its log from now on when that is due."""
        self._running[session.name] = session
        if session.receiver is not None:
            session.receiver.start_anew()
        session.log_pause = _FIRST_PAUSE
        self._schedule(session, _LIVE_PAUSE if session.name in self._watched else _FIRST_PAUSE)

    def watch(self, names: Iterable[str]) -> None:
        """These, and no others, are on a screen."""
        fresh = frozenset(names)
        for name in fresh - self._watched:
            if (session := self._running.get(name)) is not None:
                self._schedule(session, 0.0)
        self._watched = fresh

    def is_watched(self, session: Session) -> bool:
        """Whether it is on a screen."""
        return session.name in self._watched

    def hasten(self, session: Session) -> None:
        """Something of what comes live is missing: fetch its log now, unless that is due soon."""
        due = session.log_due - asyncio.get_running_loop().time()
        if session.name in self._running and due > _LIVE_LONGEST:
            self._schedule(session, 0.0)

    async def stream(self, session: Session, frames: Iterable[Frame]) -> bool:
        """Write what came live; False when something before it is missing, or it cannot be written."""
        try:
            async with session.reading:
                is_whole = self._receiver(session).stream(frames)
        except OSError as error:
            self._disk.failed(session, session.spec, error)
            return False
        self._disk.fine(session)
        session.grew()
        return is_whole

    async def read(self, session: Session) -> Received | None:
        """What the log of a running session has now; None when the server has none. Raises EngineError."""
        text = await self._client.logs(session.id)
        try:
            return None if text is None else await self._take(session, text)
        except OSError:
            return None

    async def read_to_end(self, session: Session, *, over: bool) -> None:
        """Read the log until it has the case's end, or the session has ended.

        ``over``: the command is known to have ended, so that soon nothing more can come.
        """
        tries = 0
        while not session.ending and session.final is None and not (over and tries >= _TRIES):
            try:
                received = await self.read(session)
            except EngineError as error:
                log.info("log not fetched: session=%s error=%s", session.name, error)
            else:
                tries += 1
                if received is not None and received.ended is not None:
                    return
            await asyncio.sleep(_LIVE_PAUSE if over or self.is_watched(session) else _LIVE_LONGEST)

    async def run(self) -> None:
        """Fetch what is due until cancelled."""
        loop = asyncio.get_running_loop()
        for session in self._running.values():  # where it has failed before
            self._schedule(session, _LIVE_PAUSE)
        async with asyncio.TaskGroup() as tasks:
            while True:
                while self._due and self._due[0][0] <= loop.time():
                    due, _, session = heapq.heappop(self._due)
                    if due == session.log_due and not session.ending:
                        tasks.create_task(self._fetch(session))
                self._wake.clear()
                try:
                    async with asyncio.timeout_at(self._due[0][0] if self._due else None):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def finish(self, session: Session, item: Item) -> Report:
        """Read the end of a session that has ended, and keep it."""
        self._running.pop(session.name, None)
        if item.status == BROKEN:
            await self._remove(item)
        received = session.final
        if received is None and _may_have_log(session, item):
            received = await self._last(session, item)
        report = ends.report(session, item, received)
        await self._disk.insist(session.spec, lambda: sent.write_end(session.spec.sink.folder, report))
        session.receiver = None
        return report

    # inside

    def _schedule(self, session: Session, pause: float) -> None:
        session.log_due = asyncio.get_running_loop().time() + pause
        self._count += 1
        heapq.heappush(self._due, (session.log_due, self._count, session))
        self._wake.set()

    async def _fetch(self, session: Session) -> None:
        """``_live``, whose failure costs no other session its log."""
        try:
            await self._live(session)
        except Exception:
            log.exception("our own fault, log not read: session=%s", session.name)
            self._schedule(session, _LONGEST_PAUSE)

    async def _live(self, session: Session) -> None:
        """One fetch while it runs; the next one is due by what came."""
        if session.final is not None:
            await self._end(session)
            return
        if session.streams:
            self._schedule(session, _FIRST_PAUSE)
            return
        before = session.receiver.seen if session.receiver is not None else 0
        try:
            async with self._at_once:
                text = await self._client.logs(session.id)
                received = None if text is None else await self._take(session, text)
        except (EngineError, OSError) as error:
            log.info("log not fetched: session=%s error=%s", session.name, error)
            received, text = None, None
        if session.ending or session.name not in self._running:
            return
        size = len(text or "")
        session.streams = session.kind == "interactive" and received is not None  # what comes live may go on
        if session.streams:
            pause = _FIRST_PAUSE
        elif session.name in self._watched:
            pause = min(_LIVE_PAUSE + (_LIVE_LONGEST - _LIVE_PAUSE) * size / KEPT, _LIVE_LONGEST)
        else:
            came = (session.receiver.seen if session.receiver is not None else 0) - before
            session.log_pause = _pause(session.log_pause, came)
            pause = session.log_pause
        if received is not None and received.ended is not None:
            pause = _UNHEARD
        self._schedule(session, pause)

    async def _end(self, session: Session) -> None:
        """Have a session ended that has nothing more to do. One whose agent was started anew meanwhile goes on for
        ever: nobody heard of its command's end (seen on 26.9.6)."""
        if session.kind == "interactive":
            return  # whoever started the command ends it, or keeps it
        log.warning("its command is over and its session is not: session=%s", session.name)
        try:
            await self._client.terminate(session.id, forced=False)
        except EngineError as error:
            log.warning("session not terminated yet: session=%s error=%s", session.name, error)
        self._schedule(session, _UNHEARD)

    async def _last(self, session: Session, item: Item) -> Received | None:
        """The log of a session that has ended. Just after the end servers answer that there is none."""
        delay = 0.5
        tries = 0
        received = None
        most = _TRIES if session.ran or not session.cancelled else _TRIES_FOR_NOTHING
        while tries < most:
            try:
                text = await self._client.logs(item.id)
            except (EngineUnreachable, EngineBusy) as error:
                log.info("last log not fetched yet: session=%s error=%s", session.name, error)
                await asyncio.sleep(min(2 * delay, 30.0))
                delay = min(2 * delay, 30.0)
                continue
            except EngineError as error:
                log.warning("last log refused: session=%s error=%s", session.name, error)
                text = None
            if text is not None:
                try:
                    received = await self._take(session, text, last=True)
                except OSError as error:
                    text = None  # which may be 10 MB, of each that waits
                    reason = f"it has ended; its output cannot be written: {error.strerror or error}"
                    session.tell(Report(session.name, None, time.time(), reason=reason, over=True))
                    await asyncio.sleep(max(delay, disk.FIRST_DELAY))
                    delay = min(2 * delay, disk.LONGEST_DELAY)
                    continue
                if received.ended is not None or tries >= 2:
                    return received
            tries += 1
            await asyncio.sleep(delay)
            delay = min(2 * delay, 16.0)
        return received

    async def _take(self, session: Session, text: str, *, last: bool = False) -> Received:
        """Write what is new in a log. One at a time for a session. Raises OSError, which is told."""
        try:
            async with session.reading:
                receiver = self._receiver(session)
                if len(text) < _LARGE:
                    received = receiver.take(text, last=last)
                else:
                    received = await asyncio.to_thread(receiver.take, text, last=last)
        except OSError as error:
            self._disk.failed(session, session.spec, error)
            raise
        self._disk.fine(session)
        if received.new and not last:
            session.grew()
        return received

    def _receiver(self, session: Session) -> Receiver:
        if session.receiver is None:
            session.receiver = Receiver(session.spec.sink)
        return session.receiver

    async def _remove(self, item: Item) -> None:
        """A broken session holds its slots until it is terminated."""
        delay = 1.0
        while True:
            try:
                await self._client.terminate(item.id, forced=True)
                return
            except (EngineBusy, EngineUnreachable) as error:
                log.warning("broken session not terminated yet: session=%s error=%s", item.name, error)
            except EngineError as error:
                log.warning("broken session cannot be terminated: session=%s error=%s", item.name, error)
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, 60.0)


def _may_have_log(session: Session, item: Item) -> bool:
    """Whether a container ever was: the server has no log of others, and 23.09 fails when asked."""
    return session.ran or item.status == "TERMINATED"


def _pause(before: float, came: int) -> float:
    """Seconds until the next fetch of a log that nobody watches, after ``came`` bytes in ``before`` seconds.

    Half of what the server keeps may pass, at the pace that was seen; a pace may rise tenfold unseen.
    """
    if not came:
        return min(4 * before, _LONGEST_PAUSE)  # of ten thousand silent ones that is 16 requests a second
    pace = came / max(before, 1.0)
    allowed = KEPT / 2 / (pace * 3)
    return max(_LIVE_PAUSE, min(2 * before, allowed, _LONGEST_PAUSE))
