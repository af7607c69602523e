"""Sweeps on this machine, run by the command as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def state(home):
    """Where the sweeps of this test live."""
    return home / "state" / "sweep-tui"


@pytest.fixture
def sweep(run_cli):
    """Runs a sweep headless with --json; its events by kind: (completed process, sweep, cases, end)."""

    def run(*args, **more):
        done = run_cli("run", "--headless", "--json", *args, **more)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        by_kind = {"sweep": [], "case": [], "end": []}
        for event in events:
            assert event.pop("v") == 1
            by_kind[event.pop("event")].append(event)
        assert len(by_kind["end"]) == 1, (done.stdout, done.stderr)
        return done, by_kind["sweep"][0], by_kind["case"], by_kind["end"][0]

    return run


@pytest.fixture
def background(tmp_path):
    """Starts the command and returns its process; what still runs at the end is killed."""
    started = []

    def start(*args, **more):
        process = subprocess.Popen(
            [sys.executable, "-m", "tui_sweep", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | more.pop("env", {}),
            **more,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def shown(run_cli):
    """``show --json`` of a sweep: (summary, cases)."""

    def show(called="@", *args):
        done = run_cli("show", called, "--json", *args)
        assert done.returncode == 0, done.stderr
        summary, *cases = [json.loads(line) for line in done.stdout.splitlines()]
        return summary, cases

    return show


@pytest.fixture
def folder(state):
    """The folder of the only sweep there is."""

    def find() -> Path:
        (found,) = (path for path in (state / "sweeps").iterdir() if not path.name.startswith("."))
        return found

    return find
