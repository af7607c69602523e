"""Kinds of values that many commands take; those of one family are beside its options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from tui_sweep.core.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])

_ASCII = "tui_sweep.ascii"


def ascii_option(command: _F) -> _F:
    """``--ascii``, of a command that draws, or before it: what stands before holds for what follows."""

    def noted(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta[_ASCII] = value = value or ctx.meta.get(_ASCII, False)
        return value

    return click.option(
        "--ascii", "ascii_only", is_flag=True, callback=noted, help="Draw screens with ASCII alone."
    )(command)


def ascii_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the terminal says that it has no more than ASCII."""
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return environ.get("TERM") == "linux" or not ("UTF-8" in locale.upper() or "UTF8" in locale.upper())


class Count(click.ParamType[int]):
    """A whole number of at least ``least``."""

    name = "N"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text) or int(text) < self.least:
            option = param.opts[-1] if param else "a count"
            raise UsageError(
                f"{option}: a whole number of at least {self.least} is needed",
                text=text,
                span=(0, max(len(text), 1)),
            )
        return int(text)
