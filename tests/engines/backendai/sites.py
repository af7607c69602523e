"""Servers on loopback whose answers a test writes: well-behaved ones (aiohttp), and ones that are not HTTP."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aiohttp import web

from tui_sweep.engines.backendai.configuration import Configuration
from tui_sweep.engines.backendai.sign import Key, Signed, authorization

KEY = Key("AKIASITE", "hush-hush")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def reply(body: Any = None, status: int = 200, **headers: str) -> web.Response:
    """An answer: bytes as they are, anything else as JSON. ``X_Name`` becomes ``X-Name``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        return web.Response(body=body, status=status, headers=named)
    return web.json_response(body if body is not None else {}, status=status, headers=named)


def problem(status: int, kind: str, **more: Any) -> web.Response:
    """An error as a manager words it."""
    record = {"type": f"https://api.backend.ai/probs/{kind}", "title": kind, **more}
    return web.Response(
        text=json.dumps(record), status=status, content_type="application/problem+json", charset="utf-8"
    )


@dataclass
class Site:
    """One server. Its answers are taken from ``answers``, one after the other, the last one for ever."""

    answers: dict[str, list[web.Response | Handler]] = field(default_factory=dict)
    """By path."""
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.answers.setdefault("/", [reply({"version": "v9.20250722", "manager": "26.9.6"})])
        self.answers.setdefault("/admin/gql", [reply({"data": {"keypair": {"access_key": KEY.access_key}}})])

    def asked(self, path: str) -> list[Seen]:
        """The requests for one path."""
        return [one for one in self.seen if one.target.partition("?")[0] == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), await request.read()))
        answers = self.answers.get(request.path) or [problem(404, "url-not-found")]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            return await answer(request)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


@asynccontextmanager
async def serving(
    site: Site, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    """The site at work, its address in ``url``."""
    app = web.Application(client_max_size=1 << 28)
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        place = web.TCPSite(runner, host, 0, ssl_context=tls)
        await place.start()
        port = runner.addresses[0][1]
        site.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"
        yield site
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A TCP server that does with each connection what the test says; its ``host:port``."""
    open_ones: set[asyncio.StreamWriter] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        await talk(reader, writer)

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        for writer in open_ones:
            writer.transport.abort()
        server.close()


def configured(*endpoints: str, **changes: Any) -> Configuration:
    """A configuration with the key that sites know."""
    usual = Configuration(endpoints, access_key=KEY.access_key, secret_key=KEY.secret_key)
    return replace(usual, **changes)


def is_rightly_signed(seen: Seen) -> bool:
    """Whether the signature fits what came over the wire, the Content-Type read as a server reads it."""
    kind = seen.headers.get("Content-Type", "application/octet-stream").partition(";")[0].lower()
    at = datetime.fromisoformat(seen.headers["Date"])
    signed = Signed(
        seen.method, seen.target, at, seen.headers["Host"], kind, seen.headers["X-BackendAI-Version"]
    )
    return seen.headers["Authorization"] == authorization(KEY, signed)
