"""The request rate: counted per access key, in windows of 900 s; refused requests count too (PROTOCOL 11)."""

from __future__ import annotations

import math
from collections.abc import Callable

WINDOW = 900
ANONYMOUS = 1000
"""Requests without a signature in one window. Told, and not enforced here."""


class Limits:
    """Counts requests. ``now`` is the clock, in seconds."""

    def __init__(self, now: Callable[[], float], *, window: float = WINDOW) -> None:
        self._now = now
        self.window = window
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, key: str) -> int:
        """Requests of this key in its present window."""
        since, count = self._windows.get(key, (0.0, 0))
        return count if self._now() - since < self.window else 0

    def add(self, key: str) -> int:
        """Count one more; how many there are now."""
        since, count = self._windows.get(key, (0.0, 0))
        now = self._now()
        if now - since >= self.window:
            since, count = now, 0
        self._windows[key] = (since, count + 1)
        return count + 1

    def headers(self, key: str, limit: int, *, with_reset: bool) -> dict[str, str]:
        """The X-RateLimit headers; ``with_reset`` as 26.x sends them."""
        since, count = self._windows.get(key, (self._now(), 0))
        told = {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(max(0, limit - count))}
        if with_reset:
            told["X-RateLimit-Reset"] = str(math.ceil(self.window - (self._now() - since)))
        return told | {"X-RateLimit-Window": str(math.ceil(self.window))}
