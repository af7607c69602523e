"""1,000 sessions from their creation to their end on a manager without latency, beside the official client.

Both speak to the same stand-in manager, in turns, and neither leaves a session: ours are batch sessions that
end by themselves, the official client's are interactive ones that it removes (``--rm``). What they write is in
memory, where there is room for that: ext4 takes ten times as long to make a file for some seconds after many were
removed, and only ours writes any.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from measure import SWEEP_TUI, Cost, alternated, cost, fresh, median, report
from official import MissingError, official
from stub import FRAMED, IMAGE, Stub, since, stub

SESSIONS = 1000
TIMES = 9
"""Of each; the quickest of five was off by a fifth on a machine whose pace varies by a third."""
BAR = 2.0
"""Times the sessions per second of the official client."""
BAR_REQUESTS = 4.0
"""For each case, everything included that is asked for all of them."""
BAR_RSS = 120 * 10**6
CODE = "import os; print(os.environ['X'])"


def words(count: int) -> tuple[str, ...]:
    """The options that both take."""
    sweep = ("-c", CODE, "-e", "X=$X", f"--env-range=X=range:{count}")
    return (*sweep, "-r", "cpu=1", "-r", "mem=256m", IMAGE)


def ended(manager: Stub, before: dict[str, Any], count: int) -> dict[str, int]:
    """The requests since ``before``. Raises RuntimeError unless ``count`` more sessions came, and are gone."""
    after = manager.told()
    gone = after["statuses"].get("TERMINATED", 0) - before["statuses"].get("TERMINATED", 0)
    if gone != count or set(after["statuses"]) != {"TERMINATED"}:
        raise RuntimeError(f"not {count} sessions that ended: {before['statuses']}, {after['statuses']}")
    return since(before, after)


def ours(manager: Stub, home: Path) -> tuple[Cost, dict[str, int]]:
    """What our runner took, and what it asked."""
    before = manager.told()
    took = cost(
        *(SWEEP_TUI, "run", "--headless", "--engine", "backendai", "--yes"), *words(SESSIONS), cwd=home
    )
    sweep = json.loads(cost(SWEEP_TUI, "ls", "--json").stdout.splitlines()[0])
    outputs = sum(path.read_bytes() == b"hello\n" for path in Path(sweep["dir"]).glob("out/*/*/stdout"))
    if sweep["counts"] != {"done": SESSIONS} or outputs != SESSIONS:
        raise RuntimeError(f"not all done: {sweep['counts']}, {outputs} outputs")
    return took, ended(manager, before, SESSIONS)


def theirs(client: Path, manager: Stub, home: Path, count: int) -> tuple[Cost, dict[str, int]]:
    """The same of the official client. Raises RuntimeError when it did not get through."""
    before = manager.told()
    took = cost(str(client), "run", "--rm", *words(count), cwd=home)
    return took, ended(manager, before, count)


def most(client: Path, manager: Stub, home: Path) -> int:
    """How many sessions at once the official client gets through: all, or half as many, or half of that."""
    count = SESSIONS
    while count > 1:
        try:
            theirs(client, manager, home, count)
        except RuntimeError as error:
            print(f"bench_cluster: official client with {count} sessions: {error}", file=sys.stderr)
            count //= 2
        else:
            return count
    raise RuntimeError("the official client gets through with no number of sessions")


def figures(runs: list[tuple[Cost, dict[str, int]]], count: int) -> dict[str, Any]:
    """The quickest of some runs, as both share the machine with the manager and with others, who only ever
    take time; the median of their CPU time, the peak of all, and the requests of the last."""
    asked = runs[-1][1]
    return {
        "sessions": count,
        "sessions_per_second": round(count / min(took.seconds for took, _ in runs), 1),
        "runs_s": [round(took.seconds, 2) for took, _ in runs],
        "cpu_s": median([took.cpu for took, _ in runs]),
        "rss": max(took.rss for took, _ in runs),
        "requests_per_case": round(max(sum(asked.values()) for _, asked in runs) / count, 3),
        "requests": asked,
    }


def main() -> int:
    try:
        client = official()
    except MissingError as missing:
        print(f"bench_cluster: {missing}", file=sys.stderr)
        return 1
    with fresh(in_memory=True) as home, stub(cpu=10**6, canned=FRAMED) as manager:
        os.environ |= manager.environ
        count = most(client, manager, home)  # it also leaves compiled files behind
        measures = {
            "ours": lambda: ours(manager, home),
            "official": lambda: theirs(client, manager, home, count),
        }
        runs = alternated(measures, times=TIMES)
    our, peer = figures(runs["ours"], SESSIONS), figures(runs["official"], count)
    ratio = our["sessions_per_second"] / peer["sessions_per_second"]
    return report(
        "cluster",
        figures=our,
        peer={"official": peer},
        ratio=ratio,
        bar=f">= {BAR:g} times the official client; <= {BAR_REQUESTS:g} requests a case; under {BAR_RSS // 10**6} MB",
        ok=ratio >= BAR and our["requests_per_case"] <= BAR_REQUESTS and our["rss"] < BAR_RSS,
    )


if __name__ == "__main__":
    sys.exit(main())
