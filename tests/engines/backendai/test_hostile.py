"""What a server may say that no server says: a case's end comes all the same, and the runner lives."""

import asyncio
import json
import logging
import os

import pytest

from tests.engines.backendai.manager import IMAGE
from tests.engines.backendai.serving import served
from tests.engines.backendai.sites import Site, configured, problem, reply, serving
from tests.engines.backendai.sweeps import begun, running, until
from tests.engines.contract import Bench, follow, start
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import State
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai import cluster, queue
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.client import Client
from tui_sweep.engines.backendai.listing import moment
from tui_sweep.engines.backendai.logs import Logs
from tui_sweep.engines.backendai.problems import read_problem
from tui_sweep.engines.backendai.watch import Watch

DEEP = "[" * 100_000
HALF = "\ud800"
"""Half of a character: legal in JSON, and in no file."""


@pytest.fixture
def manager(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("BACKEND_", "SORNA_")):
            monkeypatch.delenv(name)
    with served() as manager:
        for name, value in manager.environ().items():
            monkeypatch.setenv(name, value)
        yield manager


@pytest.fixture
def bench(tmp_path, manager):
    bench = Bench(backendai, IMAGE, tmp_path)
    bench.environ = dict(os.environ)
    return bench.ask(slots=Slots({"cpu": 1, "mem": 256 << 20}))


def tell(manager, session, times, **changes):
    """Have the list say something else of a session, so many times."""
    item = {"session_id": session.id, "name": session.name, "status": session.status} | changes
    told = {"data": {"compute_session_list": {"total_count": 1, "items": [item]}}}
    body = json.dumps(told).encode()
    fault = manager.faults.answer("POST /admin/gql", 200, body, content_type="application/json", times=times)
    manager.drop_streams()  # so that the list is read
    return fault


def end_of(bench, manager, meanwhile):
    """The end of a case of exit code 3, to which something happens while it runs."""
    go = bench.root / "go"

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec(f"until [ -e {go} ]; do sleep 0.1; done; exit 3")
            await start(engine, spec)
            await until(lambda: engine._watch.sessions[spec.name].ran)
            await meanwhile(engine, spec)
            go.touch()
            return (await follow(engine, spec))[-1]

    return asyncio.run(main())


def test_a_status_nested_as_deep_as_it_is_long_costs_no_case(bench, manager):
    async def meanwhile(engine, spec):
        fault = manager.do(lambda m: tell(m, m.session(spec.name), 1, status_data=DEEP))
        await until(lambda: fault.met)

    assert end_of(bench, manager, meanwhile).exit_code == 3


@pytest.mark.parametrize("field", ["status", "status_info"])
def test_half_a_character_in_a_status_does_not_end_the_runner(tmp_path, manager, field):
    async def main():
        go = tmp_path / "go"
        command = f"until [ -e {go} ]; do sleep 0.1; done; exit 0"
        async with running(begun(tmp_path, 1, command)) as runner:
            await until(lambda: runner.table.state_of(0) is State.RUNNING)
            session = manager.do(lambda m: m.sessions[0])
            fault = manager.do(lambda m: tell(m, session, 1, **{field: f"RUNNING{HALF}"}))
            await until(lambda: fault.met)
            await until(lambda: field != "status" or "ud800" in (runner.table.status.get(0) or "").lower())
            go.touch()
        return runner.table.state_of(0)

    assert asyncio.run(main()) is State.DONE


def test_half_a_character_in_an_id_is_made_harmless():
    async def main():
        async with serving(Site()) as site:
            api = Api(Client(configured(site.url)))
            await api.open()
            exists = problem(400, "session-already-exists", data={"existingSessionId": f"x{HALF}"})
            site.answers["/session"] = [reply({"sessionId": f"x{HALF}"}, 201), exists]
            ids = [await api.create({}), await api.create({})]
            await api.close()
            return ids

    assert asyncio.run(main()) == ["x\\ud800"] * 2


def test_figures_and_reasons_nested_deep_are_none():
    deep = current = {}
    for _ in range(700):
        current["msg"] = current = {}
    assert queue._read(DEEP) is None
    assert queue.said({"scheduler": deep}, "x") is None
    assert read_problem(400, {}, b'{"title": "No.", "data": {"x": %b}}' % (b"[" * 900 + b"]" * 900)).words
    assert moment("2026-01-02") == 1767312000.0


@pytest.mark.parametrize(("part", "method"), [(Watch, "apply"), (Logs, "run")])
def test_a_fault_of_ours_in_what_watches_is_logged_and_costs_no_case(
    bench, manager, monkeypatch, caplog, part, method
):
    monkeypatch.setattr(cluster, "_ANEW", 0.05)
    kept = getattr(part, method)
    failures = 1

    def failing(self, *args):
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("boo")
        return kept(self, *args)

    monkeypatch.setattr(part, method, failing)

    async def meanwhile(engine, spec):
        assert "begins anew" in caplog.text

    with caplog.at_level(logging.ERROR):
        assert end_of(bench, manager, meanwhile).exit_code == 3
    assert "boo" in caplog.text


def test_the_end_of_a_case_that_is_being_read_outlives_a_fault_of_the_watch(bench, manager, monkeypatch):
    monkeypatch.setattr(cluster, "_ANEW", 0.05)
    kept, heard = Logs.finish, Watch._heard
    reading, failed = asyncio.Event(), asyncio.Event()

    async def finish(self, session, item):
        reading.set()
        await failed.wait()
        return await kept(self, session, item)

    def failing(self, name, told):
        if reading.is_set() and not failed.is_set():
            failed.set()
            raise RuntimeError("boo")
        heard(self, name, told)

    monkeypatch.setattr(Logs, "finish", finish)
    monkeypatch.setattr(Watch, "_heard", failing)

    async def meanwhile(engine, spec):
        go = bench.root / "go"
        go.touch()
        await reading.wait()
        manager.do(lambda m: m.drop_streams())

    assert end_of(bench, manager, meanwhile).exit_code == 3
