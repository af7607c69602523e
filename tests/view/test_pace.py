"""When a sweep will have ended: sweeps whose every time is known, asked in their middle."""

import pytest

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.states import Cause, Event
from tui_sweep.view.pace import left, pace

EPOCH = 1_800_000_000.0


def swept(cases, slots, seconds, now, *, around=0.0, sent=0, late=None, code=0):
    """A table at ``now`` seconds of a sweep that runs ``slots`` cases of ``seconds`` at once.

    ``around``: what a slot is taken before and after its case runs. ``sent``: how many more the engine has,
    pending. ``late``: seconds that nothing began, from its first member on, for its second.
    """
    table = CaseTable(cases)
    free = [0.0] * slots
    for index in range(cases):
        slot = min(range(slots), key=free.__getitem__)
        begins = free[slot]
        if late is not None and begins >= late[0]:
            begins = max(begins, sum(late))
        free[slot] = begins + around + seconds
        if begins > now:
            if sent > 0:
                sent -= 1
                table.move(index, Event.LAUNCH, EPOCH)
                table.move(index, Event.ACCEPTED, EPOCH)
            continue
        table.move(index, Event.LAUNCH, EPOCH + begins)
        if begins + around / 2 <= now:
            table.move(index, Event.STARTED, EPOCH + begins + around / 2)
        if begins + around / 2 + seconds <= now:
            event = Event.ERRED if code else Event.SUCCEEDED
            table.move(index, event, EPOCH + begins + around / 2 + seconds, exit_code=code)
    return table


def foretold(table, now):
    return left(table, pace(table), EPOCH + now)


@pytest.mark.parametrize("now", [25.0, 49.0, 50.5, 90.0])
def test_the_end_is_foretold_from_cases_side_by_side(now):
    assert foretold(swept(40, 4, 10.0, now), now) == pytest.approx(100 - now, abs=1)


def test_it_comes_nearer_while_nothing_ends():
    table = swept(40, 4, 10.0, 41.0)
    assert foretold(table, 41.0) - foretold(table, 48.0) == pytest.approx(7)


def test_what_a_cluster_takes_around_each_case_counts_and_what_is_pending_is_not_under_way():
    """Two slots, 2 s of work and 6 s around it: pending sessions beside them make it no quicker."""
    now = 83.0
    assert foretold(swept(40, 2, 2.0, now, around=6.0, sent=16), now) == pytest.approx(160 - now, rel=0.1)


def test_more_at_once_than_are_looked_at_are_no_hurry():
    """1,500 at once end in one moment; what lies between two such moments counts."""
    now = 95.0
    assert foretold(swept(30_000, 1500, 10.0, now), now) == pytest.approx(200 - now, rel=0.15)


def test_a_night_without_a_runner_is_no_pace():
    night = 8 * 3600.0
    now = 50.0 + night + 205.0
    told = foretold(swept(400, 4, 10.0, now, late=(50.0, night)), now)
    assert told == pytest.approx(1000 - 255, rel=0.2)


def test_after_a_resume_the_night_before_it_is_not_taken_off():
    night = 8 * 3600.0
    now = 50.0 + night + 1.0  # resumed; none has ended since
    assert foretold(swept(400, 4, 10.0, now, late=(50.0, night)), now) == pytest.approx(1000 - 51, rel=0.1)


def test_the_last_case_takes_as_long_as_most():
    assert foretold(swept(5, 4, 10.0, 13.0), 13.0) == pytest.approx(7.0)


def test_nothing_is_said_of_last_cases_that_take_longer_than_most():
    table = swept(5, 4, 10.0, 13.0)
    assert foretold(table, 21.0) is None


def test_nothing_is_said_once_all_should_have_ended_and_some_have_not_even_begun():
    table = swept(40, 4, 10.0, 41.0)
    assert foretold(table, 300.0) is None


def test_failures_count_for_the_pace_but_not_for_what_is_typical():
    assert pace(swept(10, 2, 10.0, 35.0, code=1)) is None


def test_too_few_foretell_nothing():
    assert pace(swept(10, 2, 10.0, 15.0)) is None


def test_a_sweep_in_which_nothing_runs_foretells_nothing():
    table = swept(10, 1, 10.0, 45.0)
    table.move(4, Event.STOP, EPOCH + 46, cause=Cause.USER)
    table.move(4, Event.ERRED, EPOCH + 46, exit_code=143)
    assert foretold(table, 47.0) is None


def test_held_cases_are_not_waited_for():
    table = swept(10, 2, 10.0, 25.0)
    for index in range(6, 10):
        table.move(index, Event.HOLD, EPOCH + 25, reason="held by you")
    assert foretold(table, 25.0) == pytest.approx(5.0)
