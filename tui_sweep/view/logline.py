"""One line of a log as it is shown: of a progress bar the last state, of a long line its two ends."""

from __future__ import annotations

from codecs import getincrementaldecoder
from dataclasses import dataclass

from tui_sweep.store.lines import Line
from tui_sweep.view.outputs import Stream
from tui_sweep.view.sgr import Span, readable

_decoder = getincrementaldecoder("utf-8")
_CONTINUED = bytes(range(0x80, 0xC0))
"""Bytes that never begin a character."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line to look at. Holds no control character but tabs, whose width only a screen knows."""

    stream: Stream
    number: int | None
    """Its place in the sequence it was asked from, from 0; None where that is not known yet."""
    start: int
    """Offset in its stream."""
    length: int
    """Bytes in its stream, the newline not counted."""
    ended: bool
    text: str
    spans: tuple[Span, ...]
    left_out: int
    """Bytes that are not in ``text``, because the line is too long."""
    cut_at: int
    """Where in ``text`` they are missing."""
    at: float | None
    """UNIX seconds of the sample that saw it complete; None before that."""


def log_line(stream: Stream, line: Line, number: int | None, at: float | None) -> LogLine:
    """The line made readable."""
    text, spans = readable(_last_state(_decoded(line.head, cut=line.is_truncated)))
    cut_at, left_out = len(text), 0
    if line.is_truncated:
        text, spans, cut_at, left_out = _two_ends(line, text, spans)
    return LogLine(
        stream, number, line.start, line.length, line.ended, text, tuple(spans), left_out, cut_at, at
    )


def _two_ends(line: Line, text: str, spans: list[Span]) -> tuple[str, list[Span], int, int]:
    """Head and tail of a long line as one text, where it is cut and how much is left out. Of a line
    with carriage returns only what came last, which is in its tail."""
    broken = line.tail[:3]
    tail = _decoded(line.tail[len(broken) - len(broken.lstrip(_CONTINUED)) :])
    left_out = line.left_out
    state = _last_state(tail)
    if state is not tail:
        text, spans = readable(state)
        return text, spans, 0, 0
    if b"\r" in line.head:
        text, spans, left_out = "", [], left_out + len(line.head)
    more, more_spans = readable(tail)
    cut_at = len(text)
    moved = [(start + cut_at, end + cut_at, style) for start, end, style in more_spans]
    return text + more, spans + moved, cut_at, left_out


def _decoded(raw: bytes, *, cut: bool = False) -> str:
    """The text. Where the bytes are cut, the character that may be cut with them is left out."""
    return _decoder("replace").decode(raw) if cut else raw.decode("utf-8", "replace")


def _last_state(text: str) -> str:
    """Of a line overwritten with carriage returns the last state that says anything."""
    if "\r" not in text:
        return text
    for state in reversed(text.split("\r")):
        if readable(state)[0].strip():
            return state
    return ""
