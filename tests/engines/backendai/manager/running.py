"""Routes that run code in an interactive session: by polling, and over a WebSocket (PROTOCOL 4)."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from aiohttp import WSMsgType, web

from tests.engines.backendai.manager import problems
from tests.engines.backendai.manager.calls import Call, nothing, reply
from tests.engines.backendai.manager.problems import Problem
from tests.engines.backendai.manager.runs import Run, Runs
from tests.engines.backendai.manager.sessions import Session

MODES = ("query", "batch", "continue", "input", "complete")

RESTARTING = {
    "status": "server-restarting",
    "msg": "The API server is going to restart for maintenance. Please connect again with the same run ID.",
}


def _runs(call: Call, session: Session) -> Runs:
    """The runs of a session that has a container. Raises Problem."""
    if session.runs is None:
        if session.container is None:
            if not call.manager.dialect.is_26:
                raise problems.internal()
            msg = f"Session {session.id} main kernel has no agent allocated"
            title = "Agent is not allocated for the kernel."
            raise Problem(500, "agent-not-allocated", title, "agent_access_internal-error", msg)
        session.runs = Runs(session.container, call.manager.dialect, call.manager.scheduler.canned)
    return session.runs


def _run_id(call: Call, body: dict[str, Any], mode: str) -> str:
    """The id that the client chose, or one of ours. Raises Problem where that version insists."""
    if call.manager.dialect.is_26:
        given = body.get("run_id")
        if given is None and mode in ("continue", "input"):
            title = "Session data has an invalid type or format."
            code = "session_read_invalid-data-format"
            msg = "continuation requires explicit run ID"
            raise Problem(500, "invalid-session-data", title, code, msg)
    else:
        if "runId" not in body:
            raise problems.invalid("runId is missing!")
        given = body["runId"]
        if mode not in MODES:
            raise problems.invalid("mode has an invalid value.")
        if given is None and mode in ("continue", "input"):
            raise problems.invalid("continuation requires explicit run ID")
    return given or secrets.token_hex(16)


async def execute(call: Call) -> web.Response:
    body = await call.read_json()
    session = call.session()
    mode = body.get("mode")
    if mode is None and not call.manager.dialect.is_26:
        raise problems.invalid("mode is missing!")
    if mode not in MODES and call.manager.dialect.is_26:
        title = "Session data has an invalid type or format."
        code = "session_read_invalid-data-format"
        raise Problem(500, "invalid-session-data", title, code, "mode has an invalid value.")
    run_id = _run_id(call, body, mode)
    runs = _runs(call, session)
    run = await runs.begin(run_id, mode, body.get("code") or "", body.get("options") or {})
    if mode == "input":
        await runs.answer(body.get("code") or "")
    return reply({"result": await runs.fetch(run, call.manager.poll)})


async def interrupt(call: Call) -> web.Response:
    session = call.session()
    _runs(call, session).interrupt()
    return nothing()


async def stream(call: Call) -> web.StreamResponse:
    """One run, told as it goes; the id is ours and the client never learns it."""
    session = call.session()
    if call.manager.dialect.is_26 and session.status != "RUNNING":
        msg = f"Running session {session.id} does not exist."
        raise Problem(404, "object-not-found", "No such session.", "session_read_not-found", msg)
    runs = _runs(call, session)
    socket = web.WebSocketResponse(max_msg_size=16 * 1024 * 1024)
    await socket.prepare(call.request)
    call.manager.sockets.add(socket)
    try:
        await _talk(call, session, runs, socket)
    finally:
        call.manager.sockets.discard(socket)
    return socket


async def _talk(call: Call, session: Session, runs: Runs, socket: web.WebSocketResponse) -> None:
    first = await socket.receive()
    if first.type is WSMsgType.TEXT:
        try:
            asked = _asked(call, first.data)
        except ValueError as error:
            await socket.send_json({"status": "error", "msg": str(error)})
        else:
            await _tell(call, session, runs, socket, asked)
    await socket.close(code=1000)


def _asked(call: Call, text: str) -> dict[str, Any]:
    """The first message. Raises ValueError with what the server says of a bad one."""
    try:
        asked = json.loads(text)
    except ValueError as error:
        raise ValueError(f"Invalid API parameters: {error!r}") from error
    if asked.get("mode") not in ("query", "batch"):
        says = "mode has an invalid value."
        if call.manager.dialect.is_26:
            says = f"Invalid or missing stream mode parameter. ({says})"
            raise ValueError(f"BackendError: <InvalidStreamMode(400): {says}>")
        raise ValueError(f"Invalid API parameters: AssertionError('{says}')")
    return dict(asked)


async def _tell(
    call: Call, session: Session, runs: Runs, socket: web.WebSocketResponse, asked: dict[str, Any]
) -> None:
    """Messages until the run, the session or the client ends. A run whose client is gone is never fetched."""
    leaving = call.manager.leaving
    beginning = asyncio.ensure_future(
        runs.begin(secrets.token_hex(16), asked["mode"], asked.get("code") or "", asked.get("options") or {})
    )
    breaks = [asyncio.ensure_future(event.wait()) for event in (runs.closed, leaving)]
    try:
        await asyncio.wait((beginning, *breaks), return_when=asyncio.FIRST_COMPLETED)
        if beginning.done():
            await _follow(call, runs, beginning.result(), socket)
        if socket.closed or not (runs.closed.is_set() or leaving.is_set()):
            return
        told: dict[str, Any] = RESTARTING
        if call.manager.dialect.is_26 and not leaving.is_set():
            error = f"No such session. (Running session {session.id} does not exist.)"
            told = {"status": "error", "msg": f"BackendError: <SessionNotFound(404): {error}>"}
        await socket.send_json(told)
    except ConnectionError:
        pass  # the client is gone
    finally:
        for task in (beginning, *breaks):
            task.cancel()


async def _follow(call: Call, runs: Runs, run: Run, socket: web.WebSocketResponse) -> None:
    """A message every ``flush`` seconds, whether there is something to say or not."""
    while not socket.closed:
        result = await runs.fetch(run, call.manager.flush)
        if runs.closed.is_set() or call.manager.leaving.is_set():
            return
        told = {key: result[key] for key in ("status", "console", "exitCode", "options", "files")}
        await socket.send_json(told)
        if result["status"] == "finished":
            return
        if result["status"] == "waiting-input":
            answer = await socket.receive()
            if answer.type is not WSMsgType.TEXT:
                return
            await runs.answer(answer.data)
