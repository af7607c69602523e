"""The official client, ``backend.ai``, in an environment of its own: the peer of the cluster's benchmarks.

It needs Python 3.13, which is not ours, and packages that must not get into the project's environment. So it
is installed once into the user's cache folder, and nothing of it is ever imported here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

VERSION = "26.9.6"
PYTHON = "3.13"
"""What this version insists on."""


class MissingError(Exception):
    """Why there is no official client to compare with; what to install."""


def official() -> Path:
    """The program ``backend.ai`` of VERSION, installed if need be: half a minute. Raises MissingError."""
    folder = _cache() / "sweep-tui" / "bench" / f"backend.ai-client-{VERSION}"
    program = folder / "bin" / "backend.ai"
    if _works(program):
        return program
    python = next(_pythons(), None)
    if python is None:
        raise MissingError(
            f"no Python {PYTHON}, which backend.ai-client {VERSION} needs: install python{PYTHON}"
        )
    shutil.rmtree(folder, ignore_errors=True)
    _run(python, "-m", "venv", str(folder), what=f"no environment can be made with {python}")
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, f"backend.ai-client=={VERSION}", what=f"backend.ai-client {VERSION} cannot be installed")
    if not _works(program):
        raise MissingError(f"backend.ai-client {VERSION} was installed into {folder}, and does not start")
    return program


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _pythons() -> Iterator[str]:
    """Interpreters of that version; a name on the PATH may be a launcher of nothing."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [
        shutil.which(f"python{PYTHON}"),
        *sorted(map(str, pyenv.glob(f"versions/{PYTHON}.*/bin/python3"))),
    ]
    for python in filter(None, found):
        words = [python, "-c", "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"]
        told = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if told.stdout.strip() == PYTHON:
            yield python


def _works(program: Path) -> bool:
    try:
        told = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return f"backend.ai-client   {VERSION}" in told.stdout


def _run(*words: str, what: str) -> None:
    told = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if told.returncode:
        said = (told.stderr.strip() or told.stdout.strip()).splitlines()
        raise MissingError(f"{what}: {said[-1] if said else told.returncode}")
