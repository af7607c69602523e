"""Endpoint type ``session``: a user logs in and is known by a cookie, as at the web server (PROTOCOL 1)."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from tests.engines.backendai.manager import problems
from tests.engines.backendai.manager.calls import Call, reply
from tests.engines.backendai.manager.keys import Keypair

COOKIE = "AIOHTTP_SESSION"
PASSWORDS = {
    "admin@lablup.com": "wJalrXUt",
    "user@lablup.com": "C8qnIo29",
    "user2@lablup.com": "P7oxTDdz",
    "monitor@lablup.com": "7tuEwF1J",
}
"""Of the example users."""

MOST_FAILURES = 10
"""Wrong passwords in a row, before a user has to wait."""


class Logins:
    """Who is logged in."""

    def __init__(self, keypairs: Mapping[str, Keypair]) -> None:
        self._keypairs = keypairs
        self.cookies: dict[str, Keypair] = {}
        """Cookie → whose. A test empties it to end all logins."""
        self.failures: Counter[str] = Counter()
        """User → wrong passwords since the last right one."""

    def keypair(self, request: web.BaseRequest) -> Keypair:
        """Whose cookie this is. Raises Problem."""
        found = self.cookies.get(request.cookies.get(COOKIE, ""))
        if found is None:
            raise problems.unauthorized("Unauthorized access")
        return found

    def open(self, username: str, password: str) -> tuple[str, Keypair] | None:
        """A new cookie, or None for a wrong password. Raises Problem after too many of those."""
        if self.failures[username] >= MOST_FAILURES:
            title = "Too many login attempts."
            raise problems.Problem(429, "too-many-requests", title, "user_auth_too-many-requests")
        if PASSWORDS.get(username) != password:
            self.failures[username] += 1
            return None
        del self.failures[username]
        for keypair in self._keypairs.values():
            if keypair.email == username and keypair.is_active:
                cookie = secrets.token_hex(16)
                self.cookies[cookie] = keypair
                return cookie, keypair
        return None


async def login(call: Call) -> web.Response:
    body = await call.read_json()
    opened = call.manager.logins.open(body.get("username", ""), body.get("password", ""))
    if opened is None:
        data = {
            "type": f"{problems.PROBS}auth-failed",
            "title": "Credential/signature mismatch.",
            "details": "",
        }
        return reply({"authenticated": False, "data": data})
    cookie, keypair = opened
    data = {"role": keypair.role, "access_key": keypair.access_key, "status": "active"}
    response = reply({"authenticated": True, "data": data, "session_id": cookie})
    response.set_cookie(COOKIE, cookie, httponly=True, path="/")
    return response


async def check(call: Call) -> web.Response:
    keypair = call.manager.logins.cookies.get(call.request.cookies.get(COOKIE, ""))
    data = None if keypair is None else {"role": keypair.role, "access_key": keypair.access_key}
    return reply({"authenticated": keypair is not None, "data": data})


async def logout(call: Call) -> web.Response:
    call.manager.logins.cookies.pop(call.request.cookies.get(COOKIE, ""), None)
    response = web.Response(status=201)
    response.del_cookie(COOKIE, path="/")
    return response
