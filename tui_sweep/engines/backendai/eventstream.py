"""The event-stream format (HTML standard, "server-sent events"), read from chunks cut anywhere."""

from __future__ import annotations

import functools
import re

LONGEST = 1 << 20
"""Bytes of one event. Those of a manager have some hundred."""


class EventStream:
    """Turns the bytes of a stream into (name, data) of each event."""

    def __init__(self, unread: tuple[str, ...] = ()) -> None:
        """Events whose names begin like one of ``unread`` are passed over."""
        self._unread = unread
        self._usual = _usual(unread)
        self._rest = bytearray()
        """The beginning of a line whose end has not come."""
        self._after_return = False
        """The last line ended with CR: an LF that follows belongs to it."""
        self._is_first = True
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[tuple[str, str]]:
        """The events that are complete with these bytes. Raises ValueError for one that is too long."""
        if not chunk:
            return []
        if self._after_return:
            chunk = chunk.removeprefix(b"\n")
        found = []
        at = 0
        if self._is_between and len(chunk) <= LONGEST:
            while (usual := self._usual.match(chunk, at)) is not None and usual.end() > at:
                at = usual.end()
                if usual[1] is not None:
                    found.append((usual[1].decode("utf-8", "replace"), usual[2].decode("utf-8", "replace")))
        lines = chunk[at:].splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        for line in lines:
            if self._rest:
                line = bytes(self._rest + line)
                self._rest.clear()
            if (event := self._line(line.rstrip(b"\r\n"))) is not None:
                found.append(event)
        self._after_return = bool(lines) and not rest and lines[-1].endswith(b"\r")
        self._rest += rest
        if len(self._rest) > LONGEST:
            raise ValueError("a line of the event stream is too long")
        return found

    @property
    def _is_between(self) -> bool:
        """Whether an event begins with the next byte."""
        return not (self._is_first or self._rest or self._name or self._data)

    def _line(self, line: bytes) -> tuple[str, str] | None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._complete()
        field, _, value = line.partition(b":")  # a comment has no field
        if field == b"event":
            self._name = _text(value)
        elif field == b"data":
            self._size += len(value)
            if self._size > LONGEST:
                raise ValueError("an event of the stream is too long")
            self._data.append(_text(value))
        return None

    def _complete(self) -> tuple[str, str] | None:
        name, data = self._name or "message", "\n".join(self._data)
        is_read = bool(self._data) and not name.startswith(self._unread)
        self._name, self._size = "", 0
        self._data.clear()
        return (name, data) if is_read else None


@functools.lru_cache(16)
def _usual(unread: tuple[str, ...]) -> re.Pattern[bytes]:
    """Whole events as managers write them, up to one that is read: a tenth of what their lines take one by one.

    Its groups, the name and the data, are None behind the last event that is whole.
    """
    names = b"|".join(re.escape(name.encode()) for name in unread)
    passed = rb"(?:event: (?:%b)[^\r\n]*\r?\ndata: [^\r\n]*\r?\n\r?\n)*+" % names if unread else b""
    return re.compile(passed + rb"(?:event: ([^\r\n]+)\r?\ndata: ([^\r\n]*)\r?\n\r?\n)?")


def _text(value: bytes) -> str:
    return value.removeprefix(b" ").decode("utf-8", "replace")
