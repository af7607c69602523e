"""How far a server's clock is ahead of ours: its times are told by our own.

Managers bear 15 minutes between the two. The Date of an answer tells the second in which it was written,
somewhere between the sending of the request and the end of its answer: that is a span in which the truth
lies. What is believed stays as long as it lies in the span of each further answer, so that nothing jitters.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

_NONE = 2.0
"""Seconds that are taken for none: what a second's resolution and a slow line can feign."""
_SLOW = 10.0
"""Seconds that an answer took which tells too little."""


class Clock:
    """What is believed of one server's clock."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds; negative where it is behind."""
        self._date: str | None = None
        self._written = 0.0
        """The last Date that was read: of a thousand answers in a second it is parsed once."""

    def heard(self, date: str | None, sent: float, received: float) -> None:
        """An answer's Date, and when it was asked for and came (UNIX seconds by our clock)."""
        if date is None or received - sent > _SLOW:
            return
        if date != self._date:
            try:
                written = parsedate_to_datetime(date).timestamp()
            except (ValueError, OverflowError):
                return
            self._date, self._written = date, written
        least, most = self._written - received, self._written + 1.0 - sent
        if least <= self.ahead <= most:
            return
        middle = (least + most) / 2
        self.ahead = 0.0 if least - _NONE <= 0.0 <= most + _NONE else middle
