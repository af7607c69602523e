"""Whether the server lets us in at all, and while it does not, the one session at a time that finds out."""

from __future__ import annotations

import logging

from tui_sweep.core.session import Refusal
from tui_sweep.engines.backendai.verdicts import Barred

log = logging.getLogger(__name__)


class Door:
    """Shut by a creation that was not even looked at; opened by the first one that is."""

    def __init__(self) -> None:
        self._barred: Barred | None = None
        self._scout: str | None = None
        """The session that is being sent to see whether it is still shut."""

    @property
    def trouble(self) -> str | None:
        """Why nobody is let in; None when all is well."""
        return None if self._barred is None else str(self._barred)

    def refusal(self, *, is_full: bool) -> Refusal | None:
        """Why no session may be sent now; ``is_full``: for want of a place none could be."""
        if self._barred is None or (self._scout is None and not is_full):
            return None
        return Refusal(str(self._barred), retry_after=self._barred.retry_after)

    def expect(self, name: str) -> None:
        """This one is going to be sent."""
        if self._barred is not None:
            self._scout = name

    def check(self, name: str) -> None:
        """Raises Barred for all but the one that is to find out."""
        if self._barred is not None and self._scout != name:
            raise Barred(str(self._barred), self._barred.problem, retry_after=self._barred.retry_after)

    def shut(self, barred: Barred) -> None:
        """One was turned away."""
        if self._barred is None:
            log.warning("not let in any more: error=%s", barred)
        self._barred = barred

    def open(self) -> bool:
        """A server looked at what was asked; whether that is news."""
        if self._barred is None:
            return False
        log.warning("let in again")
        self._barred = None
        return True

    def returned(self, name: str) -> None:
        """Another may be sent to find out."""
        if self._scout == name:
            self._scout = None
