"""Starting a runner of its own: a process that outlives whoever asked for it.

The hand-shake: the launcher waits on a pipe until the runner holds the sweep and has reached its
engine ("ready"), or for its error and exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import JournalError, SweepError
from tui_sweep.store.layout import SweepDir

PATIENCE = 120.0
"""Seconds that a launcher waits for a runner to be ready; an engine far away may take its time."""


class RunnerError(SweepError):
    """A runner could not start; it carries that runner's own exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def start(folder: SweepDir) -> int:
    """Start a detached runner; its pid, once it holds the sweep and has reached its engine.

    Raises RunnerError with the runner's own words and exit code.
    """
    reading, writing = os.pipe()
    try:
        with open(folder.log, "ab") as log:
            process = subprocess.Popen(
                # -P: a file of the user's in this directory must not shadow a module of ours
                [sys.executable, "-P", "-m", "tui_sweep.run", str(folder.path), str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[writing],
            )
    except OSError as error:
        os.close(reading)
        message = f"{folder.path}: no runner can be started: {error.strerror}"
        raise RunnerError(message, JournalError.exit_code) from error
    finally:
        os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    return _judge(answer, process, folder)


def _judge(answer: bytes, process: subprocess.Popen[bytes], folder: SweepDir) -> int:
    try:
        record: dict[str, Any] = json.loads(answer)
    except ValueError:
        code = process.wait(PATIENCE)
        raise RunnerError(f"the runner ended at once (exit code {code}); see {folder.log}", 70) from None
    if "error" in record:
        process.wait(PATIENCE)
        raise RunnerError(record["error"], int(record["exit_code"]))
    process.returncode = 0  # it is meant to outlive us: no warning that it still runs
    return process.pid


class HandShake:
    """The runner's side of the pipe: tells the launcher once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def tell(self, **record: Any) -> None:
        """Say it, unless something was said before: the number may belong to another file by now."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            with open(descriptor, "wb") as pipe:
                pipe.write(json.dumps(record).encode())
        except OSError:
            return  # the launcher is gone; the sweep goes on


def lingering_advice(
    etc: Path = Path("/etc/systemd"), linger: Path = Path("/var/lib/systemd/linger")
) -> str | None:
    """What to do where logind kills what a logged-out user left running, or None where it does not."""
    configured = [etc / "logind.conf", *sorted((etc / "logind.conf.d").glob("*.conf"))]
    kills = False
    for path in configured:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition("=")
            if name.strip() == "KillUserProcesses":
                kills = value.strip().lower() in ("yes", "true", "1", "on")
    user = os.environ.get("USER", "")
    if not kills or (linger / user).exists():
        return None
    return (
        "this machine ends everything of a user who logs out (KillUserProcesses=yes); "
        "to let sweeps go on: loginctl enable-linger"
    )
