"""How a session ended, told as a case ends: from its frames where there are any, else from what the
server says."""

from __future__ import annotations

import signal
import time

from tui_sweep.core.plain import last_line, plain
from tui_sweep.core.session import Report
from tui_sweep.core.slots import format_size
from tui_sweep.core.states import Event
from tui_sweep.engines.backendai.frames import End
from tui_sweep.engines.backendai.listing import Item
from tui_sweep.engines.backendai.receive import Received
from tui_sweep.engines.backendai.session import Session
from tui_sweep.engines.backendai.statuses import BROKEN, cause

_LONGEST = 300
_PASSING = frozenset(
    ("CancelledError", "DBAPIError", "InsufficientResource", "OperationalError", "TimeoutError")
)
"""Faults of a server's own that end a session whose command has not begun: the manager was stopped while it started
one, its database refused one of two that start at once (25.5.2: SerializationError), the agent still had the cpus of
one that has ended."""


def report(session: Session, item: Item, received: Received | None) -> Report:
    """The last report of a session. ``received`` is None when no log of it could be had."""
    at = round(item.ended or time.time(), 3)
    if received is not None and received.ended is not None:
        end = received.ended
        told = Event.SUCCEEDED if end.code == 0 else Event.ERRED
        reason = _reason(session, end)
        if received.missing:
            lost = f"{_size(received.missing)} of output missing"
            reason = lost if reason is None else f"{reason}; {lost}"
        return Report(session.name, told, at, item.status, end.code, reason, item.id)
    event, code, reason = _without_end(session, item, received)
    return Report(
        session.name,
        event,
        at,
        item.status,
        code,
        plain(reason)[:_LONGEST] if reason else None,
        item.id,
        unbegun=_never_began(session, item, received),
    )


def _reason(session: Session, end: End) -> str | None:
    """The same words as on this machine: ``exit 3``, ``build: exit 2``, ``SIGSEGV``."""
    if end.code == 0:
        return None
    if end.oom and end.code > 128:
        asked = session.spec.slots["mem"]
        return f"out of memory (asked {format_size(asked)})" if asked else "out of memory"
    told = f"exit {end.code}"
    if end.code > 128:
        try:
            told = signal.Signals(end.code - 128).name
        except ValueError:
            pass  # a plain code above 128
    return told if end.step == "exec" else f"{end.step}: {told}"


def _without_end(
    session: Session, item: Item, received: Received | None
) -> tuple[Event, int | None, str | None]:
    """What is known when no end frame came: the server's word for it, which is little."""
    why = cause(item.info)
    if session.code is not None:
        return (
            Event.ERRED,
            None,
            f"it failed before the program began: {_noise(received) or f'exit {session.code}'}",
        )
    if item.status == BROKEN or item.info in ("failed-to-start", "failed-to-create", "image-pull-failed"):
        return Event.ERRED, None, f"{why or 'the server reports an error'}{_error(item)}"
    if session.cancelled or item.info in ("user-requested", "force-terminated"):
        return Event.VANISHED, None, why or "terminated"
    if item.status == "CANCELLED":
        return (
            Event.VANISHED,
            None,
            f"cancelled by the server before it ran ({why})"
            if why
            else ("cancelled by the server before it ran"),
        )
    if item.info == "task-cancelled":  # called a failure by the server, and the program has not failed
        return Event.VANISHED, None, why
    if item.info == "task-timeout":
        return Event.ERRED, None, why
    if item.result == "SUCCESS":
        return Event.SUCCEEDED, 0, "its output could not be read; the server says that it succeeded"
    if item.result == "FAILURE":
        if noise := _noise(received):
            return Event.ERRED, None, f"it failed before the program began: {noise}"
        return Event.ERRED, None, "it failed, and no exit code was left: its container may have been killed"
    return Event.VANISHED, None, f"ended without telling how ({why})" if why else "ended without telling how"


def _never_began(session: Session, item: Item, received: Received | None) -> bool:
    """Whether a passing fault of the server's own ended it on its way up. A session that ran is never CANCELLED."""
    if item.status != "CANCELLED" or item.info not in ("failed-to-start", "failed-to-create"):
        return False
    if session.ran or session.cancelled or (received is not None and received.began):
        return False
    error = item.data.get("error")
    faults = [error]
    if isinstance(error, dict) and isinstance(several := error.get("collection"), list):
        faults = several
    names = [fault.get("name") if isinstance(fault, dict) else None for fault in faults]
    return bool(names) and all(isinstance(name, str) and name in _PASSING for name in names)


def _noise(received: Received | None) -> str:
    """The last line of a log in which nothing of the wrapper was ever seen."""
    return last_line(received.noise.encode()) if received is not None and not received.began else ""


def _error(item: Item) -> str:
    """The words of ``status_data.error`` (PROTOCOL.md 3.5)."""
    error = item.data.get("error")
    told = error.get("repr") if isinstance(error, dict) else None
    return f": {told}" if isinstance(told, str) else ""


def _size(count: int) -> str:
    return (
        f"{count} bytes"
        if count < 1000
        else f"{count / 1000:.0f} kB"
        if count < 10**6
        else f"{count / 1e6:.1f} MB"
    )
