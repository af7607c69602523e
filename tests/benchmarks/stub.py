"""The stand-in manager of the tests as a process of its own, for the benchmarks of the cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGE = "local/stable/python:3.11-debian12"
"""The image that it has."""
FRAMED = (
    "\x1esweep-tui begin 1 case 1\x1f\n"
    "\x1eout 0 6|hello\x1f\n"
    "\x1eout 6 end\x1f\n"
    "\x1eerr 0 end\x1f\n"
    "\x1esweep-tui end 0 exec 0\x1f\n"
)
"""What the log of a case has that printed ``hello`` and ended well (engines/backendai/frames.py)."""
_KEYS = {
    "BACKEND_ACCESS_KEY": "AKIAIOSFODNN7EXAMPLE",
    "BACKEND_SECRET_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
"""Of Backend.AI's own examples."""


class Stub:
    """A running manager."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.environ: dict[str, str] = {"BACKEND_ENDPOINT": url, **_KEYS}
        """What a client needs to speak to it."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def told(self) -> dict[str, Any]:
        """``{"calls": {"POST /session": 3, …}, "statuses": {"RUNNING": 2, …}}`` since it was started."""
        self._process.send_signal(signal.SIGUSR1)
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))


@contextmanager
def stub(*, cpu: int, canned: str, seconds: float = 0.0) -> Iterator[Stub]:
    """A manager without latency whose sessions print ``canned`` and end after ``seconds``, each with one cpu
    of ``cpu``."""
    words = [sys.executable, "-m", "tests.engines.backendai.manager"]
    options = {"cpu": cpu, "mem": 10**15, "canned": canned, "seconds": seconds}
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        words, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the stand-in manager did not start")
        yield Stub(process, url)
    finally:
        process.terminate()
        process.communicate()


def since(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, int]:
    """Requests by route between two tellings."""
    counts = {route: count - before["calls"].get(route, 0) for route, count in after["calls"].items()}
    return {route: count for route, count in counts.items() if count}
