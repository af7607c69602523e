"""A log of a gigabyte: its end at once, all its lines at the speed of wc."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from measure import alternated, cost, fresh, median, report

from tui_sweep.view.log import LogView

LINES = 16_000_000
BAR_INDEX = 3.0
"""Times the seconds of ``wc -l``, which counts and remembers nothing; of stderr and the order, too."""
BAR_TAIL = 4.0
"""Times the seconds of ``tail -n 50``, which only copies; ours are merged, timed and neutralised."""
SHOWN = 50


def write(folder: Path) -> int:
    """An attempt that printed a gigabyte, sampled five times a second for an hour. Its bytes."""
    with open(folder / "stdout", "wb") as file:
        for first in range(0, LINES, 250_000):
            lines = (
                b"step %08d loss 0.391 415 img/s and some more words of a log\n" % n
                for n in range(first, first + 250_000)
            )
            file.write(b"".join(lines))
        size = file.tell()
    (folder / "stderr").write_bytes(b"warning\n" * 1000)
    samples = (b"%.3f %d %d\n" % (n / 5, size * n // 18_000, n // 18 * 8) for n in range(18_001))
    (folder / "timeline").write_bytes(b"".join(samples))
    return size


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    with fresh() as home:
        size = write(home)
        stdout = str(home / "stdout")

        def index() -> None:
            view = LogView(home)
            while view.grow():
                pass
            if view.count != LINES + 1000:
                raise RuntimeError(f"{view.count} lines counted")

        def tail() -> None:
            if len(LogView(home).tail(SHOWN)) != SHOWN:
                raise RuntimeError("the end is not there")

        work: dict[str, Callable[[], float]] = {
            "index": lambda: timed(index),
            "tail": lambda: timed(tail),
            "wc -l": lambda: cost("wc", "-l", stdout).seconds,
            "tail -n 50": lambda: cost("tail", "-n", str(SHOWN), stdout).seconds,
        }
        seconds = {name: median(taken) for name, taken in alternated(work, times=7).items()}
    slower = {"index": seconds["index"] / seconds["wc -l"], "tail": seconds["tail"] / seconds["tail -n 50"]}
    return report(
        "log",
        figures={
            "seconds": {name: seconds[name] for name in ("index", "tail")},
            "gigabytes_per_second": round(size / seconds["index"] / 1e9, 2),
            "bytes": size,
        },
        peer={"seconds": {name: seconds[name] for name in ("wc -l", "tail -n 50")}},
        ratio=max(slower.values()),
        bar=f"all lines of {size >> 20} MiB within {BAR_INDEX:g} of wc -l, the last {SHOWN} within {BAR_TAIL:g} of tail",
        ok=slower["index"] <= BAR_INDEX and slower["tail"] <= BAR_TAIL,
    )


if __name__ == "__main__":
    sys.exit(main())
