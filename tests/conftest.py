"""What every test gets: an environment that is nobody's, a bounded wait, the command as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

T = TypeVar("T")
OURS = ("BACKEND_", "SORNA_", "SWEEP_TUI_", "SWEEP_")
XDG = ("CONFIG", "DATA", "STATE", "CACHE")


@pytest.fixture(autouse=True, scope="session")
def usual_signals() -> None:
    """Programs under test are started as from a terminal, however this run was started: what nohup or a
    shell's ``&`` makes of these signals would be inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own: no settings, sweeps, slots or credentials of this machine are seen.

    PYTHONUNBUFFERED is removed because a case must get it from us and not from the tests.
    """
    home = tmp_path_factory.mktemp("home")
    for name in os.environ:
        if name.startswith(OURS) or name == "PYTHONUNBUFFERED":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for kind in XDG:
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return home


def wait_until(condition: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """The first true answer of ``condition``, asked every 10 ms. Fails after ``timeout`` seconds.

    The one place in the tests that sleeps.
    """
    end = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > end:
            pytest.fail(f"waited {timeout:g} s for {what or condition}; the last answer is {answer!r}")
        time.sleep(0.01)
    return answer


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[..., Any]:
    """``wait_until(condition, timeout=10.0, what="")``."""
    return wait_until


class RunCli(Protocol):
    """``run_cli("plan", "--count", …)``: the command in a process of its own, with an empty stdin."""

    def __call__(
        self,
        *args: str,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
        text: bool = True,
        options: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[Any]: ...


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCli:
    """Runs ``python -m tui_sweep`` in ``tmp_path``; ``env`` adds variables, ``options`` are Python's own."""

    def run(
        *args: str,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
        text: bool = True,
        options: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[Any]:
        return subprocess.run(
            [sys.executable, *options, "-m", "tui_sweep", *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=text,
            env=os.environ | (env or {}),
            cwd=cwd or tmp_path,
            timeout=timeout,
            check=False,
        )

    return run
