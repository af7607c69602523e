"""2,000 × ``true``, four at once, journalled and with output on disk: beside GNU parallel and xargs."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from measure import SWEEP_TUI, alternated, cost, fresh, median, report

CASES = 2000
BAR = 2.5
"""Times the cases per second of ``parallel -j4 --results DIR --joblog FILE`` (issue 2)."""


def main() -> int:
    with fresh() as home:
        numbers = itertools.count()

        def ours() -> float:
            took = cost(
                *(SWEEP_TUI, "run", "--headless", "--engine", "local", "--yes", "--max-parallel", "4"),
                *("-r", "cpu=0.01", "--range", f"I=range:{CASES}", "-e", "I=$I", "--exec", "true", "sh"),
                cwd=home,
            )
            sweep = json.loads(cost(SWEEP_TUI, "ls", "--json").stdout.splitlines()[0])
            exits = sum(1 for _ in Path(sweep["dir"]).glob("out/*/*/exit"))
            if sweep["counts"].get("done") != CASES or exits != CASES:
                raise RuntimeError(f"not all done: {sweep['counts']}, {exits} exit files")
            return CASES / took.seconds

        def parallel() -> float:
            number = next(numbers)
            words = ["parallel", "--will-cite", "-j4", "--results", f"{home}/results{number}"]
            arguments = [str(case) for case in range(CASES)]
            took = cost(*words, "--joblog", f"{home}/joblog{number}", "true", ":::", *arguments, cwd=home)
            return CASES / took.seconds

        def xargs() -> float:
            return CASES / cost("sh", "-c", f"seq {CASES} | xargs -P4 -n1 true", cwd=home).seconds

        rates = alternated({"ours": ours, "parallel": parallel, "xargs": xargs}, times=3)
    rate, peer, goal = (median(rates[name]) for name in ("ours", "parallel", "xargs"))
    return report(
        "throughput",
        figures={"cases": CASES, "cases_per_second": rate, "runs": [round(one) for one in rates["ours"]]},
        peer={"parallel": peer, "xargs": goal, "share_of_xargs": round(rate / goal, 3)},
        ratio=rate / peer,
        bar=f">= {BAR} times parallel; the goal is half of xargs",
        ok=rate >= BAR * peer,
    )


if __name__ == "__main__":
    sys.exit(main())
