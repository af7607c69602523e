"""The scheduler as a function: what it answers to what happened, without a clock or a process."""

import pytest

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.scheduler import (
    SPARED,
    Admitted,
    Cancel,
    End,
    Hold,
    Parallel,
    Refused,
    Release,
    Retry,
    RoomFreed,
    Scheduler,
    Submit,
    Tick,
    Told,
)
from tui_sweep.core.session import Refusal, Report
from tui_sweep.core.states import Cause, Event, State
from tui_sweep.core.sweep import Halt, Sweep


class Play:
    """A sweep played by hand: launch what may go, tell what happens, look at the states."""

    def __init__(self, cases, **asked):
        self.sweep = Sweep(image="python", engine="local", **asked)
        self.table = CaseTable(cases)
        self.scheduler = Scheduler(self.sweep, self.table)

    def launch(self, now=0.0):
        """Launch all that may go now; their indices."""
        launched = []
        while (index := self.scheduler.candidate(now)) is not None:
            instructions = self.scheduler.handle(Admitted(index), now)
            assert instructions == [Submit(index, int(self.table.attempt[index]))]
            launched.append(index)
        return launched

    def tell(self, index, event, now=0.0, **more):
        attempt = int(self.table.attempt[index])
        report = Report(f"s-{index}", event, now, **more)
        return self.scheduler.handle(Told(index, attempt, report), now)

    def start(self, index, now=0.0):
        return self.tell(index, Event.STARTED, now)

    def fail(self, index, now=0.0, code=1):
        return self.tell(index, Event.ERRED, now, exit_code=code, reason=f"exit {code}")

    def finish(self, index, now=0.0):
        return self.tell(index, Event.SUCCEEDED, now, exit_code=0)

    def states(self):
        return [State(state).word for state in self.table.state]


def test_cases_go_in_order_and_never_more_than_max_parallel():
    play = Play(5, max_parallel=2)
    assert play.launch() == [0, 1]
    play.start(0)
    assert play.launch() == []
    play.finish(0)
    assert play.launch() == [2]


@pytest.mark.parametrize("skew", [600.0, -600.0])
def test_an_engines_clock_decides_nothing(skew):
    play = Play(1, retries=3, retry_delay=1.0)
    play.launch(100.0)
    play.start(0, 101.0)
    report = Report("s-0", Event.ERRED, 105.0 + skew, exit_code=1)
    play.scheduler.handle(Told(0, 0, report), 105.0)
    assert play.scheduler.wake_at() == 106.0
    (past,) = play.table._past
    assert 101.0 <= past.ended <= 105.0


@pytest.mark.parametrize("skew", [600.0, -600.0])
def test_a_refusal_by_another_clock_closes_the_gate_as_long_as_it_says(skew):
    play = Play(1)
    play.launch(100.0)
    report = Report("s-0", Event.REFUSED, 100.0 + skew, reason="full", retry_after=5.0)
    play.scheduler.handle(Told(0, 0, report), 100.0)
    assert play.scheduler.wake_at() == 105.0


def test_what_ended_before_it_started_did_not_end_before_it_was_sent():
    play = Play(1)
    play.launch(100.0)
    play.scheduler.handle(Told(0, 0, Report("s-0", Event.VANISHED, 50.0)), 105.0)
    assert play.table.ended[0] == 100.0


def test_max_parallel_can_change_while_running():
    play = Play(5, max_parallel=1)
    assert play.launch() == [0]
    play.scheduler.handle(Parallel(3), 0.0)
    assert play.launch() == [1, 2]
    play.scheduler.handle(Parallel(1), 0.0)
    play.finish(0)
    assert play.launch() == []


def test_a_refusal_closes_one_gate_until_its_time_or_until_room_is_freed():
    play = Play(3)
    index = play.scheduler.candidate(10.0)
    play.scheduler.handle(Refused(index, Refusal("needs cpu 1; 0 of 2 free", 5.0)), 10.0)
    assert play.scheduler.candidate(11.0) is None
    assert play.table.reason(0) == "needs cpu 1; 0 of 2 free"
    assert play.scheduler.wake_at() == 15.0
    play.scheduler.handle(Tick(), 15.0)
    assert play.scheduler.candidate(15.0) == 0
    play.scheduler.handle(Refused(0, Refusal("full", 5.0)), 15.0)
    play.scheduler.handle(RoomFreed(), 16.0)
    assert play.scheduler.candidate(16.0) == 0


def test_a_case_refused_after_its_intent_waits_again_for_free():
    play = Play(2, retries=0)
    assert play.launch() == [0, 1]
    play.tell(0, Event.REFUSED, 1.0, reason="quota exceeded", retry_after=3.0)
    assert play.states() == ["waiting", "submitting"]
    assert play.table.attempt[0] == 0
    assert play.scheduler.candidate(2.0) is None
    play.scheduler.handle(Tick(), 4.0)
    assert play.launch(4.0) == [0]


def test_retries_wait_longer_each_time_and_stop_after_their_number():
    play = Play(1, retries=2, retry_delay=10.0)
    now, waits = 0.0, []
    for _ in range(3):
        assert play.launch(now) == [0]
        play.fail(0, now)
        due = play.scheduler.wake_at()
        if due is None:
            break
        waits.append(due - now)
        assert play.launch(due - 0.1) == []
        now = due
        play.scheduler.handle(Tick(), now)
    assert waits == [10.0, 20.0]
    assert play.states() == ["failed"]
    assert play.table.attempt[0] == 2


@pytest.mark.parametrize("retries", [0, 2])
def test_what_never_began_for_a_fault_of_the_engine_costs_no_retry_but_not_for_ever(retries):
    play = Play(1, retries=retries, retry_delay=1.0)
    now, waits = 0.0, []
    for _ in range(SPARED + retries + 1):
        assert play.launch(now) == [0]
        play.tell(0, Event.ERRED, now, reason="its database is busy", unbegun=True)
        due = play.scheduler.wake_at()
        if due is None:
            break
        waits.append(due - now)
        now = due
        play.scheduler.handle(Tick(), now)
    assert waits == [10.0, 20.0, 40.0, 1.0, 2.0][: SPARED + retries]
    assert play.states() == ["failed"]
    assert play.table.attempt[0] == SPARED + retries


def test_what_never_began_says_so_while_it_waits():
    play = Play(1)
    play.launch()
    play.tell(0, Event.ERRED, 1.0, reason="its database is busy", unbegun=True)
    assert play.states() == ["waiting"]
    assert play.table.reason(0) == "never began, sent again in 10 s, after: its database is busy"


def test_what_never_began_does_not_halt():
    play = Play(2, halt=Halt("soon", 1))
    play.launch()
    play.tell(0, Event.ERRED, 1.0, unbegun=True)
    assert not play.scheduler.halted


def test_a_week_of_retries_costs_no_time():
    play = Play(1, retries=2000, retry_delay=1.0)
    now = 0.0
    for _ in range(2000):
        assert play.launch(now) == [0]
        play.fail(0, now)
        now = play.scheduler.wake_at()
        play.scheduler.handle(Tick(), now)
    assert now > 6 * 86400


def test_a_delayed_retry_does_not_block_the_cases_behind_it():
    play = Play(3, max_parallel=1, retries=1, retry_delay=60.0)
    assert play.launch(0.0) == [0]
    play.fail(0, 1.0)
    assert play.launch(1.0) == [1]
    play.finish(1, 2.0)
    assert play.launch(2.0) == [2]
    play.finish(2, 3.0)
    assert play.launch(3.0) == []
    play.scheduler.handle(Tick(), 61.0)
    assert play.launch(61.0) == [0]


def test_success_is_not_retried():
    play = Play(1, retries=3)
    play.launch()
    play.finish(0)
    assert play.states() == ["done"]
    assert play.scheduler.finished


@pytest.mark.parametrize("event", [Event.ACCEPTED, Event.STARTED])
def test_no_limit_strikes_a_case_that_has_ended_while_its_end_is_being_read(event):
    """Its end may have come long before the limit, in the life of no runner."""
    play = Play(1, timeout=30.0, max_wait=30.0)
    play.launch(0.0)
    play.tell(0, event, 1.0)
    play.tell(0, None, 20.0, over=True)
    assert play.scheduler.handle(Tick(), 1000.0) == []
    play.finish(0, 21.0)
    assert play.states() == ["done"]


def test_a_case_that_is_run_again_has_its_limit_again():
    play = Play(1, timeout=30.0, retries=1, retry_delay=0.0)
    play.launch(0.0)
    play.start(0, 1.0)
    play.tell(0, None, 2.0, over=True)
    play.fail(0, 2.0)
    play.scheduler.handle(Tick(), 3.0)
    assert play.launch(3.0) == [0]
    play.start(0, 4.0)
    assert play.scheduler.handle(Tick(), 34.0) == [End(0, 1, play.sweep.grace)]


def test_over_the_time_limit_is_ended_and_counts_as_timeout():
    play = Play(1, timeout=30.0, grace=7.0)
    play.launch(0.0)
    play.start(0, 5.0)
    assert play.scheduler.wake_at() == 35.0
    assert play.scheduler.handle(Tick(), 34.0) == []
    assert play.scheduler.handle(Tick(), 35.0) == [End(0, 0, 7.0)]
    assert play.states() == ["cancelling"]
    play.tell(0, Event.ERRED, 36.0, exit_code=143, reason="SIGTERM")
    assert play.states() == ["timeout"]
    assert play.table.reason(0) == "over --timeout 30 s"


def test_a_time_limit_of_an_earlier_attempt_does_not_end_a_later_one():
    play = Play(1, timeout=30.0, retries=1, retry_delay=1.0)
    play.launch(0.0)
    play.start(0, 0.0)
    play.fail(0, 1.0)
    play.scheduler.handle(Tick(), 2.0)
    play.launch(2.0)
    play.start(0, 20.0)
    assert play.scheduler.handle(Tick(), 31.0) == []
    assert play.states() == ["running"]


def test_max_wait_counts_from_the_turn_and_ends_a_case_that_was_never_sent():
    play = Play(2, max_wait=60.0)
    assert play.scheduler.candidate(100.0) == 0
    play.scheduler.handle(Refused(0, Refusal("full", 1000.0)), 100.0)
    play.scheduler.handle(Tick(), 160.0)
    assert play.states() == ["timeout", "waiting"]
    assert play.table.reason(0) == "waited longer than --max-wait 60 s"


def test_max_wait_ends_a_pending_case_but_not_a_running_one():
    play = Play(2, max_wait=60.0)
    assert play.launch(0.0) == [0, 1]
    play.tell(0, Event.ACCEPTED, 1.0)
    play.start(1, 2.0)
    assert play.scheduler.handle(Tick(), 60.0) == [End(0, 0, 10.0)]
    assert play.states() == ["cancelling", "running"]


def test_cancelling_all_ends_what_waits_at_once_and_asks_the_engine_for_the_rest():
    play = Play(4, max_parallel=2, grace=3.0)
    play.launch()
    play.start(0)
    assert play.scheduler.handle(Cancel(None), 1.0) == [End(0, 0, 3.0), End(1, 0, 3.0)]
    assert play.states() == ["cancelling", "cancelling", "cancelled", "cancelled"]
    play.tell(0, Event.ERRED, 2.0, exit_code=143)
    play.tell(1, Event.REFUSED, 2.0)
    assert play.states() == ["cancelled"] * 4
    assert play.scheduler.finished


def test_a_forced_cancel_gives_no_grace():
    play = Play(1)
    play.launch()
    assert play.scheduler.handle(Cancel([0], force=True), 1.0) == [End(0, 0, 0.0)]


def test_cancelling_an_ended_or_unknown_case_does_nothing():
    play = Play(1)
    play.launch()
    play.finish(0)
    assert play.scheduler.handle(Cancel([0, 99]), 1.0) == []
    assert play.states() == ["done"]


def test_a_case_over_its_memory_is_ended_at_once_and_fails_with_the_amount():
    play = Play(1, retries=0)
    play.launch()
    play.start(0)
    reason = "out of memory (asked 256 MiB)"
    assert play.tell(0, Event.STOP, 1.0, reason=reason, out_of_memory=True) == [End(0, 0, 0.0)]
    assert play.table.cause[0] == Cause.MEMORY
    play.tell(0, Event.ERRED, 1.1, exit_code=137, reason="SIGKILL")
    assert (play.states(), play.table.reason(0)) == (["failed"], reason)


def test_halt_soon_starts_nothing_and_cancels_the_rest_when_the_live_have_ended():
    play = Play(5, max_parallel=2, halt=Halt("soon", 1))
    assert play.launch() == [0, 1]
    play.fail(0)
    assert play.launch() == []
    assert play.states() == ["failed", "submitting", "waiting", "waiting", "waiting"]
    play.start(1)
    play.finish(1)
    assert play.states() == ["failed", "done", "cancelled", "cancelled", "cancelled"]
    assert play.table.reason(4) == "halted"


def test_halt_now_cancels_the_live_ones_too():
    play = Play(4, max_parallel=3, halt=Halt("now", 1), grace=2.0)
    play.launch()
    assert play.fail(0) == [End(1, 0, 2.0), End(2, 0, 2.0)]
    for index in (1, 2):
        play.tell(index, Event.ERRED, 1.0, exit_code=143)
    assert play.states() == ["failed", "cancelled", "cancelled", "cancelled"]
    assert play.table.reason(1) == "halted"


def test_halt_per_cent_counts_of_all_cases():
    play = Play(20, halt=Halt("soon", 10, percent=True))
    play.launch()
    play.fail(0)
    assert not play.scheduler.halted
    play.fail(1)
    assert play.scheduler.halted


def test_a_failure_that_is_retried_does_not_halt():
    play = Play(2, retries=1, retry_delay=1.0, halt=Halt("now", 1))
    play.launch()
    play.fail(0)
    assert not play.scheduler.halted
    play.scheduler.handle(Tick(), 1.0)
    play.launch(1.0)
    play.fail(0, 2.0)
    assert play.scheduler.halted


def test_a_users_retry_goes_on_after_a_halt_and_counts_failures_anew():
    play = Play(3, max_parallel=1, halt=Halt("soon", 1))
    play.launch()
    play.fail(0)
    assert play.states() == ["failed", "cancelled", "cancelled"]
    play.scheduler.handle(Retry([1, 2]), 5.0)
    assert play.launch(5.0) == [1]
    play.finish(1, 6.0)
    assert play.launch(6.0) == [2]
    play.finish(2, 7.0)
    assert play.states() == ["failed", "done", "done"]


def test_retrying_the_failed_takes_failed_timed_out_and_lost_and_no_other():
    play = Play(5)
    play.launch()
    play.fail(0)
    play.finish(1)
    play.tell(2, Event.VANISHED)
    play.scheduler.handle(Cancel([3]), 1.0)
    play.tell(3, Event.ERRED, 1.0)
    play.start(4)
    play.scheduler.handle(Retry(None), 2.0)
    assert play.states() == ["waiting", "done", "waiting", "cancelled", "running"]
    assert play.launch(2.0) == [0, 2]


def test_a_users_retry_gets_all_its_automatic_retries_again():
    play = Play(1, retries=1, retry_delay=1.0)
    play.launch()
    play.fail(0, 0.0)
    play.scheduler.handle(Tick(), 1.0)
    play.launch(1.0)
    play.fail(0, 1.0)
    assert play.states() == ["failed"]
    play.scheduler.handle(Retry([0]), 5.0)
    play.launch(5.0)
    play.fail(0, 6.0)
    assert play.states() == ["waiting"]


def test_a_delayed_case_that_is_cancelled_and_rerun_is_not_forgotten():
    play = Play(1, retries=1, retry_delay=60.0)
    play.launch()
    play.fail(0, 0.0)
    play.scheduler.handle(Cancel([0]), 1.0)
    play.scheduler.handle(Retry([0]), 2.0)
    assert play.launch(2.0) == [0]


def test_holding_sends_nothing_new_and_releasing_goes_on():
    play = Play(3, max_parallel=1)
    play.launch()
    play.scheduler.handle(Hold(None), 1.0)
    play.finish(0, 2.0)
    assert play.launch(2.0) == []
    assert not play.scheduler.finished
    play.scheduler.handle(Release(None), 3.0)
    assert play.launch(3.0) == [1]


def test_a_held_case_is_passed_over_and_goes_when_it_is_released():
    play = Play(3, max_parallel=1)
    play.scheduler.handle(Hold([0]), 0.0)
    assert play.launch() == [1]
    play.scheduler.handle(Release([0]), 1.0)
    play.finish(1, 2.0)
    assert play.launch(2.0) == [0]


def test_a_late_report_about_an_earlier_attempt_changes_nothing():
    play = Play(1, retries=1, retry_delay=0.0)
    play.launch()
    play.fail(0)
    play.scheduler.handle(Tick(), 0.0)
    play.launch()
    stale = Report("s-0", Event.SUCCEEDED, 1.0, exit_code=0)
    play.scheduler.handle(Told(0, 0, stale), 1.0)
    assert play.states() == ["submitting"]


def test_stopping_launches_nothing():
    play = Play(2)
    play.scheduler.stopping = True
    assert play.launch() == []


def test_a_session_sent_back_to_waiting_is_pending_again_and_not_limited_by_its_first_start():
    play = Play(1, timeout=30.0)
    play.launch(0.0)
    play.start(0, 0.0)
    play.tell(0, Event.ACCEPTED, 10.0, reason="preempted")
    assert play.states() == ["pending"]
    play.start(0, 50.0)
    play.scheduler.handle(Tick(), 31.0)
    assert play.states() == ["running"]


@pytest.mark.parametrize("cases", [3, 300_000])
def test_the_next_case_is_found_without_looking_at_all_of_them(cases):
    play = Play(cases, max_parallel=1)
    for _ in range(3):
        (index,) = play.launch()
        play.finish(index)
    assert play.scheduler._cursor <= 3


def test_a_new_runner_recalls_the_limits_of_what_runs():
    play = Play(2, timeout=30.0, max_wait=100.0)
    play.launch(0.0)
    play.start(0, 5.0)
    again = Scheduler(play.sweep, play.table)
    again.recall(20.0)
    assert again.handle(Tick(), 35.0) == [End(0, 0, 10.0)]
    assert again.handle(Tick(), 100.0) == [End(1, 0, 10.0)]
