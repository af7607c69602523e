"""The first row of the log pane: what is shown, whether it follows, and how much there is."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from tui_sweep.ui.logscroll import Scroll
from tui_sweep.ui.look import CUT
from tui_sweep.view.log import LogView, Mode

STREAMS_SHOWN: dict[Mode, str] = {"both": "out+err", "stdout": "out", "stderr": "err"}
"""The modes in the order of the key that changes them, and their short names."""
_LEAST_TITLE = 12
"""Cells below which a title says nothing, and other parts go first."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The parts of the row. Any but the title may be empty."""

    title: str
    streams: str = ""
    state: str = ""
    count: str = ""
    note: str = ""
    """What happened: a search that found nothing, a stream that was cut."""

    def text(self, width: int) -> str:
        """Exactly ``width`` cells. With less room the title is cut, then the count goes, then the
        streams, then the note; the state stays longest."""
        kept: tuple[tuple[str, ...], ...] = (
            (self.streams, self.state, self.count, self.note),
            (self.streams, self.state, self.note),
            (self.state, self.note),
            (self.state,),
        )
        for parts in kept:
            others = [part for part in parts if part]
            room = width - sum(cell_len(part) + 4 for part in others) - 4
            if room >= min(cell_len(self.title), _LEAST_TITLE):
                pieces = [_cut(self.title, room), *others]
                return set_cell_size(f"-- {' -- '.join(filter(None, pieces))} {'-' * width}", width)
        return set_cell_size(self.state or self.title, width)


def _cut(text: str, width: int) -> str:
    """The text in at most ``width`` cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - len(CUT)).rstrip() + CUT


def heading(title: str, view: LogView | None, scroll: Scroll, read_up_to: int | None, note: str) -> Heading:
    """What there is to say; ``read_up_to``: the lines there were when the reader paused, if counted."""
    if view is None:
        return Heading(title)
    count = f"{view.count:,} line{'s' if view.count != 1 else ''}"
    new = max(0, view.count - read_up_to) if read_up_to is not None else 0
    state = f"+{new:,} new, G follows" if new else "PAUSED, G follows"
    if scroll.follows:
        state = "FOLLOW"
    elif view.complete and view.count:
        count = f"{scroll.top + 1:,} of {count}"
    if not view.complete:
        count = f"{view.progress:.0%} read"
    cut = f"{' and '.join(view.shrunk)} cut by the case" if view.shrunk else ""
    return Heading(title, STREAMS_SHOWN[view.mode], state, count, note or cut)
