"""Containers: a private folder, a log kept as the agent keeps it, and the command that runs in them.

A batch session's startup command really runs, by /bin/sh, in a folder that stands for /home/work. Its
stdout and stderr reach the log as from the real runner: read from two pipes, mixed, line ends as a
terminal makes them (``\\r\\n``), the runner's own lines before and behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MARK = "STUB_CONTAINER"
"""The variable by which a process is known to be in a container, whoever its parent is now."""

LOG_BYTES = 10 * 1024 * 1024
"""What the container's log driver keeps: five files, the oldest dropped whole."""

FILES = 5

NOISE = Path(__file__).parent / "noise"
"""What the runner prints around a program, per version, out of real logs (the captures of the cluster)."""


@cache
def noise(version: str) -> tuple[bytes, bytes]:
    """What the runner prints before and behind a program."""
    text = json.loads((NOISE / f"{version}.json").read_text())
    return text["before"].encode(), text["after"].encode()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a canned command printed, and how it ended."""

    output: bytes = b""
    """As the program wrote it: ``\\n`` line ends."""
    code: int = 0
    seconds: float = 0.0
    """How long it ran."""


Canned = Callable[[str, Mapping[str, str]], Outcome]
"""Startup command and environ → what comes of it. In place of a process, for benchmarks."""


class Log:
    """What a container printed, bounded as docker's json-file driver bounds it."""

    def __init__(self, limit: int = LOG_BYTES) -> None:
        self._file = max(1, limit // FILES)
        self._files: deque[list[bytes]] = deque([[]])
        self._sizes: deque[int] = deque([0])

    def write(self, data: bytes) -> None:
        """Append; past the limit the oldest fifth goes, at a line's end where there is one."""
        while data:
            room = self._file - self._sizes[-1]
            if len(data) <= room:
                self._files[-1].append(data)
                self._sizes[-1] += len(data)
                return
            cut = data.rfind(b"\n", 0, room) + 1
            if not cut and not self._sizes[-1]:
                cut = _whole(data, room)
            self._files[-1].append(data[:cut])
            self._files.append([])
            self._sizes.append(0)
            if len(self._files) > FILES:
                self._files.popleft()
                self._sizes.popleft()
            data = data[cut:]

    def read(self) -> bytes:
        return b"".join(part for file in self._files for part in file)


def _whole(data: bytes, size: int) -> int:
    """The largest cut within ``size`` that splits no UTF-8 character; at least 1."""
    cut = size
    while cut > 1 and cut < len(data) and data[cut] & 0xC0 == 0x80:
        cut -= 1
    return max(cut, 1)


class Container:
    """One session's container. Its folder is made when something is first put there."""

    def __init__(self, version: str, environ: Mapping[str, str], *, limit: int = LOG_BYTES) -> None:
        before, self._after = noise(version)
        self.environ = dict(environ)
        self.log = Log(limit)
        self.log.write(before)
        self.process: asyncio.subprocess.Process | None = None
        self._home: Path | None = None
        self._mark = ""
        """What ``_MARK`` is for all that runs inside."""
        self._closed = False

    @property
    def home(self) -> Path:
        """What stands for /home/work."""
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="stub-container-")) / "work"
            self._home.mkdir()
            (self._home.parent / "tmp").mkdir()
            self._mark = str(self._home)
        return self._home

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment of what runs inside."""
        home = str(self.home)
        inherited = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
        own = {
            "HOME": home,
            "PWD": home,
            "TMPDIR": str(self.home.parent / "tmp"),
            "_BACKEND_BATCH_MODE": "1",
            _MARK: home,
        }
        return inherited | own | self.environ

    def write(self, data: bytes) -> None:
        """Print, through the container's terminal."""
        self.log.write(data.replace(b"\n", b"\r\n"))

    async def run(self, command: str, bootstrap: str | None = None) -> int:
        """Run a shell command to its end; its exit code, negative for a signal as Popen has it.

        A command that exec does not take (one argument is at most 128 KiB) fails without a word.
        """
        if bootstrap is not None:
            await self._run(bootstrap)
        return await self._run(command)

    async def _run(self, command: str) -> int:
        if self._closed:
            return -signal.SIGKILL
        try:
            self.process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                command,
                cwd=self.home,
                env=self.surroundings,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError):
            return 126
        if self._closed:  # torn down while it was being started
            self.kill()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        await asyncio.gather(self._pump(self.process.stdout), self._pump(self.process.stderr))
        return await self.process.wait()

    async def _pump(self, pipe: asyncio.StreamReader) -> None:
        while data := await pipe.read(4096):
            self.write(data)

    def finish(self) -> None:
        """Print what the runner prints as it shuts down."""
        self.log.write(self._after)

    def kill(self) -> None:
        """Kill everything inside, as the end of a container does."""
        self._closed = True
        while self._mark and (
            inside := _inside(self._mark)
        ):  # what was forked meanwhile is found by the next look
            _kill(inside)

    def kill_for_memory(self) -> list[int]:
        """Kill the processes that have no children, as the kernel does when the memory is used up."""
        inside = _inside(self._mark) if self._mark else {}
        leaves = [pid for pid in inside if pid not in inside.values()]
        _kill(leaves)
        return leaves

    def close(self) -> None:
        """Kill what runs and take the folder away."""
        self.kill()
        if self._home is not None:
            shutil.rmtree(self._home.parent, ignore_errors=True)
            self._home = None


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it ended in this moment


def _inside(home: str) -> dict[int, int]:
    """Process id → parent's, of all that live in the container of this home, whatever session they made."""
    mark = b"%s=%s" % (_MARK.encode(), os.fsencode(home))
    members = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            members[int(entry.name)] = int(fields[1])
    return members
