"""A sweep whose server, or a proxy before it, does not let it in for a while: it waits, and nothing is lost."""

import asyncio
import os

import pytest

from tests.engines.backendai.clocks import run_jumping
from tests.engines.backendai.manager import IMAGE, USER, Outcome
from tests.engines.backendai.serving import served
from tests.engines.backendai.sites import Site, configured, problem, reply, serving
from tests.engines.backendai.sweeps import begun, running, until
from tests.engines.contract import Bench
from tui_sweep.core.errors import EngineBusy, EngineError
from tui_sweep.core.states import Event, State
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai import client as client_module
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.client import Client
from tui_sweep.engines.backendai.disk import Disk
from tui_sweep.engines.backendai.listing import Item
from tui_sweep.engines.backendai.logs import Logs
from tui_sweep.engines.backendai.problems import Problem
from tui_sweep.engines.backendai.session import Session
from tui_sweep.engines.backendai.verdicts import Barred
from tui_sweep.run.runner import open_runner

PAGE = b"<html><head><title>Sign in</title></head></html>"
CASES = 40
"""More than the site lets run at once."""


def clock(manager):
    manager.skew = 3600.0


def key(manager):
    manager.keypairs[USER.access_key] = USER.but(is_active=False)


def redirect(manager):
    manager.faults.answer("* *", 302, PAGE, headers={"Location": "https://sso.example/"}, times=None)


def page(manager):
    manager.faults.answer("* *", 404, PAGE, times=None)


def text(manager):
    manager.faults.answer("* *", 404, b"404 page not found", content_type="text/plain", times=None)


DENIALS = {
    clock: "clock",
    key: "unknown there or not active",
    redirect: "redirects to https://sso.example",
    page: "Sign in",
    text: "knows no such request",
}


def allow(manager):
    manager.skew = 0.0
    manager.keypairs[USER.access_key] = USER
    manager.faults.clear()


@pytest.fixture
def manager(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("BACKEND_", "SORNA_")):
            monkeypatch.delenv(name)
    with served(capacity={"cpu": 1000, "mem": 1 << 40}, canned=lambda command, environ: Outcome()) as manager:
        for name, value in manager.environ().items():
            monkeypatch.setenv(name, value)
        manager.do(lambda m: m.faults.delay("POST /session", 0.1))  # so that some are still to come
        yield manager


def asked(manager):
    """How many requests a case may have made before it is sent: it was sent before, perhaps."""
    return manager.manager.calls["POST /session"] + manager.manager.calls["POST /admin/gql"]


@pytest.mark.parametrize("denial", DENIALS, ids=lambda denial: denial.__name__)
def test_cases_that_are_not_let_in_wait_and_run_when_they_are(tmp_path, monkeypatch, manager, denial):
    monkeypatch.setattr(client_module, "_BARRED_PAUSE", 0.2)

    async def main():
        async with running(begun(tmp_path, CASES)) as runner:
            await until(lambda: manager.manager.calls["POST /session"])
            manager.do(denial)
            await until(lambda: DENIALS[denial] in (runner.scheduler.refusal or ""))
            burst = asked(manager)
            await until(lambda: asked(manager) >= burst + 2)
            assert runner.table.counts[State.FAILED] == 0
            facts = await runner.engine.facts()
            assert not facts.reachable
            assert DENIALS[denial] in facts.server
            manager.do(allow)
        return runner.table.counts[State.DONE]

    assert asyncio.run(main()) == CASES
    assert len(manager.manager.sessions) == CASES


def test_one_case_at_a_time_finds_out_whether_it_is_let_in(tmp_path, monkeypatch, manager):
    monkeypatch.setattr(client_module, "_BARRED_PAUSE", 0.3)

    async def main():
        async with running(begun(tmp_path, CASES)) as runner:
            await until(lambda: manager.manager.calls["POST /session"])
            manager.do(key)
            await until(lambda: runner.engine._door.trouble and not runner.table.counts[State.SUBMITTING])
            first = asked(manager)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await until(lambda: asked(manager) >= first + 3)
            assert loop.time() - began > 0.5
            assert runner.engine._backlog.bound == 30  # a word about the key says nothing of the queue
            manager.do(allow)

    asyncio.run(main())


def test_an_image_that_is_not_there_fails_its_cases_all_the_same(tmp_path, manager):
    manager.manager.images = frozenset()

    async def main():
        async with running(begun(tmp_path, 3)) as runner:
            pass
        return runner.table.counts[State.FAILED], runner.table.reason(0)

    failed, reason = asyncio.run(main())
    assert failed == 3
    assert "no image" in reason


@pytest.mark.parametrize("denial", DENIALS, ids=lambda denial: denial.__name__)
def test_who_is_not_let_in_at_the_start_is_told_at_once(tmp_path, manager, denial):
    folder = begun(tmp_path, 3)
    manager.do(denial)

    async def main():
        await open_runner(folder).run()

    with pytest.raises(EngineError) as caught:
        asyncio.run(main())
    assert caught.value.exit_code == 3


def test_the_last_log_of_a_case_is_waited_for_while_nobody_is_let_in(tmp_path):
    denials = 20

    class Denying:
        async def logs(self, id_):
            nonlocal denials
            if denials:
                denials -= 1
                raise Barred("sign in", Problem(404), retry_after=30.0)
            return "hello\n"

    spec = Bench(backendai, IMAGE, tmp_path).spec("true")
    item = Item("id", spec.name, "TERMINATED", None, {}, "SUCCESS", 1.0, 2.0, None)
    report = run_jumping(Logs(Denying(), Disk()).finish(Session(spec, id="id", ran=True), item))
    assert denials == 0
    assert report.event is Event.SUCCEEDED


def test_a_proxys_404_does_not_say_that_a_session_is_gone():
    async def main():
        async with serving(Site()) as site:
            api = Api(Client(configured(site.url)))
            await api.open()
            site.answers["/session/x"] = [reply(PAGE, 404), problem(404, "object-not-found")]
            with pytest.raises(EngineBusy):
                await api.terminate("x", forced=False)
            assert await api.terminate("x", forced=False)
            await api.close()

    asyncio.run(main())
