"""The manager: sockets, routes, and what a test holds in its hand."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from tests.engines.backendai.manager import creation, keys, problems
from tests.engines.backendai.manager.auth import authenticate
from tests.engines.backendai.manager.calls import Call
from tests.engines.backendai.manager.containers import LOG_BYTES, Canned
from tests.engines.backendai.manager.dialects import DIALECTS, Dialect
from tests.engines.backendai.manager.events import Events
from tests.engines.backendai.manager.faults import Fault, Faults
from tests.engines.backendai.manager.keys import Keypair
from tests.engines.backendai.manager.limits import ANONYMOUS, WINDOW, Limits
from tests.engines.backendai.manager.lists import Lists
from tests.engines.backendai.manager.logins import Logins
from tests.engines.backendai.manager.problems import Problem
from tests.engines.backendai.manager.routes import PUBLIC, route
from tests.engines.backendai.manager.scheduling import FAILED_START, Scheduler
from tests.engines.backendai.manager.schema import STATUSES
from tests.engines.backendai.manager.sessions import IMAGE, Session, Store

BODY_BYTES = 1024 * 1024
"""A larger request body is refused (uploads aside)."""

CAPACITY = {"cpu": 2, "mem": 24_000_000_000}
"""Of the test cluster."""

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Manager:
    """A manager on 127.0.0.1 that speaks one dialect. ``async with`` it, or ``start`` and ``stop``.

    Times are in seconds. ``delays``: status → how long a session stays in it (default 0, ``math.inf``:
    until the test moves it on). ``auto=False``: nothing moves but by ``step`` and ``move``. ``canned``:
    what comes of a startup command instead of running it. ``log_bytes``: how much of a container's log is
    kept. ``poll``: how long a polled run collects output before it answers; ``flush``: how long a WebSocket's
    run does before each message. ``host`` may be ``::1``;
    with ``tls`` it speaks https.
    """

    def __init__(
        self,
        version: str = "26.9.6",
        *,
        capacity: Mapping[str, float] = CAPACITY,
        delays: Mapping[str, float] | None = None,
        auto: bool = True,
        canned: Canned | None = None,
        log_bytes: int = LOG_BYTES,
        keypairs: tuple[Keypair, ...] = keys.EVERYONE,
        images: tuple[str, ...] = (IMAGE,),
        port: int = 0,
        poll: float = 2.0,
        flush: float = 0.2,
        ping_seconds: float = 15.0,
        rate_window: float = WINDOW,
        signed: bool = True,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.dialect: Dialect = DIALECTS[version]
        self.keypairs = {one.access_key: one for one in keypairs}
        self.images = frozenset(images)
        self.slots = frozenset(capacity)
        self.kinds = frozenset(creation.KINDS)
        self.store: Store = Store()
        self.events = Events(self.dialect)
        self.scheduler: Scheduler = Scheduler(
            self.store,
            self.dialect,
            self.events,
            capacity=capacity,
            delays=delays or {},
            auto=auto,
            canned=canned,
            log_bytes=log_bytes,
        )
        self.lists: Lists = Lists(self.store, STATUSES[version], has_priority=self.dialect.api >= "v8")
        self.limits: Limits = Limits(self._elapsed, window=rate_window)
        self.logins: Logins = Logins(self.keypairs)
        self.faults = Faults()
        self.received: list[dict[str, Any]] = []
        """Every body of POST /session, as it came, refused ones too."""
        self.queries: list[dict[str, Any]] = []
        """Every body of POST /admin/gql."""
        self.escaped: list[str] = []
        """Names of uploads that 23.9.10 would have written outside the container. Nothing was written."""
        self.calls: Counter[str] = Counter()
        """``METHOD /route`` → requests, with ``*`` for the session: ``calls["GET /session/*/logs"]``."""
        self.signed = signed
        """Whether signatures are looked at."""
        self.skew = 0.0
        """Seconds that the server's clock is ahead."""
        self.agent_lost = False
        self.poll = poll
        self.flush = flush
        self.ping_seconds = ping_seconds
        self._host = host
        self._tls = tls
        self._port = port
        self.leaving = asyncio.Event()
        """Set while it stops gracefully: what WebSockets wait for."""
        self._stopped = asyncio.Event()
        """What requests wait for that are never answered."""
        self.sockets: set[web.WebSocketResponse] = set()
        """Open WebSockets."""
        self._runner: web.ServerRunner | None = None
        self._queue: tuple[int, dict[str, int]] = (-1, {})

    # -- sockets

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen; after ``stop`` on the same port, with the sessions as they are now."""
        self._stopped.clear()
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, reuse_address=True, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self, *, gracefully: bool = False) -> None:
        """Listen no more and cut all connections. Sessions and their containers go on.

        ``gracefully``: as after a SIGTERM, WebSockets first hear "server-restarting".
        """
        if gracefully:
            self.leaving.set()
            while self.sockets:
                await asyncio.sleep(0.01)
            self.leaving.clear()
        self._stopped.set()
        self.events.cut_all()
        if self._runner is not None:
            server = self._runner.server
            for connection in list(server.connections) if server is not None else []:
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
            self._runner = None

    async def close(self) -> None:
        """Stop, and end all containers."""
        await self.stop()
        await self.scheduler.closed()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self._port}"

    @property
    def version(self) -> str:
        return self.dialect.version

    # -- what a test looks at

    @property
    def sessions(self) -> list[Session]:
        """All sessions there ever were, oldest first."""
        return self.store.in_order

    @property
    def alive(self) -> list[Session]:
        """Those that have not ended."""
        return list(self.store.alive.values())

    def session(self, name: str) -> Session:
        """The latest session of this name, or the one of this id. Raises KeyError."""
        if name in self.store.by_id:
            return self.store.by_id[name]
        found = self.store.named(name)
        if not found:
            raise KeyError(name)
        return found[-1]

    def log(self, name: str) -> str:
        """The container log of a session."""
        container = self.session(name).container
        return "" if container is None else container.log.read().decode(errors="replace")

    def queue(self) -> dict[str, int]:
        """Id of a PENDING session → its place, from 0, over all users."""
        if self._queue[0] != self.store.revision:
            waiting = sorted(
                (one for queue in self.store.pending.values() for one in queue),
                key=lambda one: (-one.asked.priority, one.number),
            )
            self._queue = (self.store.revision, {one.id: place for place, one in enumerate(waiting)})
        return self._queue[1]

    # -- what a test does

    def step(self) -> None:
        """One tick of the scheduler: every session on its way goes one status further."""
        self.scheduler.step()

    async def move(self, name: str, status: str) -> Session:
        """Take a session to a status, through those between; PENDING sends it back to the queue."""
        session = self.session(name)
        self.scheduler.move(session, status)
        await asyncio.sleep(0)
        return session

    def doom(self, name: str, error: dict[str, Any] | None = None) -> None:
        """This session's start will fail: CANCELLED, failed-to-start, ``status_data.error``."""
        self.session(name).doom = error or FAILED_START

    def take_only(self, *kinds: str) -> None:
        """The resource group takes sessions of these kinds alone."""
        self.kinds = frozenset(kinds)

    def reschedule(self, name: str) -> None:
        """Back to PENDING (26.x); its container is gone."""
        self.scheduler.reschedule(self.session(name))

    def kill_for_memory(self, name: str) -> list[int]:
        """What the kernel does when a container's memory is used up; the process ids it killed."""
        container = self.session(name).container
        return [] if container is None else container.kill_for_memory()

    def kill_container(self, name: str) -> None:
        """The container is killed from outside: TERMINATING "abnormal-termination", then TERMINATED."""
        session = self.session(name)
        session.lost = True
        if session.container is not None:
            session.container.kill()
        self.scheduler.terminate(session, "abnormal-termination", info="")
        session.ending = "self-terminated", ""

    def lose_agent(self) -> list[Session]:
        """The agent is gone with all its containers. Its sessions stay RUNNING until ``bury``."""
        self.agent_lost = True
        lost = [one for one in self.alive if one.has_container or one.container is not None]
        for session in lost:
            session.lost = True
            if session.container is not None:
                session.container.kill()
        return lost

    def bury(self, reason: str = "agent-termination") -> None:
        """The agent is back (empty): the sessions it lost end."""
        self.agent_lost = False
        for session in self.alive:
            if session.lost:
                self.scheduler.terminate(session, reason)

    def restart_agent(self) -> None:
        """The agent is started anew and finds its containers, but what waited for their commands is gone: 26.9.6
        hears no more of them, 25.5.2 calls them failed at once."""
        for session in self.alive:
            session.unheard = True
            if not self.dialect.is_26 and session.status == "RUNNING":
                self.scheduler.command_ended(session, 130, reason="task-cancelled")

    def drop_streams(self) -> None:
        """Every event stream breaks off."""
        self.events.cut_all()

    def cut(self, request: web.BaseRequest) -> None:
        """Cut a request's connection."""
        if request.transport is not None:
            request.transport.abort()

    # -- a request's way

    def _elapsed(self) -> float:
        return time.monotonic()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw, _, query_text = request.raw_path.partition("?")
        path = unquote(raw)
        proxied = path.startswith("/func/") or path == "/func"
        if proxied:
            path = path[5:] or "/"
        call = Call(self, request, request.method, path, query_text)
        name, handler, call.ident = route(request.method, path, self.dialect)
        self.calls[name] += 1
        if self.faults.latency:
            await asyncio.sleep(self.faults.latency)
        fault = self.faults.of(f"{request.method} {path}") if self.faults else None
        if fault is None:
            return await self._answer(call, handler, proxied=proxied)
        return await self._fail(fault, call, handler, proxied=proxied)

    async def _fail(
        self, fault: Fault, call: Call, handler: Handler | None, *, proxied: bool
    ) -> web.StreamResponse:
        """What a fault makes of a request."""
        if fault.seconds:
            await asyncio.sleep(fault.seconds)
        response: web.StreamResponse | None = None
        if fault.work:
            response = await self._answer(call, handler, proxied=proxied)
        else:
            await call.request.read()
        if fault.hang:
            await self._stopped.wait()
        if fault.cut or fault.hang:
            self.cut(call.request)
            return web.Response(status=500)
        if fault.status is not None:
            headers = {"Content-Type": fault.content_type, **fault.headers}
            return web.Response(status=fault.status, body=fault.body, headers=headers)
        if (
            fault.truncate is not None
            and isinstance(response, web.Response)
            and isinstance(response.body, bytes)
        ):
            response.body = response.body[: fault.truncate]
        assert response is not None
        return response

    async def _answer(self, call: Call, handler: Handler | None, *, proxied: bool) -> web.StreamResponse:
        try:
            response = await self._do(call, handler, proxied=proxied)
        except Problem as problem:
            response = self._refuse(call, problem)
            response.headers["Date"] = self._date()
            return response
        if not response.prepared:
            response.headers.update(call.headers)
            response.headers["Date"] = self._date()
            response.headers["Server"] = "BackendAI"
        return response

    def _date(self) -> str:
        return formatdate(time.time() + self.skew, usegmt=True)

    def _refuse(self, call: Call, problem: Problem) -> web.Response:
        is_26 = self.dialect.is_26
        headers = {"Content-Type": problems.CONTENT_TYPE, "Server": "BackendAI"} | (
            call.headers if is_26 else {}
        )
        return web.Response(status=problem.status, body=problem.body(coded=is_26), headers=headers)

    async def _do(self, call: Call, handler: Handler | None, *, proxied: bool) -> web.StreamResponse:
        """Version, route, signature, rate, and then the work."""
        version = call.request.headers.get("X-BackendAI-Version")
        if version is not None and version not in self.dialect.accepted:
            raise problems.bad_version()
        if handler is None:
            raise problems.unknown_url(call.path) if not call.ident else problems.wrong_method()
        if call.path in PUBLIC:
            self._count(call, "", ANONYMOUS, free=True)
            return await handler(call)
        if proxied:
            call.keypair = self.logins.keypair(call.request)
        else:
            call.keypair = self._who(call)
        self._count(call, call.user.access_key, call.user.rate_limit, free=False)
        return await handler(call)

    def _who(self, call: Call) -> Keypair:
        if not self.signed:
            return next(iter(self.keypairs.values()))
        return authenticate(
            call.request.headers,
            call.method,
            call.request.raw_path,
            keypairs=self.keypairs,
            dialect=self.dialect,
            now=time.time() + self.skew,
        )

    def _count(self, call: Call, key: str, limit: int, *, free: bool) -> None:
        """Count a request and refuse it when there were too many. 26.x sends the headers with everything,
        older versions with what is no error, and nobody is counted without a key before 26."""
        is_26 = self.dialect.is_26
        count = self.limits.add(key) if is_26 or not free else 0
        call.headers |= self.limits.headers(key, limit, with_reset=is_26)
        if count > limit and not free:
            raise problems.rate_limited()
