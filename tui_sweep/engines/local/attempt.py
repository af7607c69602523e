"""One attempt as this engine sees it while it lives."""

from __future__ import annotations

import asyncio
import functools
import os
from dataclasses import dataclass, field

from tui_sweep.core.session import Report
from tui_sweep.core.states import ENDINGS
from tui_sweep.engines.local.tree import Subject


@dataclass(slots=True, eq=False)
class Attempt:
    """A session that was started, by us or by a runner before us, and has not been told as ended."""

    name: str
    folder: str
    """Without links in it: the mark of its processes."""
    exit: str
    hold: str
    """The file behind the locked descriptor that its processes inherit."""
    since: float
    """When it started, UNIX seconds."""
    pid: int = 0
    """Of the process that was started for it; it is its process group, too."""
    by: int = 0
    """Clock ticks after boot by which that process had started: who has its pid and started later is another."""
    is_ours: bool = False
    """We had it started."""
    is_over: bool = False
    """Its process has ended."""
    status: int | None = None
    """Its process's wait status, where we had it started."""
    limit: int | None = None
    """Bytes of memory its processes may have together."""
    reports: list[Report] = field(default_factory=list)
    """Everything told so far, the end last."""
    is_followed: bool = False
    """Somebody listens, so that the end need not be kept."""
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_told(self) -> bool:
        """Whether its end was told."""
        return bool(self.reports) and self.reports[-1].event in ENDINGS

    def tell(self, report: Report) -> None:
        """Pass a report to whoever follows, now or later."""
        self.reports.append(report)
        self._told.set()

    async def told(self, count: int) -> None:
        """Wait until there are more than ``count`` reports."""
        while len(self.reports) <= count:
            self._told.clear()
            await self._told.wait()

    def subject(self) -> Subject:
        """What finds its processes."""
        return Subject(self.name, self.pid, self.by, self.folder, self.hold, self.is_ours, self.is_over)


@functools.lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def real(folder: str) -> str:
    """An attempt's folder without links in it, so that every runner writes it alike. The last part is
    never a link; the rest is remembered, for it costs an lstat a part."""
    parent, name = os.path.split(folder)
    return f"{_real(parent)}/{name}"
