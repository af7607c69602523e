"""Draft: a sweep while it is being typed, as the texts of a form and as the words of a command line.

What the words mean is decided by one callable that is given from outside, and that is the option
parsing of ``sweep-tui run`` itself: the form can neither accept nor refuse anything else.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

from tui_sweep.core.errors import SweepError, UsageError
from tui_sweep.core.plain import plain
from tui_sweep.core.slots import Slots
from tui_sweep.view.mask import MASKED, is_telling

_OPTION = re.compile(r"(--?[A-Za-z][\w-]*|FILES|IMAGE|nothing to run)\b")
"""What a message begins with."""

_FIELD_OF = {
    "IMAGE": "image",
    "--exec": "command",
    "nothing to run": "command",
    "-c": "code",
    "FILES": "files",
    "--range": "ranges",
    "-e": "env",
    "-r": "resources",
    "--max-parallel": "max_parallel",
    "-t": "name",
    "--engine": "engine",
}
"""The field that an option is typed into; every other one is typed into ``options``."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The form's fields as they are typed. Blank ones are not given."""

    image: str = ""
    command: str = ""
    """``--exec``."""
    code: str = ""
    """``-c``."""
    files: str = ""
    """FILES, quoted as in a shell."""
    ranges: str = ""
    """``--range``, one a line."""
    env: str = ""
    """``-e``, one a line."""
    resources: str = ""
    """``-r``, between blanks."""
    max_parallel: str = ""
    name: str = ""
    engine: str = ""
    options: str = ""
    """Any further words of the command line, quoted as in a shell."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed yet that tells what to run; an image and an engine are no sweep."""
        given = (f.name for f in fields(self) if f.name not in ("image", "engine"))
        return not any(getattr(self, name).strip() for name in given)

    @property
    def arguments(self) -> dict[str, list[str]]:
        """The words that each field stands for, without the names of options.

        Raises UsageError for a quotation that is not closed.
        """
        one = ("command", "code", "max_parallel", "name", "engine")
        return {
            "image": [self.image.strip()],
            **{name: [text] if (text := getattr(self, name)).strip() else [] for name in one},
            "files": _split(self.files, "FILES"),
            "ranges": [line for line in self.ranges.split("\n") if line.strip()],
            "env": [line for line in self.env.split("\n") if line.strip()],
            "resources": self.resources.split(),
            "options": _split(self.options, "options"),
        }

    @property
    def words(self) -> list[str]:
        """What stands behind ``sweep-tui run``. Raises UsageError for a quotation that is not closed."""
        return self._words(self.arguments)

    def command_line(self, *, masked: bool = False) -> str:
        """The command to type into a shell, exact; ``masked``: for a screen, without secrets.

        Raises UsageError for a quotation that is not closed.
        """
        given = self.arguments
        if masked:
            given["env"] = [_masked(text) for text in given["env"]]
        line = shlex.join(["sweep-tui", "run", *self._words(given)])
        return plain(line) if masked else line

    def field_of(self, error: SweepError) -> str | None:
        """The field that an error is about: where its text was typed, else whose option it names."""
        if not isinstance(error, UsageError):
            return None
        named = _OPTION.match(error.message)
        told = None if named is None else _FIELD_OF.get(named[1], "options")
        if error.message.startswith("options:"):
            return "options"
        try:
            holding = [name for name, given in self.arguments.items() if error.text in given]
        except UsageError:
            return told
        return told if told in holding or not holding else holding[0]

    @staticmethod
    def _words(given: Mapping[str, Sequence[str]]) -> list[str]:
        """In the order in which a person writes them: the name, what each case is, what it runs."""
        found: list[str] = []
        for name, option in _OPTION_OF:
            found += [word for argument in given[name] for word in (option, argument)]
        place = [*given["image"], *given["files"]]
        if any(word.startswith("-") for word in place):
            return [*found, *given["options"], "--", *place]
        return [*found, *place, *given["options"]]


_OPTION_OF = (
    ("name", "-t"),
    ("engine", "--engine"),
    ("resources", "-r"),
    ("max_parallel", "--max-parallel"),
    ("env", "-e"),
    ("ranges", "--range"),
    ("code", "-c"),
    ("command", "--exec"),
)


def _split(text: str, called: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"{called}: {str(error).lower()}", text=text, span=(_opening(text), len(text))
        ) from error


def _opening(text: str) -> int:
    """Where the quotation begins that is not closed, or the backslash behind which nothing stands."""
    quote, opened, escaped = "", 0, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote, opened = letter, place
    return opened if quote else max(len(text) - 1, 0)


def _masked(text: str) -> str:
    name, equals, _ = text.partition("=")
    return f"{name}={MASKED}" if equals and is_telling(name) else text


@dataclass(frozen=True, slots=True)
class Checked:
    """What a command line would start."""

    count: int | None = None
    """How many cases; None: not known, because of an error or because counting takes long."""
    merged: int = 0
    """How many combinations are equal to an earlier one."""
    sizes: tuple[tuple[str, int], ...] = ()
    """How many values each variable has, as far as its range can be read."""
    rows: tuple[Mapping[str, str], ...] = ()
    """The variables of the first cases by column, secrets masked."""
    slots: Slots = field(default_factory=Slots)
    """What each case asks of the engine."""
    engine: str = ""
    notices: tuple[str, ...] = ()
    """Sentences about what is asked, which are no errors."""
    error: SweepError | None = None
    """Why it cannot be started; the same as the command line says."""


class Check(Protocol):
    """Says what a command line would start, and starts nothing. Called in a thread."""

    def __call__(self, words: Sequence[str], stop: Callable[[], bool], /) -> Checked:
        """``words`` stand behind ``sweep-tui run``; when ``stop`` turns true, nobody waits any more."""
        ...
