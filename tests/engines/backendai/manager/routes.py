"""Which path is whose. By hand rather than by aiohttp's router: three times as many requests a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.engines.backendai.manager import files, lifecycle, logins, resources, running, streams
from tests.engines.backendai.manager.calls import Call
from tests.engines.backendai.manager.dialects import Dialect

Handler = Callable[[Call], Awaitable[web.StreamResponse]]

PUBLIC = frozenset(("/", "/server/login", "/server/login-check", "/server/logout"))
"""Paths that need no signature."""

FIXED: dict[str, dict[str, Handler]] = {
    "/": {"GET": resources.version},
    "/auth": {"GET": resources.authorized, "POST": resources.authorized},
    "/manager/announcement": {"GET": resources.announcement},
    "/session": {"POST": lifecycle.create},
    "/session/_/create": {"POST": lifecycle.create},
    "/session/_/match": {"GET": lifecycle.match},
    "/events/session": {"GET": streams.events},
    "/admin/gql": {"POST": resources.graphql},
    "/resource/check-presets": {"POST": resources.check_presets},
    "/resource/presets": {"GET": resources.presets},
    "/config/resource-slots": {"GET": resources.slot_types},
    "/scaling-groups": {"GET": resources.scaling_groups},
    "/server/login": {"POST": logins.login},
    "/server/login-check": {"POST": logins.check},
    "/server/logout": {"POST": logins.logout},
}
SESSION: dict[str, Handler] = {
    "GET": lifecycle.info,
    "POST": running.execute,
    "DELETE": lifecycle.delete,
    "PATCH": lifecycle.restart,
}
VERBS: dict[str, dict[str, Handler]] = {
    "logs": {"GET": lifecycle.logs},
    "rename": {"POST": lifecycle.rename},
    "interrupt": {"POST": running.interrupt},
    "upload": {"POST": files.upload},
    "files": {"GET": files.listing},
}
VERBS_26: dict[str, dict[str, Handler]] = {
    "status-history": {"GET": lifecycle.status_history},
    "download_single": {"POST": files.download_single},
}
VERBS_25: dict[str, dict[str, Handler]] = {"download_single": {"POST": files.download_single}}
VERBS_23: dict[str, dict[str, Handler]] = {"download_single": {"GET": files.download_single}}


def _verbs(dialect: Dialect) -> dict[str, dict[str, Handler]]:
    return VERBS_26 if dialect.is_26 else VERBS_25 if dialect.api >= "v8" else VERBS_23


def route(method: str, path: str, dialect: Dialect) -> tuple[str, Handler | None, str]:
    """The request's name for counting, who handles it, and the session it names.

    Without a handler the path is unknown; where the path is known and the method is not, the last is "?".
    """
    fixed = FIXED.get(path)
    if fixed is not None:
        return f"{method} {path}", fixed.get(method), "" if method in fixed else "?"
    parts = path.split("/")
    if len(parts) == 3 and parts[1] == "session":
        return f"{method} /session/*", SESSION.get(method), parts[2] if method in SESSION else "?"
    if len(parts) == 4 and parts[1] == "session":
        verb = VERBS.get(parts[3]) or _verbs(dialect).get(parts[3])
        if verb is not None:
            return f"{method} /session/*/{parts[3]}", verb.get(method), parts[2] if method in verb else "?"
    if len(parts) == 5 and parts[1:3] == ["stream", "session"] and parts[4] == "execute":
        name = f"{method} /stream/session/*/execute"
        return name, running.stream if method == "GET" else None, parts[3] if method == "GET" else "?"
    return f"{method} {path}", None, ""
