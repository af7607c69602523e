"""The runner: executes the scheduler's instructions, and feeds what happened back to it.

One event loop owns all state. Every step is: take commands, note the time, launch what may go,
commit what changed; then wait until something happens. A case's row is committed before the engine
is called for it (intent, commit, act), so a runner that dies at any point leaves a question that
the next one can answer (adopt.py).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from tui_sweep import engines
from tui_sweep.core.cases import CaseTable
from tui_sweep.core.errors import EngineError, JournalError, SweepError
from tui_sweep.core.plan import Plan
from tui_sweep.core.scheduler import (
    Admitted,
    End,
    Happening,
    Instruction,
    Refused,
    RoomFreed,
    Scheduler,
    Submit,
    Tick,
    Told,
)
from tui_sweep.core.session import Report, SessionSpec, session_name
from tui_sweep.core.states import ENDINGS, LIVE, Event, State
from tui_sweep.engines.base import Engine, Setting
from tui_sweep.run.adopt import adopt, numbers
from tui_sweep.run.attend import attend
from tui_sweep.run.inbox import Inbox
from tui_sweep.run.onlookers import Onlookers
from tui_sweep.run.records import Records
from tui_sweep.store.journal import Journal, Reader
from tui_sweep.store.layout import SweepDir
from tui_sweep.store.lock import Lock, holder
from tui_sweep.store.output import Output
from tui_sweep.store.sweeps import Record, load

log = logging.getLogger(__name__)

_POLL, _SOONEST = 0.1, 0.05
"""Seconds between two looks at the spool of commands, at the longest and at the shortest."""
_SAMPLE, _QUIET_SAMPLE = 0.2, 2.0
"""Seconds between two samples of a case's output; at the longest, a tenth of its silence so far."""
_CROWD, _CROWD_SAMPLE = 250, 20.0
"""Samples a second of all cases together that were silent for a second; but each has one in so many seconds.
One costs 15 us, so a thousand sleepers take 0.4 % of a core, and ten thousand 0.8. An engine that writes what
comes from afar tells when it did: then there is one at once."""
_SILENT = (State.SUBMITTING, State.PENDING)
"""Cases in these have not begun to write: they are not sampled."""
_FACTS, _QUIET_FACTS = 1.0, 10.0
"""Seconds between two writings of the facts, while something happens and while nothing does."""
_GATHER = 0.02
"""Seconds that changes gather for one entry while nobody waits for it: of a short case, its start and
its end; 0.1 ms a case less."""
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 15.0
"""Seconds between two wishes for a session's end while the engine does not hear them."""
_STRAY = 300.0
"""Seconds that a sweep's end waits for the end of a session that belongs to none of its attempts."""
_TROUBLE = 10.0
"""Seconds that an unwritable journal is borne with when no case is left to attend to."""


class Observer(Protocol):
    """Somebody in the runner's own process who is told of every change of a case."""

    def changed(self, table: CaseTable, index: int, at: float) -> None: ...


@dataclass(slots=True)
class Live:
    """One attempt that is being attended to."""

    spec: SessionSpec
    output: Output
    grown: float
    """UNIX seconds of the last sample that found more output, or of its start."""
    is_sampled: bool = False
    """Its next sample is planned."""


class Runner:
    """Runs one sweep to its end, or until it is told to leave."""

    def __init__(
        self, folder: SweepDir, record: Record, engine: Engine, *, observer: Observer | None = None
    ) -> None:
        self.folder = folder
        self.sweep = record.sweep
        self.plan = Plan(record.sweep)
        self.table = CaseTable(record.cases)
        self.scheduler = Scheduler(record.sweep, self.table)
        self.engine = engine
        self.started = time.time()
        self._inbox = Inbox(folder.commands, self.started)
        self._onlookers = Onlookers()
        self._records: Records
        self._tasks: asyncio.TaskGroup
        self._mine: set[asyncio.Task[None]] = set()
        """Every task that was started and has not ended."""
        self._live: dict[int, Live] = {}
        self._ending = 0
        """Sessions that the engine is being asked to end."""
        self._wake = asyncio.Event()
        self._room: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._samples: list[tuple[float, int, Live]] = []
        """When each attempt is to be sampled next, a heap; the numbers keep it from comparing attempts."""
        self._ticket = itertools.count()
        self._flushed = 0.0
        self._facts_due = 0.0
        self._facts_revision = -1
        self._trouble_since: float | None = None
        if observer is not None:
            self.table.observe = lambda index, at: observer.changed(self.table, index, at)

    # -- a runner's life ------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Run the sweep; return when every case is final and no command waits, or after ``leave``.

        ``ready`` is called when the sweep is ours and its engine was reached. Raises SweepError when
        another runner has it, EngineError when the engine cannot be reached at the start, and
        JournalError when the folder cannot be written.
        """
        lock = Lock(self.folder.lock)
        if not lock.take():
            pid = holder(self.folder.lock)
            raise SweepError(f"sweep {self.folder.id} is already run by process {pid}")
        try:
            await self.engine.open()
            try:
                journal = Journal(self.folder.database)
                self._records = Records(journal, self.table, self.scheduler)
                self._restore()
                ready()
                await self._work()
                await journal.close()
            finally:
                await self.engine.close()
        finally:
            lock.release()

    def leave(self) -> None:
        """Start nothing more, leave the sessions as they are, and return from ``run``."""
        self.scheduler.stopping = True
        self._wake.set()

    def wish(self, event: Happening) -> None:
        """Carry out a user's wish from inside this process (Ctrl-C of a foreground run)."""
        self._do(event)
        self._wake.set()

    def _restore(self) -> None:
        """Take over what the journal knows."""
        reader = Reader(self.folder.database)
        try:
            for row in reader.changed(0):
                self.table.put(row)
            dispatch = reader.fact("dispatch") or {}
            self._inbox.forget_answered(lambda name: reader.answer(name) is not None)
        finally:
            reader.close()
        self.scheduler.holding = dispatch.get("holding", False)
        self.scheduler.halted = dispatch.get("halted", False)
        self.scheduler.max_parallel = dispatch.get("max_parallel", self.sweep.max_parallel)
        self.scheduler.recall(time.time())
        runner = {"pid": os.getpid(), "host": socket.gethostname(), "started": self.started}
        self._records.note(runner=runner, ended=None)

    async def _work(self) -> None:
        """The loop itself, around one task per live case."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await adopt(self)
                await self._loop()
                for task in self._mine:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        ended = time.time() if self.scheduler.finished else None
        self._records.note(ended=ended, runner=None, engine=await self._engine_facts())
        self._records.flush()

    async def _loop(self) -> None:
        """Step after step, until there is nothing left to do."""
        loop = asyncio.get_running_loop()
        while not self._step():
            timer = loop.call_later(self._wait(), self._wake.set)
            await self._wake.wait()
            timer.cancel()
            self._wake.clear()

    # -- one step -------------------------------------------------------------------------------

    def _step(self) -> bool:
        """One round of everything that does not wait. True: there is nothing left to do."""
        now = time.time()
        if now - self._looked >= _SOONEST:
            self._looked = now
            self._take_commands(now)
        due = self.scheduler.wake_at()
        if due is not None and due <= now:
            self._do(Tick(), now)
        self._launch()
        self._sample(now)
        if now >= self._facts_due:
            self._note_facts(now)
        if now - self._flushed >= _GATHER:
            self._flushed = now
            self._records.flush()
        self._bear_trouble(now)
        if self.scheduler.stopping:
            return True
        busy = self._live or self._ending
        return self.scheduler.finished and not busy and not self._inbox.peek()

    def _wait(self) -> float:
        """Seconds until the next step is due if nothing happens before."""
        due = self.scheduler.wake_at()
        return _POLL if due is None else max(min(due - time.time(), _POLL), 0.001)

    def _do(self, event: Happening, now: float | None = None) -> None:
        """Tell the scheduler, and carry out what it says."""
        for instruction in self.scheduler.handle(event, time.time() if now is None else now):
            self._perform(instruction)

    def _perform(self, instruction: Instruction) -> None:
        match instruction:
            case Submit(index, _):
                self._spawn(attend(self, self._live[index].spec, adopted=False))
            case End(index, _, grace):
                if (live := self._live.get(index)) is not None:
                    self.end(live.spec.name, grace)
        self._wake.set()

    def _launch(self) -> None:
        """Launch cases as long as there is room, unless their intent could not be journalled."""
        if self._records.trouble is not None:
            return
        while (index := self.scheduler.candidate(time.time())) is not None:
            spec, output = self.spec(index)
            refusal = self.engine.admit(spec)
            if refusal is not None:
                self._do(Refused(index, refusal))
                if self._room is None or self._room.done():
                    self._room = self._spawn(self._until_room())
                return
            self._live[index] = Live(spec, output, time.time())
            self._do(Admitted(index))

    async def _until_room(self) -> None:
        await self.engine.room()
        self._do(RoomFreed())
        self._wake.set()

    def _take_commands(self, now: float) -> None:
        """Carry out what viewers ask; effect and answer are one commit, and the file goes after it."""
        for command, answer, event in self._inbox.take(now, self.table):
            if event is not None:
                self._do(event, now)
            elif command.verb == "watch":
                self._onlookers.heard(command, now)
            self._records.flush([(command.name, now, command.verb, answer)])
            self._records.written.add_done_callback(partial(self._answered, command.name))

    def _answered(self, name: str, _: asyncio.Future[None]) -> None:
        self._inbox.remove(name)

    # -- attempts -------------------------------------------------------------------------------

    def spec(self, index: int) -> tuple[SessionSpec, Output]:
        """What the engine is asked for the latest attempt of a case, and where its output goes."""
        case, attempt = self.plan[index], int(self.table.attempt[index])
        output = Output(self.folder.attempt(index, attempt))
        env = {
            "PYTHONUNBUFFERED": "1",
            **case.env,
            "SWEEP_ID": self.folder.id,
            "SWEEP_CASE": str(index),
            "SWEEP_ATTEMPT": str(attempt),
        }
        name = session_name(self.folder.id, self.sweep.name, index, attempt)
        spec = SessionSpec(
            name, index, attempt, env, case.clean, case.build, case.exec, self.sweep.slots, output
        )
        return spec, output

    def take_over(self, spec: SessionSpec, output: Output) -> None:
        """Attend to a session that an earlier runner started."""
        live = self._live[spec.case] = Live(spec, output, time.time())
        if self.state(spec) not in _SILENT:
            self._sample_one(spec.case, live, live.grown)
        self._sample_if_writing(live, live.grown)
        self._spawn(attend(self, spec, adopted=True))

    def state(self, spec: SessionSpec) -> State:
        """What the case of this attempt is now."""
        return self.table.state_of(spec.case)

    def tell(self, spec: SessionSpec, report: Report) -> None:
        """A report about an attempt."""
        now = time.time()
        live = self._live.get(spec.case)
        if live is not None and live.spec is not spec:
            live = None
        if live is not None and (report.event in ENDINGS or self._may_have_grown(report, spec)):
            self._sample_one(spec.case, live, now)
        self._do(Told(spec.case, spec.attempt, report), now)
        if live is not None:
            if report.event in ENDINGS or report.event is Event.REFUSED:
                del self._live[spec.case]
            elif report.event is not None:
                self._sample_if_writing(live, now)
        self._wake.set()

    def _may_have_grown(self, report: Report, spec: SessionSpec) -> bool:
        """Whether a report without an event may mean that there is more output."""
        return report.event is None and not report.over and self.table.state_of(spec.case) not in _SILENT

    async def committed(self) -> None:
        """Return when everything decided so far is on disk."""
        await self._records.committed()

    def end(self, name: str, grace: float | None = None) -> None:
        """End a session, attended to or not; its row says so on disk before anything is killed."""
        self._ending += 1
        self._spawn(self._end(name, self.sweep.grace if grace is None else grace))

    async def _end(self, name: str, grace: float) -> None:
        """Ask until the engine has heard it. Of what nobody attends to, the next start asks again."""
        attended = self._is_attended(name)
        delay = _FIRST_DELAY
        try:
            await self.committed()
            async with asyncio.timeout(None if attended else _STRAY):
                while attended == self._is_attended(name):
                    try:
                        await self.engine.cancel(name, grace=grace)
                        break
                    except EngineError as error:
                        log.warning("end not heard, asking again: session=%s error=%s", name, error)
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, _LONGEST_DELAY)
        except TimeoutError:
            log.warning("a session is left, the next start ends it: session=%s", name)
        finally:
            self._ending -= 1
            self._wake.set()

    def _is_attended(self, name: str) -> bool:
        found = numbers(name)
        live = None if found is None else self._live.get(found[0])
        return live is not None and live.spec.name == name

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._mine.add(task)
        task.add_done_callback(self._mine.discard)
        return task

    # -- output, facts, disk --------------------------------------------------------------------

    def _sample_if_writing(self, live: Live, now: float) -> None:
        """Sample an attempt from now on, if it may have begun to write and nobody tells when it does."""
        if self.engine.tells_growth:
            return
        if not live.is_sampled and self.table.state_of(live.spec.case) not in _SILENT:
            live.is_sampled = True
            live.grown = now
            self._plan_sample(live, now)

    def _plan_sample(self, live: Live, now: float) -> None:
        silence = now - live.grown
        crowd = min(len(self._live) / _CROWD, _CROWD_SAMPLE) if silence > 1.0 else 0.0
        pause = max(min(silence / 10, _QUIET_SAMPLE), crowd, _SAMPLE * 0.9)
        heapq.heappush(self._samples, (now + pause, next(self._ticket), live))

    def _sample(self, now: float) -> None:
        """Sample the output of live cases that are due: those that have long been silent less often."""
        if (shown := self._onlookers.news(now)) is not None:
            self.engine.watch([self._live[case].spec.name for case in shown if case in self._live])
        while self._samples and self._samples[0][0] <= now:
            live = heapq.heappop(self._samples)[2]
            index = live.spec.case
            if self._live.get(index) is not live:
                continue  # it has ended since
            if self.table.state_of(index) in _SILENT:
                live.is_sampled = False  # it was sent back to waiting
                continue
            self._sample_one(index, live, now)
            self._plan_sample(live, now)

    def _sample_one(self, index: int, live: Live, now: float) -> None:
        size = live.output.sample(now)
        if size != self.table.output_bytes.item(index):
            live.grown = now
            self.table.grew(index, size)

    def _note_facts(self, now: float) -> None:
        quiet = self._facts_revision == self.table.revision
        self._facts_revision = self.table.revision
        self._facts_due = now + (_QUIET_FACTS if quiet else _FACTS)
        self._spawn(self._write_facts())

    async def _write_facts(self) -> None:
        self._records.note(engine=await self._engine_facts())
        self._wake.set()

    async def _engine_facts(self) -> dict[str, Any]:
        """What the engine says of itself, as JSON values."""
        try:
            return asdict(await self.engine.facts())
        except EngineError as error:
            return {"reachable": False, "error": str(error)}

    def _bear_trouble(self, now: float) -> None:
        """An unwritable journal stops launching; with nothing left to attend to, it ends the runner."""
        if self._records.trouble is None:
            self._trouble_since = None
            return
        self._trouble_since = self._trouble_since or now
        attended = any(self.table.counts[state] for state in LIVE - {State.SUBMITTING})
        if not attended and now - self._trouble_since > _TROUBLE:
            raise JournalError(f"{self.folder.path}: {self._records.trouble}")


def open_runner(folder: SweepDir, *, observer: Observer | None = None) -> Runner:
    """The runner of a sweep's folder, not yet started. Must be called inside an event loop.

    Raises JournalError when the folder cannot be read.
    """
    record = load(folder)
    setting = Setting(folder.id, record.sweep, record.place, folder.files)
    engine = engines.load(record.sweep.engine).engine(setting)
    return Runner(folder, record, engine, observer=observer)
