"""Templates of ``-e``, ``--clean``, ``--build`` and ``--exec``: texts in which ``$NAME`` stands for a value.

The rules are those of Python's ``string.Template``: ``$NAME`` and ``${NAME}`` with ASCII names, ``$$`` for
a literal dollar, anything else behind a dollar is an error. Shell quotes mean nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tui_sweep.core.errors import UsageError

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_DOLLAR = re.compile(rf"\$(?:(?P<dollar>\$)|(?P<bare>{_NAME})|\{{(?P<braced>{_NAME})\}})?")
_OFFENCE = re.compile(r"\$(?:\{[^{}$\n]*\}|\{?[A-Za-z0-9_]*)")
"""What a wrong dollar was meant to be: ``$1``, ``${ X }``, the unclosed ``${X``; that is where carets go."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One ``$NAME`` in a template."""

    name: str
    span: tuple[int, int]
    """Where it stands in the text of the option."""


@dataclass(frozen=True, slots=True)
class Template:
    """One template, cut into literal pieces and mentions of variables; no two literals are neighbours."""

    option: str
    """The option that it was given with: ``-e``, ``--exec`` …"""
    text: str
    """The option's argument as the user wrote it; for ``-e`` the name is in it."""
    pieces: tuple[str | Mention, ...]

    @property
    def mentions(self) -> Iterator[Mention]:
        """The variables in the order of the text, as often as they occur."""
        return (piece for piece in self.pieces if isinstance(piece, Mention))


def parse_env(text: str) -> tuple[str, str]:
    """The name and the template of an ``-e NAME=TEMPLATE`` option.

    Raises UsageError when there is no ``=`` or no name before it.
    """
    name, equals, template = text.partition("=")
    if not equals:
        raise UsageError("-e needs NAME=VALUE", text=text, span=(0, len(text)), hint="for example -e LR=$LR")
    if not name:
        raise UsageError("-e has no name before the '='", text=text, span=(0, 1))
    return name, template


def parse_template(option: str, text: str, *, start: int = 0) -> Template:
    """The template that stands in ``text`` from ``start`` on; what is before it is only shown in errors.

    Raises UsageError, with the offending part of ``text``.
    """
    if "\0" in text:
        at = text.index("\0")
        raise UsageError(f"{option}: a NUL character cannot be passed on", text=text, span=(at, at + 1))
    pieces: list[str | Mention] = []
    literal = ""
    for match in _DOLLAR.finditer(text, start):
        literal += text[start : match.start()]
        start = match.end()
        name = match["bare"] or match["braced"]
        if match["dollar"]:
            literal += "$"
        elif name:
            pieces += [literal, Mention(name, match.span())] if literal else [Mention(name, match.span())]
            literal = ""
        else:
            raise _wrong_dollar(option, text, match.start())
    literal += text[start:]
    return Template(option, text, tuple([*pieces, literal] if literal else pieces))


def _wrong_dollar(option: str, text: str, at: int) -> UsageError:
    offence = _OFFENCE.match(text, at)
    assert offence is not None  # It begins with the dollar that is at ``at``.
    if text.startswith("${", at) and not offence[0].endswith("}"):
        message = f"{option}: '${{' is not closed"
    elif offence[0] == "$":
        message = f"{option}: a '$' stands alone"
    else:
        message = f"{option}: a name has letters, digits and _, and does not start with a digit"
    hint = f"write ${offence[0]} for a literal {offence[0]}"
    return UsageError(message, text=text, span=offence.span(), hint=hint)
