"""The environment with manager, agent and official client of one release, every version pinned."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.cluster.command import run
from tests.cluster.machine import find_python
from tests.cluster.state import State, Unfit, say

PINS = Path(__file__).parent / "pins"
"""A requirements file for each release, and one for the image: what pip resolved when it was tried."""


def install(state: State) -> None:
    """Makes the environment anew unless it is that of the pins, and unpacks the example users. Raises Unfit."""
    release, venv, done = state.release, state.root / "venv", state.root / "venv" / "pins.sha256"
    pins = PINS / f"{release.version}.txt"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if done.exists() and done.read_text() == wanted:
        return
    python = find_python(release)
    say(f"pip install backend.ai-manager, -agent and -client {release.version}, on {python}")
    shutil.rmtree(venv, ignore_errors=True)
    log = state.log("pip")
    run(python, "-m", "venv", venv, log=log, raises=Unfit)
    pip = (state.bin / "python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    # The set is whole and was resolved once: with --no-deps pip need not do it again. It would compile on
    # one cpu. Some packages bring files that do not compile and are never imported.
    run(*pip, "install", "--no-deps", "--no-compile", "--requirement", pins, log=log, raises=Unfit)
    compile_all = (state.bin / "python", "-m", "compileall", "-q", "-j", "0", venv / "lib")
    subprocess.run(compile_all, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    _unpack_fixtures(state, pip)
    done.write_text(wanted)


def _unpack_fixtures(state: State, pip: tuple[str | Path, ...]) -> None:
    """Takes the example data out of the installer's wheel, which is not installed: it has nothing else for us."""
    wheels, fixtures = state.root / "wheels", state.root / "fixtures"
    for folder in (wheels, fixtures):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    wheel = f"backend.ai-install=={state.release.version}"
    run(*pip, "download", "--no-deps", "--dest", wheels, wheel, log=state.log("pip"), raises=Unfit)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
        for name in archive.namelist():
            if "/install/fixtures/" in name and name.endswith(".json"):
                (fixtures / Path(name).name).write_bytes(archive.read(name))
