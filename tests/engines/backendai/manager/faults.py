"""What a test lets go wrong on the way: answers replaced, connections cut, nothing said, everything late."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

BAD_GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
"""What a proxy says when it cannot reach the manager."""


@dataclass(slots=True, eq=False)
class Fault:
    """One thing that goes wrong, for ``times`` requests that match (None: always)."""

    pattern: str
    """``METHOD /path`` with ``*``: ``POST /session``, ``GET /session/*/logs``, ``* *``. The query is no
    part of it, nor is ``/func``."""
    times: int | None = 1
    status: int | None = None
    """Answer with this status and ``body`` instead."""
    body: bytes = b""
    content_type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)
    work: bool = False
    """Do the work before it goes wrong."""
    cut: bool = False
    """Cut the connection."""
    hang: bool = False
    """Never answer."""
    truncate: int | None = None
    """Answer with only so many bytes of the body (the length says so: JSON that stops)."""
    seconds: float = 0.0
    """Wait so long first."""
    met: int = 0
    """How many requests it has met."""

    def matches(self, call: str) -> bool:
        return (self.times is None or self.met < self.times) and fnmatchcase(call, self.pattern)


class Faults:
    """The faults in force, the latest first. ``manager.faults``; every method returns the Fault, whose
    ``met`` a test may read and which ``remove`` takes away."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.latency = 0.0
        """Seconds that every answer takes."""

    def __bool__(self) -> bool:
        return bool(self._faults)

    def _add(self, fault: Fault) -> Fault:
        self._faults.insert(0, fault)
        return fault

    def answer(
        self,
        pattern: str,
        status: int,
        body: bytes = b"",
        *,
        content_type: str = "text/html",
        headers: dict[str, str] | None = None,
        times: int | None = 1,
        work: bool = False,
    ) -> Fault:
        """Another answer; with ``work`` after having done what was asked."""
        return self._add(
            Fault(
                pattern,
                times,
                status=status,
                body=body,
                content_type=content_type,
                headers=headers or {},
                work=work,
            )
        )

    def cut(self, pattern: str, *, work: bool, times: int | None = 1) -> Fault:
        """Cut the connection, before or after the work was done."""
        return self._add(Fault(pattern, times, cut=True, work=work))

    def hang(self, pattern: str, *, work: bool = False, times: int | None = 1) -> Fault:
        """Never answer."""
        return self._add(Fault(pattern, times, hang=True, work=work))

    def truncate(self, pattern: str, size: int, *, times: int | None = 1) -> Fault:
        """Do the work, and answer with only the first bytes of the body."""
        return self._add(Fault(pattern, times, truncate=size, work=True))

    def delay(self, pattern: str, seconds: float, *, times: int | None = None) -> Fault:
        """Take that long before the work."""
        return self._add(Fault(pattern, times, seconds=seconds, work=True))

    def remove(self, fault: Fault) -> None:
        """No longer."""
        if fault in self._faults:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()
        self.latency = 0.0

    def of(self, call: str) -> Fault | None:
        """The fault that this request (``METHOD /path``) meets."""
        for fault in self._faults:
            if fault.matches(call):
                fault.met += 1
                return fault
        return None
