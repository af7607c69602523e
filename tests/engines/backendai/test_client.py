"""The client of a cluster against real servers: what it sends, what it sends twice, what it reads."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.engines.backendai.sites import (
    KEY,
    Seen,
    Site,
    configured,
    is_rightly_signed,
    problem,
    reply,
    serving,
    talking,
)
from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError, EngineUnreachable
from tui_sweep.engines.backendai import client as client_module
from tui_sweep.engines.backendai import pace as pace_module
from tui_sweep.engines.backendai import transport as transport_module
from tui_sweep.engines.backendai.client import Client
from tui_sweep.engines.backendai.pace import Priority
from tui_sweep.engines.backendai.verdicts import Unanswered, problem_of

STATUS, CREATE, LOGS, TERMINATE = Priority.STATUS, Priority.CREATE, Priority.LOGS, Priority.TERMINATE


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are as in life, only shorter."""
    monkeypatch.setattr(client_module, "_FIRST_DELAY", 0.002)
    monkeypatch.setattr(pace_module, "_FIRST_PAUSE", 0.05)


@asynccontextmanager
async def opened(site: Site, *others: str, prefix: str = "", **changes: Any) -> AsyncIterator[Client]:
    """A client that was opened at this site."""
    client = Client(configured(site.url + prefix, *others, **changes))
    try:
        await client.open()
        yield client
    finally:
        await client.close()


async def refusal(work: Any) -> EngineError:
    """The EngineError that a request ends with, free of secrets."""
    with pytest.raises(EngineError) as caught:
        await work
    assert KEY.secret_key not in f"{caught.value!s} {caught.value!r} {caught.value.__dict__}"
    return caught.value


def test_opening_agrees_on_a_version_and_proves_the_key():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            hello, who = site.seen
            assert (hello.method, hello.target) == ("GET", "/")
            assert "Authorization" not in hello.headers
            assert (who.method, who.target) == ("POST", "/admin/gql")
            assert who.headers["X-BackendAI-Version"] == "v9.20250722"
            assert who.headers["X-BackendAI-Domain"] == "default"
            assert is_rightly_signed(who)
            assert client.dialect.manager == "26.9.6"
            assert client.endpoint == site.url
            assert client.counts == {"hello": 1, "status": 1}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("ask", "target", "kind"),
    [
        (("GET", "/session/ab-0", {}), "/session/ab-0", "text/plain"),
        (
            ("DELETE", "/session/가 나", {"query": {"forced": "true", "x": "a+b &=c%"}}),
            "/session/%EA%B0%80%20%EB%82%98?forced=true&x=a%2Bb+%26%3Dc%25",
            "text/plain",
        ),
        (("POST", "/session", {"body": {"name": "ab-0"}}), "/session", "application/json"),
        (("GET", "/session/ab/files", {"body": {"path": "."}}), "/session/ab/files", "application/json"),
        (("POST", "/session/ab/interrupt", {}), "/session/ab/interrupt", "text/plain"),
        (
            ("POST", "/session/ab/upload", {"form": [("a.txt", b"x")]}),
            "/session/ab/upload",
            "multipart/form-data",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("prefix", ["", "/api/v%31"])
def test_what_goes_over_the_wire_is_what_was_signed(ask, target, kind, prefix):
    async def main():
        method, path, more = ask
        site = Site()
        site.answers |= {"/api/v1": site.answers["/"], "/api/v1/admin/gql": site.answers["/admin/gql"]}
        async with serving(site), opened(site, prefix=prefix) as client:
            site.answers = {}
            async with asyncio.timeout(5):
                await refusal(client.request(method, path, priority=STATUS, **more))
            seen = site.seen[-1]
            assert (seen.method, seen.target) == (method, prefix + target)
            assert seen.headers["Content-Type"].partition(";")[0] == kind
            assert is_rightly_signed(seen)

    asyncio.run(main())


def test_every_sending_is_signed_anew():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [problem(500, "internal-server-error"), reply({})]
            await client.request("GET", "/x", priority=STATUS)
            first, second = site.asked("/x")
            assert is_rightly_signed(first)
            assert is_rightly_signed(second)
            assert first.headers["Date"] != second.headers["Date"]

    asyncio.run(main())


def test_files_are_uploaded_byte_for_byte_under_their_own_names():
    async def main():
        stored = {}

        async def keep(request: web.Request) -> web.Response:
            seen: Seen = site.seen[-1]
            assert b'name="src"; filename="sub/d.txt"' in seen.body
            stored["body"] = seen.body
            return web.Response(status=204)

        async with serving(Site()) as site, opened(site) as client:
            site.answers["/session/ab/upload"] = [problem(503, "nothing"), keep]
            content = bytes(range(256)) * 1000
            answer = await client.request(
                "POST",
                "/session/ab/upload",
                form=[("sub/d.txt", content), ("가.bin", b"")],
                priority=CREATE,
                is_safe=True,
            )
            assert answer.status == 204
            assert content in stored["body"]
            assert 'filename="가.bin"'.encode() in stored["body"]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "a//b", "", ".", 'a"b', "a\nb", "a\\b"])
def test_a_file_is_never_sent_under_a_name_that_leads_elsewhere(name):
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            error = await refusal(client.request("POST", "/u", form=[(name, b"x")], priority=CREATE))
            assert isinstance(error, EngineDenied)
            assert site.asked("/u") == []

    asyncio.run(main())


def test_a_large_body_is_sent_whole():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/big"] = [reply({})]
            await client.request("POST", "/big", body={"code": "x" * 3_000_000}, priority=CREATE)
            assert len(site.asked("/big")[0].json["code"]) == 3_000_000

    asyncio.run(main())


# -- what is sent again ------------------------------------------------------------------------------


@asynccontextmanager
async def breaking(answered: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A manager that answers so many requests, and breaks off each one after those once it has read it."""
    read: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            line = next(
                (one for one in head.split(b"\r\n") if one.lower().startswith(b"content-length:")), b":0"
            )
            read.append(head + await reader.readexactly(int(line.partition(b":")[2])))
            if len(read) > answered:
                writer.transport.abort()
                return
            body = b'{"version": "v9.20250722", "manager": "26.9.6", "data": {}}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async with talking(talk) as where:
        yield f"http://{where}", read


def test_a_creation_whose_answer_was_lost_is_not_sent_again():
    async def main():
        async with breaking(2) as (url, read):
            client = Client(configured(url, "http://127.0.0.1:1"))
            await client.open()
            read_before = len(read)
            error = await refusal(client.request("POST", "/session", body={"name": "ab-0"}, priority=CREATE))
            assert isinstance(error, Unanswered)
            assert error.sent
            assert "broke the connection off" in str(error)
            assert len(read) == read_before + 1
            assert client.counts["create"] == 1
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize(("method", "priority"), [("GET", STATUS), ("DELETE", TERMINATE)])
def test_a_safe_request_whose_answer_was_lost_is_sent_again_a_few_times(method, priority):
    async def main():
        async with breaking(2) as (url, read):
            client = Client(configured(url))
            await client.open()
            client.counts.clear()
            error = await refusal(client.request(method, "/session/x", priority=priority))
            assert isinstance(error, EngineUnreachable)
            assert client.counts == {priority.name.lower(): 3, "unanswered": 3, "repeated": 2}
            assert len(read) - 2 >= 3  # aiohttp itself repeats what an old connection lost
            await client.close()

    asyncio.run(main())


def test_what_never_left_this_machine_goes_to_another_endpoint_even_a_creation():
    async def main():
        async with serving(Site()) as first, serving(Site()) as second:
            async with serving(Site()) as gone:
                down = gone.url
            for _ in range(8):  # the order is shuffled: all orders come
                client = Client(configured(down, first.url, second.url))
                await client.open()
                for site in (first, second):
                    site.answers["/session"] = [reply({"sessionId": "x"}, 201)]
                answer = await client.request("POST", "/session", body={"name": "ab-0"}, priority=CREATE)
                assert answer.status == 201
                assert client.endpoint != down
                await client.close()
            assert len(first.asked("/session")) + len(second.asked("/session")) == 8
            assert first.asked("/session")
            assert second.asked("/session")

    asyncio.run(main())


def test_an_endpoint_that_goes_down_is_left_for_another():
    async def main():
        async with serving(Site()) as stays:
            async with serving(Site()) as goes:
                client = Client(configured(goes.url, stays.url))
                await client.open()
                while client.endpoint != goes.url:
                    await client.close()
                    client = Client(configured(goes.url, stays.url))
                    await client.open()
            stays.answers["/x"] = [reply({})]
            await client.request("GET", "/x", priority=STATUS)
            assert client.endpoint == stays.url
            await client.close()

    asyncio.run(main())


def test_when_no_endpoint_can_be_reached_a_creation_is_known_not_to_have_begun():
    async def main():
        async with serving(Site()) as site:
            client = Client(configured(site.url))
            await client.open()
        await refusal(client.request("GET", "/x", priority=STATUS))  # no old connection is left
        error = await refusal(client.request("POST", "/session", body={}, priority=CREATE))
        assert isinstance(error, Unanswered)
        assert not error.sent
        assert client.counts["create"] == 1
        await client.close()

    asyncio.run(main())


async def hang(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


DEAD = {
    "hangs": hang,
    "502 page": reply(b"<html><title>502</title></html>", 502, Content_Type="text/html"),
    "502 of a console": problem(502, "proxy-target-unreachable"),
    "portal": reply(b"<html><title>Sign in</title></html>", Content_Type="text/html"),
    "maintenance": reply(b"<html><title>Back soon</title></html>", 404),
    "redirect": reply({}, 302, Location="https://sso.example/"),
    "clock": problem(400, "invalid-auth-params", msg="Date/time sync error"),
}


@asynccontextmanager
async def opened_at_two(answer: Any, path: str) -> AsyncIterator[tuple[Site, Site, Client]]:
    """A site whose answers for a path are of no use, another one, and a client that is at the first."""
    async with serving(Site()) as dead, serving(Site()) as other, opened(dead, other.url) as client:
        if client.endpoint != dead.url:
            dead, other = other, dead
        dead.answers[path] = [answer]
        other.answers[path] = [reply({"here": 1})]
        yield dead, other, client


@pytest.mark.parametrize("answer", DEAD.values(), ids=DEAD)
def test_an_endpoint_that_gives_no_answer_of_a_managers_is_left_for_one_that_does(answer):
    async def main():
        async with opened_at_two(answer, "/x") as (dead, other, client):
            for _ in range(2):
                answered = await client.request("GET", "/x", priority=STATUS, timeout=0.2)
                assert answered.json() == {"here": 1}
            assert (len(dead.asked("/x")), len(other.asked("/x"))) == (1, 2)

    asyncio.run(main())


@pytest.mark.parametrize("answer", DEAD.values(), ids=DEAD)
def test_a_creation_without_an_answer_of_a_managers_goes_nowhere_else_but_the_next_one_does(answer):
    async def main():
        async with opened_at_two(answer, "/session") as (dead, other, client):
            await refusal(client.request("POST", "/session", body={}, priority=CREATE, timeout=0.2))
            assert (len(dead.asked("/session")), len(other.asked("/session"))) == (1, 0)
            await client.request("POST", "/session", body={}, priority=CREATE)
            assert (len(dead.asked("/session")), len(other.asked("/session"))) == (1, 1)

    asyncio.run(main())


def test_a_managers_own_failure_is_no_reason_to_leave_it():
    async def main():
        async with opened_at_two(problem(500, "internal-server-error"), "/x") as (dead, other, client):
            await refusal(client.request("GET", "/x", priority=STATUS))
            assert (len(dead.asked("/x")), len(other.asked("/x"))) == (3, 0)

    asyncio.run(main())


@pytest.mark.parametrize("answer", [*DEAD.values(), None], ids=[*DEAD, "silent later"])
def test_a_stream_is_sought_elsewhere_where_an_endpoint_has_none(monkeypatch, answer):
    monkeypatch.setattr(transport_module, "SILENCE", 0.1)

    async def main():
        silent = answer or stream(b": ping\n\n", then=asyncio.Event().wait)
        async with opened_at_two(silent, "/events/session") as (_, other, client):
            other.answers["/events/session"] = [stream(b'event: a\ndata: {"b": 1}\n\n')]
            await listen(client)
            heard, _ = await listen(client)
            assert heard == [("", {}), ("a", {"b": 1})]
            assert client.endpoint == other.url  # one that ends in order is not left

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "priority", "safe", "times"),
    [
        ("GET", STATUS, None, 3),
        ("DELETE", TERMINATE, None, 3),
        ("POST", STATUS, True, 3),
        ("POST", CREATE, None, 1),
        ("GET", LOGS, None, 1),
    ],
)
def test_a_servers_failure_is_borne_where_that_is_safe(method, priority, safe, times):
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [problem(500, "internal-server-error")]
            error = await refusal(client.request(method, "/x", priority=priority, is_safe=safe))
            assert isinstance(error, EngineUnreachable)
            assert len(site.asked("/x")) == times

    asyncio.run(main())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 501])
def test_a_no_is_not_asked_for_again(status):
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [problem(status, "some-kind", data={"existingSessionId": "y"})]
            error = await refusal(client.request("GET", "/x", priority=STATUS))
            assert isinstance(error, EngineBusy if status == 401 else EngineDenied)
            told = problem_of(error)
            assert told is not None
            assert (told.status, told.kind, told.data) == (status, "some-kind", {"existingSessionId": "y"})
            assert len(site.asked("/x")) == 1

    asyncio.run(main())


# -- too many ----------------------------------------------------------------------------------------


def test_a_creation_that_is_one_too_many_is_busy_and_not_sent_again():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/session"] = [problem(429, "rate-limit-exceeded")]
            error = await refusal(client.request("POST", "/session", body={}, priority=CREATE))
            assert isinstance(error, EngineBusy)
            assert error.retry_after == pytest.approx(0.05, abs=0.01)
            assert len(site.asked("/session")) == 1
            assert client.counts["refused"] == 1
            assert client.pace.paused > 0

    asyncio.run(main())


def test_a_question_that_is_one_too_many_is_asked_again_after_the_pause():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [problem(429, "rate-limit-exceeded"), reply({"a": 1})]
            client.pace.heard({"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"})
            begun = asyncio.get_running_loop().time()
            answer = await client.request("GET", "/x", priority=STATUS)
            assert answer.json() == {"a": 1}
            assert asyncio.get_running_loop().time() - begun >= 0.05

    asyncio.run(main())


def test_a_site_that_refuses_everything_for_now_lets_us_open_and_wait():
    async def main():
        site = Site(answers={"/admin/gql": [problem(429, "rate-limit-exceeded")]})
        site.answers["/admin/gql"][0].headers.update(
            {"X-RateLimit-Limit": "100000000", "X-RateLimit-Remaining": "0"}
        )
        async with serving(site), opened(site) as client:
            assert client.pace.paused > 0
            assert client.dialect.version == "v9.20250722"

    asyncio.run(main())


def test_requests_are_paced_by_what_the_server_says_remains():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            limits = {"X_RateLimit_Limit": "1000", "X_RateLimit_Remaining": "210", "X_RateLimit_Reset": "1"}
            site.answers["/x"] = [reply({}, **limits)]
            loop = asyncio.get_running_loop()
            await client.request("POST", "/x", priority=CREATE)
            begun = loop.time()
            await client.request("POST", "/x", priority=CREATE)
            assert loop.time() - begun > 0.05

    asyncio.run(main())


def test_the_limit_of_nobody_in_particular_is_not_taken_for_ours():
    async def main():
        site = Site()
        site.answers["/"][0].headers.update({"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "0"})
        async with serving(site), opened(site) as client:
            site.answers["/x"] = [reply({})]
            async with asyncio.timeout(2):
                await asyncio.gather(*(client.request("GET", "/x", priority=LOGS) for _ in range(50)))

    asyncio.run(main())


# -- what comes back ---------------------------------------------------------------------------------

PAGE = b"<!doctype html><html><head><title>Sign in</title></head></html>"


@pytest.mark.parametrize(
    ("body", "said"),
    [(PAGE, "Sign in"), (b'{"data": {"keyp', "cut short"), (b"", "cut short"), (b"[" * 100_000, "no JSON")],
    ids=["a page", "half", "nothing", "too deep"],
)
def test_an_answer_that_is_no_data_is_no_answer(body, said):
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/admin/gql"] = [reply(body)]
            error = await refusal(client.graphql("query { x }", {}))
            assert isinstance(error, EngineUnreachable)
            assert said in str(error)

    asyncio.run(main())


@pytest.mark.parametrize(
    "data", [{"errors": [{"message": "no such field"}], "data": {"a": 1}}, {"errors": ["x"]}]
)
def test_a_question_that_was_answered_in_part_is_refused(data):
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/admin/gql"] = [reply(data)]
            assert isinstance(await refusal(client.graphql("query { x }", {})), EngineDenied)

    asyncio.run(main())


@pytest.mark.parametrize("data", [[], {}, {"data": None}, {"data": [1]}, 5, "x"])
def test_a_question_without_data_in_its_answer_is_no_answer(data):
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/admin/gql"] = [reply(data) if data != {} else reply(b"{}")]
            assert isinstance(await refusal(client.graphql("query { x }", {})), EngineUnreachable)

    asyncio.run(main())


def test_a_question_and_its_variables_arrive_and_its_data_comes_back():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/admin/gql"] = [reply({"data": {"n": 1, "x": 0.5, "t": "1.50"}, "errors": None})]
            assert await client.graphql("query Q { n }", {"a": [1]}) == {"n": 1, "x": 0.5, "t": "1.50"}
            assert site.seen[-1].json == {"query": "query Q { n }", "variables": {"a": [1]}}

    asyncio.run(main())


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(client_module, "LARGEST_ANSWER", 1 << 20)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [endless]
            error = await refusal(client.request("GET", "/x", priority=STATUS))
            assert "more than 1 MiB" in str(error)
            assert len(site.asked("/x")) == 1

    asyncio.run(main())


def test_a_log_of_ten_million_bytes_is_read():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/session/x/logs"] = [reply({"result": {"logs": "\x1b" * 8_000_000}})]
            answer = await client.request("GET", "/session/x/logs", priority=LOGS)
            assert len(answer.body) > 40_000_000
            assert len(answer.json()["result"]["logs"]) == 8_000_000

    asyncio.run(main())


def test_a_redirect_is_told_and_not_followed():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [reply({}, 302, Location=f"{site.url}/elsewhere?token=t")]
            error = await refusal(client.request("GET", "/x", priority=STATUS))
            assert isinstance(error, EngineBusy)
            assert "/elsewhere," in str(error)
            assert site.asked("/elsewhere") == []

    asyncio.run(main())


def test_what_was_asked_for_is_named_when_it_is_not_there():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/session"] = [problem(404, "entity-not-found", error_code="project_read_not-found")]
            body = {"group": "labb", "domain": "d", "image": "i", "config": {"scalingGroup": "g"}}
            error = await refusal(client.request("POST", "/session", body=body, priority=CREATE))
            assert "no group 'labb' in domain 'd'" in str(error)

    asyncio.run(main())


def test_a_request_that_is_too_large_for_a_manager_is_told_as_that():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/session"] = [problem(400, "generic-bad-request", title="Bad request.")]
            body = {"startupCommand": "x" * 1_200_000}
            error = await refusal(client.request("POST", "/session", body=body, priority=CREATE))
            assert isinstance(error, EngineDenied)
            assert "no request of this size (1,200,022 bytes)" in str(error)
            assert "size" not in str(
                await refusal(client.request("POST", "/session", body={}, priority=CREATE))
            )

    asyncio.run(main())


# -- opening -----------------------------------------------------------------------------------------


async def opening(site: Site, **changes: Any) -> EngineError:
    client = Client(configured(site.url, **changes))
    error = await refusal(client.open())
    await client.close()
    return error


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (reply(PAGE), "BACKEND_ENDPOINT_TYPE=session"),
        (reply({"version": "v6.20230315", "manager": "22.09"}), "too old"),
        (reply({"welcome": "to my blog"}), "BACKEND_ENDPOINT"),
        (reply([]), "BACKEND_ENDPOINT"),
        (reply(b"404 page not found", 404), "BACKEND_ENDPOINT"),
        (reply(b"<html><title>502 Bad Gateway</title>", 502), "502 Bad Gateway"),
        (reply({}, 301, Location="https://real.example.com/"), "https://real.example.com/"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_server_that_is_no_manager_is_told_as_what_it_is(hello, said):
    async def main():
        async with serving(Site(answers={"/": [hello]})) as site:
            assert said in str(await opening(site))
            assert site.asked("/admin/gql") == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "kind", "msg", "said"),
    [
        (401, "auth-failed", "HMAC signature mismatch", "BACKEND_SECRET_KEY is not the secret"),
        (401, "auth-failed", "Access key not found", "AKIASITE is unknown"),
        (400, "invalid-auth-params", "Date/time sync error", "Date header"),
    ],
)
def test_a_key_that_is_not_let_in_is_told_at_once(status, kind, msg, said):
    async def main():
        site = Site(answers={"/admin/gql": [problem(status, kind, msg=msg)]})
        async with serving(site):
            error = await opening(site)
            assert isinstance(error, EngineDenied)
            assert said in str(error)

    asyncio.run(main())


def test_a_key_that_may_not_ask_this_question_is_let_in_all_the_same():
    async def main():
        site = Site(answers={"/admin/gql": [reply({"data": None, "errors": [{"message": "no keypair"}]})]})
        async with serving(site), opened(site) as client:
            assert client.dialect.version == "v9.20250722"

    asyncio.run(main())


# -- events ------------------------------------------------------------------------------------------


def stream(*chunks: bytes, then: Callable[[], Any] | None = None) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then is not None:
            await then()
        return response

    return handle


async def listen(client: Client, **options: Any) -> tuple[list[tuple[str, dict[str, Any]]], EngineError]:
    """What is heard until the stream ends, and what it ends with."""
    heard: list[tuple[str, dict[str, Any]]] = []
    query = {"sessionName": "*", "scope": "*"}
    try:
        async for event in client.stream_events("/events/session", query, **options):
            heard += [event]
    except EngineError as error:
        return heard, error
    raise AssertionError("a stream never ends without an error")


def test_events_are_heard_and_the_end_of_the_stream_is_an_error():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            first = 'event: session_started\r\ndata: {"sessionName": "가"}\r\n\r\n'.encode()
            site.answers["/events/session"] = [
                stream(
                    b": ping\r\n\r\n", first[:37], first[37:39], first[39:], b"data: no json\n\ndata: [1]\n\n"
                )
            ]
            heard, error = await listen(client)
            assert heard == [("", {}), ("session_started", {"sessionName": "가"})]
            assert isinstance(error, EngineUnreachable)
            assert "ended the event stream" in str(error)
            seen = site.asked("/events/session")[0]
            assert seen.target == "/events/session?sessionName=*&scope=*"
            assert is_rightly_signed(seen)
            assert client.counts["stream"] == 1

    asyncio.run(main())


def test_events_that_nobody_wants_are_not_read():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            told = b"".join(
                b'event: %s\ndata: {"sessionName": "a"}\n\n' % name
                for name in (b"kernel_started", b"session_started", b"kernel_terminated")
            )
            site.answers["/events/session"] = [stream(told)]
            heard, _ = await listen(client, unread=("kernel_",))
            assert [name for name, _ in heard] == ["", "session_started"]

    asyncio.run(main())


def test_a_stream_that_falls_silent_is_dead(monkeypatch):
    monkeypatch.setattr(transport_module, "SILENCE", 0.1)

    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/events/session"] = [stream(b": ping\n\n", then=asyncio.Event().wait)]
            heard, error = await listen(client)
            assert heard == [("", {})]
            assert "silent for 0.1 s" in str(error)

    asyncio.run(main())


def test_a_stream_that_is_cut_is_an_error():
    async def main():
        async with serving(Site()) as site, opened(site) as client:

            async def cut(request: web.Request) -> web.StreamResponse:
                response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await response.prepare(request)
                await response.write(b"data: {}\n\n")
                assert request.transport is not None
                request.transport.abort()
                return response

            site.answers["/events/session"] = [cut]
            heard, error = await listen(client)
            assert heard in ([("", {})], [("", {}), ("message", {})])
            assert isinstance(error, Unanswered)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (problem(404, "object-not-found", title="No such session."), EngineDenied, "no such session"),
        (problem(429, "rate-limit-exceeded"), EngineBusy, "requests"),
        (reply(PAGE, Content_Type="text/html"), EngineUnreachable, "web page"),
        (reply(b"data: " + b"x" * 1_100_000), EngineUnreachable, "sends no events"),
    ],
    ids=["404", "429", "a page", "too long"],
)
def test_a_stream_that_cannot_be_heard_is_the_right_error(answer, kind, said):
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/events/session"] = [answer]
            _, error = await listen(client)
            assert isinstance(error, kind)
            assert said in str(error)
            assert client.counts["stream"] == 1

    asyncio.run(main())


def test_who_stops_listening_closes_the_connection():
    async def main():
        async with talking_events() as (url, gone):
            client = Client(configured(url))
            await client.open()
            async with aclosing(client.stream_events("/events/session")) as events:
                assert await anext(events) == ("", {})
                assert await anext(events) == ("message", {"a": 1})
                assert not gone.is_set()
            async with asyncio.timeout(5):
                await gone.wait()
            await client.close()

    asyncio.run(main())


@asynccontextmanager
async def talking_events() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A manager whose third answer is an event stream, and the event of that connection's end."""
    gone = asyncio.Event()
    body = b'{"version": "v9.20250722", "data": {}}'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"POST" in head:
                await reader.readuntil(b"}}")
            if b"/events" in head:
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {"a": 1}\n\n')
                await reader.read()
                gone.set()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with talking(talk) as where:
        yield f"http://{where}", gone


def test_many_streams_leave_room_for_requests():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/events/session"] = [stream(b": ping\n\n", then=asyncio.Event().wait)]
            site.answers["/x"] = [reply({})]
            streams = [client.stream_events("/events/session") for _ in range(20)]
            for one in streams:
                assert await anext(one) == ("", {})
            async with asyncio.timeout(5):
                await client.request("GET", "/x", priority=STATUS)
            for one in streams:
                await one.aclose()

    asyncio.run(main())


# -- secrets -----------------------------------------------------------------------------------------


def test_neither_key_nor_signature_is_in_any_log_or_repr(caplog):
    caplog.set_level(logging.DEBUG)

    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [problem(500, "internal-server-error"), problem(403, "generic-forbidden")]
            await refusal(client.request("GET", "/x", query={"q": "asked"}, priority=STATUS))
            signatures = [one.headers["Authorization"].rpartition(":")[2] for one in site.seen[1:]]
            assert len(signatures) == 3
            text = caplog.text + repr(client.__dict__) + repr(vars(client._wire))
            assert "path=/x status=403" in caplog.text
            assert "asked" not in caplog.text
            for secret in (KEY.secret_key, *signatures):
                assert secret not in text

    asyncio.run(main())


def test_nothing_of_a_request_is_in_an_error_when_it_cannot_be_sent():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            error = await refusal(client.request("GET", "/x", priority=STATUS, query={"a": "secret\ud800"}))
            assert "secret" not in str(error)

    asyncio.run(main())


def test_a_body_is_json_whatever_it_holds():
    async def main():
        async with serving(Site()) as site, opened(site) as client:
            site.answers["/x"] = [reply({})]
            body = {"environ": {"X": "가\x00\ud800"}}
            await client.request("POST", "/x", body=body, priority=CREATE)
            assert json.loads(site.asked("/x")[0].body) == body

    asyncio.run(main())
