"""How long ``--help`` and ``plan --count`` take beside ``python -c pass``, and what they leave out."""

from __future__ import annotations

import subprocess
import sys

from measure import SWEEP_TUI, alternated, cost, fresh, median, report

HELP = ("--help",)
PLAN = ("plan", "--count", "--range", "X=range:10", "-e", "X=$X", "-c", "pass", "python")
HEAVY = {"textual", "aiohttp", "numpy"}
BAR = 0.5
"""Seconds until ``--help`` has answered: where waiting begins to be felt."""


def heavy(args: tuple[str, ...]) -> set[str]:
    """Which heavy libraries a command imports."""
    words = [sys.executable, "-X", "importtime", "-m", "tui_sweep", *args]
    told = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stderr
    lines = (line for line in told.splitlines() if line.startswith("import time:"))
    return HEAVY & {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def main() -> int:
    with fresh() as home:
        commands = {
            "help": (SWEEP_TUI, *HELP),
            "plan": (SWEEP_TUI, *PLAN),
            "python": (sys.executable, "-c", "pass"),
        }
        imported = sorted(heavy(HELP) | heavy(PLAN))  # first: it also leaves the compiled files behind
        measures = {
            name: lambda words=words: cost(*words, cwd=home).seconds for name, words in commands.items()
        }
        taken = alternated(measures, times=9)
    seconds = {name: median(values) for name, values in taken.items()}
    return report(
        "startup",
        figures={"help_s": seconds["help"], "plan_count_s": seconds["plan"], "heavy_imports": imported},
        peer={"python_pass_s": seconds["python"]},
        ratio=seconds["help"] / seconds["python"],
        bar=f"no {', '.join(sorted(HEAVY))}; help within {BAR} s",
        ok=not imported and seconds["help"] <= BAR,
    )


if __name__ == "__main__":
    sys.exit(main())
