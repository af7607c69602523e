"""The runner around an engine in memory: what is committed, launched, retried, adopted."""

import asyncio
import json
import sqlite3
import sys
from contextlib import closing

import pytest

from tests.fakes import FakeEngine
from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineUnreachable
from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.scheduler import Cancel
from tui_sweep.core.states import Event, State
from tui_sweep.core.sweep import Sweep
from tui_sweep.run import runner as runner_module
from tui_sweep.run.runner import Runner
from tui_sweep.store import commands
from tui_sweep.store.layout import StateDir
from tui_sweep.store.output import Output
from tui_sweep.store.sweeps import create, load
from tui_sweep.view.follow import Follower


def make(tmp_path, cases=4, **asked):
    """A new sweep's folder."""
    sweep = Sweep(
        image="python",
        engine="local",
        env=(("X", "$X"),),
        env_ranges=(parse_range(f"X=range:{cases}"),),
        exec="run",
        **asked,
    )
    plan = Plan(sweep)
    return create(
        StateDir(tmp_path), sweep, {}, cases=plan.count, merged=plan.merged, snapshot=lambda folder: None
    )


async def run(folder, engine, observer=None, meanwhile=None):
    """A whole life of a runner, and of what a test does meanwhile; the runner."""
    runner = Runner(folder, load(folder), engine, observer=observer)
    async with asyncio.timeout(20):
        if meanwhile is None:
            await runner.run()
        else:
            ready = asyncio.Event()
            working = asyncio.create_task(runner.run(ready=ready.set))
            await ready.wait()
            await meanwhile(runner)
            await working
    return runner


async def steps(runner):
    """Twenty steps of a runner."""
    for _ in range(20):
        runner._wake.set()
        await asyncio.sleep(0)


async def until(condition):
    """Wait for something that the runner does, without a clock."""
    while not condition():
        await asyncio.sleep(0)


def states(folder):
    follower = Follower(folder)
    found = [State(row.state).word for row in follower.rows()]
    follower.close()
    return found


def test_a_sweep_runs_to_its_end_and_all_of_it_is_in_the_journal(tmp_path):
    folder = make(tmp_path, cases=5)
    engine = FakeEngine(auto=lambda spec: 0)
    asyncio.run(run(folder, engine))
    assert states(folder) == ["done"] * 5
    assert engine.submitted == [f"{folder.id}-{index}" for index in range(5)]
    follower = Follower(folder)
    assert follower.counts == {"done": 5}
    assert follower.facts["ended"] is not None
    assert follower.runner is None
    assert follower.exit_code == 0


def test_the_intent_is_on_disk_before_the_engine_is_called(tmp_path):
    folder = make(tmp_path, cases=20)
    seen = []

    class Looking(FakeEngine):
        async def submit(self, spec):
            follower = Follower(folder)
            (row,) = follower.attempts(spec.case)
            seen.append((State(row.state), row.submitted is not None))
            await super().submit(spec)

    asyncio.run(run(folder, Looking(auto=lambda spec: 0)))
    assert seen == [(State.SUBMITTING, True)] * 20


def test_what_an_engine_tells_of_a_case_is_heard_to_its_end(tmp_path):
    """A generator that is dropped while it could still go on costs the loop a task for each case."""
    dropped = []

    async def main():
        sys.set_asyncgen_hooks(finalizer=dropped.append)
        await run(make(tmp_path, cases=5), FakeEngine(auto=lambda spec: 0))

    asyncio.run(main())
    assert dropped == []


def test_output_that_an_engine_tells_of_is_seen_at_once_and_not_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "_SAMPLE", 1e-6)
    engine = FakeEngine()
    engine.tells_growth = True

    async def meanwhile(runner):
        await until(lambda: runner.table.counts[State.RUNNING] == 1)
        (spec,) = engine.alive.values()
        spec.sink.stdout.write_bytes(b"hello\n")
        await steps(runner)
        assert runner.table.output_bytes[0] == 0
        engine.report(spec.name, None, status="RUNNING")
        await until(lambda: runner.table.output_bytes[0] == 6)
        engine.end(spec.name, 0)

    asyncio.run(run(make(tmp_path, cases=1), engine, meanwhile=meanwhile))


def test_only_a_case_that_may_write_is_sampled_also_after_it_was_sent_back(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "_SAMPLE", 1e-6)  # in each step
    sampled = []
    sample = Output.sample
    monkeypatch.setattr(Output, "sample", lambda *args: (sampled.append(1), sample(*args))[1])
    engine = FakeEngine()

    async def meanwhile(runner):
        await until(lambda: runner.table.counts[State.RUNNING] == 1)
        (spec,) = engine.alive.values()
        for size in (1, 2):
            spec.sink.stdout.write_bytes(b"x" * size)
            while runner.table.output_bytes[0] != size:
                await steps(runner)
            engine.report(spec.name, Event.ACCEPTED, status="PENDING")
            await until(lambda: runner.table.counts[State.PENDING] == 1)
            await steps(runner)
            sampled.clear()
            await steps(runner)
            assert sampled == []
            engine.report(spec.name, Event.STARTED, status="RUNNING")
            await until(lambda: runner.table.counts[State.RUNNING] == 1)
        engine.end(spec.name, 0)

    asyncio.run(run(make(tmp_path, cases=1), engine, meanwhile=meanwhile))


def test_room_limits_how_many_live_and_the_others_wait_with_the_reason(tmp_path):
    folder = make(tmp_path, cases=5)
    engine = FakeEngine(room=2)

    async def meanwhile(runner):
        follower = Follower(folder)
        for left in (5, 4, 3, 2, 1):
            await until(lambda: len(engine.alive) == min(2, runner.table.unfinished))
            if left > 2:
                await until(lambda: follower.refresh() and follower.facts["dispatch"]["refusal"])
                assert "full: 2 of 2 in use" in follower.reason(list(follower.rows())[-1])
            engine.end(next(iter(engine.alive)), 0)

    asyncio.run(run(folder, engine, meanwhile=meanwhile))
    assert engine.peak == 2
    assert states(folder) == ["done"] * 5


def test_a_failure_is_retried_under_a_new_name_and_both_attempts_are_kept(tmp_path):
    folder = make(tmp_path, cases=1, retries=1, retry_delay=0.01)
    engine = FakeEngine(auto=lambda spec: 3 if spec.attempt == 0 else 0)
    asyncio.run(run(folder, engine))
    assert engine.submitted == [f"{folder.id}-0", f"{folder.id}-0.1"]
    follower = Follower(folder)
    first, second = follower.attempts(0)
    assert (State(first.state), first.exit_code, first.reason) == (State.FAILED, 3, "exit 3")
    assert (State(second.state), second.exit_code) == (State.DONE, 0)


def test_a_busy_engine_gets_the_case_again_and_it_costs_no_attempt(tmp_path):
    folder = make(tmp_path, cases=2)
    engine = FakeEngine(auto=lambda spec: 0)
    engine.errors["submit"] = [EngineBusy("quota exceeded", retry_after=0.01)]
    asyncio.run(run(folder, engine))
    assert states(folder) == ["done", "done"]
    assert sorted(engine.submitted) == [f"{folder.id}-0", f"{folder.id}-1"]


def test_a_denied_case_fails_with_the_words_of_the_engine(tmp_path):
    folder = make(tmp_path, cases=2)
    engine = FakeEngine(auto=lambda spec: 0)
    engine.errors["submit"] = [EngineDenied("there is no image named x")]
    asyncio.run(run(folder, engine))
    row = next(Follower(folder).rows())
    assert (State(row.state), row.reason, row.exit_code) == (State.FAILED, "there is no image named x", None)


def test_an_unconfirmed_submission_is_asked_for_by_name_and_never_doubled(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_sweep.run.attend._FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=1)

    class Swallowing(FakeEngine):
        async def submit(self, spec):
            await super().submit(spec)
            if len(self.submitted) == 1 and not self.errors["seen"]:
                self.errors["seen"].append(None)
                raise EngineUnreachable("the answer was lost")

    engine = Swallowing(auto=lambda spec: 0)
    asyncio.run(run(folder, engine))
    assert engine.submitted == [f"{folder.id}-0"]
    assert states(folder) == ["done"]


def test_an_engine_that_falls_silent_while_following_changes_no_state(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_sweep.run.attend._FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=1)
    engine = FakeEngine(auto=lambda spec: 0)
    engine.errors["follow"] = [EngineUnreachable("no answer"), EngineUnreachable("no answer")]
    asyncio.run(run(folder, engine))
    assert states(folder) == ["done"]


def test_our_own_fault_ends_one_case_as_lost_and_no_other(tmp_path):
    folder = make(tmp_path, cases=3)
    engine = FakeEngine(auto=lambda spec: 0)
    engine.errors["submit"] = [ZeroDivisionError("a bug")]
    asyncio.run(run(folder, engine))
    assert sorted(states(folder)) == ["done", "done", "lost"]


def test_leaving_leaves_the_sessions_and_the_next_runner_adopts_them(tmp_path):
    folder = make(tmp_path, cases=3)
    engine = FakeEngine()

    async def lives():
        async def leave(runner):
            await until(lambda: len(engine.alive) == 3 and runner.table.counts[State.RUNNING] == 3)
            runner.leave()

        await run(folder, engine, meanwhile=leave)
        assert engine.cancelled == []
        assert states(folder) == ["running"] * 3

        async def finish(runner):
            for name in list(engine.alive):
                engine.end(name, 0)

        await run(folder, engine, meanwhile=finish)

    asyncio.run(lives())
    assert states(folder) == ["done"] * 3
    assert len(engine.submitted) == 3


def test_ends_that_nobody_saw_are_read_at_the_next_start(tmp_path):
    folder = make(tmp_path, cases=2)
    engine = FakeEngine()

    async def lives():
        async def leave(runner):
            await until(lambda: runner.table.counts[State.RUNNING] == 2)
            runner.leave()

        await run(folder, engine, meanwhile=leave)
        engine.end(f"{folder.id}-0", 0)
        engine.alive.pop(f"{folder.id}-1")
        await run(folder, engine)

    asyncio.run(lives())
    assert states(folder) == ["done", "lost"]


def test_a_timeline_that_cannot_be_written_keeps_no_sweep_from_being_resumed(tmp_path):
    folder = make(tmp_path, cases=2)
    engine = FakeEngine()

    async def lives():
        async def leave(runner):
            await until(lambda: runner.table.counts[State.RUNNING] == 2)
            runner.leave()

        await run(folder, engine, meanwhile=leave)
        for index in range(2):
            attempt = folder.attempt(index, 0)
            (attempt / "timeline").mkdir(parents=True, exist_ok=True)
            (attempt / "stdout").write_bytes(b"said")
        engine.end(f"{folder.id}-0", 0)

        async def end(runner):
            engine.end(f"{folder.id}-1", 0)

        await run(folder, engine, meanwhile=end)

    asyncio.run(lives())
    follower = Follower(folder)
    assert [(State(row.state).word, row.output_bytes) for row in follower.rows()] == [("done", 4)] * 2
    follower.close()


def test_an_engine_that_does_not_answer_at_adoption_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_sweep.run.adopt._FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=1)
    engine = FakeEngine()

    async def lives():
        async def leave(runner):
            await until(lambda: runner.table.counts[State.RUNNING] == 1)
            runner.leave()

        await run(folder, engine, meanwhile=leave)
        engine.errors["live"] = [EngineUnreachable("no answer")] * 3
        engine.errors["find"] = [EngineUnreachable("no answer")] * 3

        async def finish(runner):
            engine.end(f"{folder.id}-0", 0)

        await run(folder, engine, meanwhile=finish)

    asyncio.run(lives())
    assert states(folder) == ["done"]


def test_the_end_of_a_session_that_nobody_waits_for_is_asked_for_until_it_is_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "_FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=1)
    engine = FakeEngine(auto=lambda spec: 0)

    async def lives():
        await run(folder, engine)
        engine.alive[f"{folder.id}-0"] = object()
        engine.errors["cancel"] = [EngineUnreachable("no answer"), EngineBusy("slowly", retry_after=1.0)]
        commands.drop(folder.commands, "hold")
        await run(folder, engine)

    asyncio.run(lives())
    assert engine.cancelled == [(f"{folder.id}-0", 10.0)]
    assert not engine.alive


def test_a_session_that_nobody_waits_for_holds_up_no_sweep_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "_FIRST_DELAY", 0.01)
    monkeypatch.setattr(runner_module, "_STRAY", 0.1)
    folder = make(tmp_path, cases=1)
    engine = FakeEngine(auto=lambda spec: 0)

    async def lives():
        await run(folder, engine)
        engine.alive[f"{folder.id}-0"] = object()
        engine.errors["cancel"] = [EngineUnreachable("no answer")] * 1000
        commands.drop(folder.commands, "hold")
        await run(folder, engine)

    asyncio.run(lives())
    assert states(folder) == ["done"]


def test_an_end_that_is_still_to_be_read_holds_up_nothing_and_meets_no_limit(tmp_path):
    folder = make(tmp_path, cases=3, timeout=60.0, max_parallel=2)
    engine = FakeEngine()
    ended, running = f"{folder.id}-0", f"{folder.id}-1"

    async def lives():
        async def leave(runner):
            await until(lambda: runner.table.counts[State.RUNNING] == 2)
            runner.leave()

        await run(folder, engine, meanwhile=leave)
        with closing(sqlite3.connect(folder.database)) as journal, journal:
            journal.execute("UPDATE attempts SET started = started - 3600")
        del engine.alive[ended]
        engine.unread.add(ended)
        commands.drop(folder.commands, "cancel", cases=[2])

        async def read(runner):
            await until(lambda: runner.table.counts[State.CANCELLED] and runner.table.counts[State.TIMEOUT])
            assert runner.table.state_of(0) is State.RUNNING
            engine.end(ended, 0)

        await run(folder, engine, meanwhile=read)

    asyncio.run(lives())
    assert [name for name, _ in engine.cancelled] == [running]
    assert states(folder) == ["done", "timeout", "cancelled"]
    assert engine.submitted == [ended, running]


@pytest.mark.parametrize("keep", [False, True])
def test_a_session_of_an_ended_case_is_ended_on_the_engine_unless_it_is_kept(tmp_path, keep):
    folder = make(tmp_path, cases=1, keep=keep)
    engine = FakeEngine(auto=lambda spec: 0)

    async def lives():
        await run(folder, engine)
        engine.alive[f"{folder.id}-0"] = object()
        commands.drop(folder.commands, "hold")
        await run(folder, engine)

    asyncio.run(lives())
    assert engine.cancelled == ([] if keep else [(f"{folder.id}-0", 10.0)])


def test_a_command_is_answered_in_the_commit_of_its_effect(tmp_path):
    folder = make(tmp_path, cases=3, max_parallel=1)
    engine = FakeEngine()
    names = []

    async def meanwhile(runner):
        await until(lambda: len(engine.alive) == 1)
        follower = Follower(folder)
        names.append(commands.drop(folder.commands, "cancel", cases=[2]))
        await until(lambda: follower.answer(names[0]) is not None)
        assert [State(row.state).word for row in follower.rows()][2] == "cancelled"
        await until(lambda: not commands.waiting(folder.commands))
        names.append(commands.drop(folder.commands, "parallel", limit=2))
        await until(lambda: len(engine.alive) == 2)
        names.append(commands.drop(folder.commands, "cancel"))

    asyncio.run(run(folder, engine, meanwhile=meanwhile))
    follower = Follower(folder)
    assert follower.answer(names[0]) == {"ok": True, "cases": 1}
    assert follower.answer(names[2]) == {"ok": True, "cases": 2}
    assert states(folder) == ["cancelled"] * 3


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"verb": "explode", "at": 1}',
        b'{"verb": "cancel", "at": "x"}',
        b"\xff\xfe",
        b"null",
    ],
)
def test_nonsense_in_the_spool_is_answered_and_harms_nothing(tmp_path, text):
    folder = make(tmp_path, cases=1)
    (folder.commands / "00000000000000000001-1-nonsense.json").write_bytes(text)
    asyncio.run(run(folder, FakeEngine(auto=lambda spec: 0)))
    assert Follower(folder).answer("00000000000000000001-1-nonsense.json")["ok"] is False
    assert states(folder) == ["done"]
    assert commands.waiting(folder.commands) == []


@pytest.mark.parametrize(
    "arguments", [{"cases": "all"}, {"cases": [99]}, {"cases": [-1]}, {"cases": [1.5]}, {"cases": ["0"]}]
)
def test_a_command_with_wrong_cases_is_refused_with_a_message(tmp_path, arguments):
    folder = make(tmp_path, cases=2)
    name = commands.drop(folder.commands, "cancel", **arguments)
    asyncio.run(run(folder, FakeEngine(auto=lambda spec: 0)))
    answer = Follower(folder).answer(name)
    assert answer["ok"] is False
    assert answer["message"]
    assert states(folder) == ["done", "done"]


def test_an_old_command_has_expired_but_an_old_retry_is_still_meant(tmp_path):
    folder = make(tmp_path, cases=1)
    engine = FakeEngine(auto=lambda spec: spec.attempt == 0)
    asyncio.run(run(folder, engine))
    assert states(folder) == ["failed"]
    for number, verb in enumerate(["cancel", "retry"]):
        text = json.dumps({"verb": verb, "at": 1000.0, "cases": [0]})
        (folder.commands / f"{number:020d}-1-old.json").write_text(text)
    asyncio.run(run(folder, engine))
    follower = Follower(folder)
    assert follower.answer(f"{0:020d}-1-old.json")["message"] == "expired"
    assert follower.answer(f"{1:020d}-1-old.json") == {"ok": True, "cases": 1}
    assert states(folder) == ["done"]


def test_a_command_answered_by_a_runner_that_died_is_not_done_twice(tmp_path):
    folder = make(tmp_path, cases=1)
    engine = FakeEngine(auto=lambda spec: 1)
    asyncio.run(run(folder, engine))
    name = commands.drop(folder.commands, "retry", cases=[0])
    kept = (folder.commands / name).read_bytes()
    asyncio.run(run(folder, engine))
    (folder.commands / name).write_bytes(kept)  # as if the runner had died before removing it
    asyncio.run(run(folder, engine))
    assert len(engine.submitted) == 2
    assert commands.waiting(folder.commands) == []


def test_halt_ends_the_sweep_with_the_rest_cancelled(tmp_path):
    from tui_sweep.core.sweep import Halt

    folder = make(tmp_path, cases=6, max_parallel=1, halt=Halt("soon", 2))
    asyncio.run(run(folder, FakeEngine(auto=lambda spec: 1)))
    assert states(folder) == ["failed", "failed", "cancelled", "cancelled", "cancelled", "cancelled"]
    assert Follower(folder).exit_code == 1


def test_a_cancel_that_meets_an_outage_is_asked_for_until_the_engine_hears_it(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "_FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=2)
    engine = FakeEngine()
    engine.errors["cancel"] = [
        EngineUnreachable("no answer"),
        EngineDenied("a proxy"),
        EngineUnreachable("none"),
    ]

    async def meanwhile(runner):
        await until(lambda: runner.table.counts[State.RUNNING] == 2)
        runner.wish(Cancel(None))

    asyncio.run(run(folder, engine, meanwhile=meanwhile))
    assert states(folder) == ["cancelled", "cancelled"]
    assert not engine.alive


@pytest.mark.parametrize("refusals", [0, 3])
def test_a_submission_that_arrives_after_its_cancel_is_ended_before_it_counts_as_cancelled(
    tmp_path, monkeypatch, refusals
):
    """A proxy gives up on the engine, which is still at it."""
    monkeypatch.setattr("tui_sweep.run.attend._FIRST_DELAY", 0.01)
    monkeypatch.setattr("tui_sweep.run.attend._LOOK", 0.01)
    monkeypatch.setattr(runner_module, "_FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=1)

    class Late(FakeEngine):
        asked = 0

        async def submit(self, spec):
            raise EngineUnreachable("504 from a proxy")

        async def find(self, specs):
            self.asked += 1
            if self.asked == 5:
                for spec in specs:
                    await super().submit(spec)
            return await super().find(specs)

    engine = Late()

    async def meanwhile(runner):
        await until(lambda: engine.asked == 1)
        engine.errors["cancel"] = [EngineUnreachable("no answer")] * refusals
        runner.wish(Cancel(None))

    asyncio.run(run(folder, engine, meanwhile=meanwhile))
    assert states(folder) == ["cancelled"]
    assert engine.ended
    assert not engine.alive


def test_a_submission_that_never_arrived_is_cancelled_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_sweep.run.attend._FIRST_DELAY", 0.01)
    monkeypatch.setattr("tui_sweep.run.attend._LOOK", 0.01)
    monkeypatch.setattr("tui_sweep.run.attend._SETTLED", 0.1)
    folder = make(tmp_path, cases=1)
    engine = FakeEngine()
    engine.errors["submit"] = [EngineUnreachable("no answer")] * 1000

    async def meanwhile(runner):
        await until(lambda: len(engine.errors["submit"]) < 1000)
        runner.wish(Cancel(None))

    asyncio.run(run(folder, engine, meanwhile=meanwhile))
    assert states(folder) == ["cancelled"]
    assert not engine.submitted


def test_a_submission_that_may_still_arrive_is_not_sent_again(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_sweep.run.attend._LOOK", 0.01)
    folder = make(tmp_path, cases=1)

    class Late(FakeEngine):
        tries = asked = 0

        async def submit(self, spec):
            self.tries += 1
            raise EngineUnreachable("504 from a proxy")

        async def find(self, specs):
            self.asked += 1
            if self.asked == 4:
                for spec in specs:
                    await super().submit(spec)
            return await super().find(specs)

    engine = Late(auto=lambda spec: 0)
    asyncio.run(run(folder, engine))
    assert (states(folder), engine.tries) == (["done"], 1)


def test_a_submission_that_was_certainly_not_heard_is_sent_again_without_a_look(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_sweep.run.attend._FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=1)
    refused = EngineUnreachable("refuses connections")
    refused.sent = False
    engine = FakeEngine(auto=lambda spec: 0)
    engine.errors["submit"] = [refused, refused]
    engine.errors["find"] = [ZeroDivisionError("asked after all")]
    asyncio.run(run(folder, engine))
    assert states(folder) == ["done"]


@pytest.mark.parametrize("silent", [0, 2])
def test_cancelling_while_the_submission_is_on_its_way_ends_the_session(tmp_path, monkeypatch, silent):
    monkeypatch.setattr(runner_module, "_FIRST_DELAY", 0.01)
    folder = make(tmp_path, cases=1)

    class Slow(FakeEngine):
        async def submit(self, spec):
            await self.gate.wait()
            await super().submit(spec)

    async def life():
        engine = Slow()
        engine.gate = asyncio.Event()

        async def meanwhile(runner):
            await until(lambda: runner.table.counts[State.SUBMITTING] == 1)
            runner.wish(Cancel(None))
            await until(lambda: engine.cancelled)
            engine.errors["cancel"] = [EngineUnreachable("no answer")] * silent
            engine.gate.set()

        await run(folder, engine, meanwhile=meanwhile)
        return engine

    engine = asyncio.run(life())
    assert states(folder) == ["cancelled"]
    assert not engine.alive


def test_an_observer_is_told_of_every_change_in_order(tmp_path):
    folder = make(tmp_path, cases=1, retries=1, retry_delay=0.01)
    told = []

    class Observer:
        def changed(self, table, index, at):
            told.append((int(table.attempt[index]), State(table.state[index]).word))

    asyncio.run(run(folder, FakeEngine(auto=lambda spec: spec.attempt == 0), observer=Observer()))
    assert told == [
        (0, "submitting"),
        (0, "running"),
        (0, "failed"),
        (1, "waiting"),
        (1, "submitting"),
        (1, "running"),
        (1, "done"),
    ]


def test_an_unreachable_engine_is_an_error_before_anything_starts(tmp_path):
    folder = make(tmp_path)
    engine = FakeEngine()
    engine.errors["open"] = [EngineUnreachable("connection refused")]
    with pytest.raises(EngineUnreachable):
        asyncio.run(run(folder, engine))
    assert states(folder) == ["waiting"] * 4


def test_a_case_over_its_memory_is_journalled_as_such_before_it_is_killed(tmp_path):
    folder = make(tmp_path, cases=1)
    seen = []

    class Looking(FakeEngine):
        async def cancel(self, name, *, grace):
            (row,) = Follower(folder).attempts(0)
            seen.append((State(row.state), row.reason, grace))
            await super().cancel(name, grace=grace)

    engine = Looking()

    async def meanwhile(runner):
        await until(lambda: runner.table.counts[State.RUNNING] == 1)
        reason = "out of memory (asked 256 MiB)"
        engine.report(f"{folder.id}-0", Event.STOP, reason=reason, out_of_memory=True)

    asyncio.run(run(folder, engine, meanwhile=meanwhile))
    assert seen == [(State.CANCELLING, "out of memory (asked 256 MiB)", 0.0)]
    assert states(folder) == ["failed"]


def test_the_engine_hears_which_live_cases_are_on_a_screen_when_that_changes(tmp_path):
    folder = make(tmp_path, cases=3)
    engine = FakeEngine(room=2)
    name = folder.id

    async def viewers(runner):
        await until(lambda: len(engine.alive) == 2)
        commands.drop(folder.commands, "watch", cases=[1, 2])
        await until(lambda: engine.watched == [[f"{name}-1"]])
        commands.drop(folder.commands, "watch", cases=["0", None])
        await until(lambda: engine.watched == [[f"{name}-1"], []])
        for case in range(2):
            engine.end(f"{name}-{case}", 0)
        await until(lambda: f"{name}-2" in engine.alive)
        engine.end(f"{name}-2", 0)

    asyncio.run(run(folder, engine, meanwhile=viewers))
    assert engine.watched == [[f"{name}-1"], []]
