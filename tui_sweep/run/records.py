"""Records: what the runner hands to the journal, an entry at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.scheduler import Scheduler
from tui_sweep.store.journal import Entry, Journal

Answer = tuple[str, float, str, dict[str, Any]]
"""(name of the command, time, verb, answer)."""


class Records:
    """Gathers what changed since the last entry. Rows, counts and facts of one step are one commit."""

    def __init__(self, journal: Journal, table: CaseTable, scheduler: Scheduler) -> None:
        self._journal = journal
        self._table = table
        self._scheduler = scheduler
        self._facts: dict[str, Any] = {}
        self._dispatch: dict[str, Any] = {}
        """As it was last written."""
        self.written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the entry that was handed over last is on disk, and all before it. Never to be cancelled."""
        self.written.set_result(None)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now; None when all is well."""
        return self._journal.trouble

    def note(self, **facts: Any) -> None:
        """Facts for the next entry."""
        self._facts |= facts

    async def committed(self) -> None:
        """Return when everything decided so far is on disk. A thousand cases that are launched at once wait
        for one entry."""
        self.flush()
        if not self.written.done():
            await asyncio.shield(self.written)

    def flush(self, answers: Sequence[Answer] = ()) -> None:
        """Hand over everything that changed; nothing when nothing did."""
        rows = self._table.take_rows()
        if not (rows or self._facts or answers):
            return
        scheduler = self._scheduler
        dispatch = {
            "holding": scheduler.holding,
            "halted": scheduler.halted,
            "max_parallel": scheduler.max_parallel,
            "refusal": scheduler.refusal,
            "trouble": self.trouble,
        }
        facts = {**self._facts, "counts": self._table.word_counts()}
        if dispatch != self._dispatch:
            facts["dispatch"] = self._dispatch = dispatch
        self._facts = {}
        self.written = asyncio.get_running_loop().create_future()
        self._journal.write(Entry(rows, facts, answers, self.written))
