"""What make says on a machine that lacks something. The machine is a PATH of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")

TOO_OLD = "exit 1"
WITHOUT_ENSUREPIP = 'case "$2" in *ensurepip*) exit 1;; esac'
WORKS = 'case "$1 $2" in "-m venv") echo "venv of $0";; esac'


def make(folder: Path, *args: str, **pythons: str) -> subprocess.CompletedProcess[str]:
    """Runs make in a copy of the project where ``pythons`` (name → shell text) are all that is on the PATH."""
    path = folder / "bin"
    path.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, text in pythons.items():
        script = path / name.replace("_", ".")
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    assert MAKE is not None
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        [MAKE, *args],
        cwd=folder,
        env=env | {"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("target", ["run", "test", "check"])
@pytest.mark.parametrize("pythons", [{}, {"python3": TOO_OLD, "python3_11": TOO_OLD}])
def test_without_a_python_one_line_says_what_to_install(
    tmp_path: Path, target: str, pythons: dict[str, str]
) -> None:
    result = make(tmp_path, target, **pythons)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "install python3 and python3-venv" in result.stderr


@pytest.mark.parametrize("target", ["run", "test"])
def test_without_ensurepip_one_line_says_what_to_install(tmp_path: Path, target: str) -> None:
    result = make(tmp_path, target, python3=WITHOUT_ENSUREPIP)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "install python3-venv" in result.stderr


@pytest.mark.parametrize(
    ("args", "chosen"),
    [
        (["run"], "python3.12"),  # 3.13 cannot make an environment, 3.14 is a launcher of nothing
        (["run", "PYTHON=python3"], "python3"),
    ],
)
def test_the_newest_python_that_can_is_used(tmp_path: Path, args: list[str], chosen: str) -> None:
    result = make(
        tmp_path,
        *args,
        python3=WORKS,
        python3_11=WORKS,
        python3_12=WORKS,
        python3_13=WITHOUT_ENSUREPIP,
        python3_14=TOO_OLD,
    )
    assert f"venv of {tmp_path}/bin/{chosen}\n" in result.stdout


def test_the_example_reaches_the_shell_as_the_manual_writes_it(tmp_path: Path) -> None:
    result = make(tmp_path, "--dry-run", "run", python3=WORKS)
    said = result.stdout.replace("\\\n    ", "").splitlines()[-1]
    assert said == (
        ".venv/bin/sweep-tui run "
        """-c 'import os; print("Hello world, {}".format(os.environ["CASENO"]))' """
        "-r cpu=1 -r mem=256m -e 'CASENO=$X' --env-range=X=case:1,2,3,4 "
        "lablup/python:3.6-ubuntu18.04"
    )
