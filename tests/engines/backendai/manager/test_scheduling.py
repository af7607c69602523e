"""Sessions wait, start, run and end as on a cluster, by themselves or at a test's word."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from tests.engines.backendai.manager import ADMIN, IMAGE, USER, USER2, Manager, Outcome, Session
from tests.engines.backendai.manager.client import Client, within


async def create(client: Client, name: str, command: str | None = None, **more: Any) -> str:
    """A session's id; batch with a command."""
    config = {"resources": {"cpu": "1", "mem": "256m"} | more.pop("resources", {})} | more.pop("config", {})
    sent = {
        "name": name,
        "image": IMAGE,
        "config": config,
        "enqueueOnly": True,
        "reuseIfExists": False,
    } | more
    if command is not None:
        sent |= {"type": "batch", "startupCommand": command}
    answer = await client.call("POST", "/session", sent)
    assert answer.status == 201, answer.text
    return str(answer.json["sessionId"])


async def ended(manager: Manager, name: str) -> Session:
    session = manager.session(name)
    await session.ended.wait()
    return session


@pytest.mark.parametrize("version", ["26.9.6", "25.5.2", "23.9.10"])
def test_a_batch_session_runs_its_command_and_ends(version: str) -> None:
    async def main() -> None:
        async with Manager(version) as manager, Client(manager) as client:
            environ = {"config": {"environ": {"CASENO": "7"}}}
            await create(client, "bt-1", "echo out $CASENO; echo err >&2; pwd; exit 7", **environ)
            session = await ended(manager, "bt-1")
            log = manager.log("bt-1")
            assert (session.status, session.result, session.exit_code) == ("TERMINATED", "FAILURE", 7)
            assert "out 7\r\n" in log
            assert "err\r\n" in log
            assert log.startswith("Kernel started at: ")
            assert "shutting down" in log.rpartition("err")[2]
            assert not manager.alive

    within(main())


def test_only_as_many_run_as_there_is_room_for_and_the_oldest_goes_first() -> None:
    async def main() -> None:
        async with Manager(capacity={"cpu": 2, "mem": 1e9}) as manager, Client(manager) as client:
            for number in range(4):
                await create(client, f"s-{number}")
            await asyncio.sleep(0)
            await manager.session("s-1").settled.wait()
            assert [one.status for one in manager.sessions] == ["RUNNING", "RUNNING", "PENDING", "PENDING"]
            assert [manager.queue()[one.id] for one in manager.sessions[2:]] == [0, 1]
            await client.call("DELETE", "/session/s-0")
            await manager.session("s-2").settled.wait()
            assert [one.status for one in manager.alive] == ["RUNNING", "RUNNING", "PENDING"]

    within(main())


def test_what_is_larger_than_the_cluster_waits_and_lets_others_pass() -> None:
    async def main() -> None:
        async with Manager(capacity={"cpu": 2, "mem": 1e9}) as manager, Client(manager) as client:
            await create(client, "huge", resources={"cpu": "64"})
            await create(client, "small")
            await manager.session("small").settled.wait()
            assert manager.session("huge").status == "PENDING"

    within(main())


def test_a_policy_of_one_session_keeps_the_others_waiting_and_25_says_why() -> None:
    async def main() -> None:
        async with Manager("25.5.2") as manager, Client(manager, USER2) as client:
            for number in range(2):
                await create(client, f"one-{number}")
            await manager.session("one-0").settled.wait()
            assert manager.session("one-1").status == "PENDING"
            info, data = manager.scheduler.why(manager.session("one-1"))
            assert info == "predicate-checks-failed"
            assert data is not None
            assert data["scheduler"]["failed_predicates"][0]["name"] == "concurrency"

    within(main())


def test_a_step_takes_everybody_one_status_further() -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            await create(client, "st-1")
            seen = []
            for _ in range(6):
                seen.append(manager.session("st-1").status)
                manager.step()
            assert seen == ["PENDING", "SCHEDULED", "PREPARING", "PREPARED", "CREATING", "RUNNING"]

    within(main())


def test_a_status_lasts_as_long_as_its_delay() -> None:
    async def main() -> None:
        delays = {"PREPARING": math.inf}
        async with Manager(delays=delays) as manager, Client(manager) as client:
            await create(client, "st-1", "true")
            for _ in range(20):
                await asyncio.sleep(0)
            assert manager.session("st-1").status == "PREPARING"
            await manager.move("st-1", "RUNNING")
            assert (await ended(manager, "st-1")).result == "SUCCESS"

    within(main())


def test_deleting_kills_what_runs_and_frees_its_room() -> None:
    async def main() -> None:
        async with Manager(capacity={"cpu": 1, "mem": 1e9}) as manager, Client(manager) as client:
            await create(client, "long", "echo begun; sleep 600")
            while "begun" not in manager.log("long"):
                await asyncio.sleep(0.01)
            container = manager.session("long").container
            assert container is not None
            process = container.process
            assert process is not None
            await client.call("DELETE", "/session/long")
            session = await ended(manager, "long")
            assert (session.status_info, session.result) == ("user-requested", "UNDEFINED")
            await process.wait()
            assert manager.scheduler.used["cpu"] == 0

    within(main())


def test_a_time_limit_ends_a_batch_session_as_failed() -> None:
    async def main() -> None:
        async with Manager("25.5.2") as manager, Client(manager) as client:
            await create(client, "late", "sleep 600", batch_timeout=0.05)
            session = await ended(manager, "late")
            assert (session.result, session.status_info) == ("FAILURE", "task-timeout")

    within(main())


def test_a_doomed_session_is_cancelled_with_the_agents_error() -> None:
    async def main() -> None:
        async with Manager(delays={"PENDING": math.inf}) as manager, Client(manager) as client:
            await create(client, "doomed", "true")
            manager.doom("doomed", {"src": "agent", "name": "X", "repr": "X()", "collection": []})
            await manager.move("doomed", "SCHEDULED")
            session = await ended(manager, "doomed")
            assert (session.status, session.status_info) == ("CANCELLED", "failed-to-start")
            assert session.status_data == {
                "error": {"src": "agent", "name": "X", "repr": "X()", "collection": []}
            }
            assert manager.scheduler.used["cpu"] == 0

    within(main())


def test_a_rescheduled_session_starts_again_from_the_queue() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            await create(client, "again", "echo $BACKENDAI_SESSION_NAME; sleep 600")
            await manager.session("again").settled.wait()
            manager.reschedule("again")
            assert manager.session("again").status == "PENDING"
            assert manager.scheduler.used["cpu"] == 0
            manager.step()
            while manager.session("again").status != "RUNNING":
                await asyncio.sleep(0.01)

    within(main())


def test_what_is_killed_for_memory_is_the_program_and_not_the_session() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            await create(client, "oom", "sh -c 'echo begun; sleep 600; true'; echo code $?; exit 3")
            while not manager.kill_for_memory("oom") or "code" not in manager.log("oom"):
                await asyncio.sleep(0.02)
            session = await ended(manager, "oom")
            assert session.exit_code == 3

    within(main())


def test_a_lost_agent_leaves_its_sessions_running_until_it_is_back() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            session_id = await create(client, "lost", "echo begun; sleep 600")
            while "begun" not in manager.log("lost"):
                await asyncio.sleep(0.01)
            manager.lose_agent()
            assert (await client.call("GET", f"/session/{session_id}/logs")).status == 500
            assert manager.session("lost").status == "RUNNING"
            manager.bury("agent-termination")
            session = await ended(manager, "lost")
            assert (session.status_info, session.result) == ("agent-termination", "UNDEFINED")

    within(main())


def test_a_container_killed_from_outside_ends_its_session_without_a_result() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            await create(client, "die", "sleep 600")
            await manager.session("die").settled.wait()
            manager.kill_container("die")
            session = await ended(manager, "die")
            assert (session.result, session.status_info, session.kernel_info) == (
                "UNDEFINED",
                None,
                "self-terminated",
            )
            assert ("session_terminating", "die") in manager.events.told

    within(main())


def test_a_canned_command_runs_nothing_and_says_what_it_was_told() -> None:
    def canned(command: str, environ: Any) -> Outcome:
        return Outcome(f"{command} {environ['N']}\n".encode(), int(environ["N"]) % 2, 0.01)

    async def main() -> None:
        capacity = {"cpu": 1000, "mem": 1e12}
        admin = ADMIN.but(policy=ADMIN.policy.__class__(max_concurrent_sessions=1000))
        async with (
            Manager(capacity=capacity, canned=canned, keypairs=(admin,)) as manager,
            Client(manager) as client,
        ):
            for number in range(20):
                await create(client, f"c-{number}", "command", config={"environ": {"N": str(number)}})
            for number in range(20):
                session = await ended(manager, f"c-{number}")
                assert session.result == ("FAILURE" if number % 2 else "SUCCESS")
                assert f"command {number}\r\n" in manager.log(f"c-{number}")

    within(main())


def test_a_session_is_its_owners_alone() -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            await create(client, "mine")
            query = {"query": "query{compute_session_list(limit:9,offset:0){total_count}}"}
            answer = await client.call("POST", "/admin/gql", query, keypair=USER)
            assert answer.json["data"]["compute_session_list"]["total_count"] == 0
            assert (await client.call("DELETE", "/session/mine", keypair=USER)).status == 404
            assert manager.session("mine").status == "PENDING"

    within(main())


def test_a_reused_name_is_free_once_its_session_has_ended() -> None:
    async def main() -> None:
        async with Manager() as manager, Client(manager) as client:
            first = await create(client, "name", "true")
            await ended(manager, "name")
            second = await create(client, "name", "true")
            assert first != second
            await ended(manager, "name")
            query = {
                "query": 'query{compute_session_list(limit:9,offset:0,filter:"name == \\"name\\""){items{id}}}'
            }
            answer = await client.call("POST", "/admin/gql", query)
            items = answer.json["data"]["compute_session_list"]["items"]
            assert [item["id"] for item in items] == [second, first]
            assert json.loads(json.dumps(manager.received))[0]["name"] == "name"

    within(main())
