"""Answers that are no success, whatever they are made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_sweep.core.plain import plain
from tui_sweep.engines.backendai.problems import LONGEST, is_page, page_title, read_problem, short

PROBLEM = {
    "type": "https://api.backend.ai/probs/quota-exceeded",
    "title": "You have reached your resource limit.",
    "error_code": "session_create_unavailable",
    "msg": "You already have 2 pending sessions, which exceeds the pending-session limit of 2.",
}
PAGE = b"<!DOCTYPE html>\n<html><head>\n<TITLE>502 Bad\n Gateway</TITLE></head><body><h1>nginx</h1></body></html>"


def read(body: Any, status: int = 400, **headers: str):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_problem(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def test_a_problem_is_read():
    problem = read(PROBLEM)
    assert (problem.status, problem.kind, problem.title) == (400, "quota-exceeded", PROBLEM["title"])
    assert (problem.msg, problem.error_code) == (PROBLEM["msg"], "session_create_unavailable")
    assert problem.words == PROBLEM["msg"]


def test_the_fields_that_a_server_did_not_like_are_in_its_words():
    problem = read({"title": "No.", "msg": "Input validation error", "data": {"name": "does not match"}})
    assert problem.words == "Input validation error; name: does not match"
    assert (
        read({"title": "No such virtual folder.", "data": ["a", "b"]}).words
        == "No such virtual folder.; a, b"
    )


def test_what_an_agent_said_is_in_the_words():
    agent = {
        "type": ".../agent-failure",
        "title": "Agent-side exception occurred.",
        "exception": "KeyError('x')",
    }
    assert "KeyError" in read({"title": "Failed.", "agent-details": agent}, 500).words


def test_a_web_page_is_known_by_its_beginning_and_named_by_its_title():
    problem = read(PAGE, 502)
    assert problem.is_page
    assert problem.title == "502 Bad Gateway"
    assert problem.kind == ""
    assert is_page({}, PAGE)
    assert is_page({"Content-Type": "text/html; charset=utf-8"}, b"")
    assert not is_page({"Content-Type": "application/json"}, b'{"a": "<html>"}')
    assert page_title(b"<html><body>no title</body></html>") == ""
    assert page_title(b"<html><h1>Sign &lt;in&gt; <b>here</b></h1>") == "Sign <in> here"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b'{"type": "https://api.backend.ai/probs/quota',
        b"[]",
        b"null",
        b"NaN",
        b"[" * 100_000,
        b'{"type": 5, "title": ["x"], "msg": {"a": 1}, "data": "x", "agent-details": []}',
        b'{"type": null, "data": {"a": {"b": []}}, "agent-details": {"exception": 5}}',
        b"x" * 3_000_000,
    ],
    ids=range(10),
)
def test_nonsense_is_read_without_a_word_too_many(body):
    problem = read(body, 500)
    assert problem.status == 500
    assert len(problem.words) <= LONGEST
    assert problem.words


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(repr).map(str.encode)
)
def test_no_body_is_too_strange(body):
    said = read(body, 502).words
    assert plain(said) == said


@given(
    st.dictionaries(
        st.sampled_from(["type", "title", "msg", "data", "error_code", "agent-details"]),
        st.none() | st.text() | st.integers() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()),
    )
)
def test_no_record_is_too_strange(record):
    problem = read(record)
    assert plain(problem.words) == problem.words
    assert len(problem.words) <= LONGEST


def test_a_servers_text_is_short_and_harmless():
    said = read({"title": "x", "msg": "\x1b]0;pwned\x07 red\u202e\n" + "long " * 1000}).msg
    assert "\x1b" not in said
    assert "\n" not in said
    assert "\u202e" not in said
    assert len(said) <= LONGEST
    assert said.endswith("…")
    assert short("  a\n\tb  ") == "a b"
    assert len(short("\x00" * 10_000)) <= LONGEST


def test_the_servers_clock_and_patience_are_read_where_they_are_told():
    problem = read(b"", 503, Date="Sun, 22 Nov 2026 22:13:01 GMT", Retry_After="120")
    assert problem.server_time == datetime(2026, 11, 22, 22, 13, 1, tzinfo=UTC)
    assert problem.retry_after == 120.0
    nothing = read(b"", 503, Date="yesterday", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT")
    assert (nothing.server_time, nothing.retry_after) == (None, None)


def test_where_a_redirect_leads_is_told_without_its_secrets():
    found = read(b"", 302, Location="https://me:pw@sso.example.com/login?token=abc#x")
    assert found.location == "https://sso.example.com/login"
    assert read(b"", 200, Location="https://sso.example.com/").location == ""
    assert read(b"", 302, Location="https://[::1").location == ""
