"""What has to be kept and cannot be written: told once, tried again until it can be, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from tui_sweep.core.session import SessionSpec

log = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds until a disk that takes nothing is tried again."""


class Disk:
    """Which sessions wait for room on this machine's disk, for their output and for what is kept of them."""

    def __init__(self) -> None:
        self._failing: dict[object, str] = {}
        """The words of the last failure, by whose it was."""

    @property
    def trouble(self) -> str | None:
        """Why something cannot be written now; None when all is well."""
        return next(iter(self._failing.values()), None)

    def failed(self, whose: object, spec: SessionSpec, error: OSError) -> None:
        """It could not be written. Said to the log once until it can be."""
        if whose not in self._failing:
            log.error("cannot be written, tried again: session=%s error=%s", spec.name, error)
        self._failing[whose] = f"{spec.sink.folder} cannot be written: {error.strerror or error}"

    def fine(self, whose: object) -> None:
        """It was written, or nobody waits for it any more."""
        if self._failing.pop(whose, None) is not None and not self._failing:
            log.info("everything can be written again")

    async def insist(self, spec: SessionSpec, write: Callable[[], None]) -> None:
        """Write until it is written."""
        whose = object()
        delay = FIRST_DELAY
        try:
            while True:
                try:
                    write()
                    return
                except OSError as error:
                    self.failed(whose, spec, error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)
                with contextlib.suppress(OSError):
                    spec.sink.create()  # somebody may have removed it
        finally:
            self.fine(whose)
