"""The client of one cluster: agrees on a version, proves who asks, paces, tries again where that is safe.

What is not safe is sent once: a creation whose answer was lost may have made a session, and only a
look at the server tells. What never left this machine is always tried at the other endpoints; and an
endpoint that does not answer, or where something else than Backend.AI does, is left by all that follows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import EngineDenied, EngineError
from tui_sweep.engines.backendai.clock import Clock
from tui_sweep.engines.backendai.configuration import Configuration
from tui_sweep.engines.backendai.cookies import cookie_file, read_access_key, read_cookies
from tui_sweep.engines.backendai.dialect import Dialect, dialect
from tui_sweep.engines.backendai.eventstream import EventStream
from tui_sweep.engines.backendai.pace import Pace, Priority
from tui_sweep.engines.backendai.problems import is_page, read_problem, short
from tui_sweep.engines.backendai.transport import LARGEST_ANSWER, LARGEST_LOG, Answer, Transport, Wish
from tui_sweep.engines.backendai.verdicts import (
    LOG_IN,
    About,
    Barred,
    NotLetIn,
    Unanswered,
    graphql_verdict,
    problem_of,
    unreadable,
    verdict,
)

log = logging.getLogger(__name__)

_decoded = json.JSONDecoder().decode
"""``json.loads`` of a text, without its many options: there are four events a case."""
_SAFE = frozenset(("GET", "HEAD", "DELETE"))
_TRIES = 3
"""Times that a safe request is sent, at most."""
_FIRST_DELAY = 0.5
"""Seconds before the second time; doubled before each further one, and cut by up to a half at random."""
_WORDS = {priority: priority.name.lower() for priority in Priority}
"""As ``counts`` names them."""
_SECONDS = {
    Priority.TERMINATE: 60.0,
    Priority.STATUS: 30.0,
    Priority.RUN: 30.0,
    Priority.CREATE: 60.0,
    Priority.LOGS: 120.0,
}
"""Until a request must have been answered whole. Before 26 a DELETE waits for the container's end."""
_NO_MANAGER = frozenset((502, 503, 504))
"""What is said, by a web console as well, where there is no manager behind it."""
_BARRED_PAUSE = 30.0
"""Seconds until one who is not let in any more is worth asking again."""
_WHO = "query { keypair { access_key is_active rate_limit } }"
"""The cheapest question that every version answers to every user."""


class Client:
    """Speaks to one cluster. ``open`` and everything after it in one event loop."""

    def __init__(self, configuration: Configuration, cookies: Path | None = None) -> None:
        """``cookies``: the file of a login, where it is not in its usual place."""
        self._configuration = configuration
        self._login = cookies or cookie_file(configuration)
        self._cookies: Mapping[str, str] = {}
        """Of the login in use, as its file had them."""
        self.access_key = ""
        """Whose sessions are asked for, as the server told when it was opened; "" where it does not."""
        self._was_let_in = False
        self._clock = Clock()
        self._transport: Transport | None = None
        self._dialect: Dialect | None = None
        self.counts: Counter[str] = Counter()
        """Requests sent: by the word of their priority, ``stream`` and ``hello``; and among them those
        ``refused`` (429), ``unanswered``, and ``repeated``."""

    @property
    def dialect(self) -> Dialect:
        """How this server is spoken to; known once open."""
        assert self._dialect is not None, "not open"
        return self._dialect

    @property
    def endpoint(self) -> str:
        """The endpoint in use."""
        return self._wire.endpoint if self._transport is not None else self._configuration.endpoints[0]

    @property
    def ahead(self) -> float:
        """Seconds that the server's clock is ahead of ours; what its times are too late by."""
        return self._clock.ahead

    @property
    def pace(self) -> Pace:
        """How fast requests may go."""
        return self._pace

    async def open(self) -> None:
        """Reach the server and prove who asks. Raises EngineDenied or EngineUnreachable."""
        if self._configuration.is_session:
            self._cookies = read_cookies(self._login, self._configuration)
            if not self._cookies:
                raise EngineDenied(f"nobody is logged in at {self._configuration.endpoints[0]}: {LOG_IN}")
        self._pace = Pace()
        self._transport = Transport(self._configuration, self._cookies)
        hello = await self._hello()
        told = hello.json()
        told = told if isinstance(told, Mapping) else {}
        self._dialect = dialect(str(told.get("version", "")), str(told.get("manager", "")), hello.host)
        self._transport.version = self._dialect.version
        try:
            who = (await self.graphql(_WHO, {})).get("keypair")
            self.access_key = short(who.get("access_key") or "", 80) if isinstance(who, Mapping) else ""
        except EngineError as error:
            problem = problem_of(error)
            # 429 is said to those alone who were let in, and a GraphQL error likewise
            if problem is None or problem.status not in (200, 429) or problem.is_page:
                raise
        self._was_let_in = True

    async def close(self) -> None:
        """Let go of every connection."""
        if self._transport is not None:
            self._pace.close()
            await self._transport.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        text: bytes | None = None,
        form: Sequence[tuple[str, bytes]] = (),
        priority: Priority,
        is_safe: bool | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """The answer to one request, of a status below 300.

        ``path`` is not encoded; ``body`` is anything JSON can say, and ``text`` that in JSON where it was
        made already; ``form`` are files to upload.
        ``is_safe``: sending it twice does no harm; None: as the method says. ``timeout``: seconds for
        each sending. Raises EngineBusy (nothing has begun), EngineDenied, EngineUnreachable.
        """
        if text is None and body is not None:
            text = json.dumps(body).encode()
        wish = Wish(method, path, query or {}, text, form)
        named = body if isinstance(body, dict) else {}
        safe = method in _SAFE if is_safe is None else is_safe
        seconds = timeout or _SECONDS[priority]
        tries = 0
        while True:
            tries += 1
            endpoint = self._wire.endpoint
            cookies = self._cookies
            try:
                return await self._attempt(wish, endpoint, priority, seconds, named)
            except EngineError as error:
                if self._is_logged_in_anew(error, cookies):
                    continue
                delay = self._again(error, endpoint, tries, safe=safe, patient=priority is not Priority.LOGS)
                if delay is None:
                    raise
            self.counts["repeated"] += 1
            if delay:
                await asyncio.sleep(delay)

    async def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The ``data`` of the answer to a question, as JSON has it. Raises EngineError; also for a partial answer."""
        answer = await self.request(
            "POST",
            "/admin/gql",
            body={"query": query, "variables": dict(variables)},
            priority=Priority.STATUS,
            is_safe=True,
        )
        told = answer.json()
        if isinstance(told, dict) and isinstance(told.get("errors"), list) and told["errors"]:
            raise graphql_verdict(told["errors"], self._whom(answer.host, {}))
        if not isinstance(told, dict) or not isinstance(told.get("data"), dict):
            raise unreadable(answer.host, answer.status, answer.body, page=False)
        data: dict[str, Any] = told["data"]
        return data

    async def stream_events(
        self, path: str, query: Mapping[str, str] | None = None, *, unread: tuple[str, ...] = ()
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """(name, data) of each event; first ("", {}) when the stream is open, so that nothing before
        it was told. Those whose names begin like one of ``unread`` are passed over. Never returns: ends
        with an EngineError when the stream breaks off or falls silent.
        """
        endpoint = self._wire.endpoint
        parser = EventStream(unread)
        with self._left_if_dead(endpoint):
            async with AsyncExitStack() as stack:
                async with self._turn(Priority.STATUS, "stream"):
                    stream = self._wire.stream(Wish("GET", path, query or {}), endpoint)
                    answer, chunks = await stack.enter_async_context(stream)
                    self._judged(answer, {})
                if is_page(answer.headers, b""):
                    raise unreadable(answer.host, answer.status, b"", page=True)
                yield "", {}
                async for chunk in chunks:
                    for name, text in _fed(parser, chunk, answer.host):
                        if (data := _data(text)) is not None:
                            yield name, data
        raise Unanswered(f"{answer.host} ended the event stream")

    # inside

    @property
    def _wire(self) -> Transport:
        assert self._transport is not None, "not open"
        return self._transport

    async def _hello(self) -> Answer:
        """What a server says of itself to anyone. Raises EngineError when none of the endpoints does."""
        wish = Wish("GET", "/" if self._configuration.is_session else "", is_signed=False)
        tries = 0
        while True:
            tries += 1
            endpoint = self._wire.endpoint
            self.counts["hello"] += 1
            try:
                answer = await self._wire.send(wish, endpoint, timeout=_SECONDS[Priority.STATUS])
                if answer.status >= 300:
                    problem = read_problem(answer.status, answer.headers, answer.body)
                    raise verdict(problem, self._whom(answer.host, {}))
                answer.json()
            except (Unanswered, NotLetIn):
                self._wire.rotate(endpoint)
                if tries >= self._wire.endpoints:
                    raise
            else:
                return answer

    async def _attempt(
        self, wish: Wish, endpoint: str, priority: Priority, seconds: float, body: Mapping[str, Any]
    ) -> Answer:
        await self._pace.enter(priority)
        self.counts[_WORDS[priority]] += 1
        began, sent = time.perf_counter(), time.time()
        status: object = "no answer"
        largest = LARGEST_LOG if priority is Priority.LOGS else LARGEST_ANSWER
        try:
            answer = await self._wire.send(wish, endpoint, timeout=seconds, largest=largest)
            status = answer.status
            judged = self._judged(answer, body, len(wish.body or b""))
            self._clock.heard(answer.headers.get("Date"), sent, time.time())
            return judged
        except Unanswered as error:
            if error.problem is None:
                self.counts["unanswered"] += 1
            raise
        finally:
            self._pace.leave(priority)
            took = 1000 * (time.perf_counter() - began)
            log.debug("method=%s path=%s status=%s ms=%.1f", wish.method, wish.path, status, took)

    @contextmanager
    def _left_if_dead(self, endpoint: str) -> Iterator[None]:
        """Whatever follows goes to another endpoint where this one does not answer the block, or not as a
        manager does."""
        try:
            yield
        except EngineError as error:
            if _is_dead(error):
                self._wire.rotate(endpoint)
            raise

    @asynccontextmanager
    async def _turn(self, priority: Priority, word: str) -> AsyncIterator[None]:
        """One place among those that may send now."""
        await self._pace.enter(priority)
        self.counts[word] += 1
        try:
            yield
        finally:
            self._pace.leave(priority)

    def _judged(self, answer: Answer, body: Mapping[str, Any], size: int = 0) -> Answer:
        """The answer if it is a success. Raises EngineError for what else it is."""
        if answer.status != 401:  # there the limit is that of nobody in particular
            self._pace.heard(answer.headers)
        if answer.status < 300:
            self._pace.accepted()
            if is_page({}, answer.body):  # a portal's, or of whoever else has this address now
                raise unreadable(answer.host, answer.status, answer.body, page=True)
            return answer
        problem = read_problem(answer.status, answer.headers, answer.body)
        if answer.status == 429:
            self.counts["refused"] += 1
            problem = replace(problem, retry_after=max(self._pace.refused(), problem.retry_after or 0.0))
        else:
            self._pace.accepted()
        error = verdict(problem, replace(self._whom(answer.host, body), size=size))
        if self._was_let_in and isinstance(error, NotLetIn):
            raise Barred(str(error), problem, retry_after=max(problem.retry_after or 0.0, _BARRED_PAUSE))
        raise error

    def _is_logged_in_anew(self, error: EngineError, cookies: Mapping[str, str]) -> bool:
        """Whether the login is another one now than that of ``cookies``, which a server did not know. The user
        did meanwhile what our sentence said; a request that was answered so has not begun. Raises EngineBusy
        where it is somebody else's: there none of our sessions would be found."""
        problem = problem_of(error)
        if not self._configuration.is_session or problem is None or problem.status != 401:
            return False
        if self._cookies is cookies:
            try:
                fresh = read_cookies(self._login, self._configuration)
            except EngineDenied as denied:
                log.warning("login not used: error=%s", denied)
                return False
            if not fresh or fresh == cookies:
                return False
            key = read_access_key(self._login, self._configuration)
            if key and self.access_key and key != self.access_key:
                raise Barred(
                    f"the login at {self.endpoint} is that of {key} now, and this sweep is {self.access_key}'s: "
                    f"log in as before",
                    problem,
                    retry_after=_BARRED_PAUSE,
                )
            log.info("the login was renewed: endpoint=%s", self.endpoint)
            self._cookies = fresh
            self._wire.log_in(fresh)
        return True

    def _again(
        self, error: EngineError, endpoint: str, tries: int, *, safe: bool, patient: bool
    ) -> float | None:
        """Seconds until the next try, or None for no further one. ``patient``: a server's own failure
        may pass."""
        problem = problem_of(error)
        delay = _FIRST_DELAY * 2 ** (tries - 1) * random.uniform(0.5, 1.0)
        if _is_dead(error):
            self._wire.rotate(endpoint)
            if (safe or not error.sent) and tries < self._wire.endpoints:
                return 0.0
        if not safe or tries >= _TRIES:
            return None
        if problem is not None and problem.status == 429:
            return 0.0  # Pace holds it back
        return delay if isinstance(error, Unanswered) and (patient or problem is None) else None

    def _whom(self, host: str, body: Mapping[str, Any]) -> About:
        """What was asked of whom; ``body`` names what the server may miss."""
        configuration = self._configuration
        settings = body.get("config")
        settings = settings if isinstance(settings, Mapping) else {}
        return About(
            host,
            access_key=configuration.access_key,
            is_session=configuration.is_session,
            domain=str(body.get("domain") or configuration.domain),
            group=str(body.get("group") or configuration.group),
            image=str(body.get("image") or ""),
            resource_group=str(settings.get("scalingGroup") or body.get("scaling_group") or ""),
        )


def _is_dead(error: EngineError) -> bool:
    """Whether an endpoint is of no use now: nobody answers there, or something before a manager does, or one whose
    clock is another."""
    problem = problem_of(error)
    if isinstance(error, (NotLetIn, Barred)):
        return True
    return isinstance(error, Unanswered) and (
        problem is None or not problem.kind or problem.status in _NO_MANAGER
    )


def _fed(parser: EventStream, chunk: bytes, host: str) -> list[tuple[str, str]]:
    try:
        return parser.feed(chunk)
    except ValueError as error:
        raise Unanswered(f"{host} sends no events: {error}") from None


def _data(text: str) -> dict[str, Any] | None:
    """An event's data; None for what no manager sends."""
    try:
        data = _decoded(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
