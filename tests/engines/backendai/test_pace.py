"""How fast requests go: what goes first, what is spread, and what a refusal stops. The clock jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter

import pytest

from tests.engines.backendai.clocks import run_jumping
from tui_sweep.engines.backendai.pace import Pace, Priority

TERMINATE, STATUS, RUN, CREATE, LOGS = Priority


def told(remaining: int | str, limit: int | str = 10_000, **others: int) -> dict[str, str]:
    names = {"reset": "X-RateLimit-Reset", "window": "X-RateLimit-Window"}
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Window": "900",
        **{names[name]: str(value) for name, value in others.items()},
    }


async def send(pace: Pace, priority: Priority, headers: dict[str, str] | None = None) -> float:
    """One request that is answered at once; the loop time at which it went."""
    await pace.enter(priority)
    went = asyncio.get_running_loop().time()
    if headers is not None:
        pace.heard(headers)
    pace.accepted()
    pace.leave(priority)
    return went


async def times(pace: Pace, priorities: Iterable[Priority]) -> list[float]:
    """When each of some requests went that were asked for together, from now."""
    begun = asyncio.get_running_loop().time()
    went = await asyncio.gather(*(send(pace, priority) for priority in priorities))
    return [at - begun for at in went]


def test_without_a_word_from_the_server_everything_goes_at_once():
    async def main():
        pace = Pace()
        assert set(await times(pace, [CREATE] * 3000)) == {0.0}

    run_jumping(main())


@pytest.mark.parametrize("headers", [told("None", "None"), told("x", "y"), {"X-RateLimit-Limit": "-5"}])
def test_a_server_without_a_limit_slows_nothing(headers):
    async def main():
        pace = Pace()
        await send(pace, STATUS, headers)
        assert set(await times(pace, [CREATE] * 3000)) == {0.0}

    run_jumping(main())


def test_as_long_as_much_remains_requests_go_at_once():
    async def main():
        pace = Pace()
        await send(pace, STATUS, told(10_000))
        assert set(await times(pace, [CREATE] * 4900)) == {0.0}

    run_jumping(main())


def test_what_remains_below_half_is_spread_until_the_window_frees():
    async def main():
        pace = Pace()
        await send(pace, STATUS, told(4000, reset=400))
        went = await times(pace, [CREATE] * 1000)
        assert went == sorted(went)
        # 4000 less the reserve of 2000 in 400 s: five a second at the start, slower as it sinks
        assert went[1] - went[0] == pytest.approx(0.2, rel=0.02)
        assert 200 < went[-1] < 400

    run_jumping(main())


def test_when_the_window_frees_requests_go_at_once_again():
    async def main():
        pace = Pace()
        await send(pace, STATUS, told(2100, reset=30))
        await asyncio.sleep(31)
        assert set(await times(pace, [CREATE] * 1000)) == {0.0}

    run_jumping(main())


def test_what_others_use_up_slows_us_too():
    async def main():
        pace = Pace()
        await send(pace, STATUS, told(9000))
        first = await times(pace, [CREATE] * 2)
        await send(pace, STATUS, told(2500))
        second = await times(pace, [CREATE] * 3)
        assert first == [0.0, 0.0]
        assert second[2] - second[1] == pytest.approx(900 / 500, rel=0.02)

    run_jumping(main())


def test_nothing_is_slower_than_a_trickle():
    async def main():
        pace = Pace()
        await send(pace, STATUS, told(0))
        went = await times(pace, [LOGS] * 3)
        assert went[2] - went[1] == pytest.approx(900 / 500)
        await send(pace, STATUS, told(0, limit=20))
        went = await times(pace, [LOGS] * 3)
        assert went[2] - went[1] == pytest.approx(5.0)

    run_jumping(main())


def test_terminations_go_first_then_status_then_creation_then_logs():
    async def main():
        pace = Pace()
        order: list[Priority] = []

        async def one(priority: Priority) -> None:
            await pace.enter(priority)
            order.append(priority)
            pace.leave(priority)

        await send(pace, STATUS, told(5, limit=100))
        mixed = [LOGS, CREATE, TERMINATE, STATUS, RUN] * 3
        await asyncio.gather(*(one(priority) for priority in mixed))
        assert order == sorted(mixed)

    run_jumping(main())


def test_creation_is_spread_where_terminations_still_go_at_once():
    async def main():
        pace = Pace()
        await send(pace, STATUS, told(3000))
        assert set(await times(pace, [TERMINATE] * 1000)) == {0.0}
        assert (await times(pace, [CREATE] * 2))[1] > 1

    run_jumping(main())


def test_a_refusal_stops_everything_but_terminations_and_ends_by_itself():
    async def main():
        pace = Pace()
        await send(pace, STATUS, told(100, limit=10_000, reset=600))
        await pace.enter(CREATE)
        assert pace.refused() == 5.0
        pace.leave(CREATE)
        assert pace.paused == 5.0
        status, kill = await times(pace, [STATUS, TERMINATE])
        assert kill < 5.0 <= status
        assert pace.paused == 0.0
        await send(pace, STATUS, told(9000))
        assert set(await times(pace, [CREATE] * 100)) == {0.0}

    run_jumping(main())


def test_refusals_that_repeat_themselves_pause_longer_up_to_a_minute():
    async def main():
        pace = Pace()
        pauses = []
        for _ in range(6):
            await pace.enter(CREATE)
            pauses.append(pace.refused())
            pace.leave(CREATE)
        assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
        await send(pace, CREATE)
        await pace.enter(CREATE)
        assert pace.refused() == 5.0

    run_jumping(main())


def test_many_refusals_of_requests_that_were_under_way_are_one():
    async def main():
        pace = Pace()
        for _ in range(8):
            await pace.enter(CREATE)
        assert {pace.refused() for _ in range(6)} == {5.0}
        pace.accepted()  # one that went out before the refusals
        pace.accepted()
        for _ in range(8):
            pace.leave(CREATE)
        await pace.enter(CREATE)
        assert pace.refused() == 10.0

    run_jumping(main())


def test_after_a_refusal_without_a_limit_requests_trickle_until_one_is_answered():
    async def main():
        pace = Pace()
        await pace.enter(CREATE)
        pace.refused()
        pace.leave(CREATE)
        begun = asyncio.get_running_loop().time()
        await pace.enter(CREATE)
        await pace.enter(TERMINATE)
        loop = asyncio.get_running_loop()
        assert loop.time() - begun == pytest.approx(10.0)
        pace.accepted()
        assert await times(pace, [STATUS]) == [0.0]

    run_jumping(main())


@pytest.mark.parametrize("crowd", [LOGS, CREATE, STATUS])
@pytest.mark.parametrize("other", [TERMINATE, STATUS, CREATE])
def test_requests_that_hang_starve_no_others(crowd, other):
    if crowd is other:
        return

    async def main():
        pace = Pace()
        hanging = [asyncio.create_task(pace.enter(crowd)) for _ in range(1000)]
        await asyncio.sleep(0)
        assert 0 < sum(task.done() for task in hanging) <= 12
        assert await times(pace, [other]) == [0.0]
        for task in hanging:
            task.cancel()

    run_jumping(main())


def test_who_is_cancelled_takes_no_place_with_it():
    async def main():
        pace = Pace()
        for _ in range(50):
            waiting = [asyncio.create_task(pace.enter(CREATE)) for _ in range(20)]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            for result in ended:
                if result is None:
                    pace.leave(CREATE)
        assert set(await times(pace, [CREATE] * 100)) == {0.0}

    run_jumping(main())


def test_who_is_cancelled_at_the_moment_of_its_turn_gives_it_back():
    async def main():
        pace = Pace()
        for _ in range(8):
            await pace.enter(CREATE)
        last = asyncio.create_task(pace.enter(CREATE))
        await asyncio.sleep(0)
        pace.leave(CREATE)  # its turn has come, and it has not heard of it
        last.cancel()
        await asyncio.gather(last, return_exceptions=True)
        assert last.cancelled()
        for _ in range(7):
            pace.leave(CREATE)
        going = [asyncio.create_task(pace.enter(CREATE)) for _ in range(9)]
        await asyncio.sleep(0)
        assert sum(task.done() for task in going) == 8
        going[-1].cancel()

    run_jumping(main())


def test_a_request_costs_microseconds():
    async def main() -> float:
        pace = Pace()
        pace.heard(told(10**9, limit=10**9))
        begun = perf_counter()
        for _ in range(2000):
            await pace.enter(STATUS)
            pace.leave(STATUS)
        return (perf_counter() - begun) / 2000

    assert min(asyncio.run(main()) for _ in range(5)) < 50e-6
