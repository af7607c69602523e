"""What a runner costs while 10,000 sessions of a cluster run and wait and nothing changes.

The stand-in manager has room for 9,900 of them; the rest waits there. The time that is watched begins as soon as
all have come so far, and is long enough for what a runner does now and then: a look into the log of each that
runs, one reading of the whole list. The peer is the official client with as many sessions as it keeps at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench_cluster import words
from measure import SWEEP_TUI, cost, fresh, report, until, watched
from official import MissingError, official
from stub import Stub, since, stub

SESSIONS, RUNNING = 10_000, 9_900
WATCH = 120.0
"""Seconds."""
BAR_CPU = 0.10
"""Share of one core."""
BAR_RSS = 250 * 10**6
PEERS, PEER_WATCH = 100, 20.0
"""Its pool has 100 connections, and each session that runs holds one."""


def peak(pid: int) -> int:
    """The most memory that a process ever had, bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def ours(manager: Stub, home: Path) -> dict[str, Any]:
    """A detached runner, from its start until its sessions have not changed for a while."""

    def counts() -> dict[str, int]:
        return dict(now()["counts"])

    def now() -> dict[str, Any]:
        return dict(json.loads(cost(SWEEP_TUI, "ls", "--json").stdout.splitlines()[0]))

    cost(SWEEP_TUI, "run", "--detach", "--engine", "backendai", "--yes", *words(SESSIONS), cwd=home)
    runner = now()["runner"]
    try:
        settled = {"running": RUNNING, "pending": SESSIONS - RUNNING}
        took = until(lambda: counts() == settled, 600, f"{SESSIONS} sessions, of which {RUNNING} run")
        before = manager.told()
        figures = watched(runner, WATCH)
        after = manager.told()
        if before["statuses"] != after["statuses"] or counts() != settled:
            raise RuntimeError(f"something changed: {before['statuses']}, {after['statuses']}")
        return figures | {
            "peak_rss": peak(runner),
            "all_sent_s": round(took, 1),
            "requests": since(before, after),
        }
    finally:
        os.kill(runner, signal.SIGTERM)


def theirs(client: Path, manager: Stub, home: Path) -> dict[str, Any]:
    """The official client while PEERS sessions run."""
    child = subprocess.Popen(
        [client, "run", "--rm", *words(PEERS)],
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    route = "GET /stream/session/*/execute"
    try:
        until(lambda: manager.told()["calls"].get(route, 0) >= PEERS, 120, "the official client's sessions")
        return watched(child.pid, PEER_WATCH)
    finally:
        child.kill()
        child.wait()


def main() -> int:
    try:
        client = official()
    except MissingError as missing:
        print(f"bench_cluster_idle: {missing}", file=sys.stderr)
        return 1
    with fresh(in_memory=True) as home:
        with stub(cpu=RUNNING, canned="", seconds=10**6) as manager:
            os.environ |= manager.environ
            figures = ours(manager, home)
        with stub(cpu=RUNNING, canned="", seconds=10**6) as manager:
            os.environ |= manager.environ
            peer = theirs(client, manager, home)
    each, other = figures["cpu_share"] / SESSIONS, peer["cpu_share"] / PEERS
    return report(
        "cluster_idle",
        figures={"sessions": SESSIONS, "running": RUNNING, "watched_s": WATCH, **figures},
        peer={"official": {"sessions": PEERS, **peer}},
        ratio=each / max(other, 1e-9),
        bar=f"under {BAR_CPU:.0%} of a core and {BAR_RSS // 10**6} MB resident; ratio: CPU for each session",
        ok=figures["cpu_share"] < BAR_CPU and figures["peak_rss"] < BAR_RSS,
    )


if __name__ == "__main__":
    sys.exit(main())
