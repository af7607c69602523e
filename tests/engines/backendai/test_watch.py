"""The watch in a time that jumps: how often it asks for what."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.engines.backendai.clocks import run_jumping
from tests.engines.backendai.manager import IMAGE
from tests.engines.contract import Bench
from tui_sweep.core.session import Report
from tui_sweep.core.states import Event
from tui_sweep.engines import backendai
from tui_sweep.engines.backendai.session import Session
from tui_sweep.engines.backendai.verdicts import Unanswered
from tui_sweep.engines.backendai.watch import Watch


class Flapping:
    """A server with one running session, whose event streams hold for so long."""

    def __init__(self, holds: float, name: str) -> None:
        self.holds = holds
        self.name = name
        self.ahead = 0.0
        self.counts: Counter[str] = Counter()

    async def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        self.counts["lists"] += 1
        item = {"session_id": "id", "name": self.name, "status": "RUNNING"}
        return {"compute_session_list": {"total_count": 1, "items": [item]}}

    async def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.counts["streams"] += 1
        yield "", {}
        await asyncio.sleep(self.holds)
        raise Unanswered("it ended the event stream")


@pytest.mark.parametrize(("holds", "most", "least"), [(0.0, 16, 6), (60.0, 11, 9)])
def test_a_stream_that_closes_at_once_is_opened_less_and_less_often(tmp_path, holds, most, least):
    """Of one that holds for a minute ten are opened in ten minutes, each of them a second after the last."""
    spec = Bench(backendai, IMAGE, tmp_path).spec("true")
    server = Flapping(holds, spec.name)
    seconds = 600.0 if holds else 300.0

    async def main():
        watch = Watch(server, spec.name, finish=None, started=lambda _: None, moved=lambda _: None)
        watch.add(Session(spec, id="id"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await watch.run()

    run_jumping(main())
    assert least <= server.counts["streams"] <= most
    assert server.counts["lists"] <= seconds / 4 + server.counts["streams"] + 1


class Ended(Flapping):
    """A server whose one session has ended."""

    async def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        item = {"session_id": "id", "name": self.name, "status": "TERMINATED"}
        return {"compute_session_list": {"total_count": 1, "items": [item]}}


@pytest.mark.parametrize("is_limited", [True, False])
def test_that_a_session_is_over_is_told_before_its_end_only_where_a_limit_could_strike(tmp_path, is_limited):
    spec = Bench(backendai, IMAGE, tmp_path).spec("true")
    end = Report(spec.name, Event.SUCCEEDED, 1.0)

    async def finish(session, item):
        return end

    async def main():
        watch = Watch(
            Ended(60.0, spec.name),
            spec.name,
            finish=finish,
            started=lambda _: None,
            moved=lambda _: None,
            is_limited=is_limited,
        )
        session = Session(spec, id="id", confirmed=0.1)
        watch.add(session)
        watching = asyncio.create_task(watch.run())
        told = []
        while not told or told[-1] is not end:
            told.append((await session.told(len(told)))[1])
        watching.cancel()
        return [(report.over, report.event) for report in told]

    over = [(True, None)] if is_limited else []
    assert run_jumping(main()) == [*over, (False, Event.SUCCEEDED)]


def test_a_trouble_is_over_when_there_is_nothing_left_to_ask_about(tmp_path):
    server = Flapping(60.0, "x")

    async def main():
        watch = Watch(server, "x", finish=None, started=lambda _: None, moved=lambda _: None)
        watch.trouble = "no answer"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await watch.run()
        return watch.trouble

    assert run_jumping(main()) is None
    assert server.counts["lists"] == 0
