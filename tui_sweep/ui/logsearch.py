"""The search of a log pane: what is looked for, where it stopped, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from textual.worker import get_current_worker

from tui_sweep.core.plain import plain
from tui_sweep.view.log import LogView
from tui_sweep.view.search import Pattern


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to."""

    line: int | None
    wrapped: bool = False
    """Whether it went on from the other end."""


class LogSearch:
    """One text at a time. Looking is done by ``look`` in a thread, which changes nothing here."""

    def __init__(self) -> None:
        self.pattern: Pattern | None = None
        self.match: int | None = None
        """The line it stopped at."""
        self.note = ""
        """For the heading."""
        self.waits: bool | None = None
        """The direction of a search that the index is not ready for."""

    def begin(self, text: str) -> None:
        self.pattern, self.match = Pattern(text), None

    def end(self) -> None:
        self.pattern = self.match = self.waits = None
        self.note = ""

    def lose(self) -> None:
        """The numbers of lines are others now; the text stays."""
        self.match = self.waits = None
        self.note = ""

    def places(self, view: LogView, top: int, *, forward: bool) -> Iterator[tuple[int | None, bool]] | None:
        """Where to look: from the match on, or from the top line, and from the other end when there is
        none; with each whether that is so. None when it has to wait, or nothing is looked for."""
        if self.pattern is None:
            return None
        self.note = f"searching {plain(self.pattern.text)}"
        self.waits = None if view.complete else forward
        if not view.complete:
            return None
        start = top if self.match is None else self.match + (1 if forward else -1)
        other = 0 if forward else view.count - 1
        return chain(
            ((place, False) for place in view.search(self.pattern, start, forward=forward)),
            ((place, True) for place in view.search(self.pattern, other, forward=forward)),
        )

    def arrive(self, found: Found) -> None:
        """Take up what was found."""
        if self.pattern is not None:
            text = plain(self.pattern.text)
            self.match = found.line
            self.note = f"{text}, from the other end" if found.wrapped else text
            if found.line is None:
                self.note = f"no {text}"


def look(places: Iterator[tuple[int | None, bool]]) -> Found | None:
    """The first place that is one, in a worker's thread; None when it is cancelled."""
    worker = get_current_worker()
    for place, wrapped in places:
        if worker.is_cancelled:
            return None
        if place is not None:
            return Found(place, wrapped)
    return Found(None)
