"""What an engine has to do. A further engine is one more folder that fulfils this page.

The contract, tested by ``tests/engines/contract.py`` for each: submitting twice under one name runs
once; following after another process submitted tells the same end; cancelling what has ended is
silent; output is byte-exact; every foreign exception leaves as an EngineError; nothing of a session
is left when its end was reported (unless ``keep``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tui_sweep.core.session import Refusal, Report, SessionSpec
from tui_sweep.core.sweep import Sweep


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an engine settles once, when a sweep is created."""

    place: dict[str, Any]
    """JSON values kept in ``sweep.json``: endpoint, access key id, host, cwd, interpreter, environment.
    Never a secret."""
    notices: list[str] = field(default_factory=list)
    """Sentences for the user: options that have no meaning here, an image that is not used."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What an engine is built from, at every start of a runner."""

    sweep_id: str
    sweep: Sweep
    place: Mapping[str, Any]
    """As ``Prepared.place`` had it, read back from ``sweep.json``."""
    files: Path
    """The snapshot of FILES; empty or absent when there are none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an engine knows of itself, for the queue panel and ``sweep-tui engine``. JSON values."""

    reachable: bool
    server: str
    """What is spoken to, in words, e.g. its version."""
    endpoint: str | None
    capacity: dict[str, dict[str, str]]
    """Slot name → ``{"total": "8", "used": "3"}``."""
    limits: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences on what this way of running cannot do, for the queue panel."""
    trouble: str | None = None
    """Why what cases wrote, or how they ended, cannot be kept on this machine's disk now."""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    """Who waits: one object each with at least ``session``, ``since`` and ``reason``."""


class Engine(Protocol):
    """One engine at work for one sweep. All methods are called from one event loop."""

    tells_growth: bool
    """It writes the output itself, and tells each time with a report: nobody has to look for more."""

    async def open(self) -> None:
        """Reach it. Raises EngineDenied or EngineUnreachable."""
        ...

    async def close(self) -> None:
        """Let go of everything but the sessions."""
        ...

    def admit(self, spec: SessionSpec) -> Refusal | None:
        """Take room for this session, or say why there is none now.

        Called before the intent is journalled; never blocks. Room that was taken is used by
        ``submit`` or given back by ``withdraw``.
        """
        ...

    def withdraw(self, name: str) -> None:
        """Give back room that ``admit`` took and ``submit`` never used. Unknown names are fine."""
        ...

    async def room(self) -> None:
        """Return when ``admit`` may have become able to succeed again after a refusal."""
        ...

    async def submit(self, spec: SessionSpec) -> None:
        """Start the session under its name, unless that name was started before: then do nothing.

        Raises EngineBusy (it never began), EngineDenied, EngineUnreachable (nobody knows).
        """
        ...

    def follow(self, spec: SessionSpec) -> AsyncIterator[Report]:
        """Tell what becomes of a submitted session, until and including its end."""
        ...

    async def cancel(self, name: str, *, grace: float) -> None:
        """End the session and all it left, with ``grace`` seconds between asking and forcing.

        Returns when it was asked for; the end comes from ``follow``. Silent for unknown names.
        """
        ...

    async def find(self, specs: Sequence[SessionSpec]) -> dict[str, Report]:
        """What the engine knows of these sessions, ended ones included, by name; unknown ones left out.

        Of one that has ended, how may take long to read: then it is told only that it is over, and ``follow``
        tells the end.
        Raises EngineUnreachable when it cannot tell: then nothing is concluded.
        """
        ...

    async def live(self) -> list[str]:
        """Names of all sessions of this sweep that are alive on the engine, known to us or not."""
        ...

    def watch(self, names: Sequence[str]) -> None:
        """These sessions, and no others, are on a screen: have their output soon, where it takes asking."""
        ...

    async def facts(self) -> Facts:
        """Capacity, limits and who waits, now."""
        ...


class Login(Protocol):
    """What the folder of an engine offers besides, where a user logs in to it."""

    async def login(
        self, *, environ: Mapping[str, str], username: str, password: str, otp: str | None
    ) -> str:
        """Log in, and keep the login; as whom. Raises UsageError, EngineError."""
        ...

    async def logout(self, *, environ: Mapping[str, str]) -> bool:
        """End it; False when there was none. Raises UsageError, EngineError."""
        ...


class EngineModule(Protocol):
    """What each engine's folder offers at its top."""

    def prepare(self, sweep: Sweep, *, environ: Mapping[str, str], cwd: Path) -> Prepared:
        """Check what can be checked before anything exists. Raises UsageError, EngineError."""
        ...

    def engine(self, setting: Setting) -> Engine:
        """The engine for one sweep; touches nothing until ``open``."""
        ...

    async def survey(self, *, environ: Mapping[str, str]) -> Facts:
        """The facts without a sweep, for ``sweep-tui engine`` and the home screen."""
        ...
