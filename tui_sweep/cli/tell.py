"""Telling the user on stderr: errors with the offending text and a caret, and notices."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import click

from tui_sweep.core.errors import SweepError, UsageError
from tui_sweep.core.plain import plain

_SHOWN = 72
"""Cells of an offending text that are shown around its caret."""


def tell_error(error: SweepError) -> None:
    """An error in one or two lines; a usage error with its text and a caret under the offence."""
    click.echo(f"sweep-tui: {plain(str(error))}", err=True)
    if not isinstance(error, UsageError):
        return
    if error.text is not None:
        for line in caret(error.text, error.span):
            click.echo(f"  {line}", err=True)
    if error.hint:
        click.echo(f"  {plain(error.hint)}", err=True)


def tell_click(error: click.ClickException) -> None:
    """What click found wrong with the words, told as our own errors are, without a page about usage."""
    click.echo(f"sweep-tui: {plain(error.format_message())}", err=True)
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(f"  {context.command_path} -h tells what there is", err=True)


def caret(text: str, span: tuple[int, int] | None) -> list[str]:
    """The text on one line and a line of ``^`` under ``span``, cut to what fits around it."""
    if span is None:
        return [plain(text)[:_SHOWN]]
    first, last = span
    before, inside, behind = plain(text[:first]), plain(text[first:last]), plain(text[last:])
    if cells(before) > _SHOWN // 2:
        before = "…" + before[-_SHOWN // 2 :]
    if cells(inside) > _SHOWN // 2:
        inside = inside[: _SHOWN // 2] + "…"
    if cells(behind) > _SHOWN // 4:
        behind = behind[: _SHOWN // 4] + "…"
    return [before + inside + behind, " " * cells(before) + "^" * max(cells(inside), 1)]


def cells(text: str) -> int:
    """How many terminal cells a plain text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def tell_notices(notices: Iterable[str]) -> None:
    """Sentences about what was asked, one line each."""
    for notice in notices:
        click.echo(f"sweep-tui: {plain(notice)}", err=True)
