"""One clear sentence for everything a server may answer; the bodies are those of real servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError, EngineUnreachable
from tui_sweep.engines.backendai.problems import read_problem
from tui_sweep.engines.backendai.verdicts import (
    About,
    NotLetIn,
    Refused,
    graphql_verdict,
    problem_of,
    unreadable,
    verdict,
)

NOW = datetime(2026, 11, 22, 22, 0, 0, tzinfo=UTC)
ABOUT = About(
    "api.example.com",
    access_key="AKIA",
    domain="default",
    group="lab",
    image="cr.io/py:3.11",
    resource_group="gpu",
)
PAGE = b"<html><head><title>Sign in</title></head><body></body></html>"


def judged(status: int, body: bytes = b"", about: About = ABOUT, **headers: str) -> EngineError:
    return verdict(read_problem(status, headers, body), about, now=NOW)


def problem(status: int, kind: str, title: str = "", about: About = ABOUT, **more: Any) -> EngineError:
    date = format_datetime(NOW, usegmt=True)
    record = {"type": f"https://api.backend.ai/probs/{kind}", "title": title, **more}
    return judged(status, json.dumps(record).encode(), about, Date=date)


MISMATCH = "Credential/signature mismatch."
MISSING = "Missing or invalid API parameters."
CASES = [
    # 26.9.6, then 25.5.2 and 23.09
    (
        problem(401, "auth-failed", MISMATCH, msg="HMAC signature mismatch"),
        EngineDenied,
        "BACKEND_SECRET_KEY is not",
    ),
    (
        problem(401, "auth-failed", MISMATCH, msg="Signature mismatch"),
        EngineDenied,
        "BACKEND_SECRET_KEY is not",
    ),
    (
        problem(401, "auth-failed", MISMATCH, msg="Access key not found in HMAC"),
        EngineDenied,
        "AKIA is unknown",
    ),
    (problem(401, "auth-failed", MISMATCH, msg="Access key not found"), EngineDenied, "AKIA is unknown"),
    (problem(401, "auth-failed", MISMATCH, msg="Unauthorized access"), EngineDenied, "address"),
    (problem(401, "password-expired", "Password has expired."), EngineDenied, "set a new one"),
    (problem(400, "invalid-auth-params", msg="Invalid authorization type name"), EngineDenied, "proxy"),
    (
        problem(
            404,
            "object-not-found",
            "No such environment image.",
            error_code="image_read_not-found",
            msg="Unknown image reference: cr.io/py:3.11 (x86_64)",
        ),
        EngineDenied,
        "no image 'cr.io/py:3.11'",
    ),
    (
        problem(
            404, "object-not-found", "No such environment image.", msg="Unknown image references: ref:'x'"
        ),
        EngineDenied,
        "--arch",
    ),
    (
        problem(
            404,
            "entity-not-found",
            "Entity not found.",
            error_code="project_read_not-found",
            msg="No ProjectRow matches the given key",
        ),
        EngineDenied,
        "no group 'lab' in domain 'default'",
    ),
    (problem(400, "invalid-api-params", MISSING, msg="Invalid group"), EngineDenied, "no group 'lab'"),
    (problem(400, "invalid-api-params", MISSING, msg="Invalid domain"), EngineDenied, "no domain 'default'"),
    (
        problem(
            404,
            "object-not-found",
            "No such resource group.",
            error_code="resource-group_read_not-found",
            msg="gpu",
        ),
        EngineDenied,
        "no resource group 'gpu'",
    ),
    (problem(404, "object-not-found", "No such scaling group."), EngineDenied, "--scaling-group"),
    (problem(404, "object-not-found", "No such virtual folder.", data=["big"]), EngineDenied, "big"),
    (
        problem(
            404, "entity-not-found", "Entity not found.", error_code="session_read_not-found", msg="No row"
        ),
        EngineDenied,
        "no such session",
    ),
    (
        problem(400, "session-already-exists", data={"existingSessionId": "x"}),
        EngineDenied,
        "this name already",
    ),
    (problem(400, "rejected-by-hook", "No.", msg="weekdays only"), EngineDenied, "weekdays only"),
    (problem(400, "no-available-scaling-group"), EngineDenied, "group 'lab'"),
    (problem(422, "scaling-group-session-type-not-allowed", "No batch"), EngineDenied, "--type"),
    (
        problem(400, "unknown-resource-slot-type", "Unknown.", msg="Unknown slot type: 'cuda.shares'"),
        EngineDenied,
        "cuda.shares",
    ),
    (
        problem(400, "invalid-api-params", MISSING, msg="Input validation error", data={"name": "is bad"}),
        EngineDenied,
        "name: is bad",
    ),
    (problem(403, "generic-forbidden", "Forbidden operation.", msg="not yours"), EngineDenied, "not yours"),
    (problem(404, "url-not-found", "Unknown URL path.", data="/x"), EngineDenied, "BACKEND_ENDPOINT"),
    (problem(405, "method-not-allowed", "HTTP Method Not Allowed."), EngineDenied, "BACKEND_ENDPOINT"),
    (problem(501, "not-implemented", "This API is not implemented."), EngineDenied, "not implemented"),
    (problem(500, "invalid-session-data", "Bad", msg="run ID"), EngineDenied, "run ID"),
    (problem(400, "quota-exceeded", "Limit.", msg="2 pending sessions"), EngineBusy, "2 pending sessions"),
    (problem(412, "quota-exceeded", "Limit.", msg="2 pending sessions"), EngineBusy, "no more sessions"),
    (
        problem(429, "rate-limit-exceeded", "You have reached your API query rate limit."),
        EngineBusy,
        "requests",
    ),
    (problem(409, "invalid-kernel-status", "Wrong moment"), EngineBusy, "Wrong moment"),
    (problem(500, "agent-not-allocated", "Agent is not allocated"), EngineBusy, "not allocated"),
    (problem(503, "server-frozen", "The server is frozen due to maintenance."), EngineBusy, "maintenance"),
    (
        problem(500, "internal-server-error", "Internal server error."),
        EngineUnreachable,
        "Internal server error",
    ),
    (
        problem(500, "kernel-creation-failed", "Kernel creation has failed."),
        EngineUnreachable,
        "Kernel creation",
    ),
    (judged(413, b"<html><title>413 Request Entity Too Large</title></html>"), EngineDenied, "mount them"),
    (judged(413, b"too big"), EngineDenied, "mount them"),
    (judged(429, b"slow down"), EngineBusy, "requests"),
    (judged(404, b"404 page not found"), EngineDenied, "BACKEND_ENDPOINT"),
    (judged(403, PAGE), EngineDenied, '"Sign in"'),
    (judged(407, PAGE), EngineDenied, "proxy"),
    (judged(502, PAGE), EngineUnreachable, "proxy before it"),
    (judged(503, b"Service Unavailable"), EngineUnreachable, "Service Unavailable"),
    (judged(504, b""), EngineUnreachable, "HTTP 504"),
    (judged(500, b'{"type": "https://api.backend.ai/probs/inter'), EngineUnreachable, "HTTP 500"),
    (judged(500, b"[1, 2]"), EngineUnreachable, "HTTP 500"),
    (
        judged(302, b"", Location="https://sso.example.com/in?x=1"),
        EngineDenied,
        "redirects to https://sso.example.com/in",
    ),
    (judged(301), EngineDenied, "BACKEND_ENDPOINT"),
]


@pytest.mark.parametrize(("error", "kind", "said"), CASES, ids=[str(error)[:60] for error, _, _ in CASES])
def test_it_is_the_right_error_and_says_what_to_know(error, kind, said):
    assert isinstance(error, kind)
    assert said in str(error)
    assert "api.example.com" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 420
    assert problem_of(error) is not None


def clock(minutes: float, **headers: str) -> str:
    body = {
        "type": "https://api.backend.ai/probs/invalid-auth-params",
        "title": "x",
        "msg": "Date/time sync error",
    }
    date = format_datetime(NOW - timedelta(minutes=minutes), usegmt=True)
    return str(judged(400, json.dumps(body).encode(), Date=date, **headers))


CLOCK = problem(400, "invalid-auth-params", msg="Date/time sync error")
EXPIRED = problem(401, "auth-failed", MISMATCH, msg="Unauthorized access")


@pytest.mark.parametrize(
    "error",
    [
        CLOCK,
        EXPIRED,
        problem(401, "password-expired", "Password has expired."),
        judged(302, Location="https://sso.example.com/"),
        *(judged(status, PAGE) for status in (401, 403, 404, 407)),
        judged(404, b"404 page not found"),
        judged(407, b"who are you?"),
    ],
    ids=str,
)
def test_who_is_not_let_in_was_not_refused_what_he_asked(error):
    assert isinstance(error, NotLetIn)


@pytest.mark.parametrize(
    "error",
    [
        problem(404, "object-not-found", "No such environment image."),
        problem(400, "invalid-api-params", MISSING, msg="Invalid group"),
        problem(403, "generic-forbidden", "Forbidden operation."),
        problem(404, "url-not-found", "Unknown URL path."),
        judged(413, PAGE),
        judged(431, PAGE),
    ],
    ids=str,
)
def test_a_refusal_of_what_was_asked_is_no_matter_of_who_asks(error):
    assert isinstance(error, Refused)
    assert not isinstance(error, NotLetIn)


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (61, "61 minutes ahead of"),
        (-61, "61 minutes behind"),
        (-16, "16 minutes behind"),
        (60 * 9, "9 hours ahead of"),
        (60 * 24 * -365, "365 days behind"),
    ],
)
def test_a_clock_that_is_off_is_told_by_how_much(minutes, said):
    assert said in clock(minutes)
    assert "set the clock" in clock(minutes)


def test_a_clock_that_is_right_is_not_blamed():
    assert "proxy" in clock(1)


def test_a_clock_is_told_to_be_off_even_when_the_server_does_not_tell_its_own():
    body = b'{"type": "https://api.backend.ai/probs/invalid-auth-params", "msg": "Date/time sync error"}'
    assert "15 minutes or more" in str(judged(400, body))


def test_without_a_login_the_command_that_logs_in_is_named():
    about = About("console.example.com", is_session=True)
    said = str(problem(401, "auth-failed", "Unauthorized access", about))
    assert "sweep-tui engine --login" in said
    assert "KEY" not in said


def test_a_proxy_that_tells_when_to_come_again_is_obeyed():
    error = judged(429, b"", **{"Retry-After": "77"})
    assert isinstance(error, EngineBusy)
    assert error.retry_after == 77.0


def test_names_of_ours_are_made_harmless_as_well():
    about = About("api.example.com", group="\x1b[2J")
    assert "\x1b" not in str(problem(400, "invalid-api-params", "x", about, msg="Invalid group"))


@pytest.mark.parametrize(
    ("errors", "kind", "said"),
    [
        (
            [{"message": "Forbidden operation.", "extensions": {"code": "backendai_generic_forbidden"}}],
            EngineDenied,
            "Forbidden",
        ),
        ([{"message": "Cannot query field 'x' on type 'Queries'."}], EngineDenied, "Cannot query field"),
        (
            [{"message": "oops", "extensions": {"code": "backendai_generic_internal-error"}}],
            EngineUnreachable,
            "oops",
        ),
        (["text"], EngineDenied, "HTTP 200"),
        ([{"message": 5, "extensions": 5}], EngineDenied, "5"),
    ],
)
def test_what_graphql_did_not_like_is_told(errors, kind, said):
    error = graphql_verdict(errors, ABOUT)
    assert isinstance(error, kind)
    assert said in str(error)


def test_a_success_that_is_no_data_is_no_answer():
    page = unreadable("api.example.com", 200, PAGE, page=True)
    assert '"Sign in"' in str(page)
    assert "BACKEND_ENDPOINT_TYPE=session" in str(page)
    assert "no JSON" in str(unreadable("api.example.com", 200, b'{"data": ', page=False))
