"""Whole sweeps on a stub manager: a folder, a runner, and what a test waits for meanwhile."""

import asyncio
import os
from contextlib import asynccontextmanager

from tests.conftest import wait_until
from tests.engines.backendai.manager import IMAGE
from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.slots import Slots
from tui_sweep.core.sweep import Sweep
from tui_sweep.engines import backendai
from tui_sweep.run.runner import open_runner
from tui_sweep.store.layout import StateDir
from tui_sweep.store.sweeps import create


def begun(tmp_path, cases, command="true", **asked):
    """A new sweep's folder."""
    sweep = Sweep(
        image=IMAGE,
        engine="backendai",
        env=(("X", "$X"),),
        env_ranges=(parse_range(f"X=range:{cases}"),),
        exec=command,
        slots=Slots({"cpu": 1}),
        **asked,
    )
    place = backendai.prepare(sweep, environ=dict(os.environ), cwd=tmp_path).place
    plan = Plan(sweep)
    return create(
        StateDir(tmp_path), sweep, place, cases=plan.count, merged=plan.merged, snapshot=lambda folder: None
    )


@asynccontextmanager
async def running(folder):
    """A runner at work, past its start; at the end it has run the sweep."""
    runner = open_runner(folder)
    ready = asyncio.Event()
    async with asyncio.timeout(30):
        working = asyncio.create_task(runner.run(ready=ready.set))
        await ready.wait()
        yield runner
        await working


async def until(condition):
    await asyncio.to_thread(wait_until, condition, 20)
