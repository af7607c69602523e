"""Outcome: what the counts of a sweep mean as an exit code."""

from __future__ import annotations

from collections.abc import Mapping

OK, FAILED, CANCELLED, LOST, INTERRUPTED = 0, 1, 5, 6, 130


def exit_code(counts: Mapping[str, int], *, halted: bool = False) -> int:
    """The exit code of an ended sweep, from its counts by state word (CONTRACT: exit codes)."""
    if halted or counts.get("failed") or counts.get("timeout"):
        return FAILED
    if counts.get("lost"):
        return LOST
    if counts.get("cancelled"):
        return CANCELLED
    return OK
