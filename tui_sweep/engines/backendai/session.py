"""One session as this process knows it: what was told of it, and what its log is due."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal

from tui_sweep.core.session import Report, SessionSpec
from tui_sweep.core.states import ENDINGS
from tui_sweep.engines.backendai.receive import Received, Receiver

Kind = Literal["batch", "interactive"]


@dataclass(slots=True, eq=False)
class Session:
    """What is known of one session, and who waits for news of it."""

    spec: SessionSpec
    kind: Kind = "batch"
    id: str = ""
    """The server's own id (UUID); "" until an answer named it."""
    status: str = ""
    info: str | None = None
    ran: bool = False
    """Was seen running, so that it has a log."""
    confirmed: float = 0.0
    """Loop time since which a list that does not have it tells something."""
    ending: bool = False
    """Its end is being read."""
    cancelled: bool = False
    """We asked the server to end it."""
    since: float = 0.0
    """UNIX seconds since which it waits on the server."""
    said: str | None = None
    """Why it waits, in the server's own words; servers before 26 say it."""
    reason: str | None = None
    """Why it waits, as told last."""
    back: str | None = None
    """That and why it was sent back to waiting."""
    log_due: float = 0.0
    """Loop time of its next fetch while it runs; 0 until it runs."""
    log_pause: float = 0.0
    """Seconds between two fetches while nobody looks."""
    begun: bool = True
    """A process before this one may have started its command; interactive sessions."""
    streams: bool = False
    """Its output comes live and without a gap; interactive sessions."""
    code: int | None = None
    """The server's own word for how its command ended; interactive sessions."""
    receiver: Receiver | None = None
    """Writes its output; while it runs and was fetched."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One fetch at a time is written."""
    count: int = 0
    """Reports so far."""
    unheard: list[Report] = field(default_factory=list)
    """Those that nobody has followed yet, and the last one always. A case that prints for days has a million, of
    which nobody hears twice."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def final(self) -> Received | None:
        """All of its output, once its command has come to its end."""
        return self.receiver.final if self.receiver is not None else None

    @property
    def ended(self) -> bool:
        """Its end was told; nothing more comes."""
        return bool(self.unheard) and self.unheard[-1].event in ENDINGS

    @property
    def last(self) -> Report | None:
        """What was told last."""
        return self.unheard[-1] if self.unheard else None

    def tell(self, report: Report) -> None:
        """One more report, for whoever follows; after the end nothing counts."""
        if not self.ended:
            self.unheard.append(report)
            self.count += 1
            self._news.set()

    def grew(self) -> None:
        """Tell that more of its output is there."""
        self.tell(Report(self.name, None, time.time(), self.status, session=self.id or None))

    async def told(self, count: int) -> tuple[int, Report]:
        """The first report from number ``count`` on that is kept, and its number, once there is one.

        Those before are forgotten: whoever comes later, or is slower, hears the rest.
        """
        while self.count <= count:
            self._news.clear()
            await self._news.wait()
        first = self.count - len(self.unheard)
        if first < count:
            del self.unheard[: count - first]
        return max(first, count), self.unheard[0]
