"""Events as the server tells them, and the streams of those who listen (PROTOCOL 7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from tests.engines.backendai.manager.dialects import Dialect
from tests.engines.backendai.manager.sessions import Session

PING = b": ping\r\n\r\n"


@dataclass(eq=False, slots=True)
class Listener:
    """One open event stream."""

    owner: str
    name: str = "*"
    session_id: str | None = None
    sessions: bool = True
    kernels: bool = True
    deaf: bool = False
    """Open and silent for ever: what a ``groupName`` does in 26.x."""
    waiting: list[bytes] = field(default_factory=list)
    """Events that are not on the wire yet."""
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False
    """The stream is to break off, without its last chunk."""

    def hears(self, session: Session, *, of_kernel: bool) -> bool:
        if self.deaf or self.owner != session.owner.access_key:
            return False
        if not (self.kernels if of_kernel else self.sessions):
            return False
        if self.session_id is not None:
            return self.session_id == session.id
        return self.name in ("*", session.name)


_HOLE = "\x01"
_MORE = {"kernelId": _HOLE, "clusterRole": "main", "clusterIdx": 1}


@lru_cache(512)
def _around(name: str, reason: str, code: int | None, more: tuple[str, ...], is_26: bool) -> tuple[str, ...]:
    """What stands before, between and behind the session's name, its owner's key, its id and its kernel's."""
    content = {
        "reason": reason,
        **dict.fromkeys(("sessionName", "ownerAccessKey", "sessionId"), _HOLE),
        "exitCode": code,
        **{key: _MORE[key] for key in more},
    }
    text = json.dumps(content, separators=(",", ":") if is_26 else None)
    return tuple(f"event: {name}\r\ndata: {text}\r\n\r\n".split(_quoted(_HOLE)))


@lru_cache(4096)
def _quoted(text: str) -> str:
    return json.dumps(text)


class Events:
    """Tells listeners; keeps nothing for those who come later."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.listeners: set[Listener] = set()
        self.told: list[tuple[str, str]] = []
        """(event, session name), in order, of all that was ever told to anybody or nobody."""

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[Listener]:
        self.listeners.add(listener)
        try:
            yield listener
        finally:
            self.listeners.discard(listener)

    def cut_all(self) -> None:
        """Break every stream off."""
        for listener in self.listeners:
            listener.cut = True
            listener.stirred.set()

    def session(self, event: str, session: Session, reason: str, *, exit_code: int | None = None) -> None:
        """Tell of a session: ``event`` without its prefix."""
        name = f"session_{event}"
        delivered = self._dialect.session_events
        if delivered is not None and name not in delivered:
            return
        # 23.9 adds the kernel's id; 26.x loses the exit code
        more = ("kernelId",) if delivered is not None else ()
        self._tell(name, session, reason, None if self._dialect.is_26 else exit_code, more, of_kernel=False)

    def kernel(self, event: str, session: Session, reason: str, *, exit_code: int | None = None) -> None:
        """Tell of a session's main kernel."""
        more = ("kernelId", "clusterRole", "clusterIdx")
        code = None if self._dialect.is_26 else exit_code
        self._tell(f"kernel_{event}", session, reason, code, more, of_kernel=True)

    def _tell(
        self,
        name: str,
        session: Session,
        reason: str,
        code: int | None,
        more: tuple[str, ...],
        *,
        of_kernel: bool,
    ) -> None:
        self.told.append((name, session.name))
        if not self.listeners:
            return
        before, *behind = _around(name, reason, code, more, self._dialect.is_26)
        values = (session.name, session.owner.access_key, session.id, session.kernel_id)
        told = (f"{_quoted(value)}{text}" for value, text in zip(values, behind, strict=False))
        data = f"{before}{''.join(told)}".encode()
        for listener in self.listeners:
            if listener.hears(session, of_kernel=of_kernel):
                listener.waiting.append(data)
                listener.stirred.set()
