"""The timeline of an attempt (see store/output) as arrays, for what reads it again and again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tui_sweep.store.lines import Counts
from tui_sweep.store.output import at_once

_STEP = 1 << 20
"""Bytes read at once: 30,000 samples, 15 ms."""
_LATEST = 1e11
"""UNIX seconds; what is later is two torn numbers, and no calendar has it."""
_RECENT = 1 << 14


@dataclass(frozen=True, slots=True)
class Samples:
    """Some samples in a row, arrays of one length."""

    at: npt.NDArray[np.float64]
    """UNIX seconds."""
    stdout: Counts
    """Bytes."""
    stderr: Counts

    def __len__(self) -> int:
        return len(self.at)

    def __add__(self, others: Samples) -> Samples:
        return Samples(
            np.concatenate([self.at, others.at]),
            np.concatenate([self.stdout, others.stdout]),
            np.concatenate([self.stderr, others.stderr]),
        )


class Timeline:
    """The samples of one attempt, oldest first, as far as they were read."""

    def __init__(self, path: Path) -> None:
        """The file need not be there yet."""
        self._path = path
        self._read = 0
        self.samples = _parsed(b"")
        """Replaced whole."""

    def behind(self) -> int:
        """Bytes that were not read yet."""
        try:
            return max(0, os.stat(self._path).st_size - self._read)
        except FileNotFoundError:
            return 0

    def grow(self) -> bool:
        """Read what is new, at most 1 MiB. Whether there is more. Raises OSError.

        A last line that is still being written is left for the next time.
        """
        if not self.behind():
            return False
        with open(self._path, "rb", opener=at_once) as file:
            file.seek(self._read)
            block = file.read(_STEP)
        whole = block[: block.rfind(b"\n") + 1]
        self._read += len(whole)
        if whole:
            self.samples += _parsed(whole)
        return len(block) == _STEP

    def recent(self) -> Samples:
        """The newest 400 samples or so, whether the timeline was read or not."""
        try:
            file = open(self._path, "rb", opener=at_once)  # closed below
        except FileNotFoundError:
            return _parsed(b"")
        with file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _RECENT))
            block = file.read(_RECENT)
        if size > _RECENT:
            block = block[block.find(b"\n") + 1 :]
        return _parsed(block[: block.rfind(b"\n") + 1])


def _parsed(text: bytes) -> Samples:
    """The samples of whole lines. Lines that a killed runner left torn are left out."""
    fields = text.split()
    try:
        table = np.array(list(map(float, fields)), np.float64).reshape(text.count(b"\n"), 3)
    except ValueError:
        table = np.array([row for line in text.splitlines() if (row := _row(line))], np.float64)
    table = table.reshape(-1, 3)
    table = table[(table[:, 0] > 0) & (table[:, 0] < _LATEST)]
    return Samples(table[:, 0].copy(), table[:, 1].astype(np.int64), table[:, 2].astype(np.int64))


def _row(line: bytes) -> tuple[float, int, int] | None:
    try:
        at, stdout, stderr = line.split()
        return float(at), int(stdout), int(stderr)
    except ValueError:
        return None
