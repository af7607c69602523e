"""One request over HTTP: signed, sent to one of the endpoints, and its answer read within bounds.

Every foreign exception becomes an ``Unanswered`` here, with a sentence that names the host and
never a secret, and that says whether the request can have reached the server at all.
"""

from __future__ import annotations

import asyncio
import functools
import io
import json
import random
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from yarl import URL

from tui_sweep import __version__
from tui_sweep.core.errors import EngineDenied
from tui_sweep.engines.backendai.configuration import Configuration, host_of
from tui_sweep.engines.backendai.http import aiohttp
from tui_sweep.engines.backendai.problems import Problem, is_page, short
from tui_sweep.engines.backendai.sign import Key, Signed, authorization
from tui_sweep.engines.backendai.verdicts import Refused, Unanswered, unreadable

LARGEST_ANSWER = 32 << 20
"""Bytes, unpacked. A log of 10 MiB may be six times that with all its characters escaped: see LARGEST_LOG."""
LARGEST_LOG = 64 << 20
SILENCE = 45.0
"""Seconds without a byte after which an event stream is dead; a manager pings every 15 s."""
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_-]+)+")
"""Encoded, it is as before; what that takes is a tenth of a request."""
_LARGE_BODY = 1 << 20
"""Bytes from which aiohttp wants a body as a file."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be sent."""

    method: str
    path: str
    """Not encoded, below the endpoint's own path. "" for the endpoint itself."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    """JSON text."""
    form: Sequence[tuple[str, bytes]] = field(default=(), repr=False)
    """Files to upload: (relative name, content)."""
    is_signed: bool = True

    @property
    def content_type(self) -> str:
        """What is sent and signed, without parameters (PROTOCOL.md 2)."""
        if self.form:
            return "multipart/form-data"
        return "text/plain" if self.body is None else "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Its data. Raises EngineUnreachable for what is none: a web page, half of an answer."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            page = is_page(self.headers, self.body)
            raise unreadable(self.host, self.status, self.body, page=page) from None


class Transport:
    """Connections to one server by any of its endpoints. Made inside an event loop."""

    def __init__(self, configuration: Configuration, cookies: Mapping[str, str] | None = None) -> None:
        self._configuration = configuration
        self._key = Key(configuration.access_key, configuration.secret_key)
        self._endpoints = random.sample(configuration.endpoints, len(configuration.endpoints))
        self._hosts = {endpoint: host_of(endpoint) for endpoint in self._endpoints}
        jar = aiohttp.CookieJar(unsafe=True) if configuration.is_session else aiohttp.DummyCookieJar()
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_tls(configuration)),  # Pace bounds their number
            cookie_jar=jar,
            headers={"User-Agent": f"sweep-tui/{__version__}", "X-BackendAI-Domain": configuration.domain},
        )
        self.log_in(cookies or {})
        self.version = ""
        """What X-BackendAI-Version says; "" before it was agreed on."""

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.close()

    @property
    def endpoint(self) -> str:
        """The one in use."""
        return self._endpoints[0]

    @property
    def endpoints(self) -> int:
        """How many there are."""
        return len(self._endpoints)

    def host(self, endpoint: str) -> str:
        """``host[:port]`` of one, to name it."""
        return self._hosts[endpoint]

    def rotate(self, endpoint: str) -> None:
        """Use another than this one, which does not answer."""
        if endpoint == self._endpoints[0]:
            self._endpoints.append(self._endpoints.pop(0))

    def log_in(self, cookies: Mapping[str, str]) -> None:
        """Send these from now on, and none of before."""
        self._http.cookie_jar.clear()
        for endpoint in self._endpoints:
            self._http.cookie_jar.update_cookies(dict(cookies), URL(endpoint))

    def cookies(self, endpoint: str) -> dict[str, str]:
        """What would be sent there."""
        return {name: one.value for name, one in self._http.cookie_jar.filter_cookies(URL(endpoint)).items()}

    async def send(
        self, wish: Wish, endpoint: str, *, timeout: float, largest: int = LARGEST_ANSWER
    ) -> Answer:
        """One attempt. Raises Unanswered; an answer of any status is an answer."""
        limits = _limits(timeout, self._configuration.connection_timeout, self._configuration.read_timeout)
        host = self._hosts[endpoint]
        try:
            async with self._request(wish, endpoint, limits) as response:
                body = await self._read(response, endpoint, largest)
                return Answer(host, response.status, response.headers, body)
        except _FOREIGN as error:
            raise _unanswered(error, host, limits) from None

    @asynccontextmanager
    async def stream(self, wish: Wish, endpoint: str) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """An answer that goes on: its beginning, and the chunks that follow until it ends or falls silent.

        With another status than 200 the beginning has the whole body, and nothing follows.
        """
        limits = _limits(None, self._configuration.connection_timeout, SILENCE)
        host = self._hosts[endpoint]
        try:
            async with self._request(wish, endpoint, limits) as response:
                whole = response.status != 200
                body = await self._read(response, endpoint, _LARGE_BODY) if whole else b""
                yield Answer(host, response.status, response.headers, body), response.content.iter_any()
        except _FOREIGN as error:
            raise _unanswered(error, host, limits) from None

    # inside

    def _request(
        self, wish: Wish, endpoint: str, limits: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        url = self._url(wish, endpoint)
        return self._http.request(
            wish.method,
            url,
            data=_payload(wish),
            headers=self._headers(wish, url, self._hosts[endpoint]),
            timeout=limits,
            allow_redirects=False,
        )

    def _url(self, wish: Wish, endpoint: str) -> URL:
        """Encoded once: what is signed is what is sent."""
        if not wish.path:
            return URL(endpoint, encoded=True)
        path = wish.path
        if self._configuration.is_session and not path.startswith("/server/"):
            path = f"/func{path}"
        if wish.query or _PLAIN_PATH.fullmatch(path) is None:
            path = URL.build(path=path, query=wish.query).raw_path_qs
        return URL(endpoint + path, encoded=True)

    def _headers(self, wish: Wish, url: URL, host: str) -> dict[str, str]:
        content_type = wish.content_type
        found = {"Host": host}
        if not wish.form:  # of a form aiohttp sends the boundary with it
            found["Content-Type"] = content_type
        if self.version:
            found["X-BackendAI-Version"] = self.version
        if wish.is_signed and not self._configuration.is_session:
            now = datetime.now(UTC)
            signed = Signed(wish.method, url.raw_path_qs, now, host, content_type, self.version)
            found |= {"Date": signed.date, "Authorization": authorization(self._key, signed)}
        return found

    async def _read(self, response: aiohttp.ClientResponse, endpoint: str, largest: int) -> bytes:
        announced = response.content_length
        if announced is not None and announced <= largest and "Content-Encoding" not in response.headers:
            return await response.read()  # which is no longer than announced
        parts = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > largest:
                raise Refused(
                    f"{self._hosts[endpoint]} gave an answer of more than {largest >> 20} MiB, which is not read",
                    Problem(response.status),
                )
            parts.append(part)
        return b"".join(parts)


@functools.lru_cache(16)
def _limits(total: float | None, connect: float, silence: float) -> aiohttp.ClientTimeout:
    """Seconds for all of it, for a connection, and between two bytes; 0 is no limit for these two."""
    return aiohttp.ClientTimeout(total=total, connect=connect or None, sock_read=silence or None)


def _payload(wish: Wish) -> Any:
    """Made anew for each attempt: what was sent is used up."""
    if wish.form:
        form = aiohttp.FormData(quote_fields=False)  # quoted, a/b.txt would be stored as a%2Fb.txt
        for name, content in wish.form:
            _check_name(name)
            form.add_field("src", io.BytesIO(content), filename=name, content_type="application/octet-stream")
        return form
    if wish.body is not None and len(wish.body) >= _LARGE_BODY:
        return io.BytesIO(wish.body)
    return wish.body


def _check_name(name: str) -> None:
    """23.09 writes a file wherever its name leads, on the machine itself."""
    parts = name.split("/")
    if not name.isprintable() or '"' in name or "\\" in name or {"", ".", ".."} & set(parts):
        raise EngineDenied(f"the file {short(name)!r} cannot be uploaded under this name")


def _tls(configuration: Configuration) -> ssl.SSLContext | bool:
    """Made when it is needed and not by aiohttp's import, so that SSL_CERT_FILE of this moment counts."""
    if configuration.skip_ssl_validation:
        return False
    if any(endpoint.startswith("https:") for endpoint in configuration.endpoints):
        return ssl.create_default_context()
    return True


_FOREIGN = (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError)
"""What goes wrong while a request is sent and its answer is read."""


def _unanswered(error: Exception, host: str, limits: aiohttp.ClientTimeout) -> Unanswered:
    """One of these as it is told. Raised ``from None``: the cause may quote headers."""
    sentence, sent = _sentence(error, host, limits)
    return Unanswered(sentence, sent=sent)


def _sentence(error: Exception, host: str, limits: aiohttp.ClientTimeout) -> tuple[str, bool]:
    """What happened and what to do; and whether the request can have arrived."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {host} cannot be looked up: check BACKEND_ENDPOINT and the network", False
        case aiohttp.ClientConnectorCertificateError(certificate_error=why):
            words = short(getattr(why, "verify_message", "") or why)
            trust = "to trust an authority of your own name its file in SSL_CERT_FILE"
            return (
                f"the certificate of {host} does not verify ({words}): check BACKEND_ENDPOINT; {trust}",
                False,
            )
        case aiohttp.ClientConnectorSSLError():
            return (
                f"{host} does not speak TLS as we do ({_reason(error)}): is it https:// on this port?",
                False,
            )
        case aiohttp.ConnectionTimeoutError():
            return (
                f"{host} took no connection within {limits.connect:g} s: is it up, and is the network?",
                False,
            )
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return f"{host} refuses connections: is the server up, and is the port right?", False
        case aiohttp.ClientConnectorError():
            return f"{host} cannot be reached ({_reason(error)}): is the network up?", False
        case aiohttp.SocketTimeoutError():
            return f"{host} fell silent for {limits.sock_read:g} s", True
        case TimeoutError():
            return f"{host} gave no answer within {limits.total or 0:g} s", True
        case aiohttp.ClientPayloadError():
            return f"{host} broke off in the middle of its answer", True
        case aiohttp.ClientResponseError():
            return f"what {host} says is no HTTP: is it https:// on this port?", True
        case aiohttp.ServerDisconnectedError() | OSError():
            return f"{host} broke the connection off without an answer", True
    return f"no request can be made to {host} ({type(error).__name__})", True


def _reason(error: aiohttp.ClientConnectorError) -> str:
    return short(error.os_error.strerror or type(error.os_error).__name__, 80)
