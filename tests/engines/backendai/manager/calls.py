"""One request on its way through the manager, and small answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from aiohttp import web

from tests.engines.backendai.manager import problems
from tests.engines.backendai.manager.keys import Keypair
from tests.engines.backendai.manager.sessions import Session

if TYPE_CHECKING:
    from tests.engines.backendai.manager.server import Manager

JSON = "application/json; charset=utf-8"


@dataclass(slots=True)
class Call:
    """A request, who made it, and what its path names."""

    manager: Manager
    request: web.BaseRequest
    method: str
    path: str
    """Decoded, without query and without ``/func``."""
    query_text: str
    ident: str = ""
    """The session that the path names, by id or by name."""
    keypair: Keypair | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that every answer to this request gets."""

    @property
    def user(self) -> Keypair:
        assert self.keypair is not None
        return self.keypair

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of equal names the last."""
        pairs = (part.partition("=") for part in self.query_text.split("&") if part)
        return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}

    async def read_json(self) -> Any:
        """The body. Raises Problem when it is no JSON object, or too large."""
        try:
            body = json.loads(await self.request.read())
        except (ValueError, web.HTTPRequestEntityTooLarge):
            body = None
        if isinstance(body, dict):
            return body
        if self.manager.dialect.is_26:
            raise problems.malformed(str(self.request.url), self.method)
        raise problems.invalid("Malformed body")

    def session(self, *, dead: bool = False) -> Session:
        """The session that the path names, if it is the caller's. Raises Problem in that version's words.

        ``dead``: ended ones too, where the version finds them; 26.x finds those by id only.
        """
        store = self.manager.store
        session = store.by_id.get(self.ident)
        by_id = session is not None
        if session is None:
            session = store.living(self.user.access_key, self.ident)
            if session is None and dead and not self.manager.dialect.is_26:
                mine = [
                    one for one in store.named(self.ident) if one.owner.access_key == self.user.access_key
                ]
                session = mine[-1] if mine else None
        if session is not None and session.owner.access_key == self.user.access_key:
            if session.is_alive or dead:
                return session
        elif not by_id and self.manager.dialect.is_26:
            raise problems.no_row("SessionRow", "session_read_not-found")
        raise problems.no_session(self.ident)


def reply(content: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=json.dumps(content).encode(), status=status, headers={"Content-Type": JSON})


def nothing() -> web.Response:
    """204."""
    return web.Response(status=204)
