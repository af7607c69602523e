"""The keeper as the runner has it: launches go to it, and what became of them comes back."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tui_sweep.core.errors import EngineBusy
from tui_sweep.engines.local import keeper
from tui_sweep.engines.local.claims import boot_id
from tui_sweep.engines.local.exits import Ended, Exits
from tui_sweep.engines.local.keeper import ANSWER, CHANNEL, LOST, frame
from tui_sweep.engines.local.launch import CAUGHT, Call
from tui_sweep.engines.local.tree import started

log = logging.getLogger(__name__)

_FULL = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS})
_AGAIN = 0.05
"""Seconds after which the kernel is asked again to take a message."""
_LAST_ANSWERS, _LAST_BREATH = 2.0, 1.0
"""Seconds that closing waits for what is being started, and for a keeper that keeps nothing to end."""

Answered = Callable[[int, int, int], None]
"""Called once with what is behind the number in ``keeper.ANSWER``, or with 0, ``LOST``, 0."""


@dataclass(slots=True)
class _Asked:
    answered: Answered
    ended: Ended
    answer: asyncio.Future[int]


class Keeper:
    """One process that starts cases; when it dies they come to us, and are watched by ``exits``."""

    def __init__(self, exits: Exits, env: Mapping[bytes, bytes], open_files: int) -> None:
        """Start it. ``env`` is what all cases have, ``open_files`` their soft limit on descriptors, 0: as
        ours. Raises EngineBusy."""
        self._loop = asyncio.get_running_loop()
        self._exits = exits
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        """What was not answered, by its number."""
        self._children: dict[int, tuple[int, Ended]] = {}
        """pid → clock ticks by which it had started, and whom to tell of the end."""
        self._unsent: deque[tuple[memoryview, int]] = deque()
        """What the socket would not take, with a descriptor of our own or -1."""
        self._rest = b""
        """The beginning of an answer."""
        self._told: deque[tuple[int, int, int, int]] = deque()
        """Answers that were not passed on yet."""
        self._is_closing = False
        self._gone = self._loop.create_future()
        self.is_alive = True
        """It takes launches."""
        self._channel, theirs = socket.socketpair()
        try:
            self._channel.setblocking(False)
            self.pid = _run(theirs.fileno())
        except OSError as error:
            self._channel.close()
            message = f"cannot start the process that starts cases: {error.strerror}"
            raise EngineBusy(message, retry_after=2.0) from error
        finally:
            theirs.close()
        self._exits.child(self.pid, self._died)
        self._loop.add_reader(self._channel, self._read)
        self._send(frame((dict(env), CAUGHT, boot_id(), open_files)), -1)

    def start(
        self, call: Call, hold: int, cpus: Iterable[int], answered: Answered, ended: Ended
    ) -> asyncio.Future[int]:
        """Start a case, which inherits ``hold``; the future brings 0 or what was wrong, after ``answered``
        was called."""
        self._number += 1
        answer: asyncio.Future[int] = self._loop.create_future()
        self._asked[self._number] = _Asked(answered, ended, answer)
        self._send(frame((self._number, *call, list(cpus))), hold)
        return answer

    @property
    def asked(self) -> int:
        """How many starts it has not answered."""
        return len(self._asked)

    async def close(self) -> None:
        """Let go of it, when it has answered: it ends with its last case."""
        if self._asked:
            await asyncio.wait([asked.answer for asked in self._asked.values()], timeout=_LAST_ANSWERS)
        self._is_closing = True
        self._hang_up()
        if self._children:
            return
        await asyncio.wait([self._gone], timeout=_LAST_BREATH)

    # sending

    def _send(self, told: bytes, hold: int) -> None:
        if not self._unsent:
            sent = self._sent(told, hold)
            if sent == len(told):
                return
            told, hold = told[sent:], -1 if sent else hold
        # the ledger may close its own before this goes out
        self._unsent.append((memoryview(told), os.dup(hold) if hold >= 0 else -1))

    def _sent(self, told: bytes | memoryview, hold: int) -> int:
        """How much of it the socket took; a writer or a timer sees to the rest."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("@i", hold))] if hold >= 0 else []
        sent = 0
        try:
            sent = self._channel.sendmsg([told], rights)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _FULL:
                self._loop.call_later(_AGAIN, self._flush)
            return 0  # else it is dead, which will be noticed
        if sent < len(told):
            self._loop.add_writer(self._channel, self._flush)
        return sent

    def _flush(self) -> None:
        if self._channel.fileno() < 0:
            return
        self._loop.remove_writer(self._channel)
        while self._unsent:
            told, hold = self._unsent[0]
            sent = self._sent(told, hold)
            if sent and hold >= 0:
                os.close(hold)
                hold = -1
            if sent < len(told):
                self._unsent[0] = told[sent:], hold
                return
            self._unsent.popleft()

    # hearing

    def _read(self) -> bool:
        """Hear what it said; whether it said something."""
        try:
            told = self._channel.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            told = b""
        if not told:
            self._hang_up()
            self._kill()  # its end of the socket is closed, and nothing but its death closes it
            return False
        told = self._rest + told
        whole = len(told) - len(told) % ANSWER.size
        self._rest = told[whole:]
        self._told.extend(ANSWER.iter_unpack(told[:whole]))
        self._pass_on()
        return True

    def _pass_on(self) -> None:
        try:
            while self._told:
                number, pid, code, by = self._told.popleft()
                if number:
                    self._settle(number, pid, code, by)
                elif (child := self._children.pop(pid, None)) is not None:
                    child[1](code)
        finally:
            if self._told:  # an error with one must not keep the others from being told
                self._loop.call_soon(self._pass_on)

    def _settle(self, number: int, pid: int, code: int, by: int) -> None:
        asked = self._asked.pop(number)
        if pid:
            self._children[pid] = by, asked.ended
        asked.answered(pid, code, by)
        if not asked.answer.done():  # whoever asked may have been cancelled
            asked.answer.set_result(code)

    def _hang_up(self) -> None:
        self.is_alive = False
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel)
            self._loop.remove_writer(self._channel)
            self._channel.close()
        for _, hold in self._unsent:
            if hold >= 0:
                os.close(hold)
        self._unsent.clear()

    def _kill(self) -> None:
        """For certain. It is our child and nobody has waited for it, so its number is its own."""
        if not self._gone.done():
            os.kill(self.pid, signal.SIGKILL)

    def _died(self, status: int | None) -> None:
        """It has ended. Its children were given to another parent before we could hear of it."""
        self._gone.set_result(None)
        if self._is_closing:
            return
        while self.is_alive and self._read():
            pass  # what it had still said
        self._hang_up()
        log.warning("the keeper died: pid=%d status=%s children=%d", self.pid, status, len(self._children))
        for number in list(self._asked):
            self._settle(number, 0, LOST, 0)
        for pid, (by, ended) in list(self._children.items()):
            self._loop.call_soon(
                self._exits.inherited, pid, lambda p=pid, b=by: started(p, b) is not None, ended
            )
        self._children.clear()


def _run(theirs: int) -> int:
    """Start the program with this end of the socket, in a session of its own: Ctrl-C is not for it."""
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    far = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 10)  # none of the numbers that are written to below
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", keeper.__file__],
            os.environ,
            file_actions=[*null, (os.POSIX_SPAWN_DUP2, far, CHANNEL)],
            setsid=True,
            setsigmask=[],
            setsigdef=CAUGHT,
        )
    finally:
        os.close(far)
