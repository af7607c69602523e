"""The order of the lines of two streams, as finely as it was sampled.

Only a sample in which stdout grew after stderr had grown decides anything, because within a sample stdout
comes first: all samples between two of those count as one. Where one stream is silent nothing is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tui_sweep.store.lines import Counts, LineIndex


@dataclass(frozen=True, slots=True)
class Order:
    """Which line comes where. Immutable."""

    out: Counts
    """Lines of stdout at each boundary, ascending: 0 first, all that are known last. Shape (n,)."""
    err: Counts
    total: Counts
    """Their sum."""

    @classmethod
    def of(cls, out: Counts, err: Counts) -> Order:
        """From the lines of each stream at the boundaries and at the end."""
        out, err = np.concatenate([_ZERO, out]), np.concatenate([_ZERO, err])
        return cls(out, err, out + err)

    def __len__(self) -> int:
        return int(self.total[-1])

    def locate(self, first: int, count: int) -> tuple[npt.NDArray[np.bool_], Counts]:
        """For each of some places whether its line is of stderr, and its number there."""
        places = np.arange(first, min(first + count, len(self)), dtype=np.int64)
        behind = np.searchsorted(self.total, places, side="right")
        out = self.out[behind - 1] + places - self.total[behind - 1]
        is_err = out >= self.out[behind]
        return is_err, np.where(is_err, places - self.out[behind], out)

    def place(self, number: int, *, is_err: bool) -> int:
        """Where a line of one stream comes, or where the next would that is not known yet."""
        mine, other = (self.err, self.out) if is_err else (self.out, self.err)
        behind = int(np.searchsorted(mine, number, side="right"))
        if behind == len(mine):
            return len(self)
        return number + int(other[behind if is_err else behind - 1])


_ZERO = np.zeros(1, np.int64)
NO_LINES = Order.of(_ZERO, _ZERO)


class Ordering:
    """Finds the order while samples come in and the streams are scanned."""

    def __init__(self) -> None:
        self._last = (0, 0)
        """The sizes of the last sample."""
        self._err_before = 0
        """The size of stderr when stdout last grew."""
        self._ahead = (_ZERO[:0], _ZERO[:0])
        """Boundaries in bytes whose lines are not counted yet."""
        self._lines = (_ZERO[:0], _ZERO[:0])
        """Boundaries in lines."""

    def add(self, out: Counts, err: Counts) -> None:
        """The sizes at further samples, which never fall."""
        if not len(out):
            return
        out_before = np.concatenate([self._last[:1], out[:-1]])
        err_before = np.concatenate([self._last[1:], err[:-1]])
        self._last = (int(out[-1]), int(err[-1]))
        grown = np.flatnonzero(out > out_before)
        switched = grown[np.diff(err_before[grown], prepend=self._err_before) > 0]
        if len(grown):
            self._err_before = int(err_before[grown[-1]])
        self._ahead = (
            np.concatenate([self._ahead[0], out_before[switched]]),
            np.concatenate([self._ahead[1], err_before[switched]]),
        )

    def order(self, out: LineIndex, err: LineIndex) -> Order:
        """The order of all lines that are indexed, as far as it cannot change except at its end."""
        ahead_out, ahead_err = self._ahead
        passed = min(
            int(np.searchsorted(ahead_out, out.scanned, side="right")),
            int(np.searchsorted(ahead_err, err.scanned, side="right")),
        )
        if passed:
            self._lines = (
                np.concatenate([self._lines[0], out.lines_at(ahead_out[:passed])]),
                np.concatenate([self._lines[1], err.lines_at(ahead_err[:passed])]),
            )
            self._ahead = (ahead_out[passed:], ahead_err[passed:])
        known = np.array(self._known(out, err), np.int64)
        return Order.of(*(np.concatenate([self._lines[at], known[:, at]]) for at in (0, 1)))

    def _known(self, out: LineIndex, err: LineIndex) -> list[tuple[int, int]]:
        """Lines of both streams at the last sample, which counts as a boundary for now, and at the end;
        or, before all samples are passed, at what has its place: stdout up to the next boundary first."""
        ahead_out, ahead_err = (int(part[0]) if len(part) else None for part in self._ahead)
        next_out = self._last[0] if ahead_out is None else ahead_out
        next_err = self._last[1] if ahead_err is None else ahead_err
        lines_out = out.line_at(min(out.scanned, next_out))
        if out.scanned < next_out:
            return [(lines_out, int(self._lines[1][-1]) if len(self._lines[1]) else 0)]
        lines_err = err.line_at(min(err.scanned, next_err))
        if ahead_out is not None or err.scanned < next_err:
            return [(lines_out, lines_err)]
        return [(lines_out, lines_err), (len(out), len(err) if out.is_complete else lines_err)]
