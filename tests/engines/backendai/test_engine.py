"""The Backend.AI engine against a manager that really runs its sessions' commands."""

import asyncio
import json
import os
import time
from dataclasses import replace

import pytest

from tests.engines.backendai.manager import IMAGE, USER2
from tests.engines.backendai.serving import served
from tests.engines.contract import LIMIT, Bench, EngineContract, follow, run, start, until
from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineUnreachable
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import Event
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai import logs, sent, watch

VERSIONS = ("26.9.6", "25.5.2", "23.9.10")
PROBLEM = "application/problem+json"
UNAVAILABLE = json.dumps(
    {"type": "https://api.backend.ai/probs/service-unavailable", "title": "Not now."}
).encode()


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("BACKEND_", "SORNA_")):
            monkeypatch.delenv(name)


def bench_at(manager, root, monkeypatch, key=None):
    for name, value in (manager.environ(key) if key else manager.environ()).items():
        monkeypatch.setenv(name, value)
    bench = Bench(backendai, IMAGE, root)
    bench.environ = dict(os.environ)
    return bench.ask(slots=Slots({"cpu": 1, "mem": 256 << 20}))


class Contract(EngineContract):
    module = backendai
    image = IMAGE
    version = ""

    @pytest.fixture
    def manager(self):
        with served(version=self.version) as manager:
            yield manager
            assert manager.left() == [], "something of ours is left on the cluster"

    @pytest.fixture
    def bench(self, tmp_path, monkeypatch, manager):
        return bench_at(manager, tmp_path, monkeypatch)


class TestOn26(Contract):
    version = "26.9.6"


class TestOn25(Contract):
    version = "25.5.2"


class TestOn23(Contract):
    version = "23.9.10"


del Contract, EngineContract


@pytest.fixture
def manager():
    with served() as manager:
        yield manager


@pytest.fixture
def bench(tmp_path, monkeypatch, manager):
    return bench_at(manager, tmp_path, monkeypatch)


def ends(bench, *commands):
    async def main():
        async with bench.engine() as engine:
            return await run(engine, *(bench.spec(text, case=case) for case, text in enumerate(commands)))

    return asyncio.run(main())


def test_a_create_whose_answer_was_lost_is_found_again_and_not_doubled(bench, manager):
    manager.do(lambda m: m.faults.cut("POST /session", times=1, work=True))

    async def main():
        spec = bench.spec("echo once")
        async with bench.engine() as engine:
            assert engine.admit(spec) is None
            with pytest.raises(EngineUnreachable):
                await engine.submit(spec)
            assert spec.name in await engine.find([spec])
            await engine.submit(spec)
            return await follow(engine, spec)

    assert asyncio.run(main())[-1].exit_code == 0
    assert len(manager.manager.received) == 1
    assert bench.spec().sink.stdout.read_bytes() == b"once\n"


def test_a_create_that_never_arrived_is_sent_again(bench, manager):
    manager.do(lambda m: m.faults.cut("POST /session", times=1, work=False))

    async def main():
        spec = bench.spec("echo once")
        async with bench.engine() as engine:
            assert engine.admit(spec) is None
            with pytest.raises(EngineUnreachable):
                await engine.submit(spec)
            assert await engine.find([spec]) == {}
            await engine.submit(spec)
            return await follow(engine, spec)

    assert asyncio.run(main())[-1].exit_code == 0


def test_a_process_that_was_killed_between_create_and_answer_finds_its_session(bench, manager):
    """The next process has only what was on disk: the word that it may have been sent."""
    manager.do(lambda m: m.faults.cut("POST /session", times=1, work=True))

    async def main():
        spec = bench.spec("exit 4")
        async with bench.engine() as engine:
            engine.admit(spec)
            with pytest.raises(EngineUnreachable):
                await engine.submit(spec)
        async with bench.engine() as other:
            await other.submit(spec)
            return await follow(other, spec)

    assert asyncio.run(main())[-1].exit_code == 4
    assert len(manager.manager.received) == 1


def test_an_unknown_image_is_refused_for_good_with_its_name(bench, manager):
    bench.ask(image="no/such:image")

    async def main():
        spec = bench.spec("true")
        async with bench.engine() as engine:
            engine.admit(spec)
            with pytest.raises(EngineDenied, match=r"no/such:image"):
                await engine.submit(spec)

    asyncio.run(main())


def test_no_more_than_sixteen_are_submitted_at_once(bench, manager):
    manager.do(lambda m: m.faults.hang("POST /session", times=None))

    def begun():
        return len(list(bench.root.glob("out/*/session")))

    async def main():
        async with bench.engine() as engine:
            specs = [bench.spec("true", case=case) for case in range(40)]
            tasks = [asyncio.create_task(engine.submit(spec)) for spec in specs]
            await until(lambda: begun() >= 16 and manager.manager.calls["POST /session"] >= 8)
            for task in tasks:
                task.cancel()
            return begun()

    assert asyncio.run(main()) == 16


def test_quota_exceeded_means_wait(tmp_path, monkeypatch, manager):
    bench = bench_at(manager, tmp_path, monkeypatch, key=USER2)
    blocked = [replace(bench.spec("true", case=case), name=f"other-{case}") for case in range(3)]

    async def main():
        async with bench.engine() as engine:
            engine._backlog._site, engine._backlog.bound = None, 99  # as if others filled the queue
            for spec in blocked[:3]:
                await start(engine, replace(spec, exec="sleep 1000"))
            late = bench.spec("true", case=9)
            engine.admit(late)
            with pytest.raises(EngineBusy) as caught:
                await engine.submit(late)
            for spec in blocked:
                await engine.cancel(spec.name, grace=0)
            return caught.value

    busy = asyncio.run(main())
    assert busy.retry_after >= 5


@pytest.mark.parametrize("version", VERSIONS)
def test_who_may_have_two_sessions_waiting_gets_four_through(tmp_path, monkeypatch, version):
    async def one(engine, spec):
        while engine.admit(spec) is not None:
            await engine.room()
        await engine.submit(spec)
        return (await follow(engine, spec))[-1].exit_code

    async def main(bench):
        async with bench.engine() as engine, asyncio.timeout(LIMIT):
            return await asyncio.gather(*(one(engine, bench.spec("true", case=case)) for case in range(4)))

    with served(version=version) as manager:
        assert asyncio.run(main(bench_at(manager, tmp_path, monkeypatch, key=USER2))) == [0] * 4


def test_cancelling_while_pending_ends_it_at_once(bench, manager):
    async def main():
        async with bench.engine() as engine:
            running = [bench.spec("sleep 1000", case=case) for case in range(2)]
            waiting = bench.spec("true", case=2)
            for spec in (*running, waiting):
                await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(running[1].name).status) == "RUNNING")
            await engine.cancel(waiting.name, grace=5)
            end = (await follow(engine, waiting))[-1]
            for spec in running:
                await engine.cancel(spec.name, grace=0)
                await follow(engine, spec)
            return end

    assert asyncio.run(main()).event is Event.VANISHED
    assert manager.left() == []


def test_a_session_that_is_cancelled_on_its_way_up_is_not_asked_long_for_a_log(bench, manager):
    manager.do(lambda m: m.scheduler.delays.update(PREPARING=60.0))

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("true")
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "PREPARING")
            await engine.cancel(spec.name, grace=5)
            return (await follow(engine, spec))[-1]

    assert asyncio.run(main()).event is Event.VANISHED
    assert manager.do(lambda m: m.calls["GET /session/*/logs"]) <= 3


def test_an_end_that_was_not_heard_is_asked_for_again(tmp_path, monkeypatch):
    """Servers before 26 refuse it while a session is prepared; one refusal of another kind must not be the last."""

    async def main(bench, manager):
        async with bench.engine() as engine:
            spec = bench.spec("sleep 1000")
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "PREPARING")
            await engine.cancel(spec.name, grace=5)
            manager.do(
                lambda m: m.faults.answer(
                    "DELETE /session/*", 503, UNAVAILABLE, content_type=PROBLEM, times=1
                )
            )
            return (await follow(engine, spec))[-1]

    with served(version="25.5.2") as manager:
        manager.do(lambda m: m.scheduler.delays.update(PREPARING=4.0))
        assert asyncio.run(main(bench_at(manager, tmp_path, monkeypatch), manager)).event is Event.VANISHED
        assert manager.left() == []


def test_a_session_that_nobody_follows_is_asked_to_end_until_it_is_gone(tmp_path, monkeypatch):
    """Of a runner that died, say; on servers that do not end what is being prepared."""

    async def main(bench, manager):
        spec = bench.spec("sleep 1000")
        async with bench.engine() as engine:
            await start(engine, spec)
        await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "PREPARING")
        async with bench.engine() as engine:
            async with asyncio.timeout(LIMIT):
                await engine.cancel(spec.name, grace=0)
            return manager.left()

    with served(version="25.5.2") as manager:
        manager.do(lambda m: m.scheduler.delays.update(PREPARING=3.0))
        assert asyncio.run(main(bench_at(manager, tmp_path, monkeypatch), manager)) == []


def test_a_session_that_is_being_ended_is_not_told_any_more_why_it_waits(bench, manager):
    async def main():
        async with bench.engine() as engine:
            specs = [bench.spec("sleep 1000", case=case) for case in range(3)]
            for spec in specs:
                await start(engine, spec)
            session = engine._watch.sessions[specs[2].name]
            await until(lambda: session.status == "PENDING")
            manager.do(lambda m: m.faults.delay("DELETE /session/*", 1.0))
            ending = asyncio.create_task(engine.cancel(session.name, grace=5))
            while not session.cancelled:
                await asyncio.sleep(0)
            told = session.count
            await engine.facts()
            assert session.count == told
            await ending
            for spec in specs:
                await engine.cancel(spec.name, grace=0)
                await follow(engine, spec)

    asyncio.run(main())


async def asked_again_and_again(engine, spec):
    """The reports of a session while the panel's figures are read, as a runner does each second."""

    async def read():
        while True:
            await engine.facts()
            await asyncio.sleep(0.2)

    reading = asyncio.create_task(read())
    try:
        async for report in engine.follow(spec):
            yield report
    finally:
        reading.cancel()


def test_a_role_that_may_list_no_sessions_is_refused_before_anything_is_created(bench, manager):
    said = b'{"data": {"compute_session_list": null}, "errors": [{"message": "Missing or invalid API parameters. (Unknown client role)"}]}'
    manager.do(
        lambda m: m.faults.answer("POST /admin/gql", 200, said, content_type="application/json", times=None)
    )

    async def main():
        with pytest.raises(EngineDenied, match="ordinary user"):
            await bench.engine().__aenter__()

    asyncio.run(main())


def test_a_waiting_session_is_told_why(bench, manager):
    async def main():
        async with bench.engine() as engine:
            running = [bench.spec("sleep 1000", case=case) for case in range(2)]
            waiting = bench.spec("true", case=2)
            for spec in (*running, waiting):
                await start(engine, spec)
            async with asyncio.timeout(LIMIT):
                async for report in asked_again_and_again(engine, waiting):
                    if (report.reason or "").startswith("short of"):  # not by the figures of a moment before
                        break
            for spec in (*running, waiting):
                await engine.cancel(spec.name, grace=0)
                await follow(engine, spec)
            return report.reason

    assert asyncio.run(main()).startswith(
        "short of cpu: asks 1, 0 free in default; your own 2 running sessions hold 2"
    )


def test_room_that_somebody_else_holds_is_no_room_that_was_never_there(bench, manager, tmp_path, monkeypatch):
    other = bench_at(manager, tmp_path / "other", monkeypatch, key=USER2)
    other.ask(slots=Slots({"cpu": 2, "mem": 256 << 20}))

    async def main():
        async with other.engine() as theirs:
            blocking = other.spec("sleep 1000")
            await start(theirs, blocking)
            await until(lambda: manager.do(lambda m: m.session(blocking.name).status) == "RUNNING")
            facts = await backendai.survey(environ=bench.environ)
            await theirs.cancel(blocking.name, grace=0)
            await follow(theirs, blocking)
            return facts

    assert asyncio.run(main()).capacity["cpu"] == {"total": "2", "used": "2"}


def test_a_container_killed_from_outside_is_lost_and_says_so(bench, manager):
    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("sleep 1000")
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
            manager.do(lambda m: m.kill_container(spec.name))
            return (await follow(engine, spec))[-1]

    end = asyncio.run(main())
    assert (end.event, end.exit_code) == (Event.VANISHED, None)
    assert end.reason.startswith("ended without telling how")


def test_a_session_whose_end_the_server_does_not_hear_of_is_ended_with_its_exit_code(
    bench, manager, monkeypatch
):
    monkeypatch.setattr(logs, "_LIVE_PAUSE", 0.3)
    monkeypatch.setattr(logs, "_UNHEARD", 0.3)

    async def main():
        async with bench.engine() as engine:
            gate = bench.root / "gate"
            spec = bench.spec(f"while [ ! -e {gate} ]; do sleep 0.05; done; echo through; exit 3")
            engine.watch([spec.name])
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
            manager.do(lambda m: m.restart_agent())
            gate.touch()
            return spec, (await follow(engine, spec))[-1]

    spec, end = asyncio.run(main())
    assert (end.event, end.exit_code, end.reason) == (Event.ERRED, 3, "exit 3")
    assert spec.sink.stdout.read_bytes() == b"through\n"
    assert manager.left() == []


def test_a_session_whose_agent_was_stopped_is_lost_and_has_not_failed(tmp_path, monkeypatch):
    async def main(manager):
        bench = bench_at(manager, tmp_path, monkeypatch)
        async with bench.engine() as engine:
            spec = bench.spec("sleep 1000")
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
            manager.do(lambda m: m.restart_agent())
            return (await follow(engine, spec))[-1]

    with served(version="25.5.2") as manager:
        end = asyncio.run(main(manager))
    assert (end.event, end.reason) == (Event.VANISHED, "its agent was stopped while it ran")


def test_a_log_that_cannot_be_read_at_a_resume_holds_up_no_other_case(bench, manager):
    async def main():
        gate = bench.root / "gate"
        ended, running = bench.spec("exit 3"), bench.spec(f"until [ -e {gate} ]; do sleep 0.05; done", case=1)
        manager.do(lambda m: m.faults.answer("GET /session/*/logs", 502, b"<html>bad</html>", times=None))
        async with bench.engine() as engine:
            for spec in (ended, running):
                await start(engine, spec)
            await until(lambda: manager.left() == [running.name])
        async with bench.engine() as engine:
            async with asyncio.timeout(LIMIT):
                found = await engine.find([ended, running])
            assert (found[ended.name].event, found[ended.name].over) == (None, True)
            assert (found[running.name].event, found[running.name].over) == (Event.STARTED, False)
            told = asyncio.create_task(follow(engine, ended))
            gate.touch()
            await until(lambda: manager.left() == [])
            assert not told.done()
            manager.do(lambda m: m.faults.clear())
            return (await told)[-1], (await follow(engine, running))[-1]

    first, second = asyncio.run(main())
    assert (first.event, first.exit_code, first.reason) == (Event.ERRED, 3, "exit 3")
    assert second.event is Event.SUCCEEDED


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_live_sessions_are_taken_over_with_two_questions_for_all(bench, manager, status):
    """For their names, and once for all of them when they are watched."""
    manager.do(lambda m: m.scheduler.delays.update(PENDING=1000.0 if status == "PENDING" else 0.0))
    manager.do(lambda m: m.scheduler.total.update(cpu=100, mem=10**12))

    def asked():
        filters = [query["variables"].get("filter") for query in manager.do(lambda m: list(m.queries))]
        return [where for where in filters if where and "name" in where]

    async def first(engine, spec):
        return (await anext(engine.follow(spec))).status

    async def main():
        specs = [bench.spec("sleep 1000", case=case) for case in range(8)]
        async with bench.engine() as engine:
            engine._backlog.bound = 1000
            for spec in specs:
                await start(engine, spec)
            await until(lambda: manager.do(lambda m: {one.status for one in m.sessions}) == {status})
        async with bench.engine() as engine:
            manager.do(lambda m: m.queries.clear())
            found = await engine.find(specs)
            assert {report.status for report in found.values()} == {status}
            assert set(await asyncio.gather(*(first(engine, spec) for spec in specs))) == {status}
            await until(lambda: len(asked()) >= 2)
            questions = asked()
            await asyncio.gather(*(engine.cancel(spec.name, grace=0) for spec in specs))
            await asyncio.gather(*(follow(engine, spec) for spec in specs))
            return questions

    by_name, of_all = asyncio.run(main())
    assert by_name.startswith("name in")
    assert of_all.startswith("name like")


def answer_all_lists(manager, body, times):
    """Let the server tell this when it is asked anything, and be asked soon."""

    def change(m):
        m.faults.answer("POST /admin/gql", 200, body, content_type="application/json", times=times)
        m.drop_streams()

    manager.do(change)


def test_an_answer_that_is_no_list_costs_no_case(bench, manager, monkeypatch):
    monkeypatch.setattr(watch, "_FIRST_DELAY", 0.1)

    async def main():
        async with bench.engine() as engine:
            gate = bench.root / "gate"
            spec = bench.spec(f"until [ -e {gate} ]; do sleep 0.05; done; exit 3")
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
            answer_all_lists(manager, b'{"data": {"compute_session_list": null}}', times=5)
            fault = manager.manager.faults._faults[0]
            await until(lambda: fault.met == fault.times)
            gate.touch()
            return (await follow(engine, spec))[-1]

    assert asyncio.run(main()).exit_code == 3


def test_a_session_that_the_server_does_not_know_is_asked_for_some_seconds_before_it_is_lost(
    bench, manager, monkeypatch
):
    monkeypatch.setattr(watch, "_UNKNOWN_SECONDS", 2.0)

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("sleep 1000")
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
            asked = time.monotonic()
            body = b'{"data": {"compute_session_list": {"total_count": 0, "items": []}}}'
            answer_all_lists(manager, body, times=None)
            end = (await follow(engine, spec))[-1]
            took = time.monotonic() - asked
            manager.do(lambda m: m.faults.clear())
            await engine.cancel(spec.name, grace=0)
            return end, took

    end, took = asyncio.run(main())
    assert (end.event, end.reason) == (Event.VANISHED, "the server does not know it any more")
    assert took >= 2.0


@pytest.mark.parametrize("kind", ["batch", "interactive"])
def test_a_command_that_is_too_long_is_refused_before_anything_is_created(bench, manager, kind):
    bench.ask(type=kind)

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("true", env={"X": "é" * 60_000})
            assert engine.admit(spec) is None
            with pytest.raises(EngineDenied, match="bytes"):
                await engine.submit(spec)
            assert len(engine._backlog) == 0
            return await engine.find([spec])

    assert asyncio.run(main()) == {}
    assert manager.do(lambda m: m.received) == []


@pytest.mark.parametrize(("status", "times"), [(503, 1), (409, 1), (429, 4)])
def test_a_broken_session_is_terminated_though_the_server_was_busy_when_it_was_asked(
    bench, manager, status, times
):
    said = b'{"type": "https://api.backend.ai/probs/service-unavailable", "title": "Service unavailable."}'
    kind = "application/problem+json"

    def break_it(m, name):
        m.faults.answer("DELETE /session/*", status, said, content_type=kind, times=times)
        m.session(name).status = "ERROR"
        m.drop_streams()

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("sleep 1000")
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
            manager.do(lambda m: break_it(m, spec.name))
            return (await follow(engine, spec))[-1]

    assert asyncio.run(main()).event is Event.ERRED
    assert manager.do(lambda m: m.calls["DELETE /session/*"]) == times + 1


def full(path):
    """Let a file be one for which the disk has no room."""
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/full")


async def told_of_a_full_disk(engine):
    async with asyncio.timeout(LIMIT):
        while "No space left on device" not in ((await engine.facts()).trouble or ""):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["batch", "interactive"])
@pytest.mark.parametrize("file", ["stdout", "exit", "session"])
def test_a_disk_that_is_full_at_a_cases_end_costs_time_and_is_told(bench, manager, file, kind):
    bench.ask(type=kind)

    async def main():
        async with bench.engine() as engine:
            gate = bench.root / "gate"
            spec = bench.spec(f"until [ -e {gate} ]; do sleep 0.05; done; echo hello; exit 3")
            await start(engine, spec)
            full(spec.sink.folder / file)
            told = asyncio.create_task(follow(engine, spec))
            gate.touch()
            await told_of_a_full_disk(engine)
            await until(lambda: manager.left() == [])
            assert not told.done()
            (spec.sink.folder / file).unlink()
            reports = await told
            assert (await engine.facts()).trouble is None
            return spec, reports

    spec, reports = asyncio.run(main())
    assert (reports[-1].event, reports[-1].exit_code, reports[-1].reason) == (Event.ERRED, 3, "exit 3")
    assert spec.sink.stdout.read_bytes() == b"hello\n"
    assert spec.sink.exit.read_bytes() == b"3\n"
    assert sent.read(spec.sink.folder).end["exit_code"] == 3


def test_a_disk_that_is_full_when_a_session_was_made_loses_and_doubles_nothing(bench, manager):
    manager.do(lambda m: m.faults.delay("POST /session", 0.5))

    async def main():
        spec = bench.spec("exit 3")
        kept = spec.sink.folder / "session"
        async with bench.engine() as engine:
            made = asyncio.create_task(start(engine, spec))
            await until(kept.exists)
            full(kept)
            await made
            await told_of_a_full_disk(engine)
            kept.unlink()
            await follow(engine, spec)
            return sent.read(spec.sink.folder), manager.do(lambda m: m.session(spec.name).id)

    found, id_ = asyncio.run(main())
    assert (found.id, found.end["exit_code"]) == (id_, 3)
    assert len(manager.manager.received) == 1


def test_a_disk_that_is_full_at_a_resume_costs_no_case(bench, manager):
    async def main():
        gate = bench.root / "gate"
        spec = bench.spec(f"until [ -e {gate} ]; do sleep 0.05; done; exit 3")
        kept = spec.sink.folder / "session"
        async with bench.engine() as engine:
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
        full(kept)
        async with bench.engine() as engine:
            assert (await engine.find([spec]))[spec.name].event is Event.STARTED
            await told_of_a_full_disk(engine)
            kept.unlink()
            await until(kept.exists)
            gate.touch()
            return (await follow(engine, spec))[-1]

    assert asyncio.run(main()).exit_code == 3


def test_an_id_that_is_kept_is_not_written_again_at_each_resume(bench, manager):
    async def main():
        spec = bench.spec("sleep 1000")
        kept = spec.sink.folder / "session"
        async with bench.engine() as engine:
            await start(engine, spec)
        before = kept.read_bytes()
        async with bench.engine() as engine:
            await engine.find([spec])
            after = kept.read_bytes()
            await engine.cancel(spec.name, grace=0)
            await follow(engine, spec)
        return before, after

    before, after = asyncio.run(main())
    assert before == after


def test_a_session_that_could_not_start_says_the_servers_reason(bench, manager):
    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("true")
            manager.do(lambda m: m.scheduler.delays.update(SCHEDULED=0.5))
            await start(engine, spec)
            manager.do(lambda m: m.doom(spec.name, error={"repr": "InsufficientResource('cpu')"}))
            return (await follow(engine, spec))[-1]

    end = asyncio.run(main())
    assert end.event is Event.ERRED
    assert "InsufficientResource" in end.reason


FAULT = {"src": "other", "name": "DBAPIError", "repr": "DBAPIError('could not serialize access')"}
LACK = {"src": "agent", "name": "InsufficientResource", "repr": "InsufficientResource('cpu')"}
IMAGELESS = {"src": "agent", "name": "DockerError", "repr": "DockerError(404, 'no such image')"}


@pytest.mark.parametrize(
    ("error", "unbegun"),
    [
        (FAULT, True),
        ({"src": "agent", "name": "MultiAgentError", "repr": "", "collection": [LACK, LACK]}, True),
        ({"src": "agent", "name": "MultiAgentError", "repr": "", "collection": [LACK, IMAGELESS]}, False),
        (IMAGELESS, False),
        ({"src": "agent", "name": "MultiAgentError", "repr": "", "collection": []}, False),
        ({"name": ["DBAPIError"], "collection": 7}, False),
    ],
)
def test_a_session_that_a_passing_fault_of_the_server_ended_on_its_way_up_never_began(
    bench, manager, error, unbegun
):
    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("true")
            manager.do(lambda m: m.scheduler.delays.update(SCHEDULED=0.5))
            await start(engine, spec)
            manager.do(lambda m: m.doom(spec.name, error=error))
            end = (await follow(engine, spec))[-1]
        async with bench.engine() as engine:  # another process reads it from the disk
            again = (await engine.find([spec]))[spec.name]
        return end, again

    end, again = asyncio.run(main())
    assert (end.event, end.unbegun) == (Event.ERRED, unbegun)
    assert again == end


def test_the_secret_key_is_nowhere_on_disk(bench, manager, tmp_path):
    ends(bench, "env")
    secret = os.environ["BACKEND_SECRET_KEY"].encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]


def test_a_quiet_case_costs_at_most_four_requests(bench, manager):
    manager.do(lambda m: m.calls.clear())
    ends(bench, *["true"] * 8)
    calls = manager.do(lambda m: dict(m.calls))
    assert calls["POST /session"] == 8
    assert calls["GET /session/*/logs"] == 8
    assert sum(calls.values()) <= 4 * 8 + 12  # opening, the event stream and the figures of the queue


def test_steps_that_change_nothing_for_a_case_are_not_asked_about(bench, manager):
    steps = ("SCHEDULED", "PREPARING", "PREPARED", "CREATING", "RUNNING", "TERMINATING")
    manager.do(lambda m: m.scheduler.delays.update(dict.fromkeys(steps, 0.6)))

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("true")
            before = manager.do(lambda m: m.calls["POST /admin/gql"])
            await start(engine, spec)
            await follow(engine, spec)
            return manager.do(lambda m: m.calls["POST /admin/gql"]) - before

    # whether its name was used, its creation, the two steps that are news, that it runs, its end
    assert asyncio.run(main()) <= 7


def test_a_stream_of_events_that_breaks_costs_no_case(bench, manager):
    manager.do(lambda m: m.faults.answer("GET /events/session", 502, b"<html>bad gateway</html>", times=100))
    assert ends(bench, "exit 3")[0].exit_code == 3


def test_a_manager_that_is_restarted_in_the_middle_costs_no_case(bench, manager):
    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("while [ ! -e $GATE ]; do sleep 0.05; done; echo through", env={})
            gate = bench.root / "gate"
            spec = replace(spec, env={**spec.env, "GATE": str(gate)})
            await start(engine, spec)
            await until(lambda: manager.do(lambda m: m.session(spec.name).status) == "RUNNING")
            await asyncio.to_thread(manager.do, lambda m: m.stop())
            gate.touch()
            await until(lambda: engine._watch.trouble is not None or not engine._watch.hears)
            await asyncio.to_thread(manager.do, lambda m: m.start())
            return (await follow(engine, spec))[-1]

    assert asyncio.run(main()).exit_code == 0
    assert bench.spec().sink.stdout.read_bytes() == b"through\n"


@pytest.mark.parametrize("kind", ["batch", "interactive"])
def test_that_output_came_is_told_while_the_case_runs(bench, kind):
    bench.ask(type=kind)

    async def main():
        async with bench.engine() as engine, asyncio.timeout(60):
            gate = bench.root / "gate"
            spec = bench.spec(f"echo first; while [ ! -e {gate} ]; do sleep 0.05; done")
            engine.watch([spec.name])
            await start(engine, spec)
            reports = []
            async for report in engine.follow(spec):
                reports.append(report)
                if report.event is None and spec.sink.stdout.exists() and spec.sink.stdout.read_bytes():
                    gate.touch()
            return reports[-1].event

    assert asyncio.run(main()) is Event.SUCCEEDED


@pytest.mark.parametrize("kind", ["batch", "interactive"])
def test_a_session_that_is_sent_back_says_so_and_runs_once_more(bench, manager, kind):
    bench.ask(type=kind)

    async def main():
        async with bench.engine() as engine:
            text = "echo begun; [ ! -e $GATE ] || exit 0; sleep 1000"
            spec = bench.spec(text, env={"GATE": str(bench.root / "gate")})
            await start(engine, spec)
            engine.watch([spec.name])
            await until(lambda: spec.sink.stdout.exists() and spec.sink.stdout.read_bytes())
            (bench.root / "gate").touch()
            manager.do(lambda m: m.scheduler.delays.update(PENDING=2.0))
            manager.do(lambda m: m.reschedule(spec.name))
            return await follow(engine, spec), spec.sink.stdout.read_text()

    reports, printed = asyncio.run(main())
    told = [(one.event, one.reason) for one in reports if one.event is not None]
    back = [reason for event, reason in told[2:] if event is Event.ACCEPTED]
    assert back
    assert back[0].startswith("sent back to waiting by the server")
    assert told[-1] == (Event.SUCCEEDED, None)
    again = "[sweep-tui: the session was started anew by the server; its output begins again here]\n"
    assert printed == f"begun\n{again}begun\n"


@pytest.mark.parametrize("status", ["SCHEDULED", "PREPARING", "CREATING"])
def test_a_session_that_is_sent_back_before_it_ran_says_so(bench, manager, status):
    manager.do(lambda m: m.scheduler.delays.update({status: 1000.0}))

    def send_back(m, name):
        m.scheduler.delays.update({status: 0.0, "PENDING": 2.0})
        m.reschedule(name)

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("true")
            await start(engine, spec)
            await until(lambda: engine._watch.sessions[spec.name].status == status)
            manager.do(lambda m: send_back(m, spec.name))
            return await follow(engine, spec)

    told = [(one.event, one.reason) for one in asyncio.run(main()) if one.event is not None]
    back = [reason for event, reason in told[1:] if event is Event.ACCEPTED and reason]
    assert back == ["sent back to waiting by the server"]
    assert told[-1] == (Event.SUCCEEDED, None)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_step_of_a_usual_life_is_one_back(tmp_path, monkeypatch, version):
    async def main(bench):
        async with bench.engine() as engine:
            spec = bench.spec("true")
            await start(engine, spec)
            return await follow(engine, spec)

    with served(version=version) as manager:
        steps = ("PENDING", *manager.manager.dialect.starting, "RUNNING", "TERMINATING")
        manager.do(lambda m: m.scheduler.delays.update(dict.fromkeys(steps, 0.5)))
        reports = asyncio.run(main(bench_at(manager, tmp_path, monkeypatch)))
    moves = [one.event for one in reports if one.event is not None]
    assert moves == sorted(moves)
    assert [one.reason for one in reports if (one.reason or "").startswith("sent back")] == []
