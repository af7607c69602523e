"""The keeper: it may die, the runner may die, and neither takes a case along."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.engines.conftest import is_alive, marked
from tests.engines.contract import Bench, follow, run, start, until
from tui_sweep.core.errors import EngineBusy, EngineUnreachable
from tui_sweep.core.states import Event
from tui_sweep.engines.local import keeper, sessions, starts
from tui_sweep.engines.local.engine import LocalEngine
from tui_sweep.engines.local.tree import census, look

RUNNER = """
import asyncio, sys
from pathlib import Path
from tests.engines.contract import Bench, start
from tui_sweep.engines import local
bench = Bench(local, "sh", Path(sys.argv[1]))
async def main():
    async with bench.engine() as engine:
        await start(engine, bench.spec("sleep 1000"))
        print(engine._sessions._keepers[0].pid, flush=True)
        sys.stdin.readline()
        await start(engine, bench.spec("sleep 1000", case=1))
        print("second", flush=True)
        sys.stdin.readline()
asyncio.run(main())
"""


def pid_of(engine: object) -> int:
    """The living keeper's."""
    assert isinstance(engine, LocalEngine)
    return engine._sessions._keepers[-1].pid


def keepers() -> list[int]:
    """Living children of ours that are keepers."""
    mine = [process for process in census().values() if process.parent == os.getpid() and process.is_alive]
    told = [(p.pid, Path(f"/proc/{p.pid}/cmdline").read_bytes().split(b"\0")) for p in mine]
    return [pid for pid, words in told if keeper.__file__.encode() in words]


def runner(bench: Bench) -> subprocess.Popen[bytes]:
    """One in a session of its own, as a terminal's foreground process is in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(bench.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
    )  # fmt: skip


def told(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def end_all(bench: Bench, *cases: int) -> None:
    """What a runner before us left."""
    async with bench.engine() as engine:
        for case in cases:
            await engine.cancel(bench.spec(case=case).name, grace=5)
            assert (await follow(engine, bench.spec(case=case)))[-1].event is Event.ERRED


def test_it_is_gone_when_the_engine_is_closed_after_its_last_case(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            await until(lambda: keepers() == [pid_of(engine)])
            await run(engine, bench.spec("true"))
        assert keepers() == []
        assert look(pid_of(engine)) is None  # not even a zombie

    asyncio.run(main())


def test_it_outlives_a_closed_engine_as_long_as_it_has_cases(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            await start(engine, bench.spec("sleep 1000"))
        await until(lambda: keepers() == [pid_of(engine)])
        async with bench.engine() as other:
            assert (await other.find([bench.spec()]))[bench.spec().name].event is Event.STARTED

    asyncio.run(main())
    asyncio.run(end_all(bench, 0))
    wait_until(lambda: not keepers())


def test_a_killed_runner_leaves_its_cases_and_who_keeps_how_they_end(bench: Bench) -> None:
    with runner(bench) as process:
        pid = int(told(process))
        process.kill()
    assert is_alive(pid)
    asyncio.run(end_all(bench, 0))
    wait_until(lambda: not is_alive(pid))


def test_an_end_that_its_keeper_has_yet_to_write_is_waited_for(bench: Bench) -> None:
    with runner(bench) as process:
        pid = int(told(process))
        process.kill()
    case, *_ = wait_until(lambda: marked(bench.root))
    os.kill(pid, signal.SIGSTOP)

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec()
            assert (await engine.find([spec]))[spec.name].session == f"pid:{case}"
            following = asyncio.ensure_future(follow(engine, spec))
            os.kill(case, signal.SIGTERM)
            await until(lambda: not is_alive(case))
            async with bench.engine() as third:  # for a zombie that is kept, too
                assert (await third.find([spec]))[spec.name].event is Event.STARTED
            assert not following.done()
            os.kill(pid, signal.SIGCONT)
            assert [report.session for report in await following] == [f"pid:{case}"] * 2
            assert following.result()[-1].exit_code == 143

    asyncio.run(main())


def test_without_runner_and_keeper_an_end_is_told_as_vanished(bench: Bench) -> None:
    with runner(bench) as process:
        pid = int(told(process))
        process.kill()
    (case,) = wait_until(lambda: marked(bench.root))
    for number in (pid, case):
        os.kill(number, signal.SIGKILL)
        wait_until(lambda number=number: not is_alive(number))

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec()
            found = (await engine.find([spec]))[spec.name]
            assert (found.event, found.reason) == (Event.VANISHED, "ended without telling how")

    asyncio.run(main())


def test_a_case_that_kills_its_keeper_hurts_nobody(bench: Bench) -> None:
    gate = bench.root / "gate"

    async def main() -> None:
        async with bench.engine() as engine:
            first = bench.spec("sleep 1000")
            second = bench.spec(f"until [ -e {gate} ]; do sleep 0.02; done; kill -KILL $PPID; exit 9", case=1)
            await start(engine, first)
            await start(engine, second)
            gate.touch()
            assert (await follow(engine, second))[-1].exit_code == 9
            await engine.cancel(first.name, grace=5)
            assert (await follow(engine, first))[-1].exit_code == 143

    asyncio.run(main())


def test_a_case_may_signal_its_parent_as_it_would_a_shell(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            before = pid_of(engine)
            text = "for name in USR1 USR2 ALRM TSTP CHLD; do kill -$name $PPID; done; exit 4"
            assert (await run(engine, bench.spec(text)))[0].exit_code == 4
            assert (await run(engine, bench.spec("kill -USR1 $$", case=1)))[0].exit_code == 138
            assert pid_of(engine) == before

    asyncio.run(main())


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_to_the_terminals_group_is_not_for_it(bench: Bench, name: str) -> None:
    with runner(bench) as process:
        pid = int(told(process))
        assert os.getpgid(pid) != process.pid
        assert os.getsid(pid) != process.pid
        os.kill(pid, getattr(signal, name))  # and even sent to itself
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert told(process) == b"second"
        assert is_alive(pid)
        process.kill()
    asyncio.run(end_all(bench, 0, 1))


def test_when_it_is_killed_the_ends_of_its_children_are_told_all_the_same(bench: Bench) -> None:
    gate = bench.root / "gate"

    async def main() -> None:
        async with bench.engine() as engine:
            first = bench.spec(f"while [ ! -e {gate} ]; do sleep 0.02; done; mkdir $SWEEP_DIR/exit; exit 4")
            await start(engine, first)
            died = pid_of(engine)
            os.kill(died, signal.SIGKILL)
            await until(lambda: look(died) is None)
            await start(engine, bench.spec("exit 5", case=1))
            assert pid_of(engine) != died
            gate.touch()
            # known from the wait status: nothing could be written
            assert (await follow(engine, first))[-1].exit_code == 4
            assert (await follow(engine, bench.spec(case=1)))[-1].exit_code == 5
            await until(lambda: keepers() == [pid_of(engine)])
            assert look(died) is None

    asyncio.run(main())


def test_an_end_between_its_death_and_ours_hearing_of_it_is_told(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            specs = [bench.spec("read x < $SWEEP_DIR/gate; exit 3", case=case) for case in range(8)]
            for spec in specs:
                os.mkfifo(spec.sink.folder / "gate")
                await start(engine, spec)
            gates = [await asyncio.to_thread(os.open, s.sink.folder / "gate", os.O_WRONLY) for s in specs]
            for gate in gates[:4]:
                os.close(gate)
            os.kill(pid_of(engine), signal.SIGKILL)
            for gate in gates[4:]:
                os.close(gate)
            assert [(await follow(engine, spec))[-1].exit_code for spec in specs] == [3] * 8

    asyncio.run(main())


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_launch_that_was_on_its_way_is_settled_by_its_claim(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Killed before it started the case, or when it had, and before it told."""

    def losing(self: starts.Keeper, number: int, pid: int, code: int, by: int) -> None:
        monkeypatch.setattr(starts.Keeper, "_settle", settle)
        os.kill(self.pid, signal.SIGKILL)

    settle: Callable[[starts.Keeper, int, int, int, int], None] = starts.Keeper._settle

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("echo once; exit 6")
            assert engine.admit(spec) is None
            if when == "after":
                monkeypatch.setattr(starts.Keeper, "_settle", losing)
                await engine.submit(spec)
            else:
                os.kill(pid_of(engine), signal.SIGSTOP)
                submitted = asyncio.ensure_future(engine.submit(spec))
                await asyncio.sleep(0)
                os.kill(pid_of(engine), signal.SIGKILL)
                with pytest.raises(EngineBusy, match="was killed"):
                    await submitted
                assert not (spec.sink.folder / "claim").exists()
                assert (await engine.facts()).capacity["cpu"]["used"] == "0"
                await start(engine, spec)
            assert (await follow(engine, spec))[-1].exit_code == 6
            assert spec.sink.stdout.read_bytes() == b"once\n"
            assert (await engine.facts()).capacity["cpu"]["used"] == "0"

    asyncio.run(main())


def test_a_launch_whose_asker_was_cancelled_is_followed_all_the_same(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("sleep 0.1; exit 2")
            assert engine.admit(spec) is None
            submitted = asyncio.ensure_future(engine.submit(spec))
            await asyncio.sleep(0)
            submitted.cancel()
            await asyncio.wait([submitted])
            assert submitted.cancelled()
            assert (await engine.facts()).capacity["cpu"]["used"] == "0.01"
            await until(lambda: isinstance(engine, LocalEngine) and spec.name in engine._sessions)
            assert (await follow(engine, spec))[-1].exit_code == 2

    asyncio.run(main())


def test_a_program_that_cannot_be_started_is_busy_and_leaves_no_descriptor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            os.kill(pid_of(engine), signal.SIGKILL)
            before = pid_of(engine)
            await until(lambda: look(before) is None)
            count = len(os.listdir("/proc/self/fd"))
            monkeypatch.setattr(sys, "executable", "/nowhere/python")
            with pytest.raises(EngineBusy, match="cannot start the process"):
                await start(engine, bench.spec("true"))
            assert len(os.listdir("/proc/self/fd")) == count
            monkeypatch.undo()
            assert (await run(engine, bench.spec("true")))[0].exit_code == 0

    asyncio.run(main())


def test_many_starts_at_once_are_shared_by_two_and_one_after_the_other_need_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_KEEPERS", 2)  # on a machine with one cpu, too

    async def main() -> None:
        async with bench.engine() as engine:
            for case in range(4):
                assert (await run(engine, bench.spec("exit 3", case=case)))[0].exit_code == 3
            assert len(keepers()) == 1
            specs = [bench.spec("exit 4", case=case) for case in range(4, 24)]
            for spec in specs:
                assert engine.admit(spec) is None
            await asyncio.gather(*(engine.submit(spec) for spec in specs))
            assert [(await follow(engine, spec))[-1].exit_code for spec in specs] == [4] * 20
            assert len(keepers()) == 2
        assert keepers() == []

    asyncio.run(main())


@pytest.mark.parametrize("count", range(6, 11))
def test_starts_that_came_together_are_told_when_no_more_come(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(sessions, "_KEEPERS", 1)

    async def main() -> None:
        async with bench.engine() as engine:
            assert isinstance(engine, LocalEngine)
            ours = engine._sessions._keepers[0]
            specs = [bench.spec("sleep 1000", case=case) for case in range(count)]
            os.kill(pid_of(engine), signal.SIGSTOP)
            submitted = [asyncio.ensure_future(start(engine, spec)) for spec in specs]
            await until(lambda: ours.asked == count)
            os.kill(pid_of(engine), signal.SIGCONT)
            async with asyncio.timeout(10):
                await asyncio.gather(*submitted)
            for spec in specs:
                await engine.cancel(spec.name, grace=5)
            assert [(await follow(engine, spec))[-1].exit_code for spec in specs] == [143] * count

    asyncio.run(main())


def test_the_end_of_a_case_that_was_often_stopped_is_told(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("for i in 1 2 3 4 5 6 7 8 9; do kill -STOP $$; done; exit 5")
            await start(engine, spec)
            case, *_ = await until(lambda: marked(bench.root))
            following = asyncio.ensure_future(follow(engine, spec))
            while not following.done():
                process = look(case)
                if process is not None and process.is_stopped:
                    os.kill(case, signal.SIGCONT)
                await asyncio.sleep(0.005)
            assert following.result()[-1].exit_code == 5

    asyncio.run(main())


def test_large_launches_wait_for_room_in_the_socket(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_KEEPERS", 1)

    async def main() -> None:
        async with bench.engine() as engine:
            env = {f"V{number}": "x" * 100_000 for number in range(8)}
            specs = [bench.spec("echo ${#V7}", case=case, env=env) for case in range(6)]
            for spec in specs:
                assert engine.admit(spec) is None
            count = len(os.listdir("/proc/self/fd"))
            await asyncio.gather(*(engine.submit(spec) for spec in specs))
            for spec in specs:
                assert (await follow(engine, spec))[-1].exit_code == 0
                assert spec.sink.stdout.read_text() == "100000\n"
            assert len(os.listdir("/proc/self/fd")) == count - 6  # the holds

    asyncio.run(main())


def test_it_holds_nothing_of_the_runner_or_of_its_cases(bench: Bench) -> None:
    open_before = os.open(bench.root / "somebody's", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(open_before, True)

    async def main() -> None:
        async with bench.engine() as engine:
            for case in range(3):
                await start(engine, bench.spec("sleep 1000", case=case))
            folder = f"/proc/{pid_of(engine)}/fd"
            targets = {name: os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
            kinds = sorted({name.split(":")[0] for name in targets.values()})
            assert kinds == ["/dev/null", "pipe", "socket"]
            assert targets["9"] == "/dev/null"  # a hold under that number would make it a case's process
            for case in range(3):
                await engine.cancel(bench.spec(case=case).name, grace=5)
                await follow(engine, bench.spec(case=case))

    asyncio.run(main())
    os.close(open_before)


@pytest.mark.parametrize("size", [0, 100_000], ids=["whole", "half"])
def test_a_launch_that_was_on_its_way_when_the_runner_died_is_not_begun(bench: Bench, size: int) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            assert isinstance(engine, LocalEngine)
            await start(engine, bench.spec("sleep 1000", case=1))  # so that the keeper stays
            spec = bench.spec("exit 3", env={f"V{number}": "x" * size for number in range(8)})
            ours = engine._sessions._keepers[0]
            os.kill(ours.pid, signal.SIGSTOP)
            submitted = asyncio.ensure_future(start(engine, spec))
            await until(lambda: ours.asked == 1)
            ours._is_closing = True
            ours._hang_up()  # as the runner's death does
            engine._ledger.hand_over(spec.name)
            os.kill(ours.pid, signal.SIGCONT)
            async with bench.engine() as other:
                assert await other.find([spec]) == {}
                assert not (spec.sink.folder / "claim").exists()
                assert (await run(other, spec))[0].exit_code == 3
                await other.cancel(bench.spec(case=1).name, grace=5)
                assert (await follow(other, bench.spec(case=1)))[-1].exit_code == 143
            submitted.cancel()

    asyncio.run(main())


def test_slots_that_are_held_without_a_claim_are_not_given_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["tui_sweep.engines.local.engine"], "_CLAIM_WAIT", 0.05)

    async def main() -> None:
        async with bench.engine() as engine:
            assert isinstance(engine, LocalEngine)
            spec = bench.spec("exit 1")
            assert engine.admit(spec) is None
            fd = engine._ledger.fd(spec.name)
            assert fd is not None
            other = os.dup(fd)
            os.kill(pid_of(engine), signal.SIGSTOP)
            submitted = asyncio.ensure_future(engine.submit(spec))
            await asyncio.sleep(0)
            os.kill(pid_of(engine), signal.SIGKILL)
            with pytest.raises(EngineUnreachable):
                await submitted
            assert (await engine.facts()).capacity["cpu"]["used"] == "0.01"
            os.close(other)
            assert (await run(engine, spec))[0].exit_code == 1

    asyncio.run(main())
