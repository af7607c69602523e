"""GET /events/session: the event stream."""

from __future__ import annotations

import asyncio

from aiohttp import web

from tests.engines.backendai.manager import problems
from tests.engines.backendai.manager.calls import Call
from tests.engines.backendai.manager.events import PING, Listener

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}


def _listener(call: Call) -> Listener:
    """What is listened to. Raises Problem where that version refuses."""
    query = call.query
    scope = query.get("scope", "*")
    owner = call.user.access_key
    if call.manager.dialect.is_26:
        name = query.get("sessionName", "*")
        if name != "*" and call.manager.store.living(owner, name) is None:
            raise problems.no_row("SessionRow", "session_read_not-found")
        scopes = {"session", "kernel"} if scope == "*" else set(scope.split(","))
        # Kernel events carry the kernel's id, and of one session are looked up by the session's
        kernels = "kernel" in scopes and name == "*"
        deaf = query.get("groupName", "*") != "*"
        return Listener(owner, name, None, "session" in scopes, kernels, deaf)
    if scope not in ("*", "session", "kernel"):
        told = {"scope": "value doesn't match any variant"}
        raise problems.invalid("Input validation error", data=told)
    name = query.get("sessionName", query.get("name", "*"))
    session_id = query.get("sessionId")
    return Listener(owner, name, session_id, scope in ("*", "session"), scope in ("*", "kernel"))


async def events(call: Call) -> web.StreamResponse:
    manager = call.manager
    listener = _listener(call)
    response = web.StreamResponse(headers=HEADERS)
    if manager.dialect.is_26:
        response.headers.update(call.headers)
    response.enable_chunked_encoding()
    with manager.events.listening(listener):
        await response.prepare(call.request)
        try:
            await _tell(listener, response, manager.ping_seconds)
        except ConnectionResetError:
            return response  # who listened is gone
        manager.cut(call.request)
    return response


async def _tell(listener: Listener, response: web.StreamResponse, ping_seconds: float) -> None:
    """Send what it hears until it is cut off. Raises ConnectionResetError."""
    while not listener.cut:
        try:
            async with asyncio.timeout(ping_seconds):
                await listener.stirred.wait()
        except TimeoutError:
            await response.write(PING)
            continue
        listener.stirred.clear()
        waiting, listener.waiting = listener.waiting, []
        if waiting:
            await response.write(b"".join(waiting))
