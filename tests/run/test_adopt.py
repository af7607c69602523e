"""What the journal says × what the engine says, cell by cell where it is not plain from a runner's life."""

import pytest

from tui_sweep.core.session import Report
from tui_sweep.core.states import Event, State
from tui_sweep.run.adopt import Verdict, verdict

ENDED = Report("ab12cd34-0", None, 1.0, status="TERMINATED", over=True)
"""What an engine says of a session that has ended, how it has still to read."""


@pytest.mark.parametrize("state", [State.PENDING, State.STARTING, State.RUNNING, State.CANCELLING])
def test_a_case_whose_end_is_still_to_be_read_stays_as_it_is_and_is_followed(state):
    assert verdict(state, ENDED) == Verdict(follow=True)


@pytest.mark.parametrize("state", [State.WAITING, State.HELD, State.SUBMITTING])
def test_a_case_that_has_ended_and_was_not_known_to_live_is_not_sent_again(state):
    assert verdict(state, ENDED) == Verdict(Event.ACCEPTED, follow=True)


@pytest.mark.parametrize("state", [State.DONE, State.LOST])
def test_an_end_that_is_known_is_not_read_again(state):
    assert verdict(state, ENDED) == Verdict()


@pytest.mark.parametrize("state", [State.PENDING, State.RUNNING])
def test_a_session_that_lives_and_tells_nothing_new_is_followed(state):
    assert verdict(state, Report("ab12cd34-0", None, 1.0)) == Verdict(follow=True)
