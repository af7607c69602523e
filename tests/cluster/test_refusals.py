"""Where no cluster can be started, or one is up already, the program says so and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.release import RELEASES
from tests.cluster.stack import Stack
from tests.cluster.state import PORTS

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parent.parent.parent
AS_NOBODY = "import os, sys; from tests.cluster.__main__ import main; os.seteuid(65534); sys.exit(main())"


def call(*arguments: str, state: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the program, or Python with other arguments, in the project's folder."""
    env = os.environ | ({"CLUSTER_STATE": str(state)} if state else {})
    command = (sys.executable, *arguments)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["up", "down"])
def test_root_is_asked_for(stack: Stack, command: str) -> None:
    result = call("-c", AS_NOBODY, command, "--", stack.state.release.version)
    assert result.returncode == 3
    assert result.stderr.endswith("cluster: root is needed, to start and stop PostgreSQL and dockerd\n")
    assert len(result.stderr.splitlines()) == 1
    assert stack.is_up


def test_a_taken_port_is_named_with_who_has_it(stack: Stack, tmp_path: Path) -> None:
    result = call("-m", "tests.cluster", "up", state=tmp_path / "another")
    assert result.returncode == 3
    who = f"process {stack.daemon('postgres').pid} (postgres)"
    assert result.stderr.endswith(
        f"cluster: port {PORTS['postgres']}, for postgres, is in use by {who}: stop that first\n"
    )
    assert stack.is_up


def test_another_release_is_refused_while_one_is_up(stack: Stack) -> None:
    other = next(version for version in RELEASES if version != stack.state.release.version)
    result = call("-m", "tests.cluster", "up", other)
    assert result.returncode == 3
    assert f"make cluster-down VERSION={stack.state.release.version}" in result.stderr
    assert stack.is_up


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    result = call("-m", "tests.cluster", "up", state=theirs)
    assert result.returncode == 3
    assert result.stderr.endswith(
        f"cluster: {theirs} belongs to another user: choose a folder with CLUSTER_STATE\n"
    )


def test_what_is_up_already_stays_as_it_is(stack: Stack) -> None:
    before = stack.running
    result = call("-m", "tests.cluster", "up", stack.state.release.version)
    assert result.returncode == 0
    assert stack.running == before
