"""Logging in at a web console: what is sent, what is kept, and what never is."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.engines.backendai.manager import IMAGE, USER, USER2
from tests.engines.backendai.manager.logins import PASSWORDS
from tests.engines.backendai.serving import served
from tests.engines.backendai.sites import Site, configured, problem, reply, serving
from tests.engines.contract import Bench
from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError, EngineUnreachable
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai.client import Client
from tui_sweep.engines.backendai.configuration import Configuration
from tui_sweep.engines.backendai.cookies import _write, cookie_file, login, logout, read_cookies
from tui_sweep.engines.backendai.pace import Priority

PASSWORD = "open sesame 참깨"
COOKIE = "AIOHTTP_SESSION"


def console() -> Site:
    """A web console as webserver 26.9.6 is, as far as it goes: one user, one second factor."""
    site = Site(answers={"/": [reply(b"<!doctype html><title>console</title>")]})

    async def let_in(request: web.Request) -> web.Response:
        asked = site.seen[-1].json
        if asked["password"] != PASSWORD:
            data = {
                "type": "https://api.backend.ai/probs/auth-failed",
                "title": "Credential/signature mismatch.",
                "details": "User credential mismatch.",
            }
            return reply({"authenticated": False, "data": data}, 401)
        if asked.get("otp") != "123456":
            kind = "https://api.backend.ai/probs/require-totp-authentication"
            title = "Two-Factor Authentication needed."
            return reply({"authenticated": False, "data": {"type": kind, "title": title}})
        answer = reply({"authenticated": True, "data": {"access_key": "AKIAUSER", "role": "user"}})
        answer.set_cookie(COOKIE, "s3cr3t-cookie", httponly=True, max_age=604800)
        return answer

    async def data(request: web.Request) -> web.Response:
        if request.cookies.get(COOKIE) != "s3cr3t-cookie":
            return problem(401, "auth-failed", title="Unauthorized access")
        return reply({"data": {"keypair": {"access_key": "AKIAUSER"}}})

    site.answers |= {
        "/server/login": [let_in],
        "/server/logout": [reply({})],
        "/func/": [reply({"version": "v9.20250722", "manager": "26.9.6"})],
        "/func/admin/gql": [data],
    }
    return site


def asking(*endpoints: str) -> Configuration:
    return configured(*endpoints, endpoint_type="session", access_key="", secret_key="")


async def refusal(work: Coroutine[Any, Any, Any]) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await work
    assert PASSWORD not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    return caught.value


def test_a_login_is_kept_in_a_file_of_the_users_alone_without_the_password(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    cookies = tmp_path / "new" / "console.json"

    async def main():
        async with serving(console()) as site:
            assert await login(asking(site.url), "me@lab", PASSWORD, "123456", cookies) == "AKIAUSER"
            sent = site.asked("/server/login")[0]
            assert sent.json == {"username": "me@lab", "password": PASSWORD, "otp": "123456"}
            assert "Authorization" not in sent.headers

    before = os.umask(0)
    try:
        asyncio.run(main())
    finally:
        os.umask(before)
    assert stat.S_IMODE(cookies.stat().st_mode) == 0o600
    assert stat.S_IMODE(cookies.parent.stat().st_mode) == 0o700
    assert [path.name for path in cookies.parent.iterdir()] == ["console.json"]
    assert "sesame" not in cookies.read_text()
    assert "sesame" not in caplog.text
    assert "s3cr3t" not in caplog.text


def test_requests_carry_the_cookie_and_no_signature_and_go_through_the_console(tmp_path):
    cookies = tmp_path / "console.json"

    async def main():
        async with serving(console()) as site:
            await login(asking(site.url), "me@lab", PASSWORD, "123456", cookies)
            client = Client(asking(site.url), cookies)
            await client.open()
            hello, who = site.seen[-2:]
            assert hello.target == "/func/"
            assert who.target == "/func/admin/gql"
            assert who.headers["Cookie"] == f"{COOKIE}=s3cr3t-cookie"
            assert "Authorization" not in who.headers
            assert client.dialect.manager == "26.9.6"
            site.answers["/func/events/session"] = [reply(b"", 404)]
            await client.close()

    asyncio.run(main())


def test_a_login_that_has_ended_names_the_command_that_logs_in(tmp_path):
    cookies = tmp_path / "console.json"

    async def main():
        async with serving(console()) as site:
            await login(asking(site.url), "me@lab", PASSWORD, "123456", cookies)
            client = Client(asking(site.url), cookies)
            await client.open()
            site.answers["/func/session/x"] = [problem(401, "auth-failed", title="Unauthorized access")]
            error = await refusal(client.request("GET", "/session/x", priority=Priority.STATUS))
            assert isinstance(error, EngineBusy)
            assert "sweep-tui engine --login" in str(error)
            await client.close()

    asyncio.run(main())


def test_whoever_logs_in_anew_is_let_in_again_without_a_new_process(tmp_path):
    cookies = tmp_path / "console.json"
    now = "s3cr3t-cookie"

    async def session(request: web.Request) -> web.Response:
        if request.cookies.get(COOKIE) != now:
            return problem(401, "auth-failed", title="Unauthorized access")
        return reply({"sessionId": "x"}, 201)

    async def main():
        nonlocal now
        async with serving(console()) as site:
            site.answers["/func/session"] = [session]
            await login(asking(site.url), "me@lab", PASSWORD, "123456", cookies)
            client = Client(asking(site.url), cookies)
            await client.open()
            now = "s3cr3t-other"
            error = await refusal(client.request("POST", "/session", body={}, priority=Priority.CREATE))
            assert isinstance(error, EngineBusy)
            assert len(site.asked("/func/session")) == 1
            _write(cookies, asking(site.url), {COOKIE: now}, "AKIAUSER")
            several = [
                client.request("POST", "/session", body={}, priority=Priority.CREATE) for _ in range(4)
            ]
            assert [answer.status for answer in await asyncio.gather(*several)] == [201] * 4
            assert len(site.asked("/func/session")) == 9
            await client.close()

    asyncio.run(main())


def test_a_login_of_somebody_else_is_not_taken_over_by_who_was_logged_in(tmp_path):
    cookies = tmp_path / "console.json"

    async def main():
        async with serving(console()) as site:
            await login(asking(site.url), "me@lab", PASSWORD, "123456", cookies)
            client = Client(asking(site.url), cookies)
            await client.open()
            site.answers["/func/session"] = [problem(401, "auth-failed", title="Unauthorized access")]
            _write(cookies, asking(site.url), {COOKIE: "s3cr3t-other"}, "AKIAOTHER")
            error = await refusal(client.request("POST", "/session", body={}, priority=Priority.CREATE))
            assert isinstance(error, EngineBusy)
            assert "is that of AKIAOTHER now, and this sweep is AKIAUSER's" in str(error)
            assert len(site.asked("/func/session")) == 1
            await client.close()

    asyncio.run(main())


def test_a_sweep_goes_on_as_the_user_who_began_it_alone(tmp_path, monkeypatch, home):
    for name in list(os.environ):
        if name.startswith(("BACKEND_", "SORNA_")):
            monkeypatch.delenv(name)
    with served() as manager:
        environ = {"BACKEND_ENDPOINT": manager.manager.url, "BACKEND_ENDPOINT_TYPE": "session"}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        bench = Bench(backendai, IMAGE, tmp_path)

        def log_in(keypair):
            password = PASSWORDS[keypair.email]
            work = backendai.login(environ=environ, username=keypair.email, password=password, otp=None)
            assert asyncio.run(work) == keypair.access_key

        async def opens(setting):
            engine = backendai.engine(setting)
            await engine.open()
            await engine.close()

        log_in(USER)
        setting = bench.setting()
        assert setting.place["access_key"] == USER.access_key
        log_in(USER2)
        with pytest.raises(EngineDenied, match=f"begun by {USER.access_key}, and {USER2.access_key}"):
            asyncio.run(opens(setting))
        asyncio.run(opens(replace(setting, place={**setting.place, "access_key": ""})))  # of an older login
        log_in(USER)
        asyncio.run(opens(setting))


def test_without_a_login_nothing_is_asked_of_the_console(tmp_path):
    async def main():
        async with serving(console()) as site:
            client = Client(asking(site.url), tmp_path / "none.json")
            error = await refusal(client.open())
            assert isinstance(error, EngineDenied)
            assert "sweep-tui engine --login" in str(error)
            assert site.seen == []
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("password", "otp", "said"),
    [
        ("wrong", None, "no such user with this password"),
        (PASSWORD, None, "second factor"),
        (PASSWORD, "0", "factor"),
    ],
)
def test_who_is_not_let_in_learns_why_and_nothing_is_kept(tmp_path, password, otp, said):
    async def main():
        async with serving(console()) as site:
            error = await refusal(login(asking(site.url), "me@lab", password, otp, tmp_path / "c.json"))
            assert isinstance(error, EngineDenied)
            assert said in str(error)
            assert list(tmp_path.iterdir()) == []
            assert len(site.asked("/server/login")) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            problem(429, "too-many-requests", title="Too many failed login attempts"),
            EngineBusy,
            "Too many failed",
        ),
        (reply(b"<!doctype html><title>Portal</title>"), EngineUnreachable, "Portal"),
        (reply(b"<html><title>404</title>", 404), EngineDenied, "web page"),
        (problem(404, "url-not-found"), EngineDenied, "BACKEND_ENDPOINT"),
        (problem(502, "proxy-target-unreachable"), EngineUnreachable, "HTTP 502"),
        (reply({"authenticated": True, "data": {}}), EngineDenied, "no cookie"),
        (reply({"authenticated": "yes"}), EngineDenied, "no such user"),
        (reply([1]), EngineDenied, "no such user"),
        (reply({"authenticated": False, "data": "x"}), EngineDenied, "no such user"),
        (
            reply({"authenticated": False, "data": {"type": "x/password-expired", "title": "Expired"}}, 401),
            EngineDenied,
            "set a new one",
        ),
        (
            reply({"authenticated": False, "data": {"type": "probs/require-totp-registration"}}),
            EngineDenied,
            "set up its second factor",
        ),
    ],
    ids=range(11),
)
def test_whatever_a_console_answers_is_told_and_nothing_is_kept(tmp_path, answer, kind, said):
    async def main():
        site = console()
        site.answers["/server/login"] = [answer]
        async with serving(site):
            error = await refusal(login(asking(site.url), "me", PASSWORD, None, tmp_path / "c.json"))
            assert isinstance(error, kind)
            assert said in str(error)
            assert list(tmp_path.iterdir()) == []

    asyncio.run(main())


def test_a_password_is_never_sent_where_others_could_read_it(tmp_path):
    error = asyncio.run(
        refusal(
            login(
                asking("https://console.example.com", "http://console.example.com"),
                "me",
                PASSWORD,
                None,
                tmp_path / "c.json",
            )
        )
    )
    assert isinstance(error, EngineDenied)
    assert "not encrypted" in str(error)


def test_a_login_needs_endpoints_that_take_one(tmp_path):
    error = asyncio.run(refusal(login(configured("https://x"), "me", PASSWORD, None, tmp_path / "c.json")))
    assert "BACKEND_ENDPOINT_TYPE=session" in str(error)


def test_an_endpoint_that_is_down_is_passed_over(tmp_path):
    async def main():
        async with serving(Site()) as gone:
            down = gone.url
        for number in range(6):
            async with serving(console()) as site:
                cookies = tmp_path / f"{number}.json"
                await login(asking(down, site.url), "me", PASSWORD, "123456", cookies)
                client = Client(asking(down, site.url), cookies)
                await client.open()
                await client.close()
        error = await refusal(login(asking(down), "me", PASSWORD, None, tmp_path / "c.json"))
        assert "refuses connections" in str(error)

    asyncio.run(main())


def test_logging_out_forgets_the_cookie_and_tells_the_console(tmp_path):
    cookies = tmp_path / "console.json"

    async def main():
        async with serving(console()) as site:
            await login(asking(site.url), "me", PASSWORD, "123456", cookies)
            assert await logout(asking(site.url), cookies)
            assert site.asked("/server/logout")[0].headers["Cookie"] == f"{COOKIE}=s3cr3t-cookie"
            assert not cookies.exists()
            assert not await logout(asking(site.url), cookies)
            assert len(site.asked("/server/logout")) == 1

            await login(asking(site.url), "me", PASSWORD, "123456", cookies)
            site.answers["/server/logout"] = [problem(500, "internal-server-error")]
            assert isinstance(await refusal(logout(asking(site.url), cookies)), EngineUnreachable)
            assert not cookies.exists()

    asyncio.run(main())


def test_a_login_counts_for_its_own_endpoints_alone(tmp_path):
    cookies = tmp_path / "c.json"
    cookies.write_text(json.dumps({"endpoints": ["https://a", "https://b"], "cookies": {"A": "1"}}))
    cookies.chmod(0o600)
    assert read_cookies(cookies, asking("https://b", "https://a")) == {"A": "1"}
    assert read_cookies(cookies, asking("https://a")) == {}
    assert cookie_file(asking("https://a", "https://b")) != cookie_file(asking("https://a"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_login_that_others_can_read_or_change_is_not_used(tmp_path, mode):
    cookies = tmp_path / "c.json"
    cookies.write_text(json.dumps({"endpoints": ["https://a"], "cookies": {"A": "1"}}))
    cookies.chmod(mode)
    with pytest.raises(EngineDenied, match="others can read or change"):
        read_cookies(cookies, asking("https://a"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"endpoints": ["https://a"], "cookies": 5}', "\x00"])
def test_a_file_that_is_no_login_is_none(tmp_path, text):
    cookies = tmp_path / "c.json"
    cookies.write_text(text)
    cookies.chmod(0o600)
    assert read_cookies(cookies, asking("https://a")) == {}


def test_logins_are_kept_below_the_users_state(home: Path):
    found = cookie_file(asking("https://console.example.com:8443/x"))
    assert found.is_relative_to(home)
    assert found.name.startswith("console.example.com_8443-")


def test_a_login_that_cannot_be_kept_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    async def main():
        async with serving(console()) as site:
            where = tmp_path / "file" / "c.json"
            error = await refusal(login(asking(site.url), "me", PASSWORD, "123456", where))
            assert "cannot be kept" in str(error)

    asyncio.run(main())
