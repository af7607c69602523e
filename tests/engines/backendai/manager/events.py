"""Events as the server tells them, and the streams of those who listen (PROTOCOL 7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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
        more: dict[str, Any] = {"kernelId": session.kernel_id} if delivered is not None else {}
        self._tell(name, session, reason, None if self._dialect.is_26 else exit_code, more, of_kernel=False)

    def kernel(self, event: str, session: Session, reason: str, *, exit_code: int | None = None) -> None:
        """Tell of a session's main kernel."""
        more = {"kernelId": session.kernel_id, "clusterRole": "main", "clusterIdx": 1}
        code = None if self._dialect.is_26 else exit_code
        self._tell(f"kernel_{event}", session, reason, code, more, of_kernel=True)

    def _tell(
        self,
        name: str,
        session: Session,
        reason: str,
        code: int | None,
        more: dict[str, Any],
        *,
        of_kernel: bool,
    ) -> None:
        self.told.append((name, session.name))
        if not self.listeners:
            return
        content = {
            "reason": reason,
            "sessionName": session.name,
            "ownerAccessKey": session.owner.access_key,
            "sessionId": session.id,
            "exitCode": code,
        } | more
        text = json.dumps(content, separators=(",", ":") if self._dialect.is_26 else None)
        data = f"event: {name}\r\ndata: {text}\r\n\r\n".encode()
        for listener in self.listeners:
            if listener.hears(session, of_kernel=of_kernel):
                listener.waiting.append(data)
                listener.stirred.set()
