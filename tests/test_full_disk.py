"""A disk that fills up while a sweep runs: told in a line, nothing crashes, and it goes on later."""

import json
import os
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB, and a function that enlarges it."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or _mount("size=1m", place).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield place, lambda: _mount("remount,size=50m", place)
    subprocess.run(["umount", "-l", place], check=True)


def _mount(options, place):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False)


@pytest.mark.privileged
def test_a_full_disk_ends_the_runner_with_exit_4_and_the_sweep_goes_on_when_there_is_room(
    run_cli, small_disk
):
    place, enlarge = small_disk
    state = {"SWEEP_TUI_STATE": str(place)}
    done = run_cli(
        "run", "--headless", "-r", "cpu=0.1", "-e", "X=$X", "--range", "X=range:6",
        "--exec", "head -c 400000 /dev/zero; echo end", "sh", env=state,
    )  # fmt: skip
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "disk is full" in done.stderr
    enlarge()
    assert run_cli("resume", "@", env=state).returncode == 0
    assert run_cli("wait", "@", env=state).returncode in (0, 1, 6)
    assert run_cli("retry", "@", "--failed", env=state).returncode == 0
    assert run_cli("wait", "@", env=state).returncode == 0
    summary = json.loads(run_cli("ls", "--json", env=state).stdout)
    assert summary["counts"] == {"done": 6}


@pytest.mark.privileged
def test_a_state_directory_without_any_room_is_exit_4_before_anything_starts(run_cli, small_disk):
    place, _ = small_disk
    (place / "filler").write_bytes(bytes(1 << 20))
    done = run_cli("run", "--headless", "--state-dir", str(place), "--exec", "true", "sh")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr
    assert [path.name for path in place.rglob("*") if path.name not in ("filler", "sweeps")] == []


@pytest.mark.privileged
def test_a_sweep_that_ended_is_shown_on_a_disk_that_is_full_since(run_cli, small_disk):
    place, _ = small_disk
    state = {"SWEEP_TUI_STATE": str(place)}
    assert run_cli("run", "--headless", "--exec", "echo kept", "sh", env=state).returncode == 0
    with pytest.raises(OSError, match="No space left"):
        (place / "filler").write_bytes(bytes(2 << 20))
    assert "1 done" in run_cli("ls", env=state).stdout
    assert "done" in run_cli("show", "@", env=state).stdout
    assert run_cli("log", "@", "0", env=state).stdout == "kept\n"
    refused = run_cli("retry", "@", "0", env=state)
    assert refused.returncode == 4
    assert refused.stderr.endswith("nothing can be asked of the runner: No space left on device\n")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.privileged
def test_a_sweep_on_a_read_only_disk_is_shown_and_left_as_it_is(run_cli, small_disk):
    place, _ = small_disk
    state = {"SWEEP_TUI_STATE": str(place)}
    assert run_cli("run", "--headless", "--exec", "echo kept", "sh", env=state).returncode == 0
    assert _mount("remount,ro", place).returncode == 0
    assert "1 done" in run_cli("ls", env=state).stdout
    assert run_cli("wait", "@", env=state).returncode == 0
    assert run_cli("log", "@", "0", env=state).stdout == "kept\n"
    for words in (["retry", "@", "0"], ["rm", "--yes", "@"]):
        refused = run_cli(*words, env=state)
        assert refused.returncode == 4, refused.stderr
        assert "Read-only file system" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
