"""What the benchmarks share: a machine state of their own, one child's cost, and the line they print."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SWEEP_TUI = str(Path(sys.executable).with_name("sweep-tui"))


def settled() -> str:
    """A new folder on the disk, where making files is cheapest now.

    On ext4 without a journal a new file costs 0.01 to 0.4 ms, by how many were deleted near it in the last five
    minutes: what tests or benches removed before would be measured, and not what is to be.
    """
    costs = {}
    for place in dict.fromkeys([Path("/var/tmp"), Path.home(), ROOT]):
        try:
            folder = tempfile.mkdtemp(prefix=".sweep-tui-bench-", dir=place)
        except OSError:
            continue
        began = time.perf_counter()
        for number in range(200):
            Path(folder, str(number)).touch()
        costs[folder] = time.perf_counter() - began
    best = min(costs, key=lambda folder: costs[folder])
    for folder in costs:
        if folder != best:
            shutil.rmtree(folder)
    return best


@contextmanager
def fresh(*, in_memory: bool = False) -> Iterator[Path]:
    """A temporary folder that is home and state for whatever is started in it.

    It is on the disk, as a user's state is; left there for who named BENCH_FOLDER to remove when all is measured.
    ``in_memory``: where that can be, it is in memory, as the run-time directory of a user who is logged in is.
    """
    memory = "/dev/shm" if os.path.ismount("/dev/shm") else None
    together = os.environ.get("BENCH_FOLDER")
    if in_memory and memory is not None:
        name, is_left = tempfile.mkdtemp(prefix="sweep-tui-bench-", dir=memory), False
    elif together:
        name, is_left = tempfile.mkdtemp(dir=together), True
    else:
        name, is_left = settled(), False
    with ExitStack() as leaving:
        if not is_left:
            leaving.callback(shutil.rmtree, name, ignore_errors=True)
        run = leaving.enter_context(
            tempfile.TemporaryDirectory(prefix="sweep-tui-bench-", dir=memory, ignore_cleanup_errors=True)
        )
        home = Path(name)
        for variable in list(os.environ):
            if variable.startswith(("BACKEND_", "SORNA_", "SWEEP_", "PYTHON", "XDG_", "PARALLEL")):
                del os.environ[variable]
        os.environ["HOME"] = name
        os.environ["XDG_RUNTIME_DIR"] = run
        os.environ["SWEEP_TUI_STATE"] = str(home / "state")
        yield home


@dataclass(frozen=True)
class Cost:
    """What one child took."""

    seconds: float
    cpu: float
    """Seconds of processors, its children's included."""
    rss: int
    """Peak, bytes. Never below this process's own, which a child starts as."""
    stdout: str


def cost(*args: str, cwd: Path | None = None, ends: tuple[int, ...] = (0,)) -> Cost:
    """Runs a command to its end. Raises RuntimeError with its stderr when its exit code is not among ``ends``."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode not in ends:
            said = err.read().decode("utf-8", "replace")[-2000:]
            raise RuntimeError(f"{' '.join(args[:3])} … ended with {child.returncode}: {said}")
        cpu = usage.ru_utime + usage.ru_stime
        return Cost(seconds, cpu, usage.ru_maxrss * 1024, out.read().decode("utf-8", "replace"))


def until(condition: Callable[[], bool], timeout: float, what: str) -> float:
    """Seconds until ``condition`` holds. Raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(0.1)
    return time.monotonic() - began


def spent(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, int]:
    """Resident and proportional bytes of a process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = {
        name: int(re.search(rf"^{name}:\s+(\d+)", rollup, re.MULTILINE)[1]) for name in ("Rss", "Pss")
    }
    return {name.lower(): amount * 1024 for name, amount in kilobytes.items()}


def watched(pid: int, seconds: float) -> dict[str, float]:
    """A process's share of one core over that time, and its memory after it."""
    before, began = spent(pid), time.monotonic()
    time.sleep(seconds)
    share = (spent(pid) - before) / (time.monotonic() - began)
    return {"cpu_share": round(share, 5), **memory(pid)}


def alternated(measures: Mapping[str, Callable[[], Any]], times: int) -> dict[str, list[Any]]:
    """Each measure's results, taken in turns and each round in the other order: drift hits all alike."""
    results: dict[str, list[Any]] = {name: [] for name in measures}
    for turn in range(times):
        for name in list(measures) if turn % 2 == 0 else reversed(measures):
            results[name].append(measures[name]())
    return results


def median(values: list[float]) -> float:
    """The median to four significant digits."""
    return float(f"{statistics.median(values):.4g}")


def report(name: str, *, figures: object, peer: object, ratio: float, bar: str, ok: bool) -> int:
    """Prints the line. Returns the exit code."""
    line = {"name": name, "figures": figures, "peer": peer, "ratio": round(ratio, 3), "bar": bar, "ok": ok}
    print(json.dumps(line, ensure_ascii=False), flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    print(settled())
