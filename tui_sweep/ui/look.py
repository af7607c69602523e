"""How a state looks: glyph, ASCII glyph, word, colour. The only place that knows.

State is always glyph + word + colour, never colour alone. Every glyph is of East Asian Width Neutral:
the usual circles and triangles are Ambiguous, two cells wide in CJK terminals, and break a table.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui_sweep.core.states import State

CUT = ".."
"""Stands for what is left out of a text; the one character for it is two cells wide in CJK terminals."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one state is drawn."""

    glyph: str
    ascii: str
    word: str
    """At most four letters."""
    style: str
    """A rich style of ANSI colours, which every terminal and theme has."""


LOOKS: dict[State, Look] = {
    State.HELD: Look("ǁ", "h", "hold", "dim"),
    State.WAITING: Look(".", ".", "wait", "dim"),
    State.SUBMITTING: Look("⇡", "u", "subm", "cyan"),
    State.PENDING: Look("◌", "~", "pend", "yellow"),
    State.STARTING: Look("◔", "^", "strt", "cyan"),
    State.RUNNING: Look("▸", ">", "run", "bright_blue"),
    State.CANCELLING: Look("▪", "=", "stop", "blue"),
    State.DONE: Look("✓", "+", "ok", "green"),
    State.FAILED: Look("✗", "x", "FAIL", "bold red"),
    State.TIMEOUT: Look("⧖", "T", "time", "red"),
    State.LOST: Look("?", "?", "lost", "reverse magenta"),
    State.CANCELLED: Look("⊘", "-", "canc", "bright_black"),
}


SENT_BACK = Look("↻", "@", "pend", LOOKS[State.PENDING].style)
"""A pending case that the engine had started before."""


def glyph(state: State, *, ascii_only: bool, sent_back: bool = False) -> str:
    """The one cell that stands for a state."""
    if sent_back:
        return SENT_BACK.ascii if ascii_only else SENT_BACK.glyph
    return LOOKS[state].ascii if ascii_only else LOOKS[state].glyph
