"""IMAGE on this machine: its last word names a runtime, and a runtime is a program on the PATH."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import UsageError
from tui_sweep.core.sweep import STAR


@dataclass(frozen=True, slots=True)
class Runtime:
    """A language that a case may be written in."""

    name: str
    programs: tuple[str, ...]
    """What it may be called on the PATH, the better name first."""
    flag: str
    """What takes program text."""
    main: str | None
    """The file that ``*`` executes."""
    also: tuple[str, ...] = ()
    """Other words for it in image names."""


RUNTIMES = (
    Runtime("python", ("python3", "python"), "-c", "main.py", ("python3", "py")),
    Runtime("bash", ("bash",), "-c", "main.sh"),
    Runtime("sh", ("sh",), "-c", "main.sh", ("dash", "shell")),
    Runtime("node", ("node", "nodejs"), "-e", "main.js", ("nodejs", "javascript")),
    Runtime("ruby", ("ruby",), "-e", "main.rb"),
    Runtime("perl", ("perl",), "-e", "main.pl"),
    Runtime("r", ("Rscript",), "-e", "main.R", ("rscript",)),
    Runtime("julia", ("julia",), "-e", "main.jl"),
    Runtime("lua", ("lua",), "-e", "main.lua"),
    Runtime("php", ("php",), "-r", "main.php"),
)
_BY_WORD = {word: runtime for runtime in RUNTIMES for word in (runtime.name, *runtime.also)}
_OTHER = Runtime("other", (), "-c", None)
"""A program that a path names and that we do not know."""

_VERSIONED = re.compile(r"([a-z]+?)([0-9]+(?:\.[0-9]+)*)")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The runtime of one sweep."""

    runtime: Runtime
    interpreter: str
    """Absolute. Links are kept as they are: a virtual environment's python is one."""
    by_path: bool
    """IMAGE was a path, so nothing was made of it."""


def choose(image: str, environ: Mapping[str, str], cwd: Path) -> Chosen:
    """The runtime that IMAGE means to someone who starts sweep-tui in ``cwd``.

    A path (it begins with ``/``, ``.`` or ``~``, or has a ``/`` and is a file) is an interpreter. Else
    registry, tag and digest are dropped. ``python3.11`` is the program of that name. Of a name in parts
    the first part that is a runtime counts: ``python-tensorflow`` is python, ``r-base`` is r; whether
    its packages are installed is the user's affair. Raises UsageError.
    """
    if image.startswith(("/", ".", "~")) or ("/" in image and (cwd / image).is_file()):
        return _by_path(image, environ, cwd)
    word = image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    versioned = _VERSIONED.fullmatch(word)
    if versioned is not None and word not in _BY_WORD and versioned[1] in _BY_WORD:
        runtime = _BY_WORD[versioned[1]]
        return Chosen(runtime, _found((word,), image, environ, cwd), by_path=False)
    for part in (word, *re.split(r"[-_]", word)):
        if part in _BY_WORD:
            runtime = _BY_WORD[part]
            return Chosen(runtime, _found(runtime.programs, image, environ, cwd), by_path=False)
    known = ", ".join(runtime.name for runtime in RUNTIMES)
    raise UsageError(
        f"{image}: no runtime of this name on the local engine",
        text=image,
        span=(0, len(image)),
        hint=f"known ones: {known}; a path such as ./venv/bin/python names an interpreter; "
        "--engine backendai runs images",
    )


def _by_path(image: str, environ: Mapping[str, str], cwd: Path) -> Chosen:
    text = image
    if image == "~" or image.startswith("~/"):
        text = environ.get("HOME", "~") + image[1:]
    path = os.path.normpath(cwd / text) if ".." not in text.split("/") else os.path.abspath(cwd / text)
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        what = "is no program that can be executed" if os.path.exists(path) else "does not exist"
        raise UsageError(
            f"{path} {what}",
            text=image,
            span=(0, len(image)),
            hint="IMAGE as a path names an interpreter",
        )
    word = re.match(r"[a-z]*", os.path.basename(path).lower())
    return Chosen(_BY_WORD.get(word[0] if word else "", _OTHER), path, by_path=True)


def _found(programs: tuple[str, ...], image: str, environ: Mapping[str, str], cwd: Path) -> str:
    path = environ.get("PATH", os.defpath)
    for program in programs:
        # entries may be relative to where we were started, "" among them
        for folder in path.split(os.pathsep):
            found = shutil.which(program, path=str(cwd / folder))
            if found is not None:
                return os.path.abspath(found)
    raise UsageError(
        f"{' or '.join(programs)} is not installed: no such program on PATH={path}",
        text=image,
        span=(0, len(image)),
        hint="install it, or name an interpreter by its path",
    )


_PLAIN = re.compile(r"[A-Za-z0-9_./,:+@% =-]+")
"""Commands in which no character means anything to a shell."""
_OF_THE_SHELL = frozenset(
    """
    alias bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc
    declare dirs disown do done elif else enable esac eval exec exit export fc fg fi for function
    getopts hash help history if in jobs kill let local logout mapfile popd pushd pwd read readarray
    readonly return select set shift shopt source suspend then time times trap type typeset ulimit umask
    unalias unset until wait while . :
    """.split()  # noqa: SIM905 (a list of 65 quoted words does not read)
)
"""First words that act on, or belong to, the shell that reads them."""
_OWN = frozenset({"echo", "false", "printf", "test", "true"})
"""Programs that a shell has its own form of; they differ in what begins with ``-`` alone."""


def plain_words(command: str) -> tuple[str, ...]:
    """The words of a command that needs no shell of its own, as in make; empty for all others.

    A shell would execute it in its own place, so nobody can see the difference, but for the time:
    one ``exec`` less is 0.6 of 2.4 ms for a ``true``.
    """
    if not _PLAIN.fullmatch(command):
        return ()
    words = tuple(command.split())
    if not words or "=" in words[0] or words[0] in _OF_THE_SHELL:
        return ()
    if words[0] in _OWN and any(word.startswith("-") for word in words[1:]):
        return ()
    return words


_MAKE = "if [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]; then exec make; fi\n"
_SETUP = 'if [ -e setup.py ]; then exec "{}" -m pip install --quiet --disable-pip-version-check --target .site .; fi\n'
SITE = ".site"
"""Where the default build of a python project installs it: inside the case's copy, never among the
user's own packages."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What one case runs."""

    clean: str
    build: str
    command: tuple[str, ...]


class Commands:
    """Turns the steps of a case into what is executed."""

    def __init__(self, place: Mapping[str, Any], *, code: str | None, has_files: bool) -> None:
        self._runtime = _BY_WORD.get(str(place["runtime"]), _OTHER)
        self._interpreter = str(place["interpreter"])
        self._has_files = has_files
        self._code = code
        self.shell = self._interpreter if self._runtime.name == "bash" else "/bin/sh"
        """What commands are given to."""

    def steps(self, clean: str, build: str, execute: str) -> Steps:
        """The steps of one case; ``*`` is the runtime's default where there are files, else nothing."""
        if self._code is not None:
            return Steps("", "", (self._interpreter, self._runtime.flag, self._code))
        if build == STAR:
            build = self._default_build() if self._has_files else ""
        if execute == STAR:
            command = self._default_exec() if self._has_files else ()
        else:
            words = plain_words(execute) if self.shell == "/bin/sh" else ()
            command = words or ((self.shell, "-c", execute) if execute else ())
        return Steps("" if clean == STAR else clean, build, command)

    def has_site(self, files: Sequence[str]) -> bool:
        """Whether a default build may install these FILES into ``SITE``."""
        return self._runtime.name == "python" and "setup.py" in files

    def _default_build(self) -> str:
        if self._runtime.name != "python":
            return _MAKE
        return _MAKE + _SETUP.format(re.sub(r'(["$`\\])', r"\\\1", self._interpreter))

    def _default_exec(self) -> tuple[str, ...]:
        main = self._runtime.main
        text = (
            f'if [ -e {main} ]; then exec "$0" {main}; fi\n'
            f"echo 'sweep-tui: there is no {main} to execute; name the command with --exec' >&2; exit 127"
        )
        return ("/bin/sh", "-c", text, self._interpreter)
