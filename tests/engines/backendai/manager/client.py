"""A bare client for the tests of the stand-in: signs as PROTOCOL 2 says, and can sign wrongly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

import aiohttp

from tests.engines.backendai.manager.auth import signature
from tests.engines.backendai.manager.keys import ADMIN, INACTIVE, Keypair
from tests.engines.backendai.manager.server import Manager

LIMIT = 20.0
"""Seconds after which a test has failed."""

Result = TypeVar("Result")


def within(work: Coroutine[Any, Any, Result], seconds: float = LIMIT) -> Result:
    """``asyncio.run`` that ends with TimeoutError rather than never."""
    return asyncio.run(asyncio.wait_for(work, seconds))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str | None
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    """``async with Client(manager) as client: await client.call("GET", "/session/x")``."""

    def __init__(self, manager: Manager, keypair: Keypair = ADMIN) -> None:
        self.manager = manager
        self.keypair = keypair

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(self.manager.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    def headers(
        self,
        method: str,
        target: str,
        kind: str = "application/json",
        *,
        keypair: Keypair | None = None,
        signed: str = "",
    ) -> dict[str, str]:
        """Signed headers. ``signed`` spoils them: see ``test_captures``, or a version to send."""
        keypair = keypair or self.keypair
        version = self.manager.dialect.api
        ages = {"an hour ago": 3600, "20 minutes ago": 1200}
        date = datetime.now(UTC) - timedelta(seconds=ages.get(signed, 0))
        secret = "wrong" if signed == "wrong secret" else keypair.secret_key
        key = {"unknown key": "AKIANOBODYNOBODYNOBO", "inactive key": INACTIVE.access_key}.get(
            signed, keypair.access_key
        )
        if signed[:1] == "v" or signed == "junk":
            version = signed
        day = date.strftime("%Y%m%d")
        text = date.isoformat()
        hexed = signature(secret, method, target, text, day, self.manager.url[7:], kind, version)
        scheme = {"bearer": "Bearer", "basic": "Basic"}.get(signed, "BackendAI")
        told = {
            "Date": text,
            "Content-Type": kind,
            "X-BackendAI-Version": version,
            "Authorization": f"{scheme} signMethod=HMAC-SHA256, credential={key}:{hexed}",
        }
        if signed == "no headers":
            return {}
        if signed == "no authorization":
            del told["Authorization"]
        return told

    async def call(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        keypair: Keypair | None = None,
        signed: str = "",
    ) -> Answer:
        """One request. A body that is text goes as it is."""
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        headers = self.headers(method, target, keypair=keypair, signed=signed)
        async with self.http.request(method, target, data=data, headers=headers) as response:
            kind = response.headers.get("Content-Type") if response.status != 204 else None
            return Answer(response.status, kind, dict(response.headers), await response.text())

    def stream(self, name: str) -> Any:
        """A WebSocket that runs code in a session; ``async with`` it."""
        target = f"/stream/session/{name}/execute"
        headers = self.headers("GET", target, "application/octet-stream")
        del headers["Content-Type"]
        return self.http.ws_connect(target, headers=headers)

    async def upload(
        self, target: str, parts: list[tuple[str, bytes]], *, keypair: Keypair | None = None
    ) -> Answer:
        """One multipart request; each part with what stands behind ``name="src"; `` in its header."""
        boundary = "7acce2794fa045aca7289ea43817a4d7"
        data = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="src"; {name}\r\n\r\n'.encode()
            + content
            + b"\r\n"
            for name, content in parts
        )
        headers = self.headers("POST", target, "multipart/form-data", keypair=keypair)
        headers["Content-Type"] += f"; boundary={boundary}"
        data += f"--{boundary}--\r\n".encode()
        async with self.http.post(target, data=data, headers=headers) as response:
            kind = response.headers.get("Content-Type") if response.status != 204 else None
            return Answer(response.status, kind, dict(response.headers), await response.text())
