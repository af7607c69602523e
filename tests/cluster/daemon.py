"""A process that outlives the command that started it, known by its pid file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.command import last_words
from tests.cluster.state import Broken, State

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Daemon:
    """One of the cluster's processes, with its children in a session of their own."""

    name: str
    state: State

    @property
    def _file(self) -> Path:
        return self.state.run / f"{self.name}.pid"

    @property
    def pid(self) -> int | None:
        """Its pid while it runs. A pid that another process has got since is not its."""
        try:
            pid, began, boot = self._file.read_text().split()
        except (OSError, ValueError):
            return None
        same = boot == _BOOT.read_text().strip() and began == _began(int(pid))
        return int(pid) if same else None

    @property
    def is_from_another_boot(self) -> bool:
        """Whether the machine went down while it ran."""
        try:
            return self._file.read_text().split()[2] != _BOOT.read_text().strip()
        except (OSError, IndexError):
            return False

    def start(self, command: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> None:
        """Starts it, its output at the end of its log. Raises Broken when there is no such program."""
        with self.state.log(self.name).open("ab") as log:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env=env,
                    start_new_session=True,
                )
            except OSError as error:
                raise Broken(f"{self.name}: {command[0]}: {error.strerror}") from None
        process.returncode = 0  # it is init's to wait for: no warning that it still runs when we end
        self._file.write_text(f"{process.pid} {_began(process.pid)} {_BOOT.read_text().strip()}\n")

    def wait(self, is_ready: Callable[[], bool], timeout: float, raises: type[Exception] = Broken) -> None:
        """Returns when ``is_ready``; raises with the end of the log when it dies or ``timeout`` seconds pass."""
        end = time.monotonic() + timeout
        while not is_ready():
            what = None
            if self.pid is None:
                what = "died"
            elif time.monotonic() > end:
                what = f"was not ready after {timeout:g} s"
            if what:
                raise raises(f"{self.name} {what}; {last_words(self.state.log(self.name))}")
            time.sleep(0.1)

    def stop(self, by: signal.Signals = signal.SIGTERM, timeout: float = 15) -> None:
        """Ends it: asked with ``by``, and after ``timeout`` seconds killed with all of its children."""
        first = self.pid
        self.ask_to_stop(by)
        end = time.monotonic() + timeout
        while self.pid is not None and time.monotonic() < end:
            time.sleep(0.05)
        if first is not None:
            with suppress(ProcessLookupError):  # usually none of its session is left
                os.killpg(first, signal.SIGKILL)
        while self.pid is not None:
            time.sleep(0.05)
        self._file.unlink(missing_ok=True)

    def ask_to_stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Sends the signal only, so that several can end at a time."""
        if (pid := self.pid) is not None:
            os.kill(pid, by)


def _began(pid: int) -> str | None:
    """When a process began, in clock ticks since boot: field 22 of proc(5) stat. None for a zombie or none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
