"""The live attempts of one sweep: how they begin here, how their end is noticed, what is told of it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from tui_sweep.core.session import Report
from tui_sweep.core.slots import format_size
from tui_sweep.core.states import Event
from tui_sweep.engines.local import shim
from tui_sweep.engines.local.attempt import Attempt
from tui_sweep.engines.local.endings import Endings
from tui_sweep.engines.local.exits import Exits
from tui_sweep.engines.local.ledger import Ledger
from tui_sweep.engines.local.locks import is_locked
from tui_sweep.engines.local.memory import MemoryWatch
from tui_sweep.engines.local.orphans import Orphans
from tui_sweep.engines.local.spawner import LOST
from tui_sweep.engines.local.starts import Spawner
from tui_sweep.engines.local.tree import Subject

log = logging.getLogger(__name__)


class Sessions:
    """Attempts between their start, or adoption, and the report of their end."""

    def __init__(self, ledger: Ledger, *, keep: bool, grace: float, freed: Callable[[], None]) -> None:
        """``freed`` is called when an end gave slots back."""
        self._ledger = ledger
        self._keep = keep
        self._grace = grace
        self._freed = freed
        self._live: dict[str, Attempt] = {}
        self._unheard: dict[str, Attempt] = {}
        """Ended before anybody followed."""
        self._shims: dict[int, Attempt] = {}
        """The living ones that we started: children of the spawner, or ours if that died."""
        self._launching: set[str] = set()
        """Names of which the spawner has not said what became of them."""
        self._spawner: Spawner | None = None
        self._env: Mapping[bytes, bytes] = {}
        self._exits = Exits()
        self._orphans = Orphans()
        self._endings = Endings(self._finish)
        self._memory = MemoryWatch(self._too_large)

    def open(self, env: Mapping[bytes, bytes]) -> None:
        """Begin. ``env`` is what all cases have in their environment. Raises EngineBusy."""
        self._orphans.open()
        self._env = env
        self._spawner = Spawner(self._exits, env)

    async def close(self) -> None:
        """Stop watching; the sessions go on."""
        await self._endings.close()
        await self._memory.close()
        if self._spawner is not None:
            await self._spawner.close()
        self._exits.close()
        self._orphans.close()

    def __contains__(self, name: str) -> bool:
        return name in self._live

    def names(self) -> list[str]:
        """Of all live attempts."""
        return list(self._live)

    def known(self, name: str) -> Attempt | None:
        """A live attempt, or one whose end nobody has heard."""
        return self._live.get(name) or self._unheard.get(name)

    def heard(self, attempt: Attempt) -> None:
        """Somebody follows it to its end."""
        self._unheard.pop(attempt.name, None)
        attempt.is_followed = True

    def is_launching(self, name: str) -> bool:
        """Whether this session may be starting just now, so that its slots are in use."""
        return name in self._launching

    async def start(self, launch: shim.Launch, attempt: Attempt) -> bool:
        """Start an attempt that holds its slots; False when nobody can say whether it was started.

        Raises EngineBusy, EngineDenied.
        """
        fd, hold = self._ledger.fd(attempt.name), self._ledger.hold(attempt.name)
        assert fd is not None, "submitted without its slots"
        if self._spawner is None or not self._spawner.is_alive:
            self._spawner = Spawner(self._exits, self._env)
        process, cpus = self._spawner, () if hold is None else hold.cpus

        def ask(words: list[bytes], env: dict[bytes, bytes]) -> asyncio.Future[int]:
            self._launching.add(attempt.name)
            answered, ended = partial(self._answered, attempt), partial(self._over, attempt)
            return process.start((words, env), fd, cpus, attempt.folder, answered, ended)

        return await shim.spawn(launch, ask)

    def _answered(self, attempt: Attempt, pid: int, code: int) -> None:
        """The spawner has started it, or not: even when whoever asked has been cancelled meanwhile."""
        self._launching.discard(attempt.name)
        if pid:
            self._ledger.hand_over(attempt.name)
            attempt.pid, attempt.is_ours = pid, True
            self._shims[pid] = attempt
            self._begin(attempt)
        elif code != LOST:
            self._ledger.release(attempt.name)
            self._freed()

    def adopt(self, attempt: Attempt, claim: shim.Claim) -> None:
        """Watch an attempt that another runner started, or tell its end when it has ended."""
        self._begin(attempt)
        self._attach(attempt, claim)

    def end(self, attempt: Attempt, grace: float) -> None:
        """End a live attempt with all its processes."""
        self._endings.end(attempt, grace)

    def tick(self) -> None:
        """What has to be done now and then while cases only run: reap orphans."""
        self._look(self._subjects)

    def _begin(self, attempt: Attempt) -> None:
        self._live[attempt.name] = attempt
        attempt.tell(
            Report(attempt.name, Event.STARTED, attempt.since, status="RUNNING", session=f"pid:{attempt.pid}")
        )
        if attempt.limit is not None:
            self._memory.add(attempt)

    def _attach(self, attempt: Attempt, claim: shim.Claim) -> None:
        """Follow the process of a claim that is not our child."""
        attempt.pid, attempt.is_ours, attempt.is_over, attempt.status = claim.pid, False, False, None
        if claim.boot != shim.boot_id() or claim.pid == 0:
            attempt.is_over = True
            if claim.boot and claim.boot != shim.boot_id():
                self._finish(attempt)  # the machine was started anew: nothing can be left
            else:
                self._endings.end(attempt, self._grace)
            return
        folder, pid = attempt.folder, claim.pid
        if not self._exits.other(
            pid, lambda: shim.is_shim(pid, folder), lambda status: self._over(attempt, status)
        ):
            self._over(attempt, None)

    def _over(self, attempt: Attempt, status: int | None) -> None:
        """The shim has ended: the attempt has as well, once nothing of it is left."""
        pid = attempt.pid
        attempt.is_over, attempt.status = True, status
        try:
            self._conclude(attempt, status)
        finally:
            # not before: zombies are known as ours by their session
            self._shims.pop(pid, None)

    def _conclude(self, attempt: Attempt, status: int | None) -> None:
        if status is not None and os.waitstatus_to_exitcode(status) == shim.CLAIMED:
            claim = shim.read_claim(attempt.folder)
            if claim is not None and claim.pid != attempt.pid:
                self._attach(attempt, claim)
                return
        is_asked = attempt in self._endings
        if self._keep and not is_asked:
            self._finish(attempt)
        elif not self._leaves(attempt):
            self._finish(attempt, is_unlocked=True)
        elif not is_asked:
            self._endings.end(attempt, self._grace)

    def _leaves(self, attempt: Attempt) -> bool:
        """Whether something of an attempt may be left: then /proc is searched. Four system calls."""
        if not attempt.is_ours or not self._orphans.can_tell:
            return True
        self._look(lambda: [*self._subjects(), attempt.subject()])
        if self._orphans.left_of(attempt.name):
            return True
        try:
            os.killpg(attempt.pid, 0)
            return True
        except ProcessLookupError:
            pass
        except PermissionError:
            return True
        return self._ledger.fd(attempt.name) is None and is_locked(self._ledger.path(attempt.name))

    def _look(self, subjects: Callable[[], Iterable[Subject]]) -> None:
        self._orphans.look(self._shims, subjects, 0 if self._spawner is None else self._spawner.pid)

    def _subjects(self) -> list[Subject]:
        return [attempt.subject() for attempt in self._live.values()]

    def _finish(self, attempt: Attempt, *, is_unlocked: bool = False) -> None:
        """Nothing of it is left, or may stay: free its slots and tell its end. ``is_unlocked``: its hold
        was just seen to be."""
        self._live.pop(attempt.name, None)
        self._exits.forget(attempt.pid)
        for process in self._endings.drop(attempt):
            if process.pid not in self._shims:
                self._orphans.bury(process)
        if attempt.limit is not None:
            self._memory.remove(attempt)
        if not attempt.is_followed:
            self._unheard[attempt.name] = attempt
        if is_unlocked:
            self._ledger.leave(attempt.name)
        else:
            self._ledger.release(attempt.name)
        attempt.tell(ended(attempt))
        self._freed()

    def _too_large(self, attempt: Attempt) -> None:
        asked = format_size(attempt.limit or 0)
        attempt.tell(
            Report(
                attempt.name,
                Event.STOP,
                time.time(),
                status="RUNNING",
                reason=f"out of memory (asked {asked})",
                session=f"pid:{attempt.pid}",
                out_of_memory=True,
            )
        )


def ended(attempt: Attempt) -> Report:
    """The report of an end, from what the shim wrote, else from how the shim ended."""
    session = f"pid:{attempt.pid}" if attempt.pid else None
    outcome = shim.read_outcome(attempt.exit)
    reason = "ended without telling how"
    if outcome is None and attempt.status is not None:
        code = os.waitstatus_to_exitcode(attempt.status)
        if code == shim.UNWRITABLE:
            reason = f"cannot write to {attempt.folder} (is the disk full?)"
            return Report(
                attempt.name, Event.ERRED, time.time(), status="ENDED", reason=reason, session=session
            )
        claim = shim.read_claim(attempt.folder)
        if code < 0:
            reason += f": its shell got {signal.Signals(-code).name}"
        elif claim is not None and claim.pid == attempt.pid:
            outcome = _written(attempt.exit, code)
    if outcome is None:
        return Report(
            attempt.name, Event.VANISHED, time.time(), status="ENDED", reason=reason, session=session
        )
    return told(attempt.name, outcome, session)


def told(name: str, outcome: shim.Outcome, session: str | None) -> Report:
    """The report of an end whose exit code was read."""
    event = Event.SUCCEEDED if outcome.code == 0 else Event.ERRED
    return Report(
        name,
        event,
        outcome.at,
        status="ENDED",
        exit_code=outcome.code,
        reason=outcome.reason,
        session=session,
    )


def _written(path: str, code: int) -> shim.Outcome:
    """The shim could not write its exit code (a full disk) but left it as its own: try once more."""
    try:
        Path(path).write_text(f"{code}\n")
    except OSError as error:
        log.warning("exit code not kept: path=%s error=%s", path, error.strerror)
    return shim.Outcome(code, "exec", time.time())
