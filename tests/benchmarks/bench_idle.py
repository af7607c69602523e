"""What a runner costs while 1,000 cases sleep: CPU over 20 seconds and memory, beside GNU parallel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure import SWEEP_TUI, cost, fresh, report, until, watched

CASES = 1000
WATCH = 20.0
"""Seconds."""
BAR_CPU = 0.02
"""Share of one core."""
BAR_RSS = 100 * 10**6


def marked(mark: str) -> list[int]:
    """Processes whose environment holds ``mark``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it ended, or is not ours to read
            continue
    return [pid for pid in found if pid != os.getpid()]


def killed(mark: str) -> int:
    """How many processes with ``mark`` there were; there are none after."""
    count = 0
    while left := marked(mark):
        count += len(left)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    return count


def ours(home: Path) -> dict[str, Any]:
    """The runner of a detached sweep, from its start to its end."""
    began = time.monotonic()
    sweep = cost(
        *(SWEEP_TUI, "run", "--detach", "--engine", "local", "--yes", "-r", "cpu=0.001"),
        *("--range", f"I=range:{CASES}", "-e", "I=$I", "--exec", "sleep 600", "sh"),
        cwd=home,
    ).stdout.strip()

    def now() -> dict[str, Any]:
        return json.loads(cost(SWEEP_TUI, "ls", "--json").stdout.splitlines()[0])

    try:
        until(lambda: now()["counts"].get("running") == CASES, 300, f"{CASES} running cases")
        started = time.monotonic() - began
        figures = watched(now()["runner"], WATCH)
        began = time.monotonic()
        cost(SWEEP_TUI, "cancel", sweep, "--all")
        cost(SWEEP_TUI, "wait", sweep, ends=(5,))
        return figures | {
            "all_started_s": round(started, 1),
            "all_cancelled_s": round(time.monotonic() - began, 1),
        }
    finally:
        if left := killed(f"SWEEP_ID={sweep}"):
            print(f"bench_idle: {left} processes of the sweep were left behind", file=sys.stderr)


def parallel(home: Path) -> dict[str, Any]:
    """GNU parallel with as many sleepers, without results: what is given as a common tool's cost."""
    words = [
        "parallel",
        "--will-cite",
        f"-j{CASES}",
        "--joblog",
        f"{home}/joblog",
        "sleep",
        "600",
        ";:",
        ":::",
    ]
    mark = f"SWEEP_BENCH_MARK={home}"
    child = subprocess.Popen(
        [*words, *map(str, range(CASES))],
        stdin=subprocess.DEVNULL,
        env=os.environ | {"SWEEP_BENCH_MARK": str(home)},
        start_new_session=True,
    )
    try:
        until(lambda: len(marked(mark)) > CASES, 300, "parallel's sleepers")
        return watched(child.pid, WATCH)
    finally:
        child.kill()
        child.wait()
        killed(mark)


def main() -> int:
    with fresh() as home:
        figures, peer = ours(home), parallel(home)
    return report(
        "idle",
        figures={"cases": CASES, **figures},
        peer={"parallel": peer},
        ratio=figures["cpu_share"] / max(peer["cpu_share"], 1e-4),
        bar=f"under {BAR_CPU:.0%} of a core and {BAR_RSS // 10**6} MB resident",
        ok=figures["cpu_share"] < BAR_CPU and figures["rss"] < BAR_RSS,
    )


if __name__ == "__main__":
    sys.exit(main())
