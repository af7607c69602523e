"""Errors of what was typed: the offending text with a caret under the offence, and the words."""

from __future__ import annotations

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from tui_sweep.core.errors import SweepError, UsageError
from tui_sweep.core.plain import plain
from tui_sweep.ui.look import CUT

_BOLD, _DIM = Style(bold=True), Style(dim=True)


def complaint(error: SweepError, typed: str, width: int) -> Text:
    """What stands under a field: a caret under the offence, the message, the hint; at most ``width`` cells.

    The offending text is repeated only where the caret could not stand under what was typed.
    """
    lines: list[tuple[str, Style]] = []
    if isinstance(error, UsageError) and error.text and error.span is not None:
        first, past = error.span
        at = _place(error.text, typed, width)
        if at is not None:
            lines.append((_marks(typed[: at + first], error.text[first:past]), _BOLD))
        else:
            shown, marks = caret(error.text, first, past, width)
            lines += [(shown, Style()), (marks, _BOLD)]
    message = error.message if isinstance(error, UsageError) else str(error)
    hint = f" ({error.hint})" if isinstance(error, UsageError) and error.hint else ""
    lines += [(line, _BOLD) for line in wrapped(plain(message + hint), width, 3)]
    return Text("\n").join(Text(text, style, no_wrap=True) for text, style in lines)


def _place(text: str, typed: str, width: int) -> int | None:
    """Where in a field of one line the text stands, if it is there once and can be seen."""
    if "\n" in typed or typed.count(text) != 1 or plain(typed) != typed or cell_len(typed) >= width:
        return None
    return typed.index(text)


def _marks(before: str, inside: str) -> str:
    return " " * cell_len(before) + "^" * max(cell_len(inside), 1)


def caret(text: str, first: int, past: int, width: int) -> tuple[str, str]:
    """The text on one line and a line of ``^`` under ``first`` to ``past``, cut to ``width`` cells around it."""
    before, inside, behind = plain(text[:first]), plain(text[first:past]), plain(text[past:])
    inside = fitted(inside, max(width // 2, 1))
    room = max(width - cell_len(inside), 0)
    before = _end(before, max(room - min(cell_len(behind), width // 4), 0))
    behind = fitted(behind, room - cell_len(before))
    return before + inside + behind, _marks(before, inside)


def _first_cells(text: str, width: int) -> str:
    """The beginning of a text, at most ``width`` cells."""
    kept = text[: max(width, 0)]
    while cell_len(kept) > width:
        kept = kept[:-1]
    return kept


def _end(text: str, width: int) -> str:
    """The end of a text in at most ``width`` cells, with a mark where it was cut."""
    if cell_len(text) <= width:
        return text
    kept = text[-width:] if width else ""
    while kept and cell_len(kept) > width - len(CUT):
        kept = kept[1:]
    return (CUT + kept)[:width]


def fitted(text: str, width: int) -> str:
    """The text in at most ``width`` cells, with a mark where it was cut."""
    if cell_len(text) <= width:
        return text
    return _first_cells(text, width - len(CUT)) + CUT[: max(width, 0)]


def wrapped(text: str, width: int, most: int) -> list[str]:
    """The text in lines of at most ``width`` cells, broken at blanks where there are any; ``most`` lines."""
    lines: list[str] = []
    width = max(width, 1)
    while text and len(lines) < most - 1 and cell_len(text) > width:
        head = _first_cells(text, width) or text[:1]
        blank = head.rfind(" ")
        cut = len(head) if text[len(head) : len(head) + 1] == " " or blank < len(head) // 2 else blank
        lines.append(text[:cut])
        text = text[cut:].lstrip(" ")
    return [*lines, fitted(text, width)] if text else lines
