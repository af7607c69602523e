"""The stand-in answers as the running clusters did: every captured exchange is asked of it again.

``captures/VERSION.json`` has, per exchange, where it was captured (``from``), what has to be there first
(``given``), the request and the answer. ``signed`` names what is wrong with the request's signature.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.engines.backendai.manager import ADMIN, IMAGE, MONITOR, USER, USER2, Manager
from tests.engines.backendai.manager.alike import differences
from tests.engines.backendai.manager.auth import signature
from tests.engines.backendai.manager.client import Answer, Client, within
from tests.engines.backendai.manager.keys import Keypair

CAPTURES = Path(__file__).parent / "captures"
USERS = {"user": USER, "user2": USER2, "monitor": MONITOR}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
VERSIONS = ("26.9.6", "25.5.2", "23.9.10")


@cache
def captured(version: str) -> Any:
    return json.loads((CAPTURES / f"{version}.json").read_text())


def cases() -> list[Any]:
    return [
        pytest.param(version, exchange, id=f"{version}: {exchange['name']}")
        for version in VERSIONS
        for exchange in captured(version)["exchanges"]
    ]


def body(name: str, kind: str = "interactive", **resources: str) -> dict[str, Any]:
    """What the probes sent to create a session."""
    batch = {"startupCommand": "sleep 60"} if kind == "batch" else {}
    config = {"resources": {"cpu": "1", "mem": "256m"} | resources}
    return {"name": name, "image": IMAGE, "type": kind, "config": config, "enqueueOnly": True} | batch


async def prepare(manager: Manager, client: Client, steps: list[list[Any]], keypair: Keypair) -> None:
    """Bring about what an exchange takes for granted."""
    for verb, *args in steps:
        match verb:
            case "create" | "batch":
                kind = "batch" if verb == "batch" else "interactive"
                more = args[1] if len(args) > 1 else {}
                assert (
                    await client.call("POST", "/session", body(args[0], kind, **more), keypair=keypair)
                ).status == 201
            case "move":
                await manager.move(args[0], args[1])
            case "finish":
                manager.scheduler.command_ended(manager.session(args[0]), args[1])
            case "delete":
                query = args[1] if len(args) > 1 else ""
                manager.scheduler.auto = not manager.dialect.is_26  # older ones answer when it is gone
                await client.call("DELETE", f"/session/{args[0]}{query}", keypair=keypair)
                manager.scheduler.auto = False
            case "round":
                manager.scheduler.fill()
            case "auto":
                manager.scheduler.auto = True
            case "calls":
                for _ in range(args[0]):
                    await client.call("GET", "/auth", keypair=keypair)
            case "execute":
                await warm(client, args[0])
                await client.call("POST", f"/session/{args[0]}", quick(args[1]), keypair=keypair)
            case "until":
                runs = manager.session(args[0]).runs
                assert runs is not None
                assert runs.active is not None
                while not any(kind == "finished" for kind, _ in runs.active.told):
                    await asyncio.sleep(0.01)
            case _:
                raise AssertionError(verb)


async def warm(client: Client, name: str) -> None:
    """Have a session's interpreter started, which takes longer than the tests poll."""
    sent = {"mode": "query", "code": "", "runId": "warm", "run_id": "warm"}
    while (await client.call("POST", f"/session/{name}", sent)).json["result"]["status"] != "finished":
        sent["mode"] = "continue"


def quick(sent: Any) -> Any:
    """The same without the long sleeps."""
    text = re.sub(r"sleep([( ])[.]?[17]\b", r"sleep\1.06", json.dumps(sent))
    return json.loads(text.replace('"maxWaitSeconds": 3', '"maxWaitSeconds": 0.1'))


async def ask(manager: Manager, client: Client, exchange: dict[str, Any], keypair: Keypair) -> Answer:
    """Send the captured request, with our ids in place of the cluster's."""
    path = exchange["path"]
    sent = exchange.get("body")
    if manager.sessions:
        path = UUID.sub(manager.sessions[0].id, path)
        if isinstance(sent, dict):
            sent = json.loads(UUID.sub(manager.sessions[0].id, json.dumps(sent)))
    if "upload" in exchange:
        parts = [(f'filename="{name}"', b"x" * size) for name, size in exchange["upload"].items()]
        return await client.upload(path, parts, keypair=keypair)
    if "part" in exchange:
        return await client.upload(path, [(exchange["part"], b"hello")], keypair=keypair)
    sent = sent if isinstance(sent, str) else quick(sent)
    signed = exchange.get("signed", "")
    return await client.call(exchange["method"], path, sent, keypair=keypair, signed=signed)


@pytest.mark.parametrize(("version", "exchange"), cases())
def test_it_answers_as_the_cluster_did(version: str, exchange: dict[str, Any]) -> None:
    async def main() -> Answer:
        async with Manager(version, auto=False, poll=0.2) as manager, Client(manager) as client:
            user = USERS.get(exchange.get("user", ""), ADMIN)
            owner = ADMIN if "another's" in exchange["name"] else user
            await prepare(manager, client, exchange.get("given", []), owner)
            name = exchange["path"].rpartition("/")[2]
            runs_code = "mode" in exchange.get("body", "") and exchange["status"] == 200
            if runs_code and manager.session(name).runs is None:
                await warm(client, name)
            return await ask(manager, client, exchange, user)

    answer = within(main())
    told = f"{answer.status} {answer.text[:400]}"
    assert answer.status == exchange["status"], told
    assert answer.kind == exchange["type"], told
    if exchange["answer"] is not None:
        assert list(differences(exchange["answer"], answer.json)) == [], told


@pytest.mark.parametrize("version", VERSIONS)
def test_headers_are_those_of_that_version(version: str) -> None:
    expected = captured(version)["headers"]

    async def main() -> None:
        async with Manager(version, auto=False) as manager, Client(manager) as client:
            answer = await client.call("POST", "/session", body("headers"))
            assert answer.headers.keys() == expected["ordinary"].keys()
            target = "/events/session?sessionName=*&scope=session"
            async with client.http.get(target, headers=client.headers("GET", target)) as stream:
                assert stream.headers.keys() == expected["events"].keys()
            for _ in range(21):
                answer = await client.call("GET", "/auth", keypair=MONITOR)
            limits = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Window"}
            assert limits & answer.headers.keys() == limits & expected.get("too many", {}).keys()

    within(main())


async def _told(version: str, script: list[list[Any]], count: int) -> list[list[Any]]:
    """The first events that a stream to all tells while a script is played."""
    async with Manager(version, auto=False) as manager, Client(manager) as client:
        scope = "session,kernel" if version == "26.9.6" else "*"
        target = f"/events/session?sessionName=*&scope={scope}"
        async with client.http.get(target, headers=client.headers("GET", target)) as stream:
            await prepare(manager, client, script, ADMIN)
            text = ""
            while text.count("\r\n\r\n") < count:
                text += (await asyncio.wait_for(stream.content.readany(), 60)).decode()
    blocks = [block.split("\r\n") for block in text.split("\r\n\r\n") if block]
    return [[name.removeprefix("event: "), json.loads(data.removeprefix("data: "))] for name, data in blocks]


SCRIPTS: dict[str, list[list[Any]]] = {
    "success": [["batch", "s"], ["move", "s", "RUNNING"], ["finish", "s", 0], ["move", "s", "TERMINATED"]],
    "failure": [["batch", "s"], ["move", "s", "RUNNING"], ["finish", "s", 7], ["move", "s", "TERMINATED"]],
    "destroyed": [["create", "s"], ["move", "s", "RUNNING"], ["delete", "s"], ["move", "s", "TERMINATED"]],
    "cancelled": [["create", "s"], ["delete", "s"]],
    "forced": [["create", "s"], ["move", "s", "RUNNING"], ["delete", "s"], ["delete", "s", "?forced=true"]],
}


@pytest.mark.parametrize(
    ("version", "way"), [(version, way) for version in VERSIONS for way in captured(version)["events"]]
)
def test_events_are_those_of_that_version(version: str, way: str) -> None:
    expected = captured(version)["events"][way]
    script = [[verb, "name", *args[1:]] for verb, *args in SCRIPTS[way]]
    # The probe of "forced" listened to sessions only; a third kernel_terminated came or did not
    wanted = [event for event in expected if event[1]["reason"] != "already-terminated"]
    sessions_only = way == "forced"

    async def main() -> list[list[Any]]:
        count = len(wanted)
        told = await _told(version, script, count + (5 if sessions_only else 0))
        return [event for event in told if event[0].startswith("session_")] if sessions_only else told

    given = within(main())
    # Kernel events come from the agent and cross those of the session: their order among each other is kept
    for prefix in ("session_", "kernel_"):
        ours = [event for event in given if event[0].startswith(prefix)]
        theirs = [event for event in wanted if event[0].startswith(prefix)]
        if prefix == "kernel_":
            assert Counter(name for name, _ in ours) == Counter(name for name, _ in theirs)
            theirs.sort(key=lambda event: [name for name, _ in ours].index(event[0]))
        assert [name for name, _ in ours] == [name for name, _ in theirs]
        for one, other in zip(theirs, ours, strict=True):
            same = {**other[1], "sessionName": one[1]["sessionName"]}
            assert list(differences(one[1], same)) == []


def _stated(messages: list[Any]) -> list[Any]:
    """Those that say more than that a run goes on: how its output is cut into messages is chance."""
    return [message for message in messages if message["status"] != "continued"]


@pytest.mark.parametrize(
    ("version", "run"),
    [
        pytest.param(version, run, id=f"{version}: {run['send'][0]!s:.60}")
        for version in VERSIONS
        for run in captured(version)["runs"]
    ],
)
def test_a_websocket_run_tells_what_it_told(version: str, run: dict[str, Any]) -> None:
    async def main() -> tuple[list[Any], int | None]:
        async with Manager(version, auto=False, flush=0.02) as manager, Client(manager) as client:
            await prepare(manager, client, [["create", "runs"], ["move", "runs", "RUNNING"]], ADMIN)
            told = []
            async with client.stream("runs") as socket:
                first, *answers = run["send"]
                await socket.send_str(first if isinstance(first, str) else json.dumps(quick(first)))
                async for message in socket:
                    told.append(message.json())
                    if told[-1]["status"] == "waiting-input":
                        await socket.send_str(answers.pop(0))
                return told, socket.close_code

    told, code = within(main())
    assert code == run["closed"]
    assert [message["status"] for message in _stated(told)] == [one["status"] for one in _stated(run["told"])]
    for one, other in zip(_stated(run["told"]), _stated(told), strict=True):
        assert list(differences({**one, "console": []}, {**other, "console": []})) == []
    texts = [
        "".join(text for message in side for _, text in message.get("console", []))
        for side in (run["told"], told)
    ]
    assert bool(texts[0]) == bool(texts[1])


def _vectors() -> list[dict[str, str]]:
    """Those of the hash that the stand-in takes."""
    vectors = json.loads((CAPTURES / "sign-vectors.json").read_text())
    return [vector for vector in vectors if vector["hash"] == "sha256"]


@pytest.mark.parametrize("vector", _vectors())
def test_signatures_are_those_of_the_official_client(vector: dict[str, str]) -> None:
    given = signature(
        vector["secret_key"],
        vector["method"],
        vector["rel_url"],
        vector["date_header"],
        vector["signing_day"],
        vector["host"],
        vector["content_type"],
        vector["version"],
    )
    assert given == vector["signature"]
