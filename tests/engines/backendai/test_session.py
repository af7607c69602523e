"""What is told of one session, and what of it is kept."""

import asyncio

import pytest

from tests.engines.contract import Folder
from tui_sweep.core.session import Report, SessionSpec
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import Event
from tui_sweep.engines.backendai.session import Session


@pytest.fixture
def session(tmp_path):
    sink = Folder(tmp_path)
    return Session(SessionSpec("ab12cd34-0", 0, 0, {}, "*", "*", "true", Slots({"cpu": 1}), sink))


def tell(session, event, **more):
    session.tell(Report(session.name, event, 1.0, **more))


async def heard(session):
    """The events of all reports that are there for somebody who comes now."""
    events, count = [], 0
    while count < session.count:
        count, report = await session.told(count)
        events.append(report.event)
        count += 1
    return events


def test_what_was_followed_is_forgotten_but_for_the_last_word(session):
    async def main():
        count = 0
        tell(session, Event.STARTED)
        for _ in range(1000):
            session.grew()
            count, _ = await session.told(count)
            count += 1
        assert session.count == 1001
        assert len(session.unheard) <= 2

    asyncio.run(main())


def test_nothing_is_forgotten_before_it_was_followed(session):
    for event in (Event.ACCEPTED, Event.PREPARING, Event.STARTED, Event.SUCCEEDED):
        tell(session, event)
    assert asyncio.run(heard(session)) == [
        Event.ACCEPTED,
        Event.PREPARING,
        Event.STARTED,
        Event.SUCCEEDED,
    ]
    assert asyncio.run(heard(session)) == [Event.SUCCEEDED]


def test_of_two_who_follow_each_hears_the_end_and_nothing_twice(session):
    async def follow():
        events, count = [], 0
        while not events or events[-1] is not Event.SUCCEEDED:
            count, report = await session.told(count)
            count += 1
            events.append(report.event)
        return events

    async def main():
        both = [asyncio.create_task(follow()) for _ in range(2)]
        for event in (Event.ACCEPTED, Event.STARTED, Event.SUCCEEDED):
            await asyncio.sleep(0)
            tell(session, event)
        return await asyncio.gather(*both)

    for events in asyncio.run(main()):
        assert events == sorted(set(events))
        assert events[-1] is Event.SUCCEEDED


def test_after_its_end_nothing_more_is_told(session):
    tell(session, Event.SUCCEEDED)
    session.grew()
    assert (session.count, session.ended) == (1, True)
