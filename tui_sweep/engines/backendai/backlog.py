"""The backlog: how many of a sweep's sessions may wait on the cluster at once.

A short true queue is quick to cancel and fair to others, and the site may refuse a longer one
(PROTOCOL.md 8.4). As long as what is sent starts soon, the cluster has room, and more is sent: one
more for each, so that the bound doubles with each round.
"""

from __future__ import annotations

_FIRST = 20
_LARGEST = 1000
_SOON = 15.0
"""Seconds in which a session that finds room leaves the queue; a scheduler looks every 2 to 10 s."""


class Backlog:
    """Who waits, and how many more may."""

    def __init__(self, *, concurrent: int | None = None, pending: int | None = None) -> None:
        """``concurrent``, ``pending``: what the site allows at most; None is no limit."""
        self._site = pending
        self.bound = min(max(concurrent or _FIRST, 2), _LARGEST)
        self._since: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, name: str) -> bool:
        return name in self._since

    @property
    def is_full(self) -> bool:
        """No more may be sent now."""
        return len(self._since) >= (self.bound if self._site is None else min(self.bound, self._site))

    def add(self, name: str, now: float) -> None:
        """It waits from ``now`` on (loop time)."""
        self._since.setdefault(name, now)

    def remove(self, name: str, now: float, *, started: bool) -> bool:
        """It waits no more; whether it did."""
        since = self._since.pop(name, None)
        if since is not None and started and now - since < _SOON:
            self.bound = min(self.bound + 1, _LARGEST)
        return since is not None

    def refused(self) -> None:
        """The server would not take one more."""
        self.bound = max(len(self._since) - 1, 1)
