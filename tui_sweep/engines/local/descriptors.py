"""How many descriptors we may have, and which of them the cases must not get."""

from __future__ import annotations

import os
import resource

_FILES_WANTED = 1 << 16
"""Descriptors we try to be allowed: one is held for each live case."""


def allow_files() -> int:
    """Raise the soft limit on descriptors; the one to give back to the cases, or 0 if it stayed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return 0
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return 0
    return soft


def keep_descriptors() -> None:
    """Keep from the cases what whoever started us left open: they outlive us, and would hold it."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            numbers = [int(name) for name in os.listdir(folder)]
        except OSError:
            continue
        for number in numbers:
            if number > 2:
                try:
                    os.set_inheritable(number, False)
                except OSError:
                    continue  # the one that listed the folder
        return
