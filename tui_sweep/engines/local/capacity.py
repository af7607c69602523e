"""What this machine has: cpus, memory and GPUs, as far as this process may use them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tui_sweep.core.slots import Slots


@dataclass(frozen=True, slots=True)
class Capacity:
    """Everything that cases of this user may hold together."""

    slots: Slots
    cpus: tuple[int, ...]
    """Numbers of the cpus that may be used; there may be more of them than ``slots["cpu"]``."""
    gpus: tuple[str, ...]
    """As CUDA_VISIBLE_DEVICES names them."""


def measure(environ: Mapping[str, str], root: Path = Path("/"), *, with_gpus: bool = True) -> Capacity:
    """What is there now. Asks nvidia-smi when it is on the PATH, which may take seconds: not without
    ``with_gpus``."""
    cpus = tuple(sorted(_affinity()))
    quota = _cpu_quota(root)
    count = len(cpus) if quota is None else max(1, min(len(cpus), int(quota)))
    gpus = _gpus(environ) if with_gpus else ()
    amounts: dict[str, Decimal | int | str] = {"cpu": count}
    memory = _memory(root)
    if memory is not None:
        amounts["mem"] = memory
    if gpus:
        amounts["cuda.device"] = len(gpus)
    return Capacity(Slots(amounts), cpus, gpus)


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup for ``controller`` ("" is v2) and of all above it.

    In a container the path of /proc/self/cgroup may lie outside of what is mounted; then the mount's
    top is this process's own group, and it is always part of the answer.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller not in names.split(","):
            continue
        tops = [names, controller] if controller else ["", "unified"]
        for top in dict.fromkeys(tops):
            mount = root / "sys/fs/cgroup" / top
            folder = mount / path.lstrip("/")
            while folder != mount and mount in folder.parents:
                yield folder
                folder = folder.parent
            yield mount


def _cpu_quota(root: Path) -> Decimal | None:
    """Cpus that the tightest cgroup allows, or None without a limit."""
    quotas = []
    for folder in _groups(root, ""):
        words = _text(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdecimal():
            quotas.append(Decimal(words[0]) / Decimal(words[1]))
    for folder in _groups(root, "cpu"):
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            quotas.append(Decimal(quota) / Decimal(period))
    return min(quotas, default=None)


def _memory(root: Path) -> int | None:
    """Bytes that all processes here may use: the machine's, or the tightest cgroup's."""
    lines = _text(root / "proc/meminfo").splitlines()
    limits = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    for controller, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        for folder in _groups(root, controller):
            text = _text(folder / name)
            if text.isdecimal() and int(text) > 0:
                limits.append(int(text))
    if not limits:
        try:
            limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (ValueError, OSError):
            return None
    return min(limits)


def _gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The NVIDIA GPUs, those of CUDA_VISIBLE_DEVICES when it is set; none when they cannot be told."""
    smi = shutil.which("nvidia-smi", path=environ.get("PATH", os.defpath))
    if smi is None:
        return ()
    try:
        told = subprocess.run(
            [smi, "--query-gpu=index,uuid", "--format=csv,noheader"],
            capture_output=True, timeout=10, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [
        [word.strip() for word in line.split(",")]
        for line in told.stdout.decode("utf-8", "replace").splitlines()
    ]
    there = {row[0]: row[1] for row in rows if len(row) == 2 and row[0].isdecimal()}
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(there)
    words = [word.strip() for word in chosen.split(",")]
    return tuple(dict.fromkeys(word for word in words if word in there or word in there.values()))
