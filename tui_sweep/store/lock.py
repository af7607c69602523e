"""The lock that makes a sweep's runner the only one: a POSIX record lock.

``F_GETLK`` tells who holds it and takes nothing, so that viewers may ask as often as they like.
Such a lock falls when its process closes *any* descriptor of the file: inside the runner nobody else
may open it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

from tui_sweep.core.errors import JournalError

# struct flock: Linux has (type, whence, start, len, pid), macOS (start, len, pid, type, whence).
_LINUX = sys.platform.startswith("linux")
_FLOCK = "hhqqi4x" if _LINUX else "qqihh"


def _request(kind: int) -> bytes:
    if _LINUX:
        return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)
    return struct.pack(_FLOCK, 0, 0, 0, kind, os.SEEK_SET)


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock, or None. 0: one on another machine.

    Raises JournalError when the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # asking needs no more, even for a write lock
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, _request(fcntl.F_WRLCK))
    finally:
        os.close(descriptor)
    fields = struct.unpack(_FLOCK, answer)
    kind, pid = (fields[0], fields[4]) if _LINUX else (fields[3], fields[2])
    return None if kind == fcntl.F_UNLCK else max(int(pid), 0)


class Lock:
    """The runner's hold on its sweep; falls with the process."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """Whether the lock is ours now."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self) -> None:
        os.close(self._descriptor)
