"""How long cases waited and ran: of one case, and of many at once. The same rules, as a test sees to."""

from __future__ import annotations

import numpy as np

from tui_sweep.core.cases import CaseRow, CaseTable


def waited(row: CaseRow, now: float) -> float | None:
    """Seconds from a case's turn to its start, its end, or ``now`` (UNIX seconds). None before its turn."""
    began = row.submitted if row.queued is None else row.queued
    until = row.ended if row.started is None else row.started
    return None if began is None else max((now if until is None else until) - began, 0.0)


def ran(row: CaseRow, now: float) -> float | None:
    """Seconds from a case's start to its end or ``now`` (UNIX seconds). None before its start."""
    until = now if row.ended is None else row.ended
    return None if row.started is None else max(until - row.started, 0.0)


def all_waited(table: CaseTable, cases: np.ndarray, now: float) -> np.ndarray:
    """``waited`` of each of ``cases``: f8, NaN for None."""
    began = table.queued[cases]
    began = np.where(np.isnan(began), table.submitted[cases], began)
    until = table.started[cases]
    until = np.where(np.isnan(until), table.ended[cases], until)
    return np.asarray(np.maximum(np.where(np.isnan(until), now, until) - began, 0.0))


def all_ran(table: CaseTable, cases: np.ndarray, now: float) -> np.ndarray:
    """``ran`` of each of ``cases``: f8, NaN for None."""
    until = table.ended[cases]
    return np.asarray(np.maximum(np.where(np.isnan(until), now, until) - table.started[cases], 0.0))
