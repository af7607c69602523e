"""The program of the spawner: a small process beside the runner that starts its shims and waits for them.

Starting one blocks whoever does it until the new process got a cpu and has become ``sh``: 0.5 ms on a
quiet machine, 2 ms on a busy one, a third of the runner's time, and a thread did not help, for the
interpreter stays locked meanwhile. Here it blocks nobody. Besides, nothing large has to be shared with the new process.

It is run as ``python -I -S spawner.py`` with one end of a socket as descriptor 3, and imports
nothing of this package: it is there after 15 ms, with 10 MB. It ends when the socket does, and leaves its
children alone: they are sessions of their own.

To it come frames (a length of four bytes, then marshal): first ``Settings``, then launches, each
with the descriptor that the case is to inherit. Back come records of twelve bytes, ``ANSWER``.
"""

from __future__ import annotations

import errno
import marshal
import os
import select
import signal
import socket
import struct
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHANNEL = 3
"""The descriptor of the socket."""
HOLD_FD = 9
"""The locked descriptor of the ledger that a case inherits. One digit: sh redirects no others."""
LENGTH = struct.Struct("<I")
ANSWER = struct.Struct("<iii")
"""A launch's number, its pid, 0: it was started; number, 0, errno: it was not (``UNFIT`` for what no
argument or variable can hold). 0, pid, wait status: the process has ended."""
UNFIT = -1
LOST = -2
"""Never sent: the spawner died before it answered."""

_FRAMES = 1 << 16
_RIGHTS = 32
"""Descriptors read at once; the kernel hands out one message's at a time."""
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def frame(value: tuple[Any, ...]) -> bytes:
    """A value as it travels."""
    told = marshal.dumps(value)
    return LENGTH.pack(len(told)) + told


def bind(pid: int, cpus: list[int]) -> None:
    """Bind a process that was just started, and what it started since, to these cpus.

    From outside and after the start, because binding ourselves around it moves the spawner from cpu to
    cpu and back: measured 0.7 ms a case against 0.35. The shim needs some 0.5 ms to its first child, so
    there is next to never one; when there is, it is found and bound as well, and what it starts after
    that inherits.
    """
    if not cpus or not hasattr(os, "sched_setaffinity"):
        return
    bound: set[int] = set()
    pending = [pid]
    while pending:
        process = pending.pop()
        try:
            os.sched_setaffinity(process, cpus)
        except OSError:
            continue  # it has ended, or the cpu was taken offline: running anywhere is better than not at all
        bound.add(process)
        pending += [child for child in children(process) if child not in bound]


def children(pid: int) -> list[int]:
    """The children of a process; none where the kernel does not list them."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:
            return [int(word) for word in file.read(4096).split()]
    except OSError:
        return []


class Settings:
    """What is the same for all launches."""

    def __init__(self, text: bytes, env: dict[bytes, bytes], defaults: list[int]) -> None:
        self.text = text
        """The shim's."""
        self.env = env
        """What a launch's variables are added to."""
        self.defaults = defaults
        """The signals that are set to their defaults."""
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def spawn(self, words: list[bytes], env: dict[bytes, bytes], hold: int) -> int:
        """Start a shim; its pid, which is its process group and session as well. Raises OSError, ValueError."""
        dup = os.POSIX_SPAWN_DUP2
        streams = [(dup, self.null, 0), (dup, self.null, 1), (dup, self.null, 2)]
        return os.posix_spawn(
            "/bin/sh",
            [b"sh", b"-c", self.text, b"sh", *words],
            {**self.env, **env},
            file_actions=[(dup, hold, HOLD_FD), *streams],
            setsid=True,
            setsigmask=[],
            setsigdef=self.defaults,
        )

    def launch(
        self, words: list[bytes], env: dict[bytes, bytes], hold: int, cpus: list[int]
    ) -> tuple[int, int]:
        """Start a shim on its cpus: its pid and 0, or 0 and what was wrong, as in ``ANSWER``."""
        try:
            pid = self.spawn(words, env, hold)
        except OSError as error:
            return 0, error.errno or errno.EINVAL
        except ValueError:
            return 0, UNFIT
        bind(pid, cpus)
        return pid, 0


class Inbox:
    """The frames that have come, with the descriptors that came with them."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._bytes = bytearray()
        self._holds: deque[int] = deque()

    def read(self) -> bool:
        """Read what is there, or wait for it; False when nothing will come any more."""
        told, rights, _, _ = self._channel.recvmsg(_FRAMES, socket.CMSG_SPACE(_RIGHTS * 4), _CLOEXEC)
        for _, _, numbers in rights:
            for (number,) in struct.iter_unpack("@i", numbers):
                os.set_inheritable(number, False)
                self._holds.append(number)
        self._bytes += told
        return bool(told)

    def next(self) -> bytes | None:
        """The next frame that has come whole."""
        if len(self._bytes) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._bytes)[0]
        if len(self._bytes) < end:
            return None
        told = bytes(self._bytes[LENGTH.size : end])
        del self._bytes[:end]
        return told

    def hold(self) -> int:
        """The descriptor of the launch that was read last."""
        return self._holds.popleft()


def serve(channel: socket.socket, ended: int) -> None:
    """Start and wait until the runner is gone. ``ended`` can be read when a child may have ended."""
    inbox = Inbox(channel)
    settings: Settings | None = None
    waiting = select.poll()
    waiting.register(channel, select.POLLIN)
    waiting.register(ended, select.POLLIN)
    while True:
        ready = {fd for fd, _ in waiting.poll()}
        if ended in ready:
            os.read(ended, 4096)
            channel.sendall(b"".join(ANSWER.pack(0, pid, status) for pid, status in reaped()))
        if channel.fileno() not in ready:
            continue
        if not inbox.read():
            return
        while (told := inbox.next()) is not None:
            if settings is None:
                settings = Settings(*marshal.loads(told))
                continue
            number, words, env, cpus = marshal.loads(told)
            hold = inbox.hold()
            answer = settings.launch(words, env, hold, cpus)
            os.close(hold)
            channel.sendall(ANSWER.pack(number, *answer))


def reaped() -> list[tuple[int, int]]:
    """The children that have ended, with their wait status."""
    found = []
    try:
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(one)
    except ChildProcessError:
        pass  # none is left
    return found


def main() -> None:
    """Until the runner closes its end, or is gone."""
    channel = socket.socket(fileno=CHANNEL)
    os.set_inheritable(CHANNEL, False)
    # a process that has a hold under this number is taken for a case's
    os.dup2(0, HOLD_FD, inheritable=False)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the writing to the pipe is what it is for
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        serve(channel, reader)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the runner was killed
    os._exit(0)


if __name__ == "__main__":
    main()
