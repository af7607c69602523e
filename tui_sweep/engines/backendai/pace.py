"""How fast requests go out: what matters first, and never so many that the site refuses us.

A site counts all requests of a user in a window of 900 s, refused ones too, whichever program sends
them (PROTOCOL.md 11). Its answers tell how many remain. While that is plenty requests go out at once;
below a share of the limit that is higher for what matters less, they are spread so that what remains,
less a reserve, lasts until the window frees. Without a word from the server there is no limit.

A 429 stops everything but terminations, for 5 s and up to 60 s when it repeats itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import IntEnum


class Priority(IntEnum):
    """What a request is for; the smaller number goes first."""

    TERMINATE = 0
    STATUS = 1
    RUN = 2
    """A long poll of a run in an interactive session: up to 2 s each, many at once."""
    CREATE = 3
    LOGS = 4


_AT_ONCE = (12, 6, 64, 8, 6)
"""Requests in flight, by priority. Each has places of its own: one kind never starves another."""
_FREELY_ABOVE = (0.1, 0.25, 0.4, 0.5, 0.6)
"""Share of the limit that must remain for a request to go out at once."""
_RESERVE = (0.0, 0.05, 0.1, 0.2, 0.25)
"""Share of the limit that is left to others and to what matters more."""
_TRICKLE_SHARE, _TRICKLE = 0.05, 0.2
"""Never slower than this share of the limit in a window, nor than so many requests a second."""
_WINDOW = 900.0
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
"""Seconds of silence after a 429, and after many."""


class Pace:
    """Tells requests when to go. All calls from one event loop; costs some microseconds a request."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in Priority)
        self._in_flight = [0] * len(Priority)
        self._limit: int | None = None
        self._remaining = 0.0
        """As the server told, less what went out since."""
        self._window = _WINDOW
        self._frees_at: float | None = None
        """Loop time at which the window begins anew, where the server tells."""
        self._last = -_WINDOW
        """Loop time of the last request."""
        self._starved = False
        """A 429 came from a server that tells no limit, and since then no other answer."""
        self._pause = 0.0
        self._paused_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, priority: Priority) -> None:
        """Return when a request may go out; ``leave`` is due when it is over, however it ends."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting[priority].append(turn)
        if self._in_flight[priority] < _AT_ONCE[priority]:  # else one that leaves lets it go
            self._next()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(priority)
            raise

    def leave(self, priority: Priority) -> None:
        """A request is over."""
        self._in_flight[priority] -= 1
        self._next()

    def heard(self, headers: Mapping[str, str]) -> None:
        """An answer to a request that has not left yet: what it says of the limit."""
        limit = headers.get("X-RateLimit-Limit")
        if limit is None:
            return
        self._limit = _number(limit)
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        if self._limit is None or remaining is None:  # the text "None": there is no limit
            self._limit = None
            return
        self._window = float(_number(headers.get("X-RateLimit-Window")) or _WINDOW)
        reset = _number(headers.get("X-RateLimit-Reset"))
        self._frees_at = None if reset is None else self._loop.time() + reset
        # others in flight may not have been counted yet
        self._remaining = float(remaining - sum(self._in_flight) + 1)

    def accepted(self) -> None:
        """A request was not refused for its rate."""
        if (self._pause or self._starved) and self._loop.time() >= self._paused_until:
            self._pause = 0.0  # else it went out before the refusal
            self._starved = False

    def refused(self) -> float:
        """A 429 came; seconds until it is worth asking again."""
        now = self._loop.time()
        self._remaining = 0.0
        self._starved = self._limit is None
        if now >= self._paused_until:  # else it is one more of those that were under way
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._paused_until = now + self._pause
        return self._paused_until - now

    def close(self) -> None:
        """Nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def paused(self) -> float:
        """Seconds for which nothing but terminations goes out."""
        return max(self._paused_until - self._loop.time(), 0.0)

    # inside

    def _next(self) -> None:
        """Let go what may go now; arm the timer for what may go later."""
        if not any(self._waiting):
            return
        now = self._loop.time()
        for priority, waiting in enumerate(self._waiting):
            while waiting:
                if waiting[0].done():  # its task was cancelled
                    waiting.popleft()
                    continue
                if self._in_flight[priority] >= _AT_ONCE[priority]:
                    break
                due = self._due(priority, now)
                if due > now:  # and whatever matters less is due no sooner
                    self._arm(due)
                    return
                waiting.popleft().set_result(None)
                self._in_flight[priority] += 1
                self._remaining -= 1
                self._last = now

    def _due(self, priority: int, now: float) -> float:
        """The loop time from which one request of a kind may go; now or earlier: at once."""
        paused = self._paused_until if priority != Priority.TERMINATE else now
        if self._limit is None:
            return max(paused, self._last + 1 / _TRICKLE) if self._starved else paused
        if self._frees_at is not None and now >= self._frees_at:
            self._remaining, self._frees_at = float(self._limit), None
        if self._remaining > _FREELY_ABOVE[priority] * self._limit:
            return paused
        lasts = self._window if self._frees_at is None else max(self._frees_at - now, 1.0)
        spare = self._remaining - _RESERVE[priority] * self._limit
        trickle = max(_TRICKLE_SHARE * self._limit / self._window, _TRICKLE)
        return max(paused, self._last + 1 / max(spare / lasts, trickle))

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._next)


def _number(text: str | None) -> int | None:
    if text is None or len(text) > 9 or not (text.isascii() and text.isdigit()):
        return None
    return int(text)
