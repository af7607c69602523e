"""The event-stream format (HTML standard, "server-sent events"), read from chunks cut anywhere."""

from __future__ import annotations

import re

LONGEST = 1 << 20
"""Bytes of one event. Those of a manager have some hundred."""

_USUAL = re.compile(rb"event: ([^\r\n]+)\r?\ndata: ([^\r\n]*)\r?\n\r?\n")
"""A whole event as managers write it: a fifth of what its lines take one by one."""


class EventStream:
    """Turns the bytes of a stream into (name, data) of each event."""

    def __init__(self) -> None:
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
            while (usual := _USUAL.match(chunk, at)) is not None:
                found.append((usual[1].decode("utf-8", "replace"), usual[2].decode("utf-8", "replace")))
                at = usual.end()
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
        event = (self._name or "message", "\n".join(self._data)) if self._data else None
        self._name, self._size = "", 0
        self._data.clear()
        return event


def _text(value: bytes) -> str:
    return value.removeprefix(b" ").decode("utf-8", "replace")
