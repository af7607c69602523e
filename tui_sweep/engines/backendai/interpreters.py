"""Which program of an image runs ``-c`` and ``*``: the words are those of the local engine.

An image names its language in its last word (``stable/python-tensorflow:2.3``, ``r-base``). One that names
none is taken to have Python, as nearly all images of Backend.AI do; what is not there is told by the
case itself, which ends with 127.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from tui_sweep.core.sweep import STAR

# tests/engines/backendai/test_interpreters.py holds this against the local engine's table.
_INTERPRETERS: dict[str, tuple[tuple[str, ...], str, str, tuple[str, ...]]] = {
    "python": (("python3", "python"), "-c", "main.py", ("python3", "py")),
    "bash": (("bash",), "-c", "main.sh", ()),
    "sh": (("sh",), "-c", "main.sh", ("dash", "shell")),
    "node": (("node", "nodejs"), "-e", "main.js", ("nodejs", "javascript")),
    "ruby": (("ruby",), "-e", "main.rb", ()),
    "perl": (("perl",), "-e", "main.pl", ()),
    "r": (("Rscript",), "-e", "main.R", ("rscript",)),
    "julia": (("julia",), "-e", "main.jl", ()),
    "lua": (("lua",), "-e", "main.lua", ()),
    "php": (("php",), "-r", "main.php", ()),
}
"""Language → programs, the better name first; what takes program text; the file that ``*`` executes;
other words for it in image names."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A language as an image has it."""

    language: str
    programs: tuple[str, ...]
    flag: str
    main: str

    @property
    def shell(self) -> str:
        """What commands are given to."""
        return "bash" if self.language == "bash" else "/bin/sh"

    @property
    def default_build(self) -> str:
        """What ``*`` builds: as the cluster's own batch mode (PROTOCOL.md 4.1), but Python packages go
        where the local engine puts them, into the case's own ``.site``. ``$0`` is the program."""
        return _MAKE if self.language != "python" else _MAKE + _SETUP

    @property
    def default_exec(self) -> str:
        """What ``*`` executes; ``$0`` is the program."""
        return (
            f'if [ -e {self.main} ]; then exec "$0" {self.main}; fi\n'
            f"echo 'sweep-tui: there is no {self.main} to execute; name the command with --exec' >&2; exit 127"
        )


_MAKE = "if [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]; then exec make; fi\n"
_SETUP = 'if [ -e setup.py ]; then exec "$0" -m pip install --quiet --disable-pip-version-check --target .site .; fi'
SITE = ".site"
"""Where the default build of a Python project installs it."""

_WORDS = {word: name for name, (*_, also) in _INTERPRETERS.items() for word in (name, *also)}


@functools.cache
def interpreter(image: str) -> Interpreter:
    """The language that an image's name speaks of, Python when it says nothing."""
    word = image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    versioned = re.fullmatch(r"([a-z]+?)[0-9][0-9.]*", word)
    parts = (word, *([versioned[1]] if versioned else []), *re.split(r"[-_]", word))
    language = next((_WORDS[part] for part in parts if part in _WORDS), "python")
    programs, flag, main, _ = _INTERPRETERS[language]
    return Interpreter(language, programs, flag, main)


@dataclass(frozen=True, slots=True)
class Steps:
    """What one case runs."""

    clean: str
    build: str
    exec: str
    """A command, or "" where ``kind`` says it all."""
    kind: str
    """``command``, ``code`` (the program text of ``-c``), ``main`` (the language's own) or ``nothing``."""
    builds_by_default: bool


def steps(of: Interpreter, clean: str, build: str, execute: str, *, carried: str) -> Steps:
    """The steps of one case, as on this machine: ``*`` is the language's default where there are files, else
    nothing. ``carried`` is ``files``, ``code`` or ``nothing``."""
    if carried == "code":
        return Steps("", "", "", "code", builds_by_default=False)
    clean = "" if clean == STAR else clean
    has_files = carried == "files"
    by_default = build == STAR and has_files
    if build == STAR:
        build = of.default_build if has_files else ""
    if execute == STAR:
        return (
            Steps(clean, build, of.default_exec, "main", by_default)
            if has_files
            else Steps(clean, build, "", "nothing", by_default)
        )
    return Steps(clean, build, execute, "command" if execute else "nothing", by_default)
