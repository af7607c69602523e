"""What a test lets go wrong goes wrong exactly so, and no further."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.engines.backendai.manager import BAD_GATEWAY, IMAGE, Manager
from tests.engines.backendai.manager.client import Client, within

BODY = {"name": "faulty", "image": IMAGE, "type": "batch", "startupCommand": "sleep 600", "enqueueOnly": True}


def test_an_answer_is_replaced_for_so_many_requests_and_no_work_is_done() -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            fault = manager.faults.answer("POST /session", 502, BAD_GATEWAY, times=2)
            for _ in range(2):
                answer = await client.call("POST", "/session", BODY)
                assert (answer.status, answer.kind, answer.text) == (502, "text/html", BAD_GATEWAY.decode())
            assert manager.sessions == []
            assert (await client.call("POST", "/session", BODY)).status == 201
            assert fault.met == 2

    within(main())


@pytest.mark.parametrize("work", [True, False])
def test_a_connection_is_cut_before_or_after_the_work(work: bool) -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            manager.faults.cut("POST /session", work=work)
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.call("POST", "/session", BODY)
            assert [session.name for session in manager.sessions] == (["faulty"] if work else [])

    within(main())


def test_a_request_that_hangs_is_never_answered_and_does_not_hold_up_the_end() -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            manager.faults.hang("GET /auth")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.call("GET", "/auth"), 0.05)
            assert (await client.call("GET", "/auth")).status == 200

    within(main())


def test_truncated_json_is_shorter_and_otherwise_as_it_was() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            manager.faults.truncate("GET /auth", 9)
            answer = await client.call("GET", "/auth")
            assert (answer.status, answer.text) == (200, '{"authori')

    within(main())


def test_everything_may_be_late() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            manager.faults.delay("GET /auth", 0.05)
            began = asyncio.get_running_loop().time()
            await client.call("GET", "/auth")
            assert asyncio.get_running_loop().time() - began >= 0.05

    within(main())


def test_a_stopped_manager_refuses_and_has_its_sessions_again_on_the_same_port() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            await client.call("POST", "/session", BODY)
            url = manager.url
            await manager.stop()
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.call("GET", "/auth")
            await manager.start()
            assert manager.url == url
            assert (await client.call("GET", "/session/faulty")).status == 200

    within(main())


def test_a_dropped_event_stream_breaks_off_in_the_middle() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            target = "/events/session?sessionName=*&scope=session"
            async with client.http.get(target, headers=client.headers("GET", target)) as stream:
                await client.call("POST", "/session", BODY)
                assert b"session_pending" in await stream.content.readany()
                manager.drop_streams()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await stream.content.read()

    within(main())


def test_a_silent_stream_pings() -> None:
    async def main() -> None:
        async with Manager(ping_seconds=0.02) as manager, Client(manager) as client:
            target = "/events/session?sessionName=*&scope=session"
            async with client.http.get(target, headers=client.headers("GET", target)) as stream:
                assert await asyncio.wait_for(stream.content.readany(), 60) == b": ping\r\n\r\n"

    within(main())


def test_a_clock_that_is_off_refuses_every_signature() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            manager.skew = 3600
            answer = await client.call("GET", "/auth")
            assert (answer.status, answer.json["msg"]) == (400, "Date/time sync error")

    within(main())


def test_a_websocket_hears_of_a_restart() -> None:
    async def main() -> None:
        async with Manager(flush=0.02) as manager, Client(manager) as client:
            await client.call("POST", "/session", {"name": "run", "image": IMAGE})
            async with client.stream("run") as socket:
                await socket.send_json(
                    {"mode": "query", "code": "import time; time.sleep(60)", "options": {}}
                )
                assert (await socket.receive_json())["status"] == "continued"
                stopping = asyncio.ensure_future(manager.stop(gracefully=True))
                told = [message.json()["status"] async for message in socket]
                assert told[-1] == "server-restarting"
                await stopping

    within(main())


def test_a_session_whose_websocket_client_is_gone_is_wedged() -> None:
    async def main() -> None:
        async with Manager(poll=0.05, flush=0.02) as manager, Client(manager) as client:
            await client.call("POST", "/session", {"name": "run", "image": IMAGE})
            async with client.stream("run") as socket:
                await socket.send_json(
                    {"mode": "query", "code": "import time; time.sleep(60)", "options": {}}
                )
                assert (await socket.receive_json())["status"] == "continued"
                socket._conn.transport.abort()  # to close would wait for the run's end
            body = {"mode": "query", "code": "1", "run_id": "other"}
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.call("POST", "/session/run", body), 0.3)

    within(main())


def test_in_26_what_is_printed_before_the_next_call_of_a_batch_run_is_lost() -> None:
    async def main() -> None:
        async with Manager(poll=1.0) as manager, Client(manager) as client:
            await client.call("POST", "/session", {"name": "run", "image": IMAGE})
            start = {
                "mode": "batch",
                "run_id": "r1",
                "options": {"exec": "echo lost; sleep .2; echo kept"},
            }
            answer = await client.call("POST", "/session/run", start)
            assert answer.json["result"]["status"] == "clean-finished"
            while "lost" not in manager.log("run"):
                await asyncio.sleep(0.01)
            answer = await client.call("POST", "/session/run", {"mode": "continue", "run_id": "r1"})
            assert answer.json["result"]["console"] == [["stdout", "kept\n"]]

    within(main())


def test_a_login_is_known_by_its_cookie_until_it_ends() -> None:
    async def main() -> None:
        async with Manager() as manager:
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(manager.url, cookie_jar=jar) as http:
                wrong = await http.post(
                    "/server/login", json={"username": "user@lablup.com", "password": "no"}
                )
                assert (await wrong.json())["authenticated"] is False
                assert (await http.get("/func/auth")).status == 401
                right = {"username": "user@lablup.com", "password": "C8qnIo29"}
                assert (await (await http.post("/server/login", json=right)).json())["authenticated"] is True
                assert (await http.get("/func/auth")).status == 200
                manager.logins.cookies.clear()
                assert (await http.get("/func/auth")).status == 401

    within(main())
