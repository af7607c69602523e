"""When a running session's log is fetched, in a time that jumps."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.engines.backendai.clocks import run_jumping
from tests.engines.backendai.manager import IMAGE
from tests.engines.contract import Bench
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai import logs
from tui_sweep.engines.backendai.disk import Disk
from tui_sweep.engines.backendai.session import Session

BEGIN = "\x1esweep-tui begin 1 ab12cd34-0 run1\x1f\n"
HOUR = 3600.0
BEGAN = 1000.0
"""What the clock says at first."""


@pytest.fixture(autouse=True)
def no_threads(monkeypatch):
    """Their time does not jump."""
    monkeypatch.setattr(logs, "_LARGE", 1 << 30)


class Printing:
    """A server whose one session prints so many bytes a second, of which it keeps all."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.times: list[float] = []

    async def logs(self, id_: str) -> str:
        now = asyncio.get_running_loop().time() - BEGAN
        self.times.append(now)
        lines = int(now * self.pace) // 1000
        return BEGIN + "".join(f"\x1eout {i * 1000} 1000|{'x' * 999}\x1f\n" for i in range(lines))


def fetched(tmp_path, server: Printing, *, seconds: float, is_watched: bool = False) -> list[float]:
    """The times at which the log was fetched, from the start of the session on."""
    spec = Bench(backendai, IMAGE, tmp_path).spec("true")

    async def main() -> None:
        fetching = logs.Logs(server, Disk())
        running = asyncio.create_task(fetching.run())
        await asyncio.sleep(0)
        fetching.follow(Session(spec, id="id", ran=True))
        if is_watched:
            fetching.watch([spec.name])
        await asyncio.sleep(seconds)
        running.cancel()

    run_jumping(main())
    return [round(at) for at in server.times]


def test_a_session_that_prints_nothing_is_soon_left_alone(tmp_path):
    assert fetched(tmp_path, Printing(0.0), seconds=HOUR) == [30, 150, 630, 1230, 1830, 2430, 3030]


def test_a_session_that_prints_a_little_is_asked_after_twice_the_time(tmp_path):
    assert fetched(tmp_path, Printing(100.0), seconds=HOUR) == [30, 90, 210, 450, 930, 1530, 2130, 2730, 3330]


def test_no_more_than_half_of_what_the_server_keeps_is_printed_between_two_looks(tmp_path):
    """10 kB a second fill 10 MiB in 17 minutes."""
    server = Printing(10_000.0)
    times = fetched(tmp_path, server, seconds=1000.0)
    longest = max(later - earlier for earlier, later in itertools.pairwise([0.0, *times]))
    assert longest * server.pace < logs.KEPT / 2
    assert len(times) < 12


def test_a_log_that_is_on_a_screen_is_fetched_every_few_seconds(tmp_path):
    times = fetched(tmp_path, Printing(0.0), seconds=60.0, is_watched=True)
    assert times == list(range(0, 60, 2))
