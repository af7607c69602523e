"""Memory that was asked for is what a case gets, counted over its whole tree and once."""

from __future__ import annotations

import asyncio
import sys

from tests.engines.contract import Bench, follow, run, start
from tui_sweep.core.session import Report, SessionSpec
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import Event
from tui_sweep.engines.base import Engine

MIB = 1 << 20


async def followed(engine: Engine, spec: SessionSpec) -> list[Report]:
    """As the runner does: it ends what went over its memory."""
    reports = []
    async with asyncio.timeout(20):
        async for report in engine.follow(spec):
            reports.append(report)
            if report.event is Event.STOP:
                await engine.cancel(spec.name, grace=0)
    return reports


def limited(bench: Bench, mib: int) -> Bench:
    return bench.ask(slots=Slots({"cpu": "0.01", "mem": mib * MIB}))


def test_a_tree_over_its_memory_asks_to_be_ended(bench: Bench) -> None:
    limited(bench, 64)
    grow = "import time; a = bytearray(50 << 20); time.sleep(1000)"
    text = f"{sys.executable} -c '{grow}' & {sys.executable} -c '{grow}' & wait"

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec(text)
            await start(engine, spec)
            reports = await followed(engine, spec)
            stop = next(report for report in reports if report.event is Event.STOP)
            assert stop.out_of_memory
            assert stop.reason == "out of memory (asked 64 MiB)"
            assert [report.event for report in reports].count(Event.STOP) == 1
            assert reports[-1].event is Event.ERRED

    asyncio.run(main())


def test_a_child_in_a_session_of_its_own_counts(bench: Bench) -> None:
    limited(bench, 64)
    grow = "import time; a = bytearray(100 << 20); time.sleep(1000)"

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec(f"setsid {sys.executable} -c '{grow}' & exec sleep 1000")
            await start(engine, spec)
            assert Event.STOP in [report.event for report in await followed(engine, spec)]

    asyncio.run(main())


def test_pages_that_forked_workers_share_count_once(bench: Bench) -> None:
    limited(bench, 200)
    pool = (
        "import os, time; a = bytearray(100 << 20)\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0: time.sleep(1.2); os._exit(0)\n"
        "time.sleep(1.2); print('done')"
    )
    bench.ask(image=sys.executable, code=pool)

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec()
            await start(engine, spec)
            reports = await followed(engine, spec)
            assert [report.event for report in reports] == [Event.STARTED, Event.SUCCEEDED]

    asyncio.run(main())


def test_without_a_limit_nothing_is_measured(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            (end,) = await run(engine, bench.spec(f"{sys.executable} -c 'a = bytearray(100 << 20)'"))
            assert end.event is Event.SUCCEEDED
            assert engine._sessions._memory._task is None  # type: ignore[attr-defined]

    asyncio.run(main())


def test_a_limit_holds_for_an_adopted_case(bench: Bench) -> None:
    limited(bench, 64)
    gate = bench.root / "gate"
    grow = f"import os, time\nwhile not os.path.exists('{gate}'): time.sleep(.05)\na = bytearray(100 << 20)\ntime.sleep(1000)"
    bench.ask(image=sys.executable, code=grow)

    async def main() -> None:
        spec = bench.spec()
        async with bench.engine() as engine:
            await start(engine, spec)
        async with bench.engine() as other:
            gate.touch()
            assert Event.STOP in [report.event for report in await followed(other, spec)]

    asyncio.run(main())


def test_follow_can_be_called_late(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("exit 4")
            await start(engine, spec)
            while spec.name in await engine.live():
                await asyncio.sleep(0.01)
            assert [report.event for report in await follow(engine, spec)] == [Event.STARTED, Event.ERRED]

    asyncio.run(main())
