"""Interactive sessions: the same contract, output that comes live, and no case lost with an answer."""

import asyncio
from dataclasses import replace

import pytest

from tests.engines.backendai.serving import served
from tests.engines.backendai.test_engine import bench_at, ends, no_settings_of_the_machine
from tests.engines.contract import EngineContract, follow, start, until
from tui_sweep.core.errors import EngineDenied
from tui_sweep.core.states import Event
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai import sent

__all__ = ["no_settings_of_the_machine"]

POLL = 0.2
"""Seconds for which the stub collects output before it answers; the real servers take two."""


class Contract(EngineContract):
    module = backendai
    version = ""

    @pytest.fixture
    def manager(self):
        with served(version=self.version, poll=POLL) as manager:
            yield manager
            assert manager.left() == [], "something of ours is left on the cluster"

    @pytest.fixture
    def bench(self, tmp_path, monkeypatch, manager):
        return bench_at(manager, tmp_path, monkeypatch).ask(type="interactive")


class TestOn26(Contract):
    version = "26.9.6"


class TestOn25(Contract):
    version = "25.5.2"


class TestOn23(Contract):
    version = "23.9.10"


del Contract, EngineContract


@pytest.fixture
def manager():
    with served(poll=POLL) as manager:
        yield manager


@pytest.fixture
def bench(tmp_path, monkeypatch, manager):
    return bench_at(manager, tmp_path, monkeypatch).ask(type="interactive")


GATED = "echo first; while [ ! -e $GATE ]; do sleep 0.05; done; echo last; exit 3"


def gated(bench, text=GATED, **changes):
    spec = bench.spec(text, **changes)
    return replace(spec, env={**spec.env, "GATE": str(bench.root / "gate")})


def written(spec, line):
    return lambda: spec.sink.stdout.exists() and line in spec.sink.stdout.read_bytes()


def test_a_session_is_asked_for_as_interactive_and_without_a_startup_command(bench, manager):
    assert ends(bench, "exit 3")[0].exit_code == 3
    (body,) = manager.do(lambda m: m.received)
    assert body["type"] == "interactive"
    assert "startupCommand" not in body


def test_output_is_there_while_the_case_runs_and_its_log_is_never_asked_for(tmp_path, monkeypatch):
    """On 25, that is: 26 loses what is printed before it is listened to."""
    with served(version="25.5.2", poll=POLL) as manager:
        bench = bench_at(manager, tmp_path, monkeypatch).ask(type="interactive")

        async def main():
            async with bench.engine() as engine:
                spec = gated(bench)
                await start(engine, spec)
                await until(written(spec, b"first\n"))
                (bench.root / "gate").touch()
                return (await follow(engine, spec))[-1], spec.sink.stdout.read_bytes()

        end, printed = asyncio.run(main())
        assert (end.exit_code, end.reason) == (3, "exit 3")
        assert printed == b"first\nlast\n"
        assert manager.do(lambda m: m.calls["GET /session/*/logs"]) == 0


def test_output_that_the_server_dropped_comes_out_of_the_log(bench):
    """What is printed before the first answer was read never comes live on 26."""
    text = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done"
    assert ends(bench, text)[0].exit_code == 0
    assert bench.spec().sink.stdout.read_text() == "".join(f"line {i}\n" for i in range(300))


@pytest.mark.parametrize("work", [True, False])
@pytest.mark.parametrize("when", ["first", "later"])
def test_an_answer_that_was_lost_costs_no_case_and_no_line(bench, manager, work, when):
    async def main():
        async with bench.engine() as engine:
            spec = gated(bench)
            if when == "first":
                manager.do(lambda m: m.faults.cut("POST /session/*", work=work))
            await start(engine, spec)
            if when == "later":
                await until(written(spec, b"first\n"))
                manager.do(lambda m: m.faults.cut("POST /session/*", work=work))
            else:
                await until(written(spec, b"first\n"))
            (bench.root / "gate").touch()
            return (await follow(engine, spec))[-1], spec.sink.stdout.read_bytes()

    end, printed = asyncio.run(main())
    assert end.exit_code == 3
    assert printed == b"first\nlast\n"


def test_the_last_answer_that_was_lost_is_not_asked_for_again(bench, manager):
    """To continue a run that is over hangs the session for ever: its log is looked at before."""

    async def main():
        async with bench.engine() as engine:
            spec = gated(bench)
            await start(engine, spec)
            await until(written(spec, b"first\n"))
            fault = manager.do(lambda m: m.faults.cut("POST /session/*", work=True, times=None))
            await until(lambda: fault.met)
            (bench.root / "gate").touch()
            return (await follow(engine, spec))[-1]

    assert asyncio.run(main()).exit_code == 3


def test_a_process_that_was_killed_is_followed_by_one_that_loses_and_doubles_nothing(bench, manager):
    async def main():
        spec = gated(bench, "echo began >> runs; cat runs; " + GATED)
        async with bench.engine() as engine:
            await start(engine, spec)
            await until(written(spec, b"first\n"))
        async with bench.engine() as other:
            found = await other.find([spec])
            assert found[spec.name].event is Event.STARTED
            (bench.root / "gate").touch()
            return (await follow(other, spec))[-1], spec.sink.stdout.read_bytes()

    end, printed = asyncio.run(main())
    assert end.exit_code == 3
    assert printed == b"began\nfirst\nlast\n"


def test_a_run_that_is_refused_before_it_began_ends_its_session(bench, manager):
    """Its case would be called running for ever."""
    manager.do(lambda m: m.faults.answer("POST /session/*", 403, b'{"title": "no"}', times=None))

    async def main():
        async with bench.engine() as engine:
            spec = bench.spec("true")
            await start(engine, spec)
            return (await follow(engine, spec))[-1]

    assert asyncio.run(main()).event is Event.VANISHED
    assert manager.left() == []


def test_a_manager_that_is_restarted_in_the_middle_costs_no_case(bench, manager):
    async def main():
        async with bench.engine() as engine:
            spec = gated(bench)
            await start(engine, spec)
            await until(written(spec, b"first\n"))
            await asyncio.to_thread(manager.do, lambda m: m.stop())
            (bench.root / "gate").touch()
            await asyncio.to_thread(manager.do, lambda m: m.start())
            return (await follow(engine, spec))[-1], spec.sink.stdout.read_bytes()

    end, printed = asyncio.run(main())
    assert end.exit_code == 3
    assert printed == b"first\nlast\n"


def test_a_program_that_asks_for_input_gets_the_end_of_it(bench):
    assert ends(bench, "python3 -c 'input()'")[0].exit_code == 1
    assert b"EOFError" in bench.spec().sink.stderr.read_bytes()


def test_a_container_killed_from_outside_is_lost_and_says_so(bench, manager):
    async def main():
        async with bench.engine() as engine:
            spec = gated(bench)
            await start(engine, spec)
            await until(written(spec, b"first\n"))
            manager.do(lambda m: m.kill_container(spec.name))
            return (await follow(engine, spec))[-1]

    end = asyncio.run(main())
    assert (end.event, end.exit_code) == (Event.VANISHED, None)


def test_a_kept_session_lives_on_after_its_case(bench, manager):
    bench.ask(keep=True)
    assert ends(bench, "exit 3")[0].exit_code == 3
    assert manager.left() == ["ab12cd34-0"]


@pytest.mark.parametrize("version", ["26.9.6", "25.5.2", "23.9.10"])
@pytest.mark.parametrize("group", [{}, {"scaling_group": "default"}], ids=["no group", "a group"])
def test_where_no_batch_sessions_are_taken_interactive_ones_are_made_and_it_is_said(
    tmp_path, monkeypatch, version, group
):
    with served(version=version, poll=POLL) as manager:
        manager.do(lambda m: m.take_only("interactive"))
        bench = bench_at(manager, tmp_path, monkeypatch).ask(options=group)

        async def main():
            async with bench.engine() as engine:
                specs = [bench.spec("exit 3", case=case) for case in range(3)]
                for spec in specs:
                    assert engine.admit(spec) is None
                await asyncio.gather(*(engine.submit(spec) for spec in specs))  # all are refused as batch
                kept = [sent.read(spec.sink.folder).kind for spec in specs]
                ended = [(await follow(engine, spec))[-1] for spec in specs]
                return ended, (await engine.facts()).notes, kept

        ended, notes, kept = asyncio.run(main())
        assert [end.exit_code for end in ended] == [3, 3, 3]
        assert kept == ["interactive"] * 3
        assert notes[0].startswith("interactive sessions: this resource group takes no batch ones")
        assert manager.left() == []


def test_where_only_batch_sessions_are_taken_interactive_ones_are_refused_with_what_to_do(bench, manager):
    manager.do(lambda m: m.take_only("batch"))

    async def main():
        spec = bench.spec("true")
        async with bench.engine() as engine:
            engine.admit(spec)
            with pytest.raises(EngineDenied, match=r"does not take sessions of this type.*--type"):
                await engine.submit(spec)

    asyncio.run(main())
