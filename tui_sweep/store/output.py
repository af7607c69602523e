"""The output of one attempt: two append-only files, and when how much of each was there.

The timeline is text, a line a sample: ``SECONDS STDOUT STDERR`` (UNIX time, sizes in bytes). Both
streams go straight from the case to their files, so their order is known only as finely as sampled.
A size that shrinks means that the case truncated its own stream.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


def at_once(path: str | Path, flags: int) -> int:
    """``opener`` of files that a case can reach: what it put in their place, a pipe say, must not stop
    whoever opens it."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)


class Output:
    """One attempt's files; what an engine sees as its Sink."""

    __slots__ = ("_sizes", "_stderr", "_stdout", "folder")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stdout, self._stderr = f"{folder}/stdout", f"{folder}/stderr"
        self._sizes = (0, 0)

    @property
    def stdout(self) -> Path:
        return self.folder / "stdout"

    @property
    def stderr(self) -> Path:
        return self.folder / "stderr"

    @property
    def timeline(self) -> Path:
        return self.folder / "timeline"

    @property
    def exit(self) -> Path:
        return self.folder / "exit"

    def create(self) -> None:
        """Make the folder, unless it is there. Raises OSError."""
        try:
            os.mkdir(self.folder)
        except FileNotFoundError:
            os.makedirs(self.folder, exist_ok=True)
        except FileExistsError:
            pass

    def resume(self) -> None:
        """Continue a timeline that an earlier runner wrote, as far as it can be read."""
        with suppress(OSError):
            for sample in read_timeline(self.timeline):
                self._sizes = (sample.stdout, sample.stderr)

    def sample(self, now: float) -> int:
        """Note the sizes if they changed since the last sample; bytes of both. Two stats, 4 µs.

        A sample that finds no room is missing later, and the case goes on: it is an order that is lost,
        and no output.
        """
        sizes = (_size(self._stdout), _size(self._stderr))
        if sizes != self._sizes:
            self._sizes = sizes
            try:
                _append(f"{self.folder}/timeline", b"%.3f %d %d\n" % (now, *sizes))
            except OSError as error:
                log.error("timeline cannot be written: path=%s error=%s", self.timeline, error)
        return sizes[0] + sizes[1]


def _append(path: str, data: bytes) -> None:
    """Raises OSError. Half of what a file object takes, once for each case."""
    file = at_once(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        if os.write(file, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)


def tail(path: str | Path, size: int) -> bytes:
    """The last bytes of a file, at most ``size``; none when it cannot be read."""
    try:
        file = at_once(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(file, size, max(os.fstat(file).st_size - size, 0))
    except OSError:
        return b""
    finally:
        os.close(file)


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Sample:
    """How many bytes of each stream there were at a time (UNIX seconds)."""

    at: float
    stdout: int
    stderr: int


def read_timeline(path: Path) -> Iterator[Sample]:
    """The samples of an attempt, oldest first. Left out are a last line that is still being written, and
    lines that a full disk or a killed runner left torn. Raises OSError."""
    try:
        file = open(path, "rb", opener=at_once)  # closed below: the iterator owns it
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if line.endswith(b"\n"):
                try:
                    at, stdout, stderr = line.split()
                    yield Sample(float(at), int(stdout), int(stderr))
                except ValueError:
                    continue
