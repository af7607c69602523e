"""Plans are lazy: a million cases cost what eight do, counted or paged to the end."""

from __future__ import annotations

import sys

from measure import SWEEP_TUI, alternated, cost, fresh, median, report

BAR_BYTES = 5 << 20
BAR_TIME = 1.25
"""Times the small plan's seconds; "the same" on a machine whose runs differ by a tenth."""


def main() -> int:
    with fresh() as home:

        def plan(steps: int, *options: str) -> tuple[str, ...]:
            ranges = (word for name in "ABC" for word in ("--range", f"{name}=range:{steps}"))
            env = (word for name in "ABC" for word in ("-e", f"{name}=${name}"))
            return (SWEEP_TUI, "plan", *options, *ranges, *env, "-c", "pass", "python")

        commands = {
            "count": plan(100, "--count"),
            "page": plan(100, "--limit", "10", "--offset", "999990"),
            "small_count": plan(2, "--count"),
            "small_page": plan(2, "--limit", "10", "--offset", "0"),
        }
        for name, said in (("count", "1000000"), ("small_count", "8")):
            if cost(*commands[name], cwd=home).stdout.strip() != said:
                raise RuntimeError(f"plan --count does not say {said}")
        costs = alternated(
            {name: lambda words=words: cost(*words, cwd=home) for name, words in commands.items()}, times=7
        )
    seconds = {name: median([one.seconds for one in taken]) for name, taken in costs.items()}
    peaks = {name: int(median([one.rss for one in taken])) for name, taken in costs.items()}
    slower = max(seconds["count"] / seconds["small_count"], seconds["page"] / seconds["small_page"])
    more = max(peaks["count"] - peaks["small_count"], peaks["page"] - peaks["small_page"])
    return report(
        "plan",
        figures={"seconds": {name: seconds[name] for name in ("count", "page")}, "more_bytes": more},
        peer={"seconds": {name: seconds[name] for name in ("small_count", "small_page")}},
        ratio=slower,
        bar=f"100×100×100 within {BAR_TIME} of the time and {BAR_BYTES >> 20} MiB of the memory of 2×2×2",
        ok=slower <= BAR_TIME and more <= BAR_BYTES,
    )


if __name__ == "__main__":
    sys.exit(main())
