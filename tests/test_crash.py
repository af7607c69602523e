"""A runner killed at every step of its write order: nothing runs twice, nothing is forgotten."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import State
from tui_sweep.core.sweep import Sweep
from tui_sweep.engines import load
from tui_sweep.store import commands
from tui_sweep.store.layout import StateDir
from tui_sweep.store.sweeps import create
from tui_sweep.view.follow import Follower

DRIVER = Path(__file__).with_name("crash_runner.py")


def make(tmp_path, number, **asked):
    """A sweep of three cases that each append a line to ``ran`` and print one."""
    work = tmp_path / f"work{number}"
    work.mkdir()
    sweep = Sweep(
        image="sh",
        engine="local",
        env=(("X", "$X"),),
        env_ranges=(parse_range("X=range:3"),),
        exec='echo "$$X" >> ran; echo "line $$X"; echo "error $$X" >&2',
        slots=Slots({"cpu": "0.1"}),
        **asked,
    )
    prepared = load("local").prepare(sweep, environ=os.environ, cwd=work)
    count = len(Plan(sweep))
    folder = create(
        StateDir(tmp_path / f"state{number}"),
        sweep,
        prepared.place,
        cases=count,
        merged=0,
        snapshot=lambda folder: None,
    )
    return folder, work


def run(folder, last):
    """A runner that dies at a step; its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder.path), str(last)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(DRIVER.parent.parent)},
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout.strip()


def steps(tmp_path, **asked):
    """How many steps a life without a crash has."""
    folder, _ = make(tmp_path, "all", **asked)
    return int(run(folder, 10**9)[1])


def check(folder, work, words):
    follower = Follower(folder)
    rows = list(follower.rows())
    assert [State(row.state).word for row in rows] == words
    assert [row.attempt for row in rows] == [0, 0, 0]
    ran = Counter((work / "ran").read_text().split())
    assert ran == Counter({str(i): 1 for i, word in enumerate(words) if word == "done"})
    for index, word in enumerate(words):
        if word == "done":
            attempt = folder.attempt(index, 0)
            assert (attempt / "stdout").read_text() == f"line {index}\n"
            assert (attempt / "stderr").read_text() == f"error {index}\n"


@pytest.mark.slow
def test_killed_at_any_step_and_resumed_each_case_runs_exactly_once(tmp_path):
    total = steps(tmp_path)
    assert total > 30
    # the order of commits and ends differs a little from run to run: go past the count of one life
    for last in range(1, total + 5):
        folder, work = make(tmp_path, last)
        run(folder, last)
        code, _ = run(folder, 10**9)
        assert code == 0, f"killed at step {last}"
        check(folder, work, ["done"] * 3)
        assert Follower(folder).counts == {"done": 3}


@pytest.mark.slow
def test_killed_again_and_again_it_still_comes_to_the_same_end(tmp_path):
    folder, work = make(tmp_path, "often")
    for last in (3, 5, 8, 4, 7, 2, 9, 6):
        run(folder, last)
    assert run(folder, 10**9)[0] == 0
    check(folder, work, ["done"] * 3)


@pytest.mark.slow
def test_a_command_is_done_once_wherever_the_runner_dies(tmp_path):
    def ask(folder):
        name = commands.drop(folder.commands, "cancel", cases=[2])
        path = folder.commands / name
        # in time for every runner of this test, however long it takes
        path.write_text(json.dumps({**json.loads(path.read_text()), "at": 1e12}))
        return name

    folder, _ = make(tmp_path, "all", max_parallel=1)
    ask(folder)
    total = int(run(folder, 10**9)[1])
    for last in range(1, total + 3, 2):
        folder, work = make(tmp_path, last, max_parallel=1)
        name = ask(folder)
        run(folder, last)
        assert run(folder, 10**9)[0] == 0
        check(folder, work, ["done", "done", "cancelled"])
        assert Follower(folder).answer(name) == {"ok": True, "cases": 1}
        assert commands.waiting(folder.commands) == []
