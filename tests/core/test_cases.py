"""CaseTable: one writer, counts that are the counts, rows that survive a round trip."""

import random

import numpy as np
import pytest

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.states import FINAL, LIVE, Cause, Event, State


def running(table, index=0, at=1.0):
    for event in (Event.LAUNCH, Event.STARTED):
        assert table.move(index, event, at)


def test_a_new_table_waits():
    table = CaseTable(3)
    assert table.word_counts() == {"waiting": 3}
    assert table.take_rows() == []


def test_an_illegal_event_changes_nothing():
    table = CaseTable(1)
    assert not table.move(0, Event.RETRY, 1.0)
    assert table.take_rows() == []


def test_random_events_keep_the_counts_and_the_final_states():
    random.seed(7)
    table = CaseTable(20)
    for step in range(5000):
        index = random.randrange(20)
        was = State(table.state[index])
        event = random.choice(list(Event))
        moved = table.move(index, event, float(step), cause=random.choice(list(Cause)))
        if was in FINAL and event is not Event.RETRY:
            assert not moved
            assert table.state[index] == was
        if step % 100 == 0:
            table.check()
            table.move_all(np.arange(5), Event.HOLD, float(step))
            table.check()
    table.check()
    assert table.unfinished == sum(State(state) not in FINAL for state in table.state)
    assert table.live == sum(State(state) in LIVE for state in table.state)


def test_a_case_takes_less_than_64_bytes():
    table = CaseTable(1000)
    size = sum(column.nbytes for column in vars(table).values() if isinstance(column, np.ndarray))
    assert size / 1000 < 64


def test_a_cancelled_case_keeps_the_reason_it_was_ended_for():
    table = CaseTable(1)
    running(table)
    table.move(0, Event.STOP, 2.0, reason="cancelled by you", cause=Cause.USER)
    table.move(0, Event.STOP, 3.0, reason="over --timeout 3 s", cause=Cause.TIMEOUT)
    table.move(0, Event.ERRED, 4.0, reason="SIGTERM", exit_code=143)
    row = table.row(0)
    assert (State(row.state), row.reason, row.exit_code) == (State.CANCELLED, "cancelled by you", 143)


def test_memory_ends_as_failed_and_a_limit_as_timeout():
    table = CaseTable(2)
    for index, cause in enumerate([Cause.MEMORY, Cause.TIMEOUT]):
        running(table, index)
        table.move(index, Event.STOP, 2.0, reason="because", cause=cause)
        table.move(index, Event.SUCCEEDED, 3.0, exit_code=0)
    assert [State(state) for state in table.state] == [State.FAILED, State.TIMEOUT]


def test_a_retry_begins_a_new_attempt_and_keeps_the_row_of_the_old_one():
    table = CaseTable(1)
    running(table)
    table.move(0, Event.ERRED, 2.0, exit_code=3, reason="exit 3")
    table.move(0, Event.RETRY, 2.0)
    old, new = table.take_rows()
    assert (old.attempt, State(old.state), old.exit_code, old.ended) == (0, State.FAILED, 3, 2.0)
    assert (new.attempt, State(new.state), new.exit_code, new.ended) == (1, State.WAITING, None, None)
    assert new.revision > old.revision


def test_a_bulk_retry_keeps_rows_that_nobody_has_taken_yet():
    table = CaseTable(2)
    for index in (0, 1):
        running(table, index)
        table.move(index, Event.ERRED, 2.0, exit_code=1)
    table.move_all(np.arange(2), Event.RETRY, 3.0)
    assert [(row.case, row.attempt, State(row.state)) for row in table.take_rows()] == [
        (0, 0, State.FAILED),
        (1, 0, State.FAILED),
        (0, 1, State.WAITING),
        (1, 1, State.WAITING),
    ]


def test_rows_put_into_another_table_make_it_equal():
    table = CaseTable(3)
    running(table, 1)
    table.identify(1, "uuid-1")
    table.grew(1, 12345)
    running(table, 2)
    table.move(2, Event.SUCCEEDED, 5.0, exit_code=0)
    rows = table.take_rows()
    other = CaseTable(3)
    for row in rows:
        other.put(row)
    assert other.rows(np.arange(3)) == table.rows(np.arange(3))
    assert other.counts == table.counts
    assert other.revision == table.revision


def test_an_earlier_attempt_does_not_overwrite_a_later_one():
    table = CaseTable(1)
    running(table)
    table.move(0, Event.ERRED, 2.0, exit_code=3)
    table.move(0, Event.RETRY, 2.0)
    old, new = table.take_rows()
    other = CaseTable(1)
    other.put(new)
    other.put(old)
    assert other.row(0) == new


def test_words_of_the_engine_are_written_once_and_forgotten():
    table = CaseTable(1)
    running(table)
    table.identify(0, "uuid-1")
    table.move(0, Event.SUCCEEDED, 5.0, exit_code=0, status="TERMINATED")
    (row,) = table.take_rows()
    assert (row.session, row.status) == ("uuid-1", "TERMINATED")
    assert not table.session
    assert not table.status


@pytest.mark.parametrize("event", [Event.STOP, Event.HOLD])
def test_a_bulk_move_leaves_live_cases_alone(event):
    table = CaseTable(3)
    running(table, 1)
    assert table.move_all(np.arange(3), event, 2.0, reason="because").tolist() == [0, 2]
    assert State(table.state[1]) is State.RUNNING
    table.check()
