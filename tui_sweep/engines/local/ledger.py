"""The slots of this machine, shared by all sweeps of the user without a daemon.

::

    mutex            flock'ed for the time of one decision; holds a number that grows with each change
    held/NAME        one file for each session that has slots (JSON), flock'ed through the descriptor
                     that the session's processes inherit: freed by their death, not by the runner's
    spare/…          files of released holds, for the next ones
    tickets/…        one file for each sweep that waits, flock'ed by its runner

A file whose lock is free is stale and is removed by whoever sees it. A runner keeps what it read and
reads again only when the number has changed, so a decision costs some ten system calls however many
sessions there are.

The runtime directory goes away when the user's last login ends (logind), while runners and cases live
on: a runner that finds its place gone enters its holds again where the place now is.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tui_sweep.core.errors import EngineDenied
from tui_sweep.core.session import Refusal, SessionSpec
from tui_sweep.core.slots import Slots
from tui_sweep.engines.local import place
from tui_sweep.engines.local.capacity import Capacity
from tui_sweep.engines.local.locks import is_locked, lock, renamed
from tui_sweep.engines.local.turns import Hold, Ticket, may_pass, used, why_not

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")
RETRY_AFTER = 2.0
"""Seconds after which a refused request is worth another try when nothing was heard."""


class MutexBusy(Exception):
    """Another process has been deciding for longer than a decision takes; it may be stopped."""


@functools.lru_cache(maxsize=64)
def file_name(name: str) -> str:
    """What a session's hold is called on disk: its own name, when that is one."""
    return name if _SAFE.fullmatch(name) else "h-" + hashlib.sha256(os.fsencode(name)).hexdigest()


class Ledger:
    """One runner's view of the slots, and its way to take and give back."""

    def __init__(self, sweep_id: str, capacity: Capacity, where: Callable[[], Path]) -> None:
        """``where`` tells the ledger's folder as it would be chosen now."""
        self.capacity = capacity
        self._sweep = sweep_id
        self._where = where
        self._root = Path()
        self._mutex_path, self._held, self._aside = "", "", ""
        self._mutex = -1
        self._seen = -1
        """The mutex's number that ``_holds`` and ``_tickets`` belong to."""
        self._holds: dict[str, Hold] = {}
        self._fds: dict[str, int] = {}
        """Locked descriptors of holds that no session has inherited yet, or that had to be entered again."""
        self._own: set[str] = set()
        self._spare: list[str] = []
        """Files of holds that were released; the next hold takes one over, if it is still there."""
        self._left: list[str] = []
        """Files of holds that have ended and are to be released with the next decision."""
        self._tickets: dict[str, Ticket] = {}
        self._ticket: tuple[Ticket, int] | None = None
        self._used = Slots()

    def open(self) -> None:
        """Make the place, and read what is there. Raises EngineDenied."""
        self._root = self._where()
        self._mutex_path, self._held = f"{self._root}/mutex", f"{self._root}/held"
        self._aside = f"{self._root}/spare"
        place.make(self._root)
        try:
            self._mutex = os.open(self._mutex_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EngineDenied(f"cannot use {self._root / 'mutex'}: {error.strerror}") from error
        self._seen = -1
        for entry in os.scandir(self._aside):  # killed runners have left some
            self._forget(entry.path, bump=False)

    def close(self) -> None:
        """Let go of the ticket and of all descriptors; what sessions inherited stays held."""
        if self._mutex < 0:
            return
        self.give_up()
        self.settle()
        while self._spare:
            self._forget(self._spare.pop(), bump=False)
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        os.close(self._mutex)
        self._mutex = -1

    def path(self, name: str) -> str:
        """The file of a session's hold."""
        return f"{self._held}/{file_name(name)}"

    # taking and giving back

    def take(self, spec: SessionSpec) -> Refusal | None:
        """Hold the slots of a session, or say why it has to wait (and queue up)."""
        if spec.name in self._fds:
            return None
        if self._left and self.path(spec.name) in self._left:
            self.settle()  # the same attempt again: what it takes now must not be taken for what it left
        if spec.name in self._own and not is_locked(self.path(spec.name)):
            self.release(spec.name)  # it was handed over, and nobody took it
        try:
            with self._deciding():
                if spec.name in self._holds and is_locked(self.path(spec.name)):
                    self._own.add(spec.name)
                    return None  # it lives already: an earlier runner started it
                ahead = self._blocking(spec.slots)
                if ahead is None and self._has_room(spec.slots):
                    self._enter(spec)
                    return None
                if self._ticket is None:
                    self._queue_up(spec.slots)
                total, holds = self.capacity.slots, self._holds.values()
                reason = why_not(spec.slots, self._sweep, holds, total, self._used, ahead)
                return Refusal(reason, RETRY_AFTER)
        except MutexBusy:
            return Refusal("another sweep is taking slots on this machine just now", 0.05)
        except OSError as error:
            return Refusal(f"cannot note the slots in {self._root}: {error.strerror}", RETRY_AFTER)

    def would_fit(self, request: Slots) -> bool:
        """Whether ``take`` would succeed now."""
        try:
            with self._deciding():
                return self._blocking(request) is None and self._has_room(request)
        except (MutexBusy, OSError):
            return False

    def hand_over(self, name: str) -> None:
        """The session has inherited the lock: let go of our copy, so that its death frees the slots."""
        fd = self._fds.pop(name, None)
        if fd is not None:
            os.close(fd)

    def release(self, name: str) -> None:
        """The session has ended, or never began: its slots are free."""
        self.hand_over(name)
        self._own.discard(name)
        hold = self._holds.pop(name, None)
        if hold is not None:
            self._used = self._used - hold.slots
        try:
            with self._deciding():
                self._lay_aside(self.path(name))
        except (MutexBusy, OSError):
            self._forget(self.path(name), bump=False)  # others see it by the lock, a little later

    def leave(self, name: str) -> None:
        """As ``release``, but others see it with our next decision, or with ``settle``: half of the system
        calls for who takes slots at once again. The lock has to be free."""
        self.hand_over(name)
        self._own.discard(name)
        hold = self._holds.pop(name, None)
        if hold is not None:
            self._used = self._used - hold.slots
        self._left.append(self.path(name))

    def settle(self) -> None:
        """Let others see what was left."""
        left, self._left = self._left, []
        if not left:
            return
        try:
            with self._deciding():
                for path in left:
                    self._lay_aside(path, is_unlocked=True)
        except (MutexBusy, OSError):
            for path in left:
                self._forget(path, bump=False)

    def give_up(self) -> None:
        """Leave the queue."""
        if self._ticket is None:
            return
        ticket, fd = self._ticket
        self._ticket = None
        os.close(fd)
        try:
            with self._deciding():
                self._forget(f"{self._root}/tickets/{ticket.key}")
        except (MutexBusy, OSError):
            self._forget(f"{self._root}/tickets/{ticket.key}", bump=False)

    # looking

    def fd(self, name: str) -> int | None:
        """The locked descriptor for a session to inherit."""
        return self._fds.get(name)

    def hold(self, name: str) -> Hold | None:
        """What a session holds."""
        return self._holds.get(name)

    def taken(self) -> Slots:
        """What is held, by whomever, as last read."""
        return self._used

    def is_queued(self) -> bool:
        """Whether we have a ticket."""
        return self._ticket is not None

    def is_news(self) -> bool:
        """Whether something was changed since we last looked. One system call."""
        try:
            return self._number() != self._seen
        except OSError:
            return True  # the place is gone

    def holds(self) -> list[Hold]:
        """All holds whose session lives, read anew."""
        self.sift()
        return list(self._holds.values())

    def tickets(self) -> list[Ticket]:
        """Who waits, oldest first, as last read."""
        return sorted(self._tickets.values(), key=lambda ticket: (ticket.since, ticket.key))

    def sift(self) -> None:
        """Find the holds and tickets that died without a word. Some 6 µs for each."""
        try:
            with self._deciding():
                self._seen = -1
                self._read(every=True)
        except (MutexBusy, OSError):
            return

    # inside

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        """Under the mutex, with what others changed read. Raises MutexBusy."""
        self._stay()
        for _ in range(20):
            try:
                fcntl.flock(self._mutex, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                    raise
                time.sleep(0.0005)
        else:
            raise MutexBusy
        try:
            if self._number() != self._seen:
                self._read()
            yield
        finally:
            fcntl.flock(self._mutex, fcntl.LOCK_UN)

    def _number(self) -> int:
        return int.from_bytes(os.pread(self._mutex, 8, 0), "little")

    def _bump(self) -> None:
        """Tell the others that something changed; what we know stays true."""
        self._seen += 1
        os.pwrite(self._mutex, self._seen.to_bytes(8, "little"), 0)

    def _stay(self) -> None:
        """Move when our place was taken away from under us."""
        try:
            told, mine = os.stat(self._mutex_path), os.fstat(self._mutex)
            if (told.st_ino, told.st_dev) == (mine.st_ino, mine.st_dev):
                return
        except OSError:
            pass  # gone, or the last move failed
        self.move()

    def move(self) -> None:
        """Enter everything of ours at the place as it is chosen now."""
        mine = [self._holds[name] for name in self._own if name in self._holds]
        old, self._ticket = self._ticket, None
        if old is not None:
            os.close(old[1])
        if self._mutex >= 0:
            os.close(self._mutex)
            self._mutex = -1
        try:
            self.open()
        except EngineDenied as error:
            raise OSError(errno.ENOENT, str(error)) from error
        self._holds, self._tickets, self._spare, self._left = {}, {}, [], []
        for hold in mine:
            if not is_locked(self.path(hold.name)):
                self.hand_over(hold.name)
                self._fds[hold.name] = lock(self.path(hold.name), hold.record())
        self._seen = self._number()
        self._bump()
        self._seen = -1

    def is_displaced(self) -> bool:
        """Whether the rules now lead to another place than ours."""
        return self._where() != self._root

    def _read(self, every: bool = False) -> None:
        """Bring holds and tickets up to date; ``every`` tests the locks of known ones, too."""
        self._seen = self._number()
        byname = {file_name(name): hold for name, hold in self._holds.items()}
        holds: dict[str, Hold] = {}
        for entry in os.scandir(self._held):
            hold = byname.get(entry.name)
            if hold is None or (every and hold.name not in self._fds):
                if not is_locked(entry.path):
                    self._forget(entry.path)
                    continue
                hold = hold or _read_hold(entry.path)
            holds[hold.name] = hold
        tickets: dict[str, Ticket] = {}
        for entry in os.scandir(self._root / "tickets"):
            if self._ticket is not None and entry.name == self._ticket[0].key:
                tickets[entry.name] = self._ticket[0]
            elif is_locked(entry.path):
                tickets[entry.name] = self._tickets.get(entry.name) or _read_ticket(entry.path)
            else:
                self._forget(entry.path)
        self._holds, self._tickets = holds, tickets
        self._used = used(holds.values(), self.capacity)

    def _forget(self, path: str, bump: bool = True) -> None:
        try:
            os.unlink(path)
        except OSError:
            return  # gone already; or to be found stale
        self._tickets.pop(os.path.basename(path), None)
        if bump:
            self._bump()

    def _lay_aside(self, path: str, *, is_unlocked: bool = False) -> None:
        """Keep a hold's file for the next hold, unless it is locked: ext4 without a journal takes up to 1 ms for a new one,
        because it looks at every inode that was deleted in the last seconds."""
        spare = f"{self._aside}/{os.path.basename(path)}"
        if len(self._spare) < 64 and (is_unlocked or not is_locked(path)) and renamed(path, spare):
            self._spare.append(spare)
            self._bump()
        else:
            self._forget(path)

    def _lock(self, hold: Hold) -> int:
        path = self.path(hold.name)
        while (old := self._left or self._spare) and not renamed(old.pop(), path):
            pass  # another runner has removed it
        return lock(path, hold.record())

    def _has_room(self, request: Slots) -> bool:
        """Whether what is free, as last read, is enough."""
        total = self.capacity.slots
        return all(self._used[name] + amount <= total[name] for name, amount in request.items())

    def _blocking(self, request: Slots) -> Ticket | None:
        """The older ticket that must not be passed by this request, if there is one."""
        others = [t for t in self._tickets.values() if self._ticket is None or t.key != self._ticket[0].key]
        if not others:
            return None
        oldest = min(others, key=lambda ticket: (ticket.since, ticket.key))
        if self._ticket is not None and self._ticket[0].since < oldest.since:
            return None
        if may_pass(request, oldest, list(self._holds.values()), self.capacity):
            return None
        return oldest

    def _enter(self, spec: SessionSpec) -> None:
        cpu, request = spec.slots["cpu"], spec.slots
        cpus: list[int] = []
        gpus: list[str] = []
        if cpu and cpu == int(cpu):
            taken = {number for hold in self._holds.values() for number in hold.cpus}
            cpus = [number for number in self.capacity.cpus if number not in taken][: int(cpu)]
            if len(cpus) < int(cpu):
                cpus = []  # all numbers are taken by runners that may use other cpus than we: let it float
        if "cuda.device" in request:
            in_use = {gpu for hold in self._holds.values() for gpu in hold.gpus}
            free = [gpu for gpu in self.capacity.gpus if gpu not in in_use]
            gpus = free[: int(request["cuda.device"])]
        hold = Hold(
            spec.name, self._sweep, spec.case, os.fspath(spec.sink.folder), request,
            tuple(cpus), tuple(gpus), time.time_ns(),
        )  # fmt: skip
        self._fds[spec.name] = self._lock(hold)
        self._holds[spec.name] = hold
        self._own.add(spec.name)
        self._used = self._used + request
        self._bump()
        if self._ticket is not None:
            ticket, fd = self._ticket
            self._ticket = None
            os.close(fd)
            self._forget(f"{self._root}/tickets/{ticket.key}")

    def _queue_up(self, request: Slots) -> None:
        since = time.time_ns()
        ticket = Ticket(self._sweep, request, since, f"{since:020d}-{os.getpid()}-{self._sweep}")
        self._ticket = ticket, lock(f"{self._root}/tickets/{ticket.key}", ticket.record())
        self._tickets[ticket.key] = ticket
        self._bump()


def _read_hold(path: str) -> Hold:
    """A hold's file; one that cannot be read counts, but holds nothing that could be said."""
    try:
        return Hold.restore(json.loads(Path(path).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return Hold(os.path.basename(path), "?", 0, "", Slots(), (), (), 0)


def _read_ticket(path: str) -> Ticket:
    try:
        return Ticket.restore(json.loads(Path(path).read_bytes()), os.path.basename(path))
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return Ticket("?", Slots(), time.time_ns(), os.path.basename(path))
