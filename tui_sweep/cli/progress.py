"""The last line of a headless run on a terminal: a bar, counts, what is gone and what is left."""

from __future__ import annotations

import os
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tui_sweep.cli.events import Lines
from tui_sweep.cli.kinds import ascii_wanted
from tui_sweep.core.cases import CaseTable
from tui_sweep.store.layout import SweepDir
from tui_sweep.store.sweeps import Record
from tui_sweep.view.pace import left, pace
from tui_sweep.view.times import brief

_BAR = 20
"""Cells."""
_FORETELL = 1.0
"""Seconds between two looks at when it will have ended: of a million cases one takes 5 ms."""


class Progress(Lines):
    """A line that stays below the others, until the end.

    Not ``rich.progress``: its bar is drawn with characters that take two cells in CJK terminals, and
    what it foretells is not what the board does.
    """

    def __init__(self, folder: SweepDir, record: Record, *, ascii_only: bool = False) -> None:
        super().__init__(folder, record)
        self._full = "#" if ascii_only or ascii_wanted(os.environ) else "⣿"
        self._counts = ""
        self._ends: float | None = None
        """When it will have ended at its pace, UNIX seconds."""
        self._foretold = 0.0
        self._console = Console(markup=False, highlight=False)
        self._live = Live(console=self._console, get_renderable=self._drawn, transient=True)

    def begin(self) -> None:
        super().begin()
        self._live.start()

    def changed(self, table: CaseTable, index: int, at: float) -> None:
        super().changed(table, index, at)
        self._counts = "  ".join(f"{word} {count:,}" for word, count in table.word_counts().items())
        if at - self._foretold >= _FORETELL:
            self._foretold = at
            seconds = left(table, pace(table), at)
            self._ends = None if seconds is None else at + seconds

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def stop(self) -> None:
        self._live.stop()

    def _drawn(self) -> Text:
        return Text(self.bar(time.time()), no_wrap=True, overflow="crop")

    def bar(self, now: float) -> str:
        """The line at ``now`` (UNIX seconds); rich draws it in a thread of its own."""
        cases = self._record.cases
        full = self._full * (_BAR * self._ended // cases)
        parts = [
            f"[{full:.<{_BAR}}] {self._ended:,}/{cases:,}",
            self._counts,
            f"{brief(now - self._began)} gone",
        ]
        if self._ends is not None and self._ends > now:
            parts.append(f"~{brief(self._ends - now)} left")
        return "  ".join(filter(None, parts))
