"""Sweeps on disk with states that a test chose: real folders, real journals, frozen times."""

import asyncio
import threading

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.states import LIVE, Cause, Event, State
from tui_sweep.core.sweep import Sweep
from tui_sweep.store.journal import Entry, Journal
from tui_sweep.store.layout import StateDir
from tui_sweep.store.sweeps import create

EPOCH = 1_800_000_000.0
"""When everything in these sweeps begins, UNIX seconds."""

_WAYS = {
    "held": [Event.HOLD],
    "submitting": [Event.LAUNCH],
    "pending": [Event.LAUNCH, Event.ACCEPTED],
    "starting": [Event.LAUNCH, Event.PREPARING],
    "running": [Event.LAUNCH, Event.STARTED],
    "cancelling": [Event.LAUNCH, Event.STARTED, Event.STOP],
    "done": [Event.LAUNCH, Event.STARTED, Event.SUCCEEDED],
    "failed": [Event.LAUNCH, Event.STARTED, Event.ERRED],
    "timeout": [Event.LAUNCH, Event.STARTED, Event.STOP, Event.ERRED],
    "lost": [Event.LAUNCH, Event.STARTED, Event.VANISHED],
    "cancelled": [Event.STOP],
    "waiting": [],
}
"""How a case comes into each state, from waiting."""

CAPACITY = {"cpu": {"total": "2", "used": "2"}, "mem": {"total": "25769803776", "used": "536870912"}}


def commit(folder, entry):
    """Write to a sweep's journal as a runner does; from inside another event loop, too."""

    async def write():
        journal = Journal(folder.database)
        await journal.commit(entry)
        await journal.close()

    thread = threading.Thread(target=lambda: asyncio.run(write()))
    thread.start()
    thread.join()


def make_folder(
    tmp_path, states, *, variables=None, facts=None, outputs=None, name="lr", engine="local", **asked
):
    """A sweep's folder with one case per state word; ``outputs`` gives stdout by case.

    ``variables``: range expressions by name; by default X=range:N.
    """
    variables = variables or {"X": f"range:{len(states)}"}
    sweep = Sweep(
        image="python",
        engine=engine,
        name=name,
        env=tuple((key, f"${key}") for key in variables),
        env_ranges=tuple(parse_range(f"{key}={expr}") for key, expr in variables.items()),
        exec="python train.py",
        **asked,
    )
    count = len(Plan(sweep))
    assert count == len(states), (count, len(states))
    place = {"host": "here", "cwd": "/work", "interpreter": "/usr/bin/python3"}
    folder = create(StateDir(tmp_path), sweep, place, cases=count, merged=0, snapshot=lambda folder: None)
    table = CaseTable(count)
    for index, word in enumerate(states):
        for step, event in enumerate(_WAYS[word]):
            code = {Event.SUCCEEDED: 0, Event.ERRED: 1}.get(event)
            reason = {Event.ERRED: "exit 1", Event.HOLD: "held by you"}.get(event)
            cause = Cause.TIMEOUT if word == "timeout" else Cause.USER
            if event is Event.STOP:
                reason = "over --timeout 30 s" if word == "timeout" else "cancelled by you"
            table.move(index, event, EPOCH + index + 10 * step, reason=reason, exit_code=code, cause=cause)
    for index, raw in (outputs or {}).items():
        if index >= count:
            continue
        attempt = folder.attempt(index, 0)
        attempt.mkdir(parents=True)
        (attempt / "stdout").write_bytes(raw)
        table.grew(index, len(raw))
    live = any(State(state) in LIVE for state in table.state)
    known = {
        "sweep": {
            "id": folder.id,
            "name": name,
            "engine": engine,
            "cases": count,
            "merged": 0,
            "started": EPOCH,
        },
        "counts": table.word_counts(),
        "dispatch": {
            "holding": False,
            "halted": False,
            "max_parallel": asked.get("max_parallel"),
            "refusal": None,
        },
        "engine": {"reachable": True, "server": "this machine", "capacity": CAPACITY, "waiting": []},
        "ended": None if live or table.unfinished else EPOCH + 1000,
        **(facts or {}),
    }

    commit(folder, Entry(table.take_rows(), known))
    return folder
