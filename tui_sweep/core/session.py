"""The words that the runner and the engines share: what is asked for, and what is told back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tui_sweep.core.slots import Slots
from tui_sweep.core.states import Event


def session_name(sweep_id: str, name: str | None, index: int, attempt: int) -> str:
    """The name of one attempt on the engine: ``ID-INDEX``, with ``NAME-`` before and ``.ATTEMPT``
    behind it from the second attempt on (CONTRACT). Deterministic: a crash leaves a name to ask for.
    """
    prefix = f"{name}-{sweep_id}" if name else sweep_id
    return f"{prefix}-{index}" if attempt == 0 else f"{prefix}-{index}.{attempt}"


SENT_BACK = "sent back to waiting"
"""What the reason of a pending session begins with that the engine had started before."""


class Sink(Protocol):
    """Where one attempt's output goes."""

    def create(self) -> None:
        """Make the folder, unless it is there. Raises OSError."""
        ...

    @property
    def folder(self) -> Path:
        """The attempt's own folder; a case on this machine works in its ``work/``."""
        ...

    @property
    def stdout(self) -> Path: ...

    @property
    def stderr(self) -> Path: ...

    @property
    def exit(self) -> Path:
        """The exit code in decimal and a newline; the newline marks it complete."""
        ...


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """One attempt of one case, as an engine is asked to run it."""

    name: str
    case: int
    attempt: int
    env: Mapping[str, str]
    """The case's own variables: ``-e``, SWEEP_ID, SWEEP_CASE, SWEEP_ATTEMPT, PYTHONUNBUFFERED."""
    clean: str
    """A command, or ``*``: the runtime's default where there are files, else nothing. So build, exec."""
    build: str
    exec: str
    slots: Slots
    sink: Sink


@dataclass(frozen=True, slots=True)
class Report:
    """What an engine tells of one session. Engines tell nothing else about cases."""

    name: str
    event: Event | None
    """None: nothing moved, only ``status`` or ``reason`` changed."""
    at: float
    """UNIX seconds, as near to the event itself as the engine knows."""
    status: str | None = None
    """The engine's own word."""
    exit_code: int | None = None
    reason: str | None = None
    session: str | None = None
    """The engine's own id of the session, once known."""
    retry_after: float = 1.0
    """With event REFUSED: seconds until it is worth trying again."""
    out_of_memory: bool = False
    """With event STOP: it went over its memory and asks to be ended for that."""
    over: bool = False
    """Without an event: it has ended, how is still to be read. No limit of time counts for it any more."""
    unbegun: bool = False
    """With an end: a fault of the engine's own came before anything of the case began, and may have passed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the engine has no room for one more session now."""

    reason: str
    retry_after: float
    """Seconds until it is worth asking again, when nothing is heard before."""
