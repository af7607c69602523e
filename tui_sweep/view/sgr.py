"""What a case printed, as text that can do no harm, and the colours it asked for.

Of all terminal sequences only SGR ("select graphic rendition": colours, bold, …) is understood; every other
is removed: titles, clipboard, cursor, screens, also where it does not end. What is left of control
characters, direction marks and characters that nobody can see becomes a visible escape such as ``\\x07``.
A style holds to the end of its line: a case that forgets its reset colours that line and no other, because
lines are read in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from tui_sweep.core.plain import plain

Span = tuple[int, int, str]
"""First character, the one behind the last, and a style in rich's words: ``bold rgb(1,2,3) on red``."""

_SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]*)m"  # SGR
    r"|\x1b\[[0-?]*[ -/]*(?:[@-~]|(?![^\n]))"  # CSI: cursor, screens, modes
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, clipboard, links
    r"|\x1b[PX^_][^\x1b\n]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-Z\\^-~]"  # character sets, reset, save and restore the cursor
)
_UNSEEN = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u206a-\u206f\u3164\uffa0\ufff0-\ufff8"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Has no shape, or none whose width terminals agree on, and ``core.plain`` lets it through."""
_SELECTORS = re.compile("[\ufe00-\ufe0f]")
"""Choose between pictures of one character; terminals disagree on the width that results."""

_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike", 21: "underline"}
"""Neither blinking, which disturbs, nor concealed text, which hides."""
_OFF = {22: {"bold", "dim"}, 23: {"italic"}, 24: {"underline"}, 27: {"reverse"}, 29: {"strike"}}


@dataclass(frozen=True, slots=True)
class _Pen:
    """What SGR sequences have set so far."""

    colour: str = ""
    ground: str = ""
    ways: tuple[str, ...] = ()

    def style(self) -> str:
        """In rich's words; "" for the terminal's own."""
        return " ".join([*self.ways, *filter(None, [self.colour, self.ground and f"on {self.ground}"])])


_PLAIN = _Pen()


def readable(raw: str) -> tuple[str, list[Span]]:
    """One line without anything a terminal would obey, and where it is coloured. Tabs stay tabs."""
    if "\b" in raw:
        return _neutral_runs(_overstruck(raw))
    return _neutral_runs(_runs(raw))


def without_sequences(text: str) -> str:
    """The text without terminal sequences, any number of lines; for searching."""
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def _runs(raw: str) -> Iterator[tuple[str, str]]:
    """The pieces between sequences, each with its style."""
    pen, at = _PLAIN, 0
    for match in _SEQUENCE.finditer(raw):
        if match.start() > at:
            yield raw[at : match.start()], pen.style()
        at = match.end()
        if match[1] is not None:
            pen = _after(pen, match[1])
    if at < len(raw):
        yield raw[at:], pen.style()


def _overstruck(raw: str) -> Iterator[tuple[str, str]]:
    """The pieces of a line with backspaces, each of which goes back by a character, which the next one
    overwrites: a terminal's way, one character one step."""
    cells: list[tuple[str, str]] = []
    at = 0
    for text, style in _runs(raw):
        for character in text:
            if character == "\b":
                at = max(0, at - 1)
                continue
            cells[at : at + 1] = [(character, style)]
            at += 1
    yield from cells


def _neutral_runs(runs: Iterator[tuple[str, str]]) -> tuple[str, list[Span]]:
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    for text, style in runs:
        text = neutral(text)
        if style and text:
            if spans and spans[-1][1:] == (length, style):
                spans[-1] = (spans[-1][0], length + len(text), style)
            else:
                spans.append((length, length + len(text), style))
        pieces.append(text)
        length += len(text)
    return "".join(pieces), spans


def neutral(text: str) -> str:
    """The text with every character that is none to look at written as an escape. Tabs stay tabs."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
    return "\t".join(map(plain, _SELECTORS.sub("", text).split("\t")))


@lru_cache(maxsize=1024)
def _after(pen: _Pen, parameters: str) -> _Pen:
    """The pen after one SGR sequence. What is not understood changes nothing."""
    fields = iter(parameters.split(";"))
    for field in fields:
        head, *more = field.split(":")
        code = int(head[-6:] or 0)
        if code in {38, 48, 58}:
            colour = _colour(iter([part for part in more if part]) if more else fields, colons=bool(more))
            if colour and code == 38:
                pen = replace(pen, colour=colour)
            elif colour and code == 48:
                pen = replace(pen, ground=colour)
        elif more and more[0] == "0":
            pen = replace(pen, ways=_without(pen, {_ON.get(code, "")}))
        else:
            pen = _with(pen, code)
    return pen


def _with(pen: _Pen, code: int) -> _Pen:
    """The pen after one code that has no arguments."""
    if code == 0:
        return _PLAIN
    if code in _ON:
        return replace(pen, ways=(*_without(pen, {_ON[code]}), _ON[code]))
    if code in _OFF:
        return replace(pen, ways=_without(pen, _OFF[code]))
    if code in {39, 49}:
        return replace(pen, colour="") if code == 39 else replace(pen, ground="")
    tens, unit = divmod(code, 10)
    if unit > 7 or tens not in {3, 4, 9, 10}:
        return pen
    name = ("bright_" if tens >= 9 else "") + _NAMES[unit]
    return replace(pen, colour=name) if tens in {3, 9} else replace(pen, ground=name)


def _without(pen: _Pen, ways: set[str]) -> tuple[str, ...]:
    return tuple(way for way in pen.ways if way not in ways)


def _colour(fields: Iterator[str], *, colons: bool) -> str | None:
    """What follows 38, 48 or 58: ``5;n`` or ``2;r;g;b``, with colons also ``2:space:r:g:b``."""
    try:
        kind = int(next(fields)[-6:])
        wanted = {2: 3, 5: 1}.get(kind, 0)
        numbers = [int(field[-6:] or 0) for field in fields] if colons else []
        numbers = numbers[-wanted:] if colons else [int(next(fields)[-6:] or 0) for _ in range(wanted)]
    except (StopIteration, ValueError):
        return None
    if wanted != len(numbers) or not wanted or max(numbers) > 255:
        return None
    return f"color({numbers[0]})" if kind == 5 else "rgb({},{},{})".format(*numbers)
