"""Ending a case ends everything that it started, however it hides, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engines.conftest import is_alive, marked
from tests.engines.contract import Bench, follow, run, start, until
from tui_sweep.core.states import Event
from tui_sweep.engines.local import endings, orphans
from tui_sweep.engines.local.tree import census, look

PY = sys.executable


def pids(bench: Bench, case: int = 0) -> list[int]:
    """What a case wrote into its file ``pids``."""
    path = bench.spec(case=case).sink.folder / "pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def running(bench: Bench, count: int) -> list[int]:
    """The processes that a case told of, when there are ``count``."""
    return list(await until(lambda: len(pids(bench)) == count and pids(bench), f"{count} pids"))


def test_a_case_that_ignores_term_is_killed_after_its_grace(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("trap '' TERM; echo $$ >> $SWEEP_DIR/pids; while :; do sleep 0.05; done")
            await start(engine, spec)
            (pid,) = await running(bench, 1)
            began = time.monotonic()
            await engine.cancel(spec.name, grace=0.5)
            end = (await follow(engine, spec))[-1]
            assert 0.5 <= time.monotonic() - began < 2
            assert (end.event, end.exit_code, end.reason) == (Event.ERRED, 137, "SIGKILL")
            assert not is_alive(pid)

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="by a system call of Linux")
def test_a_case_whose_first_thread_has_ended_is_killed_after_its_grace(bench: Bench) -> None:
    text = """import ctypes, platform, signal, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=lambda: time.sleep(15)).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
"""

    async def main() -> None:
        async with bench.engine() as engine:
            (bench.root / "main.py").write_text(text)
            spec = bench.spec(f"{PY} main.py")
            await start(engine, spec)
            pid, *_ = await until(lambda: marked(bench.root))
            await until(lambda: " Z " in Path(f"/proc/{pid}/stat").read_text())
            began = time.monotonic()
            await engine.cancel(spec.name, grace=0.2)
            assert (await follow(engine, spec))[-1].exit_code == 137
            assert time.monotonic() - began < 5

    asyncio.run(main())


def test_a_case_may_clean_up_within_its_grace(bench: Bench) -> None:
    text = "trap 'sleep 0.3; echo cleaned; exit 7' TERM; echo $$ >> $SWEEP_DIR/pids; while :; do sleep 0.05; done"

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec(text)
            await start(engine, spec)
            await running(bench, 1)
            await engine.cancel(spec.name, grace=10)
            assert (await follow(engine, spec))[-1].exit_code == 7
            assert spec.sink.stdout.read_bytes() == b"cleaned\n"

    asyncio.run(main())


@pytest.mark.parametrize(
    "child",
    [
        "sleep 1000 &",
        "setsid sleep 1000 &",
        "(trap '' HUP TERM; setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' &)",
        f'{PY} -c \'import subprocess; subprocess.Popen(["sleep", "1000"], start_new_session=True)\'',
        "env -i setsid sleep 1000 &",
        "sh -c 'kill -STOP $$; sleep 1000' &",
        "for i in $(seq 50); do sleep 1000 & done",
    ],
    ids=["child", "setsid", "stubborn", "start_new_session", "no environment", "stopped", "fifty"],
)
@pytest.mark.parametrize("how", ["ends", "is cancelled"])
def test_nothing_is_left_when_a_case(bench: Bench, child: str, how: str) -> None:
    bench.ask(grace=0.3)
    tail = "" if how == "ends" else "; sleep 1000"

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec(f"cd $SWEEP_DIR\n{child}\necho $$ >> pids; sleep 0.05{tail}; exit 0")
            await start(engine, spec)
            await running(bench, 1)
            descendants = [p for p in marked(bench.root) if p != pids(bench)[0]]
            if how == "is cancelled":
                await engine.cancel(spec.name, grace=0.3)
            end = (await follow(engine, spec))[-1]
            assert end.exit_code == (0 if how == "ends" else 143)
            assert not [pid for pid in descendants if is_alive(pid)]
            assert marked(bench.root) == []
            assert (await engine.facts()).capacity["cpu"]["used"] == "0"

    asyncio.run(main())
    left = subprocess.run(["pgrep", "-fx", "sleep 1000"], capture_output=True, check=False).stdout.split()
    mine = [pid for pid in left if (p := look(int(pid))) and p.parent == os.getpid()]
    assert mine == []


def zombies() -> list[int]:
    """Our children that nobody has waited for."""
    told = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in told.split() if (p := look(int(pid))) and not p.is_alive]


def test_a_killed_tree_leaves_no_zombies_when_its_end_is_told(bench: Bench) -> None:
    text = "trap '' TERM; (setsid sleep 60 & sleep 60 & wait) & echo $$ >> $SWEEP_DIR/pids; wait"

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec(text)
            await start(engine, spec)
            await until(lambda: len(marked(bench.root)) == 4)
            await engine.cancel(spec.name, grace=0.1)
            await follow(engine, spec)
            assert not set(zombies()) - before

    before = set(zombies())  # keepers of engines that tests before this one left
    asyncio.run(main())


def test_no_zombies_are_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "_STRANGER", 0.1)
    # the package offers a function of the same name
    monkeypatch.setattr(sys.modules["tui_sweep.engines.local.engine"], "_TICK", 0.1)

    async def main() -> None:
        async with bench.engine() as engine:
            await run(
                engine, *(bench.spec("setsid sleep 0.05 & (sleep 0.01 &) ; true", case=c) for c in range(8))
            )
            await until(lambda: not zombies(), "zombies to be reaped")

    asyncio.run(main())


def test_a_child_of_somebody_else_in_this_process_is_left_alone(bench: Bench) -> None:
    with subprocess.Popen([PY, "-c", "import sys; sys.exit(5)"]) as other:

        async def main() -> None:
            async with bench.engine() as engine:
                asker = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.2; exit 6")
                await run(engine, *(bench.spec("sleep 0.02 &", case=case) for case in range(10)))
                assert await asker.wait() == 6

        asyncio.run(main())
        assert other.wait() == 5


def test_leftovers_of_an_ended_case_are_ended_by_the_next_runner(bench: Bench) -> None:
    bench.ask(grace=0.2)

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("setsid sleep 1000 & echo $! >> $SWEEP_DIR/pids; sleep 0.3")
            await start(engine, spec)
            await running(bench, 1)
        (pid,) = pids(bench)
        await until(spec.sink.exit.exists)
        async with bench.engine() as other:
            assert (await other.find([spec]))[spec.name].event is Event.STARTED
            assert (await follow(other, spec))[-1].event is Event.SUCCEEDED
            assert not is_alive(pid)
            assert (await other.find([spec]))[spec.name].event is Event.SUCCEEDED

    asyncio.run(main())


def test_with_keep_what_a_case_leaves_stays_and_its_slots_are_free(bench: Bench) -> None:
    bench.ask(keep=True)

    async def main() -> None:
        async with bench.engine() as engine:
            (end,) = await run(engine, bench.spec("sleep 1000 & echo $! >> $SWEEP_DIR/pids"))
            assert end.event is Event.SUCCEEDED
            (pid,) = pids(bench)
            assert is_alive(pid)
            assert (await engine.facts()).capacity["cpu"]["used"] == "0"
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not is_alive(pid))

    asyncio.run(main())


def test_cancel_right_after_submit_starts_nothing_more(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            specs = [bench.spec("sleep 1000; echo never", case=case) for case in range(20)]
            for spec in specs:
                await start(engine, spec)
                await engine.cancel(spec.name, grace=5)
            for spec in specs:
                assert (await follow(engine, spec))[-1].event is not Event.SUCCEEDED

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 5


def test_cancel_during_the_build_keeps_exec_from_starting(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec(
                "echo never > $SWEEP_DIR/never",
                build="trap 'exit 0' TERM; echo $$ >> $SWEEP_DIR/pids; sleep 1000 & wait",
            )
            await start(engine, spec)
            await running(bench, 1)
            await engine.cancel(spec.name, grace=5)
            end = (await follow(engine, spec))[-1]
            assert (end.event, end.exit_code, end.reason) == (Event.ERRED, 143, "SIGTERM")
            assert not (spec.sink.folder / "never").exists()

    asyncio.run(main())


def test_a_fork_bomb_of_a_kind_is_ended(bench: Bench) -> None:
    text = "trap '' TERM; while :; do setsid sh -c \"trap '' TERM; sleep 1000; :\" & sleep 0.01; done"

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec(text)
            await start(engine, spec)
            await until(lambda: len(marked(bench.root)) > 40)
            await engine.cancel(spec.name, grace=0)
            assert (await follow(engine, spec))[-1].reason == "SIGKILL"

    asyncio.run(main())


def test_many_cancels_share_their_looks_at_proc(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(endings, "census", lambda: looks.append(1) or census())

    async def main() -> None:
        async with bench.engine() as engine:
            specs = [bench.spec("sleep 1000", case=case, slots=bench.sweep.slots) for case in range(100)]
            for spec in specs:
                await start(engine, spec)
            for spec in specs:
                await engine.cancel(spec.name, grace=5)
            for spec in specs:
                await follow(engine, spec)

    asyncio.run(main())
    assert len(looks) < 50  # one for each would be 100, and a second for each to see that it is gone
