"""The automaton as a whole: nothing unreachable, nothing unused, nothing that crashes."""

import pytest

from tui_sweep.core.states import ENDINGS, ENDS_AS, FINAL, LIVE, TRANSITIONS, Cause, Event, State, after


def test_every_state_has_a_row():
    assert set(TRANSITIONS) == set(State)


def test_every_event_is_used():
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)


def test_every_state_is_reachable_from_waiting():
    reached, frontier = {State.WAITING}, [State.WAITING]
    while frontier:
        state = frontier.pop()
        for event in TRANSITIONS[state]:
            for cause in Cause:
                following = after(state, event, cause)
                if following is not None and following not in reached:
                    reached.add(following)
                    frontier.append(following)
    assert reached == set(State)


@pytest.mark.parametrize("state", sorted(LIVE))
@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_a_live_state_accepts_every_ending(state, ending):
    assert after(state, ending) in FINAL


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_only_restarts(state):
    assert set(TRANSITIONS[state]) == {Event.RETRY}


@pytest.mark.parametrize("ending", sorted(ENDINGS))
@pytest.mark.parametrize("cause", list(Cause))
def test_a_late_exit_of_a_cancelled_case_counts_for_its_cause(ending, cause):
    assert after(State.CANCELLING, ending, cause) is ENDS_AS[cause]


def test_the_numbers_that_are_kept_on_disk_never_change():
    assert [state.name for state in sorted(State)] == [
        "WAITING",
        "HELD",
        "SUBMITTING",
        "PENDING",
        "STARTING",
        "RUNNING",
        "CANCELLING",
        "DONE",
        "FAILED",
        "TIMEOUT",
        "LOST",
        "CANCELLED",
    ]
    assert [cause.name for cause in sorted(Cause)] == ["NONE", "USER", "HALT", "TIMEOUT", "MEMORY"]
