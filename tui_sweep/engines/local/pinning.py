"""Binds a case to its cpus."""

from __future__ import annotations

import os
from collections.abc import Iterable


def pin(pid: int, cpus: Iterable[int]) -> None:
    """Bind a process that was just started, and what it started since, to these cpus.

    From outside and after the start, because binding ourselves around it moves the runner from cpu to
    cpu and back: measured 0.7 ms a case against 0.35. The shim needs some 0.5 ms to its first child, so
    there is next to never one; when there is, it is found and bound as well, and what it starts after
    that inherits.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    wanted, bound = set(cpus), set[int]()
    pending = [pid]
    while pending:
        process = pending.pop()
        try:
            os.sched_setaffinity(process, wanted)
        except OSError:
            continue  # it has ended, or the cpu was taken offline: running anywhere is better than not at all
        bound.add(process)
        pending += [child for child in _children(process) if child not in bound]


def _children(pid: int) -> list[int]:
    try:
        fd = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY)
    except OSError:
        return []
    try:
        return [int(word) for word in os.read(fd, 4096).split()]
    except OSError:
        return []
    finally:
        os.close(fd)
