"""The backlog: how many sessions of a sweep may wait on the cluster at once."""

from tui_sweep.engines.backendai.backlog import Backlog


def fill(backlog, now=0.0):
    """Add until it is full; how many."""
    count = 0
    while not backlog.is_full:
        backlog.add(f"s-{now}-{count}", now)
        count += 1
    return count


def test_it_begins_with_what_may_run_at_once():
    assert fill(Backlog(concurrent=5)) == 5
    assert fill(Backlog()) == 20
    assert fill(Backlog(concurrent=10**9)) == 1000


def test_the_limit_of_the_site_is_never_passed():
    assert fill(Backlog(concurrent=30, pending=2)) == 2


def test_it_doubles_with_each_round_that_starts_soon():
    backlog = Backlog(concurrent=4)
    sizes = []
    for round_ in range(3):
        now = round_ * 100.0
        count = fill(backlog, now)
        sizes.append(count)
        for index in range(count):
            assert backlog.remove(f"s-{now}-{index}", now + 3, started=True)
    assert sizes == [4, 8, 16]


def test_a_queue_that_does_not_move_lets_it_stay():
    backlog = Backlog(concurrent=4)
    fill(backlog)
    for index in range(4):
        backlog.remove(f"s-0.0-{index}", 60.0, started=True)
    assert fill(backlog, 60.0) == 4


def test_a_session_that_ended_in_the_queue_says_nothing_about_room():
    backlog = Backlog(concurrent=4)
    fill(backlog)
    assert backlog.remove("s-0.0-0", 1.0, started=False)
    assert not backlog.remove("s-0.0-0", 1.0, started=True)
    assert fill(backlog, 1.0) == 1


def test_a_refusal_makes_it_smaller_but_never_nothing():
    backlog = Backlog(concurrent=4)
    fill(backlog)
    backlog.refused()
    backlog.remove("s-0.0-0", 1.0, started=False)
    assert backlog.is_full
    for index in range(1, 4):
        backlog.remove(f"s-0.0-{index}", 1.0, started=False)
    backlog.refused()
    assert fill(backlog, 1.0) == 1
