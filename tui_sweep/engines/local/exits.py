"""Tells when a process ends: by a pidfd in the event loop, or by asking where there is none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_ASK_EVERY = 0.05
"""Seconds, on systems without pidfd_open (macOS, Linux before 5.3) or with no descriptor left."""

Ended = Callable[[int | None], None]
"""Called once with the wait status, or None for a process that is no child of ours."""


class Exits:
    """One watcher for all processes of an engine."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fds: dict[int, int] = {}
        """pid → its pidfd, in the loop."""
        self._asked: dict[int, tuple[Callable[[], bool] | None, Ended]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def child(self, pid: int, ended: Ended) -> None:
        """Watch a child that has not been waited for, and wait for it when it ends."""
        fd = _pidfd(pid)
        if fd is None:
            self._ask(pid, None, ended)
        else:
            self._listen(pid, fd, ended, is_child=True)

    def other(self, pid: int, lives: Callable[[], bool], ended: Ended) -> bool:
        """Watch a process that ``lives`` knows to be the one that is meant; False when it is not, any more.

        The pidfd is taken first and the question asked then: so it cannot be another process.
        """
        fd = _pidfd(pid)
        if not lives():
            if fd is not None:
                os.close(fd)
            return False
        if fd is None:
            self._ask(pid, lives, ended)
        else:
            self._listen(pid, fd, ended, is_child=False)
        return True

    def inherited(self, pid: int, lives: Callable[[], bool], ended: Ended) -> None:
        """Watch a process whose parent is dead: it has come to us, where orphans do; else as ``other``."""
        try:
            gone, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            if not self.other(pid, lives, ended):
                ended(None)
            return
        if gone:
            ended(status)
        else:
            self.child(pid, ended)

    def forget(self, pid: int) -> None:
        """Stop watching."""
        self._asked.pop(pid, None)
        fd = self._fds.pop(pid, None)
        if fd is not None:
            self._loop.remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        for pid in list(self._fds):
            self.forget(pid)
        self._asked.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _listen(self, pid: int, fd: int, ended: Ended, *, is_child: bool) -> None:
        self._fds[pid] = fd
        self._loop.add_reader(fd, self._heard, pid, ended, is_child)

    def _heard(self, pid: int, ended: Ended, is_child: bool) -> None:
        self.forget(pid)
        ended(reap(pid) if is_child else None)

    def _ask(self, pid: int, lives: Callable[[], bool] | None, ended: Ended) -> None:
        self._asked[pid] = lives, ended
        if self._timer is None:
            self._timer = self._loop.call_later(_ASK_EVERY, self._ask_all)

    def _ask_all(self) -> None:
        self._timer = None
        for pid, (lives, ended) in list(self._asked.items()):
            status: int | None = None
            if lives is None:
                try:
                    gone, status = os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    gone, status = pid, None
                if gone == 0:
                    continue
            elif lives():
                continue
            del self._asked[pid]
            ended(status)
        if self._asked and self._timer is None:
            self._timer = self._loop.call_later(_ASK_EVERY, self._ask_all)


def reap(pid: int) -> int | None:
    """The wait status of a child that has ended; None when it has not, or somebody else was first."""
    try:
        gone, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return status if gone == pid else None


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
