"""BackendaiEngine: what ``engines.base.Engine`` asks for, on a Backend.AI cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError
from tui_sweep.core.session import Refusal, Report, SessionSpec, session_name
from tui_sweep.core.states import ENDINGS, Event
from tui_sweep.engines.backendai import carry, create, listing, sent, wrapper
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.backlog import Backlog
from tui_sweep.engines.backendai.client import Client
from tui_sweep.engines.backendai.configuration import read_configuration
from tui_sweep.engines.backendai.disk import Disk
from tui_sweep.engines.backendai.door import Door
from tui_sweep.engines.backendai.ending import Ending
from tui_sweep.engines.backendai.listing import Item
from tui_sweep.engines.backendai.logs import Logs
from tui_sweep.engines.backendai.outlook import Outlook
from tui_sweep.engines.backendai.prepare import check_place, check_user
from tui_sweep.engines.backendai.runs import Runs
from tui_sweep.engines.backendai.session import Kind, Session
from tui_sweep.engines.backendai.statuses import BROKEN, ENDED, event
from tui_sweep.engines.backendai.verdicts import Barred, problem_of, refuses_type
from tui_sweep.engines.backendai.watch import Watch
from tui_sweep.engines.base import Facts, Setting

log = logging.getLogger(__name__)

_KEPT_ENDS = 1000
"""Ended sessions that are remembered without a look into their folder."""
_REFUSED_PAUSE = 15.0
"""Seconds after a refusal for quota; something of ours that ends wakes us before."""
_ANEW, _ANEW_LONGEST = 1.0, 60.0
"""Seconds until what has failed begins anew; doubled while it fails at once."""
_PREPARED = 16
"""Sessions that are being submitted at once: twice as many as requests that create. So the first are at the
server while the next are still written down, and a thousand bodies of 8 kB do not wait in memory."""


async def survey(*, environ: Mapping[str, str]) -> Facts:
    """The facts without a sweep. Raises UsageError, EngineDenied or EngineUnreachable."""
    configuration = read_configuration(environ)
    client = Api(Client(configuration))
    try:
        await client.open()
        outlook = Outlook(client, project=configuration.group, resource_group=None)
        await outlook.open()
        return outlook.facts([], trouble=None)
    finally:
        await client.close()


class BackendaiEngine:
    """One sweep's sessions on a cluster."""

    tells_growth = True

    def __init__(self, setting: Setting) -> None:
        sweep = setting.sweep
        self._setting = setting
        self._prefix = session_name(setting.sweep_id, sweep.name, 0, 0).removesuffix("0")
        self._requested = create.requested(sweep, setting.place)
        self._kind: Kind = sweep.type
        """Of new sessions."""
        self._ended: OrderedDict[str, Session] = OrderedDict()
        self._disk = Disk()
        self._freed = asyncio.Event()
        self._submitting = asyncio.Semaphore(_PREPARED)
        self._tasks: set[asyncio.Task[None]] = set()
        self._attending: dict[str, asyncio.Task[None]] = {}
        """Who starts and hears an interactive session, by name."""
        self._door = Door()
        self._is_open = False

    async def open(self) -> None:
        """Reach the cluster and prove the key. Raises EngineDenied or EngineUnreachable."""
        configuration = read_configuration(os.environ)
        check_place(self._setting.place, configuration)
        sweep = self._setting.sweep
        files = self._setting.files if sweep.files else None
        try:
            self._load = await asyncio.to_thread(carry.pack, files, sweep.code)
        except OSError as error:
            raise EngineDenied(f"the snapshot of FILES cannot be read: {error}") from error
        self._client = Api(Client(configuration))
        try:
            await self._client.open()
            if configuration.is_session:
                check_user(self._setting.place, self._client.access_key)
            if beyond := create.beyond(self._requested, self._client.dialect):
                raise EngineDenied(
                    f"this server (Backend.AI {self._client.dialect.manager}) does not know "
                    f"{' and '.join(beyond)}; leave that out"
                )
            group, resource_group = self._requested.top["group"], self._requested.config.get("scalingGroup")
            self._outlook = Outlook(
                self._client, project=group, resource_group=resource_group, prefix=self._prefix
            )
            await self._outlook.open()
            # no session has this name; who may not ask for any is told now, and not later by silence
            await listing.named(self._client, [self._prefix])
        except BaseException:
            await self._client.close()
            raise
        limits = self._outlook.limits
        pending = self._client.dialect.most_pending(limits.pending)
        self._backlog = Backlog(concurrent=limits.concurrent, pending=pending)
        self._logs = Logs(self._client, self._disk)
        self._runs = Runs(self._client, self._logs, lambda session: self._startup(session.spec))
        self._watch = Watch(
            self._client,
            self._prefix,
            finish=self._logs.finish,
            started=self._started,
            moved=self._moved,
            is_limited=sweep.timeout is not None or sweep.max_wait is not None,
        )
        self._ending = Ending(self._client, self._watch, is_over=self._ended.__contains__, go=self._go)
        self._is_open = True
        self._go(_kept_up("the watch", self._watch.run))
        self._go(_kept_up("the fetching of logs", self._logs.run))

    async def close(self) -> None:
        """Let go of everything but the sessions."""
        if not self._is_open:
            return
        self._is_open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._outlook.close()
        await self._client.close()

    # room

    def admit(self, spec: SessionSpec) -> Refusal | None:
        """Take a place in the backlog, or say that enough of ours wait already."""
        self._freed.clear()
        if (refusal := self._door.refusal(is_full=self._backlog.is_full)) is not None:
            return refusal
        if self._backlog.is_full:
            count = len(self._backlog)
            verb = "session waits" if count == 1 else "sessions wait"
            return Refusal(f"{count} {verb} on the cluster already; sent as those start", retry_after=60.0)
        self._door.expect(spec.name)
        self._backlog.add(spec.name, asyncio.get_running_loop().time())
        return None

    def withdraw(self, name: str) -> None:
        """Give back a place that was never used."""
        self._door.returned(name)
        session = self._watch.sessions.get(name)
        if session is None or not session.id:
            self._leave_backlog(name, started=False)

    async def room(self) -> None:
        """Return when a session of ours has left the queue or ended."""
        await self._freed.wait()

    def watch(self, names: Sequence[str]) -> None:
        """A screen shows these: fetch their logs while they run."""
        self._logs.watch(names)

    # sessions

    async def submit(self, spec: SessionSpec) -> None:
        """Create a session, unless its name was used before."""
        async with self._submitting:
            try:
                self._door.check(spec.name)
                await self._submit(spec)
            except Barred as barred:
                self._door.shut(barred)
                # nobody is woken: whoever was would be turned away as well, and at once
                self._backlog.remove(spec.name, asyncio.get_running_loop().time(), started=False)
                raise
            except (EngineBusy, EngineDenied):
                self._let_in()
                raise
            else:
                self._let_in()
            finally:
                self._door.returned(spec.name)

    async def _submit(self, spec: SessionSpec) -> None:
        known = self._watch.sessions.get(spec.name)
        if spec.name in self._ended or (known is not None and known.id):
            return
        session = known or Session(spec)
        if await self._was_sent(session):
            return
        try:
            try:
                id_ = await self._create(session)
            except EngineDenied as denied:
                if not self._may_be_interactive(session, denied):
                    raise
                session.kind = self._kind
                sent.write(spec.sink.folder, sent.Sent(kind=session.kind))
                id_ = await self._create(session)
        except Barred:
            raise
        except EngineBusy as busy:
            self._backlog.refused()
            self._leave_backlog(spec.name, started=False)
            raise EngineBusy(str(busy), retry_after=max(busy.retry_after, _REFUSED_PAUSE)) from busy
        except EngineDenied:
            self._leave_backlog(spec.name, started=False)
            raise
        self._keep(spec, sent.Sent(id_, kind=session.kind))
        self._watch.add(session)
        session.tell(Report(spec.name, Event.ACCEPTED, time.time(), status="PENDING", session=id_))
        self._watch.confirm(session, id_)

    async def follow(self, spec: SessionSpec) -> AsyncIterator[Report]:
        """Tell what becomes of a session, whoever created it."""
        session = self._known(spec.name)
        if session is None:
            earlier = sent.read(spec.sink.folder)
            end = None if earlier is None else earlier.report(spec.name)
            if end is not None:
                yield end
                return
            if not await self._found(spec):
                reason = "the server does not know it"
                yield Report(spec.name, Event.VANISHED, time.time(), status="UNKNOWN", reason=reason)
                return
            session = self._known(spec.name)
        assert session is not None
        count = 0
        while True:
            count, report = await session.told(count)
            count += 1
            yield report
            if report.event in ENDINGS:
                return

    async def cancel(self, name: str, *, grace: float) -> None:
        """Have a session terminated, whatever it does now."""
        await self._ending.ask(name, grace=grace)

    async def find(self, specs: Sequence[SessionSpec]) -> dict[str, Report]:
        """What is known of these. They are watched from now on: an end is read meanwhile, and ``follow`` tells it."""
        found: dict[str, Report] = {}
        asked: dict[str, SessionSpec] = {}
        for spec in specs:
            session = self._known(spec.name)
            earlier = sent.read(spec.sink.folder)
            end = None if earlier is None else earlier.report(spec.name)
            if session is not None and session.last is not None:
                found[spec.name] = session.last
            elif end is not None:
                found[spec.name] = end
            else:
                asked[spec.name] = spec
        latest = {item.name: item for item in await listing.named(self._client, asked)} if asked else {}
        for item in latest.values():
            self._take_over(asked[item.name], item)
            over = item.status in ENDED or item.status == BROKEN
            moved = None if over else event(item.status) or Event.STARTED
            found[item.name] = Report(
                item.name, moved, time.time(), status=item.status, session=item.id, over=over
            )
        return found

    async def live(self) -> list[str]:
        """Names of this sweep's sessions that are alive on the cluster."""
        return [item.name async for item in listing.alive(self._client, self._prefix)]

    async def facts(self) -> Facts:
        """Capacity, limits and who waits, as last read; never older than the panel needs."""
        sessions = self._watch.sessions.values()
        waiting = [
            session
            for session in sessions
            if event(session.status) is Event.ACCEPTED and not session.cancelled
        ]
        running = sum(event(session.status) in (Event.PREPARING, Event.STARTED) for session in sessions)
        for session, reason in self._outlook.reasons(waiting, self._setting.sweep.slots, running):
            session.tell(
                Report(
                    session.name, None, time.time(), status=session.status, reason=reason, session=session.id
                )
            )
        facts = self._outlook.facts(
            waiting, trouble=self._watch.trouble or self._door.trouble, notes=self._notes()
        )
        return replace(facts, trouble=self._disk.trouble)

    # inside

    async def _was_sent(self, session: Session) -> bool:
        """Whether a process before this one made the session; if not, that it is going to be made is on disk.

        Raises OSError, EngineUnreachable.
        """
        spec = session.spec
        session.kind = self._kind
        intent = sent.Sent(kind=session.kind)
        session.begun = not sent.begin(spec.sink.folder, intent)
        if not session.begun:
            return False
        earlier = sent.read(spec.sink.folder)
        if earlier is not None and (earlier.end is not None or await self._found(spec) or earlier.id):
            return True
        sent.write(spec.sink.folder, intent)
        return False

    async def _create(self, session: Session) -> str:
        """Ask for a session of its kind; its id. Raises EngineError."""
        spec = session.spec
        startup = self._startup(spec)  # of an interactive one, too: if it is too long, nothing is made
        body = create.body(
            self._requested,
            self._client.dialect,
            name=spec.name,
            kind=session.kind,
            environ=wrapper.environ(spec.env, self._load),
            startup=startup if session.kind == "batch" else None,
        )
        return await self._client.create(body)

    def _may_be_interactive(self, session: Session, denied: EngineDenied) -> bool:
        """Whether sessions are made interactive from now on, because this batch one is not taken here."""
        problem = problem_of(denied)
        if problem is None or not refuses_type(problem):
            return False
        if session.kind == "interactive" or "starts_at" in self._requested.top:
            return False
        log.warning("no batch sessions are taken here, interactive ones are made: said=%s", denied)
        self._kind = "interactive"
        return True

    def _let_in(self) -> None:
        """A server looked at what was asked: all others may be sent, too."""
        if self._door.open():
            self._freed.set()

    def _notes(self) -> list[str]:
        """What the kind of sessions in use cannot do."""
        if self._kind == "batch":
            return []
        why = "" if self._setting.sweep.type == "interactive" else ": this resource group takes no batch ones"
        cost = "each costs a request every 2 s, and the server may end as idle what this machine leaves alone"
        return [f"interactive sessions{why}; {cost}"]

    def _started(self, session: Session) -> None:
        """A session runs, perhaps once more, in another container."""
        self._logs.follow(session)
        if session.kind == "interactive":
            self._leave(session)
            self._attending[session.name] = self._go(self._attend(session))

    def _leave(self, session: Session) -> None:
        """Its container is gone, or is about to be."""
        if (task := self._attending.pop(session.name, None)) is not None:
            task.cancel()

    async def _attend(self, session: Session) -> None:
        """What a batch session does by itself: run the command, and end with it."""
        await self._runs.attend(session)
        delay = 1.0
        while not session.ending:
            try:
                if self._setting.sweep.keep:
                    await self._watch.conclude(session)
                else:
                    await self.cancel(session.name, grace=0.0)
                    return
            except EngineError as error:
                log.warning("session not ended yet: session=%s error=%s", session.name, error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, 30.0)

    def _known(self, name: str) -> Session | None:
        return self._watch.sessions.get(name) or self._ended.get(name)

    def _startup(self, spec: SessionSpec) -> str:
        return wrapper.startup(
            name=spec.name,
            image=self._setting.sweep.image,
            env=spec.env,
            clean=spec.clean,
            build=spec.build,
            execute=spec.exec,
            load=self._load,
        )

    async def _found(self, spec: SessionSpec) -> bool:
        """Whether the server knows the session; then it is watched. Raises EngineUnreachable."""
        items = await listing.named(self._client, [spec.name])
        if not items:
            return False
        self._take_over(spec, items[-1])
        return True

    def _take_over(self, spec: SessionSpec, item: Item) -> None:
        """Watch a session that nobody has watched here, from what the list tells of it on."""
        earlier = sent.read(spec.sink.folder) or sent.Sent()
        if earlier.id != item.id:
            self._keep(spec, replace(earlier, id=item.id))
        session = self._watch.sessions.get(spec.name) or Session(spec, kind=earlier.kind or self._kind)
        self._watch.take_over(session, item)

    def _keep(self, spec: SessionSpec, kept: sent.Sent) -> None:
        """Keep of a session that there is one; where the disk is full, later."""
        folder = spec.sink.folder

        def write() -> None:
            earlier = sent.read(folder)
            if earlier is None or earlier.end is None:  # else its end says more
                sent.write(folder, kept)

        try:
            sent.write(folder, kept)
        except OSError:
            self._go(self._disk.insist(spec, write))

    def _moved(self, session: Session) -> None:
        """Something about a session changed."""
        self._outlook.stir()
        ended = session.ended
        waits = not ended and event(session.status) is Event.ACCEPTED
        if ended or waits:
            self._leave(session)
        if ended:
            self._disk.fine(session)
            self._ended[session.name] = session
            while len(self._ended) > _KEPT_ENDS:
                self._ended.popitem(last=False)
        if not waits:
            self._leave_backlog(session.name, started=not ended)
        elif session.status:
            self._backlog.add(session.name, asyncio.get_running_loop().time())

    def _leave_backlog(self, name: str, *, started: bool) -> None:
        if self._backlog.remove(name, asyncio.get_running_loop().time(), started=started):
            self._freed.set()

    def _go(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._gone)
        return task

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("our own fault: what attends to a session has stopped", exc_info=error)


async def _kept_up(what: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what nothing goes on without. It is begun anew where a fault of ours ends it: the cases live on, and
    ending the runner would leave them alone for what the server may have said only once."""
    delay = _ANEW
    while True:
        began = time.monotonic()
        try:
            await run()
        except Exception:
            log.exception("our own fault: %s has stopped, and begins anew in %g s", what, delay)
        await asyncio.sleep(delay)
        delay = _ANEW if time.monotonic() - began > _ANEW_LONGEST else min(2 * delay, _ANEW_LONGEST)
