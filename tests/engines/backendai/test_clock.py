"""A server whose clock is another: what it tells of times is told by ours."""

import asyncio
import os
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.backendai.manager import IMAGE, USER2
from tests.engines.backendai.serving import served
from tests.engines.backendai.sweeps import begun, running
from tests.engines.contract import Bench, follow, start, until
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import State
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai.clock import Clock

SECONDS = st.floats(0.0, 5.0)


def heard(clock, ahead, sent, took, written):
    """An answer of a server that is so far ahead, written so far into the time it took."""
    clock.heard(formatdate(int(sent + took * written + ahead), usegmt=True), sent, sent + took)


@given(st.floats(-900, 900), st.lists(st.tuples(st.floats(0, 1e5), SECONDS, st.floats(0, 1)), min_size=1))
def test_it_is_never_farther_off_than_an_answer_takes_and_its_second(ahead, answers):
    clock = Clock()
    for later, took, written in answers:
        heard(clock, ahead, 1e9 + later, took, written)
    longest = max(took for _, took, _ in answers)
    assert abs(clock.ahead - ahead) <= longest + 1 + 2 + 1e-3


@given(st.floats(-1.9, 1.9), st.lists(st.tuples(st.floats(0, 1e5), SECONDS, st.floats(0, 1))))
def test_what_a_second_can_feign_is_none(ahead, answers):
    clock = Clock()
    for later, took, written in answers:
        heard(clock, ahead, 1e9 + later, took, written)
    assert clock.ahead == 0.0


def test_it_does_not_jitter_and_follows_a_clock_that_is_set():
    clock = Clock()
    heard(clock, 600.0, 1e9, 0.1, 0.5)
    believed = clock.ahead
    assert believed == pytest.approx(600.0, abs=0.6)
    for tenth in range(1, 100):
        clock.heard(
            formatdate(int(1e9 + believed + tenth / 10), usegmt=True), 1e9 + tenth / 10, 1e9 + tenth / 10
        )
    assert clock.ahead == believed
    heard(clock, 0.0, 1e9 + 100, 0.1, 0.5)
    assert clock.ahead == 0.0


@pytest.mark.parametrize("date", [None, "", "tomorrow", "Sat, 99 Nov 2026 99:00:00 GMT"])
def test_what_is_no_date_tells_nothing(date):
    clock = Clock()
    clock.heard(date, 1e9, 1e9)
    assert clock.ahead == 0.0


def test_an_answer_that_took_long_tells_nothing():
    clock = Clock()
    clock.heard(formatdate(0, usegmt=True), 1e9, 1e9 + 60)
    assert clock.ahead == 0.0


@pytest.fixture(params=[600.0, -600.0])
def manager(request, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("BACKEND_", "SORNA_")):
            monkeypatch.delenv(name)
    with served() as manager:
        manager.manager.skew = request.param
        for name, value in manager.environ().items():
            monkeypatch.setenv(name, value)
        yield manager


def test_a_case_has_run_as_long_as_it_has(tmp_path, manager):
    async def main():
        async with running(begun(tmp_path, 1, "sleep 0.5")) as runner:
            pass
        assert runner.table.state_of(0) is State.DONE
        return runner.table.ended[0] - runner.table.started[0]

    began = time.time()
    assert 0.0 <= asyncio.run(main()) <= time.time() - began


def test_a_session_waits_since_it_was_sent(tmp_path, manager, monkeypatch):
    for name, value in manager.environ(USER2).items():
        monkeypatch.setenv(name, value)
    bench = Bench(backendai, IMAGE, tmp_path)
    bench.environ = dict(os.environ)
    bench.ask(slots=Slots({"cpu": 1, "mem": 256 << 20}))
    began = time.time()

    async def main():
        async with bench.engine() as engine:
            first, second = bench.spec("sleep 1000", case=0), bench.spec("true", case=1)
            await start(engine, first)
            await until(lambda: engine._watch.sessions[first.name].ran)
            await start(engine, second)
            await until(lambda: engine._watch.sessions[second.name].since)
            (waiting,) = (await engine.facts()).waiting
            await engine.cancel(first.name, grace=0)
            await follow(engine, first)
            await follow(engine, second)
            return waiting["since"]

    assert began - 1.5 <= asyncio.run(main()) <= time.time()
