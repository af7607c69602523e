"""The requests that we make, one method each (PROTOCOL.md 3 to 9). No other is ever made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from tui_sweep.core.errors import EngineError, EngineUnreachable
from tui_sweep.core.plain import plain
from tui_sweep.engines.backendai.client import Client
from tui_sweep.engines.backendai.create import encoded
from tui_sweep.engines.backendai.dialect import Dialect, run_ids
from tui_sweep.engines.backendai.pace import Priority
from tui_sweep.engines.backendai.verdicts import problem_of

_NO_NEWS = (
    "session_preparing",
    "session_prepared",
    "session_creating",
    "session_success",
    "session_failure",
    "session_terminating",
)
"""Events after which a case is what it was: it starts, or its session's end is still to come."""
_GONE = ("object-not-found", "session-not-found")


@dataclass(frozen=True, slots=True)
class Told:
    """What a run in an interactive session told since it was last asked."""

    status: str
    """``continued``, ``clean-finished``, ``build-finished``, ``waiting-input``, ``exec-timeout`` or
    ``finished``, after which nobody must ask again."""
    code: int | None
    """With ``finished``."""
    stdout: str


class Api:
    """What is asked of one server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def dialect(self) -> Dialect:
        """How this server is spoken to."""
        return self._client.dialect

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return self._client.endpoint

    @property
    def access_key(self) -> str:
        """Whose sessions are asked for; "" where the server does not tell."""
        return self._client.access_key

    @property
    def ahead(self) -> float:
        """Seconds that the server's clock is ahead of ours."""
        return self._client.ahead

    @property
    def counts(self) -> Mapping[str, int]:
        """Requests sent, by kind."""
        return self._client.counts

    async def open(self) -> None:
        """Reach the server and prove who asks. Raises EngineDenied or EngineUnreachable."""
        await self._client.open()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.close()

    async def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The ``data`` of an answer. Raises EngineError."""
        return await self._client.graphql(query, variables)

    def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Every event of our sessions that tells something new; first ("", {}) when the stream is open. Ends
        with an EngineError.

        Those of their kernels only where sessions have none for a start. That leaves four of fourteen.
        """
        query = {"sessionName": "*", "scope": self.dialect.sse_scope}
        unread = (*_NO_NEWS, "kernel_") if self.dialect.sse_tells_starts else _NO_NEWS
        return self._client.stream_events("/events/session", query, unread=unread)

    async def create(self, body: Mapping[str, Any]) -> str:
        """The id of the new session, or of the one that has its name already: then an earlier try of
        ours worked, since names are ours alone.

        Raises EngineBusy (not now; nothing was made), EngineDenied, EngineUnreachable (nobody knows).
        """
        try:
            answer = await self._client.request(
                "POST", "/session", body=body, text=encoded(body), priority=Priority.CREATE
            )
        except EngineError as error:
            problem = problem_of(error)
            if problem is not None and problem.kind == "session-already-exists":
                data = problem.data if isinstance(problem.data, dict) else {}
                if isinstance(data.get("existingSessionId"), str):
                    return plain(data["existingSessionId"])
            raise
        told = answer.json()
        if not isinstance(told, dict) or not isinstance(told.get("sessionId"), str):
            raise EngineUnreachable("the server made a session and did not name it")
        return plain(told["sessionId"])

    async def terminate(self, id_: str, *, forced: bool) -> bool:
        """Ask for a session's end; False when this server would have to be forced at this moment.

        A session that is gone is a success. Raises EngineError.
        """
        query = {"forced": "true"} if forced else None
        try:
            await self._client.request("DELETE", f"/session/{id_}", query=query, priority=Priority.TERMINATE)
        except EngineError as error:
            problem = problem_of(error)
            if problem is not None and problem.kind:  # a proxy's 404 says nothing of the session
                if problem.status == 404:
                    return True
                if problem.status == 403 and not forced:
                    return False
            raise
        return True

    async def logs(self, id_: str) -> str | None:
        """The whole log that the server has of a session; None when it has none, or none yet.

        Raises EngineError.
        """
        try:
            answer = await self._client.request("GET", f"/session/{id_}/logs", priority=Priority.LOGS)
        except EngineError as error:
            problem = problem_of(error)
            if problem is not None and problem.kind and problem.status in (404, 500):
                return None
            raise
        told = answer.json()
        result = told.get("result") if isinstance(told, dict) else None
        text = result.get("logs") if isinstance(result, dict) else None
        return text if isinstance(text, str) else None

    async def run(self, id_: str, run: str, command: str | None) -> Told:
        """Start a shell command in an interactive session as the run of that id, or, with None, have more
        of it (PROTOCOL.md 4.2). Answers after two seconds at the latest, and is never sent twice.

        Raises EngineError.
        """
        body: dict[str, Any] = {"mode": "continue", "code": "", **run_ids(run)}
        if command is not None:
            body |= {"mode": "batch", "options": {"clean": "", "build": "", "exec": command}}
        answer = await self._client.request("POST", f"/session/{id_}", body=body, priority=Priority.RUN)
        told = answer.json()
        result = told.get("result") if isinstance(told, dict) else None
        if not isinstance(result, dict) or not isinstance(result.get("status"), str):
            raise EngineUnreachable("the server does not say what became of a run")
        code = result.get("exitCode")
        return Told(result["status"], code if isinstance(code, int) else None, _stdout(result.get("console")))

    async def check_presets(self, body: Mapping[str, Any]) -> Any:
        """The figures of capacity and quota. Raises EngineError."""
        answer = await self._client.request(
            "POST", "/resource/check-presets", body=body, priority=Priority.STATUS, is_safe=True
        )
        return answer.json()


def _stdout(console: object) -> str:
    """What a run printed: of a list of [stream, text], which may be null."""
    texts = []
    for record in console if isinstance(console, list) else ():
        match record:
            case ["stdout", str(text)]:
                texts.append(text)
    return "".join(texts)
