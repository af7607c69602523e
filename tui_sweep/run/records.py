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
        self._next: asyncio.Future[None] | None = None
        self._last: asyncio.Future[None] | None = None
        """Done when the entry that was handed over last is on disk, and all before it."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now; None when all is well."""
        return self._journal.trouble

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the next entry."""
        return self._next is not None

    def note(self, **facts: Any) -> None:
        """Facts for the next entry."""
        self._facts |= facts

    def expect(self) -> asyncio.Future[None]:
        """Done when the next entry is on disk, which holds everything decided so far."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    def flush(self, answers: Sequence[Answer] = ()) -> None:
        """Hand over everything that changed; nothing when nothing did and nobody waits."""
        rows = self._table.take_rows()
        if not (rows or self._facts or answers):
            if self._next is not None:
                self._settle(self._next)
                self._next = None
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
        self._last, self._next = self.expect(), None
        self._journal.write(Entry(rows, facts, answers, self._last))

    def _settle(self, awaited: asyncio.Future[None]) -> None:
        """Nothing changed since the last entry: who waits, waits for that one. A thousand cases that are
        launched at once would else be a thousand entries behind it."""
        if self._last is None or self._last.done():
            _resolve(awaited)
        else:
            self._last.add_done_callback(lambda _: _resolve(awaited))


def _resolve(awaited: asyncio.Future[None]) -> None:
    if not awaited.done():
        awaited.set_result(None)
