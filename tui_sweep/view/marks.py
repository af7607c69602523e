"""Marks: the cases that a user has chosen one by one, for whatever comes next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class Marks:
    """A set of case indices; one byte a case, and none before the first mark."""

    def __init__(self, cases: int) -> None:
        self._marked: np.ndarray | None = None
        self._cases = cases
        self.count = 0
        """How many cases are marked."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        """The marked cases, ascending."""
        return iter(self.cases().tolist())

    def __contains__(self, case: int) -> bool:
        return self._marked is not None and bool(self._marked[case])

    def toggle(self, case: int) -> bool:
        """Mark a case, or unmark it when it was marked; whether it is marked now."""
        marked = case not in self
        self.mark(np.array([case])) if marked else self.unmark(np.array([case]))
        return marked

    def mark(self, cases: np.ndarray | slice) -> None:
        """Mark these cases, by index; ``slice(None)`` marks all."""
        self._set(cases, True)

    def unmark(self, cases: np.ndarray | slice) -> None:
        """Take the marks of these cases away."""
        self._set(cases, False)

    def clear(self) -> None:
        """Take all marks away."""
        self._marked = None
        self.count = 0

    def cases(self) -> np.ndarray:
        """The marked cases: int64, ascending."""
        return np.flatnonzero(self._marked) if self._marked is not None else np.array([], np.int64)

    def _set(self, cases: np.ndarray | slice, mark: bool) -> None:
        if self._marked is None:
            self._marked = np.zeros(self._cases, dtype=bool)
        self._marked[cases] = mark
        self.count = int(np.count_nonzero(self._marked))
