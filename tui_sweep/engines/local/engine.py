"""LocalEngine: what ``engines.base.Engine`` asks for, on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineUnreachable
from tui_sweep.core.session import Refusal, Report, SessionSpec
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import ENDINGS, Event
from tui_sweep.engines.base import Facts, Setting
from tui_sweep.engines.local.attempt import Attempt, real
from tui_sweep.engines.local.capacity import Capacity, measure
from tui_sweep.engines.local.claims import Claim, boot_id, is_claimed, lives, read_claim, read_outcome
from tui_sweep.engines.local.copies import copy
from tui_sweep.engines.local.descriptors import allow_files, keep_descriptors
from tui_sweep.engines.local.launch import Launch
from tui_sweep.engines.local.ledger import Ledger
from tui_sweep.engines.local.locks import is_locked
from tui_sweep.engines.local.place import place
from tui_sweep.engines.local.runtimes import Commands
from tui_sweep.engines.local.sessions import Sessions, told
from tui_sweep.engines.local.surroundings import Surroundings, odd_names
from tui_sweep.engines.local.tree import Subject, census, members

log = logging.getLogger(__name__)

_TICK = 2.0
"""Seconds between two looks after orphans, the ledger's place, dead holds and an unused ticket."""
_SETTLE = 0.005
"""Seconds until others see what an end gave back, when nothing of ours takes it before."""
_CLAIM_WAIT = 2.0
"""Seconds that a keeper which was asked to start a case may take to claim it."""


def engine(setting: Setting) -> LocalEngine:
    """The engine for one sweep; touches nothing until ``open``."""
    return LocalEngine(setting)


async def survey(*, environ: Mapping[str, str]) -> Facts:
    """The facts without a sweep."""
    capacity = await asyncio.to_thread(measure, environ)
    ledger = Ledger("", capacity, lambda: place(environ))
    if not (place(environ) / "mutex").exists():
        return _facts(capacity, Slots(), [])
    ledger.open()
    try:
        return _told_by(ledger)
    finally:
        ledger.close()


class LocalEngine:
    """One sweep's sessions on this machine."""

    tells_growth = False

    def __init__(self, setting: Setting) -> None:
        sweep = setting.sweep
        self._setting = setting
        self._cwd = Path(setting.place["cwd"])
        self._has_files = bool(sweep.files)
        self._commands = Commands(setting.place, code=sweep.code, has_files=self._has_files)
        self._freed = asyncio.Event()
        self._starting: set[str] = set()
        """Names that are being submitted."""
        self._copying = asyncio.Semaphore(4)
        """More at once do not go faster, and would keep the threads from those who end cases."""
        self._refused: Slots | None = None
        """What was asked for last and not given."""
        self._wanted_until = 0.0
        """When our ticket lapses unless ``room`` is awaited, by the loop's clock."""
        self._waiting = 0
        """Calls of ``room`` at the moment."""
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Measure the machine and join the ledger. Raises EngineDenied."""
        host = self._setting.place.get("host")
        if host is not None and host != socket.gethostname():
            raise EngineDenied(
                f"this sweep was started on {host}, and its cases are processes of that machine; go on with it there"
            )
        self._loop = asyncio.get_running_loop()
        environ = dict(os.environ)
        capacity = await asyncio.to_thread(measure, environ)
        sweep = self._setting.sweep
        self._surroundings = Surroundings(
            environ, self._setting.place, site=self._commands.has_site(sweep.files)
        )
        self._ledger = Ledger(self._setting.sweep_id, capacity, lambda: place(os.environ))
        self._ledger.open()
        self._sessions = Sessions(self._ledger, keep=sweep.keep, grace=sweep.grace, freed=self._has_freed)
        open_files = allow_files()
        keep_descriptors()
        self._sessions.open(self._surroundings.base, open_files)
        self._timer = self._loop.call_later(_TICK, self._tick)

    async def close(self) -> None:
        """Let go of everything but the sessions."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        await self._sessions.close()
        if self._settling is not None:
            self._settling.cancel()
        self._ledger.close()

    # slots

    def admit(self, spec: SessionSpec) -> Refusal | None:
        """Take the slots of this session, or say why they are not free."""
        self._freed.clear()
        refusal = self._ledger.take(spec)
        if refusal is not None:
            self._refused = spec.slots
            self._wanted_until = self._loop.time() + refusal.retry_after + 1.0
        return refusal

    def withdraw(self, name: str) -> None:
        """Give back slots that were never used."""
        if self._ledger.fd(name) is None or name in self._sessions or self._sessions.is_launching(name):
            return
        self._ledger.release(name)
        self._freed.set()

    async def room(self) -> None:
        """Return when a refused request may fit: at once when a case of ours has ended, else within
        0.04 s of what other runners do while they do something, 0.2 s after a quiet time."""
        self._waiting += 1
        try:
            quiet = self._loop.time()
            while not self._freed.is_set() and self._refused is not None:
                pause = 0.04 if self._loop.time() - quiet < 2.0 else 0.2
                try:
                    await asyncio.wait_for(self._freed.wait(), pause)
                except TimeoutError:
                    if self._ledger.is_news():
                        quiet = self._loop.time()
                        if self._ledger.would_fit(self._refused):
                            return
        finally:
            self._waiting -= 1
            self._wanted_until = self._loop.time() + 1.0

    # sessions

    async def submit(self, spec: SessionSpec) -> None:
        """Start a session, unless its name was started before."""
        if spec.name in self._sessions or spec.name in self._starting:
            return
        if is_claimed(os.fspath(spec.sink.folder)):
            self.withdraw(spec.name)
            return
        if self._ledger.fd(spec.name) is None:
            refusal = self._ledger.take(spec)
            if refusal is not None:
                raise EngineBusy(f"{spec.name}: {refusal.reason}", retry_after=refusal.retry_after)
            if self._ledger.fd(spec.name) is None:
                return  # an earlier runner started it just now; its claim will come
        self._starting.add(spec.name)
        try:
            cwd, attempt = await self._work(spec), self._attempt(spec)
            if not await self._sessions.start(self._launch(spec, cwd, attempt), attempt):
                await self._settle(spec)
        finally:
            self._starting.discard(spec.name)
            self.withdraw(spec.name)  # does nothing once it has started

    def follow(self, spec: SessionSpec) -> AsyncIterator[Report]:
        """Tell what becomes of a session, whoever started it."""
        return _Reports(spec.name, lambda: self._heard(spec))

    async def _heard(self, spec: SessionSpec) -> Attempt | None:
        attempt = self._sessions.known(spec.name) or await self._adopted(spec)
        if attempt is not None:
            self._sessions.heard(attempt)
        return attempt

    async def cancel(self, name: str, *, grace: float) -> None:
        """Ask a session to end, and force it after ``grace`` seconds."""
        if name not in self._sessions:
            self._adopt_from_ledger(name)
        attempt = self._sessions.known(name)
        if attempt is not None and not attempt.is_told:
            self._sessions.end(attempt, grace)

    async def find(self, specs: Sequence[SessionSpec]) -> dict[str, Report]:
        """What the attempts' folders and the ledger tell."""
        found: dict[str, Report] = {}
        asked = []
        for spec in specs:
            if spec.name in self._sessions:
                attempt = self._sessions.known(spec.name)
                if attempt is not None:
                    found[spec.name] = attempt.reports[0]
            else:
                asked.append(spec)
                await self._claimed(spec)
        found.update(await asyncio.to_thread(self._look, asked))
        return found

    async def live(self) -> list[str]:
        """Names of this sweep's sessions whose processes hold their lock."""
        held = [hold.name for hold in self._ledger.holds() if hold.sweep == self._setting.sweep_id]
        started = [name for name in held if self._ledger.fd(name) is None]
        return list(dict.fromkeys([*self._sessions.names(), *started]))

    def watch(self, names: Sequence[str]) -> None:
        """Nothing to do: the cases write their files themselves."""

    async def facts(self) -> Facts:
        """Capacity, and who waits."""
        return _told_by(self._ledger)

    # inside

    def _has_freed(self) -> None:
        """An end gave slots back."""
        self._freed.set()
        if self._settling is None:
            self._settling = self._loop.call_later(_SETTLE, self._settle_ends)

    def _settle_ends(self) -> None:
        self._settling = None
        self._ledger.settle()

    def _attempt(self, spec: SessionSpec) -> Attempt:
        mem, folder = spec.slots["mem"], real(os.fspath(spec.sink.folder))
        return Attempt(
            spec.name,
            folder,
            f"{folder}/exit",
            self._ledger.path(spec.name),
            time.time(),
            limit=int(mem) if mem else None,
        )

    async def _work(self, spec: SessionSpec) -> Path:
        """Where the case works: its own copy of FILES, or where the sweep was asked for."""
        if not self._has_files:
            return self._cwd
        work = spec.sink.folder / "work"
        if not self._setting.files.is_dir():
            raise EngineDenied(f"the snapshot of FILES is gone: {self._setting.files}")
        async with self._copying:
            await asyncio.to_thread(copy, self._setting.files, work)
        return work

    def _launch(self, spec: SessionSpec, cwd: Path, attempt: Attempt) -> Launch:
        steps = self._commands.steps(spec.clean, spec.build, spec.exec)
        folder = attempt.folder
        odd = odd_names(spec.env)
        command = ("/usr/bin/env", "--", *odd, *steps.command) if odd and steps.command else steps.command
        try:
            env = self._surroundings.environment(spec, folder, self._ledger.hold(spec.name), cwd)
        except UnicodeEncodeError as error:
            raise EngineDenied(
                f"{spec.name}: a variable holds characters that cannot be passed on"
            ) from error
        return Launch(
            spec.name, folder, str(cwd), steps.clean, steps.build, self._commands.shell, command, env,
            self._surroundings.base,
        )  # fmt: skip

    async def _settle(self, spec: SessionSpec) -> None:
        """Find out about a session whose keeper died before it said whether it had started this one, or
        that somebody else has claimed.

        Raises EngineBusy when it was not, EngineUnreachable when that cannot be told.
        """
        self._ledger.hand_over(spec.name)
        if await self._adopted(spec) is not None:
            return
        if is_locked(self._ledger.path(spec.name)):
            raise EngineUnreachable(f"{spec.name}: something has its slots that does not tell what it is")
        self._ledger.release(spec.name)
        self._freed.set()
        raise EngineBusy(f"{spec.name}: the process that starts cases was killed", retry_after=0.5)

    async def _claimed(self, spec: SessionSpec) -> Claim | None:
        """The claim of a session; waits for one that a keeper has yet to make."""
        until = self._loop.time() + _CLAIM_WAIT
        while True:
            claim = read_claim(os.fspath(spec.sink.folder))
            if claim is not None and (claim.pid or read_outcome(os.fspath(spec.sink.exit)) is not None):
                return claim
            path = self._ledger.path(spec.name)
            if self._ledger.fd(spec.name) is not None or not is_locked(path) or self._loop.time() > until:
                return read_claim(os.fspath(spec.sink.folder))
            await asyncio.sleep(0.01)

    async def _adopted(self, spec: SessionSpec) -> Attempt | None:
        claim = await self._claimed(spec)
        known = self._sessions.known(spec.name)
        if known is not None or claim is None:
            return known
        attempt = self._attempt(spec)
        attempt.since = claim.at
        self._sessions.adopt(attempt, claim)
        return attempt

    def _adopt_from_ledger(self, name: str) -> None:
        """Come to know a session that nobody told us of, if it lives."""
        if not is_locked(self._ledger.path(name)) or self._ledger.fd(name) is not None:
            return
        hold = next((hold for hold in self._ledger.holds() if hold.name == name), None)
        if hold is None or hold.sweep != self._setting.sweep_id or not hold.folder:
            return
        folder = real(hold.folder)
        claim = read_claim(folder) or Claim(0, 0, "", time.time())
        attempt = Attempt(
            name, folder, f"{folder}/exit", self._ledger.path(name), claim.at,
        )  # fmt: skip
        self._sessions.adopt(attempt, claim)

    def _look(self, specs: Sequence[SessionSpec]) -> dict[str, Report]:
        """``find`` for sessions that we do not watch. In a thread: it reads two files for each."""
        found: dict[str, Report] = {}
        ended: list[Subject] = []
        for spec in specs:
            claim = read_claim(os.fspath(spec.sink.folder))
            if claim is None:
                continue
            session = f"pid:{claim.pid}" if claim.pid else None
            running = Report(spec.name, Event.STARTED, claim.at, status="RUNNING", session=session)
            if lives(claim):
                found[spec.name] = running
                continue
            outcome = read_outcome(os.fspath(spec.sink.exit))
            if outcome is None:
                reason = "ended without telling how"
                found[spec.name] = Report(
                    spec.name, Event.VANISHED, time.time(), status="ENDED", reason=reason, session=session
                )
            else:
                found[spec.name] = told(spec.name, outcome, session)
            if claim.boot in ("", boot_id()):
                ended.append(self._attempt(spec).subject())
        if ended and not self._setting.sweep.keep:
            # what they left has to be ended before their end is told: follow does that
            for name in members(census(), ended):
                found[name] = Report(
                    name, Event.STARTED, found[name].at, status="RUNNING", session=found[name].session
                )
        return found

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK, self._tick)
        self._sessions.tick()
        try:
            if self._ledger.is_displaced():
                self._ledger.move()
        except OSError as error:
            log.warning("no place for the ledger: error=%s", error)
        if self._ledger.is_queued():
            if not self._waiting and self._loop.time() > self._wanted_until:
                self._ledger.give_up()
            elif self._refused is not None:
                self._ledger.sift()
                if self._ledger.would_fit(self._refused):
                    self._freed.set()


class _Reports:
    """The reports of one attempt, the end last. No generator, which asyncio would close with a task of its
    own when whoever follows has heard the end and asks no more."""

    def __init__(self, name: str, find: Callable[[], Awaitable[Attempt | None]]) -> None:
        self._name, self._find = name, find
        self._attempt: Attempt | None = None
        self._count = 0
        self._is_over = False

    def __aiter__(self) -> _Reports:
        return self

    async def __anext__(self) -> Report:
        if self._is_over:
            raise StopAsyncIteration
        if self._attempt is None:
            self._attempt = await self._find()
            if self._attempt is None:
                self._is_over = True
                reason = "it was never started here"
                return Report(self._name, Event.VANISHED, time.time(), status="UNKNOWN", reason=reason)
        await self._attempt.told(self._count)
        report = self._attempt.reports[self._count]
        self._count += 1
        self._is_over = report.event in ENDINGS
        return report


def _told_by(ledger: Ledger) -> Facts:
    ledger.sift()
    waiting = [
        {
            "session": ticket.sweep,
            "since": ticket.since / 1e9,
            "reason": "needs " + ", ".join(f"{name} {ticket.slots.shown(name)}" for name in ticket.slots),
        }
        for ticket in ledger.tickets()
    ]
    return _facts(ledger.capacity, ledger.taken(), waiting)


def _facts(capacity: Capacity, taken: Slots, waiting: list[dict[str, object]]) -> Facts:
    total = capacity.slots.record()
    server = f"this machine ({socket.gethostname()}, {total['cpu']} cpu{'s' if total['cpu'] != '1' else ''})"
    use = {name: {"total": total[name], "used": taken.record().get(name, "0")} for name in total}
    return Facts(reachable=True, server=server, endpoint=None, capacity=use, waiting=waiting)
