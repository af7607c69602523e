"""The two small files of an attempt besides its output, as the keeper leaves them: who runs it, how it ended."""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from tui_sweep.engines.local.tree import started


@functools.cache
def boot_id() -> str:
    """A word for this start of the machine: pids of another one mean nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who runs an attempt."""

    pid: int
    """0 when the claim was made and not yet, or never, written."""
    by: int
    """Clock ticks after boot by which that process had started: who has its pid and started later is another."""
    boot: str
    at: float
    """When, in UNIX seconds."""


def _read(path: str) -> tuple[str, float] | None:
    """The beginning of a small file and when it was written; None when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, 200).decode("ascii", "replace"), os.fstat(fd).st_mtime
    except OSError:
        return None
    finally:
        os.close(fd)


def is_claimed(folder: str) -> bool:
    """Whether somebody claimed the attempt of a folder, were it one that has ended; 3 µs."""
    return os.path.lexists(f"{folder}/claim") or os.path.lexists(f"{folder}/exit")


def read_claim(folder: str) -> Claim | None:
    """Who has claimed the attempt of a folder; None when nobody did. Of one that has ended nobody is known."""
    told = _read(f"{folder}/claim") or _read(f"{folder}/exit")
    if told is None:
        return None
    text, at = told
    words = text.split()
    if not text.endswith("\n") or len(words) != 3 or not (words[0] + words[1]).isdecimal():
        return Claim(0, 0, "", at)
    return Claim(int(words[0]), int(words[1]), words[2], at)


def lives(claim: Claim) -> bool:
    """Whether the process of a claim lives, or its keeper has yet to write how it ended."""
    if claim.pid == 0 or claim.boot != boot_id():
        return False
    process = started(claim.pid, claim.by)
    if process is not None:
        return process.is_alive or _is_keeper(process.parent)
    return not os.path.exists("/proc/self/stat") and _leads_a_group(claim.pid)


def _is_keeper(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            words = file.read(4096).split(b"\0")
    except OSError:
        return False
    return words[1:3] == [b"-I", b"-S"] and words[3].endswith(b"/keeper.py")


def _leads_a_group(pid: int) -> bool:
    """What is left to ask where there is no /proc (macOS)."""
    try:
        return os.getpgid(pid) == pid
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as its keeper wrote it."""

    code: int
    step: str
    """``exec``, or ``build``, ``output``, ``cwd`` for what failed before it."""
    at: float

    @property
    def reason(self) -> str | None:
        """A short cause, or None for success."""
        if self.step == "cwd":
            return "cannot enter the working directory"
        if self.step == "output":
            return "cannot open its output files"
        if self.code == 0:
            return None
        told = f"exit {self.code}"
        if self.code > 128:
            try:
                told = signal.Signals(self.code - 128).name
            except ValueError:
                pass  # a plain code above 128
        return f"build: {told}" if self.step == "build" else told


def read_outcome(path: str) -> Outcome | None:
    """What the file ``exit`` says, or None while it is absent or incomplete."""
    told = _read(path)
    if told is None:
        return None
    text, at = told
    words = text.split()
    if not text.endswith("\n") or not words or not words[0].isdecimal():
        return None
    return Outcome(int(words[0]), words[1] if len(words) > 1 else "exec", at)
