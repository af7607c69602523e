"""Sends the terminal the cells that changed, and not all that stands to the left of them.

Textual writes a changed region from the left edge of its widget on (its ``ChopsUpdate`` has a note "crop to
x extents"). For a digit at the end of a line of the case grid that is 260 bytes instead of 50.
"""

from __future__ import annotations

from typing import TypeVar

from rich.console import Console
from rich.control import Control

# No public way leads to what an app writes; tests/ui/test_grid.py holds it against a terminal.
from textual._compositor import ChopsUpdate

T = TypeVar("T")


class NarrowUpdate(ChopsUpdate):
    """The same changes, each written from its own first cell on."""

    def render_segments(self, console: Console) -> str:
        """What the terminal is sent."""
        parts = []
        for y, first, past in self.spans:
            for end, (start, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                left, right = max(start, first), min(end, past)
                if strip is not None and left < right:
                    parts.append(Control.move_to(left, y).segment.text)
                    parts.append(strip.crop(left - start, right - start).render(console))
        return "".join(parts)


def narrowed(update: T) -> T | NarrowUpdate:
    """An update of some cells made narrow; anything else as it is. For ``App._display``."""
    if isinstance(update, ChopsUpdate):
        return NarrowUpdate(update.chops, update.spans, update.chop_ends)
    return update
