"""The scheduler: who gets room, and how sessions go from status to status.

By itself (``auto``) a session waits ``delays[status]`` seconds in each status (0 unless given,
``math.inf``: until a test moves it) and then goes on; without ``auto`` only a test moves it. A batch
session's command starts when it is RUNNING; what becomes of the command ends the session.
"""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.engines.backendai.manager.containers import LOG_BYTES, Canned, Container, Outcome
from tests.engines.backendai.manager.dialects import Dialect
from tests.engines.backendai.manager.events import Events
from tests.engines.backendai.manager.keys import SCALING_GROUP
from tests.engines.backendai.manager.sessions import Session, Store, moment

FAILED_START = {
    "src": "agent",
    "name": "RuntimeError",
    "repr": '<RuntimeError("OCI runtime create failed")>',
    "collection": [],
}
"""``status_data.error`` of a session whose start failed, unless a test gives its own."""


Size = tuple[Decimal, ...]
"""What is asked of each slot that there is."""


class Scheduler:
    """The only one that changes a session's status."""

    def __init__(
        self,
        store: Store,
        dialect: Dialect,
        events: Events,
        *,
        capacity: Mapping[str, float],
        delays: Mapping[str, float],
        auto: bool = True,
        canned: Canned | None = None,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        self.store = store
        self.dialect = dialect
        self.events = events
        self.total = {slot: Decimal(str(amount)) for slot, amount in capacity.items()}
        self.used = dict.fromkeys(self.total, Decimal(0))
        self.running: dict[str, int] = defaultdict(int)
        """Access key → sessions that have room."""
        self.delays = dict(delays)
        self.auto = auto
        self.canned = canned
        self.log_bytes = log_bytes
        self.rounds: list[float] = []
        """When the scheduler looked at who waits."""
        self._round: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._room: set[str] = set()
        """Ids of sessions that hold slots."""
        self._sizes: dict[str, Counter[Size]] = defaultdict(Counter)
        """Access key → what its waiting sessions ask for, and how many ask for that."""

    # -- from PENDING to RUNNING

    def enqueue(self, session: Session) -> None:
        """A session was created."""
        self._sizes[session.owner.access_key][self._size(session)] += 1
        if self.dialect.is_26:
            self.events.session("pending", session, "Session enqueued")
        else:
            self.events.session("enqueued", session, "unknown")
        self.stir()

    def stir(self) -> None:
        """Look soon at who waits."""
        if self.auto and self._round is None:
            delay = self.delays.get("PENDING", 0.0)
            if delay != math.inf:
                loop = asyncio.get_running_loop()
                self._round = loop.call_later(delay, self.fill) if delay else loop.call_soon(self.fill)

    def fill(self) -> None:
        """One round: whoever fits leaves PENDING, oldest first."""
        self._round = None
        self.rounds.append(time.time())
        for owner in list(self.store.pending):
            waiting = self.store.pending[owner]
            at = 0
            while at < len(waiting) and any(self._fit(size) for size in self._sizes[owner]):
                session = waiting[at]
                if self._forbids(session):
                    break
                if self._fit(self._size(session)):
                    self.advance(session)  # which takes it out of those who wait
                else:
                    at += 1

    def _forbids(self, session: Session) -> bool:
        """Whether its owner's policy keeps this owner's sessions waiting."""
        policy = session.owner.policy
        owner = session.owner.access_key
        return self.running[owner] >= policy.max_concurrent_sessions or self._too_many(session)

    def _too_many(self, session: Session) -> bool:
        """25.x: as many pending as allowed, and none of them ever starts."""
        limit = session.owner.policy.max_pending_session_count
        if limit is None or "pending_session_count_limit" not in self.dialect.predicates:
            return False
        return len(self.store.pending[session.owner.access_key]) >= limit

    def _size(self, session: Session) -> Size:
        return tuple(session.asked.slots.get(slot, Decimal(0)) for slot in self.total)

    def _fit(self, size: Size) -> bool:
        return all(
            self.used[slot] + asked <= total
            for asked, (slot, total) in zip(size, self.total.items(), strict=True)
        )

    def following(self, status: str) -> str:
        """The status after this one, as long as nothing goes wrong."""
        way = ("PENDING", *self.dialect.starting, "RUNNING", "TERMINATING", "TERMINATED")
        return way[way.index(status) + 1]

    def advance(self, session: Session) -> None:
        """One status further, from PENDING to RUNNING; a doomed one dies where it is prepared."""
        status = self.following(session.status)
        if session.doom is not None and status not in ("SCHEDULED", "PREPARING"):
            self._fail_start(session, session.doom)
            return
        if session.status == "PENDING":
            self._take(session)
        self._enter(session, status)
        self._announce(session, status)
        if status == "RUNNING":
            self._start(session)
        elif self.auto:
            self._later(session, status, self.advance)

    def _later(self, session: Session, status: str, step: Any, *args: Any) -> None:
        delay = self.delays.get(status, 0.0)
        if delay == math.inf:
            return
        loop = asyncio.get_running_loop()
        if delay:
            session.timer = loop.call_later(delay, step, session, *args)
        else:
            session.timer = loop.call_soon(step, session, *args)

    def _enter(self, session: Session, status: str, info: str | None = None) -> None:
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None
        if session.status == "PENDING":
            sizes = self._sizes[session.owner.access_key]
            size = self._size(session)
            sizes[size] -= 1
            if not sizes[size]:
                del sizes[size]
        self.store.enter(session, status, time.time())
        session.status_info = info if info is not None else self.dialect.info.get(status)
        if not self.dialect.is_26 and status != "CANCELLED":
            session.status_data = {}
        if status not in ("TERMINATING", "TERMINATED", "CANCELLED"):
            session.kernel_info = "" if status == "RUNNING" else session.status_info
            session.kernel_data = {}

    def _announce(self, session: Session, status: str) -> None:
        """The events of a status on the way up."""
        old = not self.dialect.is_26
        if status == "CREATING" or (status == "PREPARING" and "CREATING" not in self.dialect.starting):
            session.give_container()
            for event in ("preparing", "creating", "started"):
                self.events.kernel(event, session, "")
        if old and status not in ("SCHEDULED", "RUNNING"):
            return
        name = "started" if status == "RUNNING" else status.lower()
        reason = "passed-preconditions" if status == "PREPARING" else "triggered-by-scheduler"
        self.events.session(name, session, "unknown" if old else reason)

    def _take(self, session: Session) -> None:
        for slot in self.total:
            self.used[slot] += session.asked.slots.get(slot, Decimal(0))
        self.running[session.owner.access_key] += 1
        self._room.add(session.id)

    def _give_back(self, session: Session) -> None:
        if session.id not in self._room:
            return
        self._room.discard(session.id)
        for slot in self.total:
            self.used[slot] -= session.asked.slots.get(slot, Decimal(0))
        self.running[session.owner.access_key] -= 1
        self.stir()

    def holds_room(self, session: Session) -> bool:
        return session.id in self._room

    def occupying(self, session: Session) -> dict[str, Decimal]:
        """What a session is said to occupy: in 26.x also while it waits, in 23.9 never."""
        held = session.is_alive if self.dialect.is_26 else self.holds_room(session)
        return session.asked.slots if held and not self.dialect.session_events else {}

    # -- what runs inside

    def _start(self, session: Session) -> None:
        asked = session.asked
        environ = asked.environ | {
            "BACKENDAI_SESSION_ID": session.id,
            "BACKENDAI_SESSION_NAME": session.name,
            "BACKENDAI_KERNEL_ID": session.kernel_id,
            "BACKENDAI_ACCESS_KEY": session.owner.access_key,
        }
        session.container = Container(self.dialect.version, environ, limit=self.log_bytes)
        if not session.is_batch or asked.startup_command is None:
            return
        if self.canned is not None:
            outcome = self.canned(asked.startup_command, asked.environ)
            loop = asyncio.get_running_loop()
            session.timer = loop.call_later(outcome.seconds, self._end_canned, session, outcome)
            return
        task = asyncio.get_running_loop().create_task(self._run(session, session.container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end_canned(self, session: Session, outcome: Outcome) -> None:
        assert session.container is not None
        session.container.write(outcome.output)
        self.command_ended(session, outcome.code)

    async def _run(self, session: Session, container: Container) -> None:
        asked = session.asked
        assert asked.startup_command is not None
        try:
            async with asyncio.timeout(asked.batch_timeout or None):
                code = await container.run(asked.startup_command, asked.bootstrap_script)
        except TimeoutError:
            container.kill()
            self.command_ended(session, -2, reason="task-timeout")
            return
        if session.container is container and not session.lost and not session.unheard:
            self.command_ended(session, code)

    def command_ended(self, session: Session, code: int, *, reason: str | None = None) -> None:
        """The startup command of a batch session ended: its result, then the end of the session."""
        if session.status != "RUNNING":
            return
        session.exit_code = code
        session.result = "FAILURE" if code else "SUCCESS"
        self.store.revision += 1
        reason = reason or ("task-failed" if code else "task-finished")
        self.events.session("failure" if code else "success", session, reason, exit_code=code)
        # 23.9 says task-finished of failures too
        self.terminate(session, "task-finished" if self.dialect.session_events else reason)

    # -- the end

    def terminate(
        self, session: Session, reason: str, *, forced: bool = False, info: str | None = None
    ) -> str:
        """Begin to end a session; the word that 26.x answers a DELETE with, empty when there is nothing to do.

        ``info`` is the status_info where it is not the reason.
        """
        status = session.status
        if not session.is_alive or (status == "TERMINATING" and not forced):
            return ""
        if status == "PENDING":
            self._cancel(session, reason)
            return "cancelled"
        told = reason if info is None else info
        if status != "TERMINATING":
            if not (forced and self.dialect.is_26):
                self.events.session("terminating", session, reason)
            if not self.dialect.is_26:
                self.events.kernel("terminating", session, reason, exit_code=-1)
        session.ending = reason, told
        session.kernel_info = reason
        session.kernel_data = {"kernel": {"exit_code": None}, "session": {"status": "terminating"}}
        if forced and self.dialect.is_26:
            self._end(session)
            return "terminated"
        self._enter(session, "TERMINATING", told if self.dialect.is_26 else None)
        if self.auto:
            self._later(session, "TERMINATING", self._end)
        return "terminated"

    def _end(self, session: Session) -> None:
        """TERMINATED: the container is gone, its log stays."""
        old = not self.dialect.is_26
        reason, info = session.ending
        session.kernel_info = reason
        self._close(session)
        session.kernel_data = {"kernel": {"exit_code": -1}}
        if old:
            session.kernel_data["session"] = {"status": "terminating"}
        forced = reason == "force-terminated"
        if not old and forced:
            self.events.session("terminated", session, reason)
        for _ in range(3 if old else 2):
            self.events.kernel("terminated", session, reason, exit_code=-1)
        if old or not forced:
            self.events.session("terminated", session, reason if old else "triggered-by-scheduler")
        self._enter(session, "TERMINATED", info)
        session.status_info = info or None
        self._give_back(session)

    def _close(self, session: Session) -> None:
        if session.container is not None:
            if session.runs is not None:
                session.runs.close()
            session.container.close()
            session.container.finish()

    def _cancel(self, session: Session, reason: str) -> None:
        info, data = self.why(session)
        self._enter(session, "CANCELLED", reason)
        session.status_data = data if info else session.status_data
        session.kernel_info, session.kernel_data = reason, data
        if not self.dialect.is_26:
            self.events.kernel("cancelled", session, reason)
        self.events.session("cancelled", session, reason)
        self._give_back(session)

    def _fail_start(self, session: Session, error: dict[str, Any]) -> None:
        """Its container could not be made."""
        self._enter(session, "CANCELLED", "failed-to-start")
        session.status_data = {"error": error}
        session.kernel_info, session.kernel_data = "failed-to-start", {"error": error}
        self.events.kernel("cancelled", session, "failed-to-start")
        self.events.session("cancelled", session, "failed-to-start")
        self._give_back(session)

    # -- why it waits

    def why(self, session: Session) -> tuple[str | None, dict[str, Any] | None]:
        """status_info and status_data of a session: as stored, or why it is PENDING (before 26)."""
        tries = len(self.rounds) - bisect_left(self.rounds, session.created_at)
        if self.dialect.is_26 or session.status != "PENDING" or not tries:
            return session.status_info, session.status_data
        failed = []
        policy = session.owner.policy
        if self.running[session.owner.access_key] >= policy.max_concurrent_sessions:
            most = policy.max_concurrent_sessions
            failed.append(
                {"msg": f"You cannot run more than {most} concurrent sessions", "name": "concurrency"}
            )
        if self._too_many(session):
            msg = f"You cannot create more than {policy.max_pending_session_count} pending session(s)."
            failed.append({"msg": msg, "name": "pending_session_count_limit"})
        names = {failure["name"] for failure in failed}
        told: dict[str, Any] = {}
        if not failed:
            told["msg"] = (
                "Could not find a contiguous resource region in any agent big enough to host the session "
                f"(id: {session.id}, resource group: {SCALING_GROUP})"
            )
        told |= {
            "retries": tries,
            "last_try": moment(self.rounds[-1]),
            "failed_predicates": failed,
            "passed_predicates": [{"name": name} for name in self.dialect.predicates if name not in names],
        }
        return ("predicate-checks-failed" if failed else "no-available-instances"), {"scheduler": told}

    # -- what a test does

    def step(self) -> None:
        """One tick: everybody who can goes one status further."""
        moving = [one for one in self.store.alive.values() if one.status not in ("PENDING", "RUNNING")]
        for session in moving:
            if session.status == "TERMINATING":
                self._end(session)
            else:
                self.advance(session)
        self.fill()

    def move(self, session: Session, status: str) -> None:
        """Take a session to this status, through those between. Raises ValueError if none leads there."""
        if status == "CANCELLED":
            self._cancel(session, "user-requested")
            return
        if status == "PENDING":
            self.reschedule(session)
            return
        while session.status != status:
            if session.status == "RUNNING":
                self.terminate(session, "user-requested")
            elif session.status == "TERMINATING":
                self._end(session)
            elif session.is_alive:
                self.advance(session)
            else:
                raise ValueError(f"{session.name} is {session.status}, and {status} does not come after that")

    def reschedule(self, session: Session) -> None:
        """Back to PENDING, as a preempted or rescheduled session of 26.x goes; what ran is killed."""
        container = session.container
        session.container = None
        if session.runs is not None:
            session.runs.close()
            session.runs = None
        if container is not None:
            container.close()
        session.container_id = None
        self._give_back(session)
        self._enter(session, "PENDING")
        self._sizes[session.owner.access_key][self._size(session)] += 1
        self.events.session("pending", session, "triggered-by-scheduler")

    def close(self) -> None:
        """Kill all that runs and stop every clock."""
        if self._round is not None:
            self._round.cancel()
        for session in self.store.in_order:
            if session.timer is not None:
                session.timer.cancel()
            if session.container is not None:
                session.container.close()
            if session.runs is not None:
                session.runs.close()

    async def closed(self) -> None:
        """Wait until nothing of ours is left running."""
        self.close()
        for session in self.store.in_order:
            if session.runs is not None:
                await session.runs.ended()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for _ in range(3):  # the loop takes its leave of each process in its next rounds
            await asyncio.sleep(0)
