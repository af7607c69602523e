"""Errors as the manager answers them: ``application/problem+json`` with the texts of each version.

26.x adds ``error_code`` behind ``title`` and writes no blanks; before, neither (captures).
"""

from __future__ import annotations

import json
from typing import Any

PROBS = "https://api.backend.ai/probs/"
CONTENT_TYPE = "application/problem+json; charset=utf-8"


class Problem(Exception):
    """An answer that is an error. ``code`` is 26.x's ``error_code``."""

    def __init__(
        self, status: int, kind: str, title: str, code: str, msg: str | None = None, **more: Any
    ) -> None:
        super().__init__(status, kind, title, msg)
        self.status = status
        self.kind = kind
        self.title = title
        self.code = code
        self.msg = msg
        self.more = more
        """Further members of the body: ``data``, ``agent-details`` (as ``agent_details``)."""

    def body(self, *, coded: bool) -> bytes:
        """The bytes on the wire; ``coded``: with ``error_code`` and compact, as 26.x has them."""
        content: dict[str, Any] = {"type": PROBS + self.kind, "title": self.title}
        if coded:
            content["error_code"] = self.code
        if self.msg is not None:
            content["msg"] = self.msg
        content |= {key.replace("_", "-"): value for key, value in self.more.items()}
        return json.dumps(content, separators=(",", ":") if coded else None).encode()


def unauthorized(msg: str) -> Problem:
    return Problem(401, "auth-failed", "Credential/signature mismatch.", "user_auth_unauthorized", msg)


def invalid_auth(msg: str) -> Problem:
    title = "Missing or invalid authorization parameters."
    return Problem(400, "invalid-auth-params", title, "user_auth_invalid-parameters", msg)


def bad_version() -> Problem:
    code = "backendai_generic_bad-request"
    return Problem(400, "generic-bad-request", "Bad request.", code, "Unsupported API version.")


def rate_limited() -> Problem:
    title = "You have reached your API query rate limit."
    return Problem(429, "rate-limit-exceeded", title, "api_access_unavailable")


def unknown_url(path: str) -> Problem:
    return Problem(404, "url-not-found", "Unknown URL path.", "api_read_not-found", data=path)


def wrong_method() -> Problem:
    return Problem(405, "method-not-allowed", "HTTP Method Not Allowed.", "api_access_forbidden")


def invalid(msg: str, **more: Any) -> Problem:
    title = "Missing or invalid API parameters."
    return Problem(400, "invalid-api-params", title, "api_generic_invalid-parameters", msg, **more)


def malformed(url: str, method: str) -> Problem:
    msg = f"Malformed body - URL: {url}, Method: {method}"
    return Problem(400, "generic-bad-request", "Malformed request body.", "api_parsing_bad-request", msg)


def schema(model: str, field: str, kind: str, says: str, given: str) -> Problem:
    """What pydantic tells of one field that does not fit, in 26.x."""
    link = f"https://errors.pydantic.dev/2.13/v/{kind}"
    detail = [{"type": kind, "loc": (field,), "msg": says, "url": link}]
    msg = (
        f"<BackendAISchemaValidationFailed(400): Schema validation failed. (1 validation error for {model}\n"
        f"{field}\n  {says} [type={kind}, {given}]\n    For further information visit {link})>\n"
        f" -> extra_data: {{'errors': {detail}}}"
    )
    title = "Invalid or Missing API Parameters."
    return Problem(400, "generic-bad-request", title, "api_parsing_invalid-parameters", msg)


def internal() -> Problem:
    code = "backendai_generic_internal-error"
    return Problem(500, "internal-server-error", "Internal server error.", code)


def agent_failed(exception: str) -> Problem:
    """The agent raised: ``exception`` is its repr."""
    details = {
        "type": PROBS + "agent-failure",
        "title": "Agent-side exception occurred.",
        "exception": exception,
    }
    title = "Executing user code in the kernel has failed."
    code = "kernel_execute_internal-error"
    return Problem(500, "kernel-execution-failed", title, code, agent_details=details)


def no_session(ident: str) -> Problem:
    msg = f"Session (id={ident}) does not exist."
    return Problem(404, "object-not-found", "No such session.", "session_read_not-found", msg)


def no_row(row: str, code: str) -> Problem:
    """26.x did not find a row by a name."""
    msg = f"No {row} matches the given key"
    return Problem(404, "entity-not-found", "Entity not found.", code, msg)


def no_such(thing: str, code: str, msg: str | None = None, **more: Any) -> Problem:
    return Problem(404, "object-not-found", f"No such {thing}.", code, msg, **more)


def exists(session_id: str) -> Problem:
    title = "The session already exists but you requested not to reuse existing one."
    data = {"existingSessionId": session_id}
    return Problem(400, "session-already-exists", title, "session_create_already-exists", data=data)


def quota(msg: str) -> Problem:
    title = "You have reached your resource limit."
    return Problem(400, "quota-exceeded", title, "session_create_unavailable", msg)


def forbidden(msg: str) -> Problem:
    code = "backendai_generic_forbidden"
    return Problem(403, "generic-forbidden", "Forbidden operation.", code, msg)
