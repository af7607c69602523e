"""The live attempts of one sweep: how they begin here, how their end is noticed, what is told of it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tui_sweep.core.errors import EngineBusy
from tui_sweep.core.session import Report
from tui_sweep.core.slots import format_size
from tui_sweep.core.states import Event
from tui_sweep.engines.local.attempt import Attempt
from tui_sweep.engines.local.claims import Claim, Outcome, boot_id, lives, read_outcome
from tui_sweep.engines.local.endings import Endings
from tui_sweep.engines.local.exits import Exits
from tui_sweep.engines.local.keeper import CLAIMED, LOST, keep
from tui_sweep.engines.local.launch import Call, Launch, spawn
from tui_sweep.engines.local.ledger import Ledger
from tui_sweep.engines.local.locks import is_locked
from tui_sweep.engines.local.memory import MemoryWatch
from tui_sweep.engines.local.orphans import Orphans
from tui_sweep.engines.local.starts import Keeper
from tui_sweep.engines.local.tree import Subject, started

log = logging.getLogger(__name__)

_KEEPERS, _BUSY = min(2, os.cpu_count() or 1), 2
"""Keepers at most, and how many starts one has before it when there may be another."""
_LAST_WORDS = 0.01
"""Seconds between two looks for the exit code of a case that another runner's keeper keeps."""


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
        self._started: dict[int, Attempt] = {}
        """The living ones that we started, by pid: children of a keeper, or ours if that died."""
        self._launching: set[str] = set()
        """Names of which their keeper has not said what became of them."""
        self._loop = asyncio.get_running_loop()
        self._keepers: list[Keeper] = []
        self._env: Mapping[bytes, bytes] = {}
        self._open_files = 0
        self._exits = Exits()
        self._orphans = Orphans()
        self._endings = Endings(self._finish)
        self._memory = MemoryWatch(self._too_large)

    def open(self, env: Mapping[bytes, bytes], open_files: int) -> None:
        """Begin. ``env`` is what all cases have in their environment, ``open_files`` their soft limit on
        descriptors, 0: as ours. Raises EngineBusy."""
        self._orphans.open()
        self._env, self._open_files = env, open_files
        self._keeper()

    async def close(self) -> None:
        """Stop watching; the sessions go on."""
        self._live.clear()
        await self._endings.close()
        await self._memory.close()
        await asyncio.gather(*(keeper.close() for keeper in self._keepers))
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

    def _keeper(self) -> Keeper:
        """Who is to start the next case. Starting blocks a keeper, so there is a second when much is to be
        started at once: a tenth more cases a second. Raises EngineBusy."""
        self._keepers = [keeper for keeper in self._keepers if keeper.is_alive]
        if all(keeper.asked >= _BUSY for keeper in self._keepers) and len(self._keepers) < _KEEPERS:
            try:
                self._keepers.append(Keeper(self._exits, self._env, self._open_files))
            except EngineBusy:
                if not self._keepers:
                    raise
        return min(self._keepers, key=lambda keeper: keeper.asked)

    async def start(self, launch: Launch, attempt: Attempt) -> bool:
        """Start an attempt that holds its slots; False when nobody can say whether it was started, or
        somebody else has.

        Raises EngineBusy, EngineDenied.
        """
        fd, hold = self._ledger.fd(attempt.name), self._ledger.hold(attempt.name)
        assert fd is not None, "submitted without its slots"
        keeper, cpus = self._keeper(), () if hold is None else hold.cpus

        def ask(call: Call) -> asyncio.Future[int]:
            self._launching.add(attempt.name)
            return keeper.start(
                call, fd, cpus, partial(self._answered, attempt), partial(self._over, attempt)
            )

        return await spawn(launch, ask)

    def _answered(self, attempt: Attempt, pid: int, code: int, by: int) -> None:
        """The keeper has started it, or not: even when whoever asked has been cancelled meanwhile."""
        self._launching.discard(attempt.name)
        if pid:
            self._ledger.hand_over(attempt.name)
            attempt.pid, attempt.by, attempt.is_ours = pid, by, True
            self._started[pid] = attempt
            self._begin(attempt)
        elif code not in (LOST, CLAIMED):
            self._ledger.release(attempt.name)
            self._freed()

    def adopt(self, attempt: Attempt, claim: Claim) -> None:
        """Watch an attempt that another runner started, or tell its end when it has ended."""
        attempt.pid, attempt.by = claim.pid, claim.by
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
        session = f"pid:{attempt.pid}" if attempt.pid else None
        attempt.tell(Report(attempt.name, Event.STARTED, attempt.since, status="RUNNING", session=session))
        if attempt.limit is not None:
            self._memory.add(attempt)

    def _attach(self, attempt: Attempt, claim: Claim) -> None:
        """Follow the process of a claim that we did not start."""
        if claim.boot != boot_id() or claim.pid == 0:
            attempt.is_over = True
            if claim.boot and claim.boot != boot_id():
                self._finish(attempt)  # the machine was started anew: nothing can be left
            else:
                self._endings.end(attempt, self._grace)
            return
        process = started(claim.pid, claim.by)
        if process is not None and process.parent == os.getpid():
            # our keeper was killed before it told us of this one, and it has come to us
            self._started[claim.pid] = attempt
            self._exits.inherited(claim.pid, lambda: lives(claim), partial(self._over, attempt))
        elif not self._exits.other(claim.pid, lambda: lives(claim), lambda _: self._heard_of(attempt, claim)):
            self._over(attempt, None)

    def _heard_of(self, attempt: Attempt, claim: Claim) -> None:
        """Its process has ended; it is over once its keeper, if it has one, has written that down."""
        if attempt.name not in self._live:
            return
        if lives(claim) and read_outcome(attempt.exit) is None:
            self._loop.call_later(_LAST_WORDS, self._heard_of, attempt, claim)
        else:
            self._over(attempt, None)

    def _over(self, attempt: Attempt, status: int | None) -> None:
        """Its process has ended: the attempt has as well, once nothing of it is left."""
        attempt.is_over, attempt.status = True, status
        try:
            self._conclude(attempt)
        finally:
            # not before: zombies are known as ours by their group
            self._started.pop(attempt.pid, None)

    def _conclude(self, attempt: Attempt) -> None:
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
        self._orphans.look(self._started, subjects, [keeper.pid for keeper in self._keepers])

    def _subjects(self) -> list[Subject]:
        return [attempt.subject() for attempt in self._live.values()]

    def _finish(self, attempt: Attempt, *, is_unlocked: bool = False) -> None:
        """Nothing of it is left, or may stay: free its slots and tell its end. ``is_unlocked``: its hold
        was just seen to be."""
        self._live.pop(attempt.name, None)
        self._exits.forget(attempt.pid)
        for process in self._endings.drop(attempt):
            if process.pid not in self._started:
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
    """The report of an end, from what the keeper wrote, else from how the process ended."""
    outcome = read_outcome(attempt.exit)
    if outcome is None and attempt.status is not None:
        outcome = _written(attempt.folder, os.waitstatus_to_exitcode(attempt.status))
    session = f"pid:{attempt.pid}" if attempt.pid else None
    if outcome is None:
        reason = "ended without telling how"
        return Report(
            attempt.name, Event.VANISHED, time.time(), status="ENDED", reason=reason, session=session
        )
    return told(attempt.name, outcome, session)


def told(name: str, outcome: Outcome, session: str | None) -> Report:
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


def _written(folder: str, code: int) -> Outcome:
    """The keeper could not write the exit code (a full disk), or had died: try once more."""
    code = code if code >= 0 else 128 - code
    if not keep(os.fsencode(folder), code):
        log.warning("exit code not kept: folder=%s", folder)
    return Outcome(code, "exec", time.time())
