"""The program of the keeper: a small process beside the runner that starts its cases, and keeps how they ended.

It is the cases' parent and outlives the runner: the exit code of a case is on disk whether or not a
runner was there to see it. It ends with its last case. A shell around each case did the same until it
was measured: of 1.75 ms that a ``true`` took in all, 0.45 were that shell's, and it doubled the processes.

Starting one blocks whoever does it until the new process got a cpu and has become a program: 0.5 ms on a
quiet machine, 2 ms on a busy one, a third of the runner's time, and a thread did not help, for the
interpreter stays locked meanwhile. Here it blocks nobody. Besides, nothing large has to be shared with the new process.

It is run as ``python -I -S keeper.py`` with one end of a socket as descriptor 3, and imports
nothing of this package: it is there after 15 ms, with 10 MB.

To it come frames (a length of four bytes, then marshal): first ``Settings``, then launches, each
with the descriptor that the case is to inherit. Back come records, ``ANSWER``.

In the attempt's folder it makes ``claim``, which nobody else can have made before: of any number of starts
one wins. It is filled with "pid ticks boot-id" once the case runs; who has that pid and started later than
so many clock ticks after boot is another. In its place comes ``exit`` in the end: "code", or "code word" where
the code is not the exec's, and a newline that marks it complete. That is done while the ended process still
is a zombie: who finds neither process nor ``exit`` knows that nobody will write it.
"""

from __future__ import annotations

import errno
import marshal
import os
import resource
import select
import signal
import socket
import stat
import struct
import time
from collections import deque
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHANNEL = 3
"""The descriptor of the socket."""
HOLD_FD = 9
"""The locked descriptor of the ledger that a case inherits. One digit: sh redirects no others."""
LENGTH = struct.Struct("<I")
ANSWER = struct.Struct("<iiiq")
"""A launch's number, its pid, 0, clock ticks after boot: it has started by then; number, 0, errno, 0: it has
not (or ``UNFIT``, ``CLAIMED``, ``UNWRITABLE``). 0, pid, wait status, 0: the process has ended."""
UNFIT = -1
"""It holds what no argument or variable can hold."""
LOST = -2
"""Never sent: the keeper died before it answered."""
CLAIMED = -3
"""Somebody else has the attempt."""
UNWRITABLE = -4
"""The claim cannot be written."""

STEPS = r"""exec 8>&2 2>/dev/null
_sweep_x=$1 _sweep_s=$2 _sweep_n=$3 _sweep_b=$4
shift 4
[ -z "$_sweep_n" ] || ("$_sweep_s" -c "$_sweep_n") 2>&8 8>&-
if [ -n "$_sweep_b" ]; then
  ("$_sweep_s" -c "$_sweep_b") 2>&8 8>&-
  _sweep_c=$?
  if [ $_sweep_c -ne 0 ]; then
    printf '%s build\n' $_sweep_c >|"$_sweep_x"
    exit $_sweep_c
  fi
fi
[ $# -gt 0 ] || exit 0
exec "$@" 2>&8 8>&-
"""
"""For /bin/sh: what runs clean (``$3``) and build (``$4``), by the shell ``$2``, and becomes the exec; a build
that fails is told in the file ``$1``. fd 2 is /dev/null meanwhile, because shells write "Killed" and the like
there; the steps are in parentheses, because dash redirects for a plain command in its own place. The
variables carry a prefix, because a plain name might be one of -e's and would be exported changed."""

_ASK_SH = b'"$0" "$@"'
"""For words that are no program we can start: sh knows what that is (a builtin, a text without ``#!``), or says."""

_FRAMES = 1 << 16
_RIGHTS = 32
"""Descriptors read at once; the kernel hands out one message's at a time."""
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_NOW = os.O_NONBLOCK | os.O_CLOEXEC
"""What somebody put in the place of a file, a pipe say, must not stop us."""
_CLAIM_SIZE = 80
_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDS = 8
"""In which answers gather at most."""
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What of the machine may be there again soon."""
_DEADLY = {signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""Signals that cannot be ignored, or that tell of a fault of ours."""


def frame(value: tuple[Any, ...]) -> bytes:
    """A value as it travels."""
    told = marshal.dumps(value)
    return LENGTH.pack(len(told)) + told


def ticks() -> float:
    """Now, in clock ticks after boot, as /proc tells when a process started."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock) * _TICKS


def program(word: bytes, path: bytes) -> bytes | None:
    """The program that a word means on this PATH, as a shell finds it; None where there is none."""
    if b"/" in word:
        return word
    for folder in path.split(b":"):
        found = (folder or b".") + b"/" + word
        if os.access(found, os.X_OK) and not os.path.isdir(found):
            return found
    return None


class Settings:
    """What is the same for all launches."""

    def __init__(self, env: dict[bytes, bytes], defaults: list[int], boot: str, open_files: int) -> None:
        self.env = env
        """What a launch's variables are added to."""
        self.defaults = defaults
        """The signals that are set to their defaults."""
        self.boot = boot
        """The word for this start of the machine."""
        self.cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        """What may be run on."""
        self._last: tuple[bytes, bytes] = (b"", b"")
        self._found: bytes | None = None
        """The word and the PATH of the last case, and the program that was meant; not below a relative path."""
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if open_files:  # the soft limit on descriptors that the cases are to have; we need few
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            )

    def launch(
        self,
        folder: bytes,
        cwd: bytes,
        words: list[bytes],
        env: dict[bytes, bytes],
        hold: int,
        cpus: list[int],
    ) -> tuple[int, int, int]:
        """Claim an attempt and start it: as the last three of ``ANSWER``."""
        path = folder + b"/claim"
        try:
            claim = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOW, 0o666)
        except FileExistsError:
            return 0, CLAIMED, 0
        except OSError as error:
            return 0, error.errno if error.errno in _SHORT else UNWRITABLE, 0
        pid, wrong, by = 0, CLAIMED, 0
        try:
            if not os.path.lexists(folder + b"/exit"):  # or it has ended just now
                wrong = UNWRITABLE
                os.write(claim, b" " * (_CLAIM_SIZE - 1))  # so that there is room for what has to be written
                wrong = UNFIT
                pid = self._begin(folder, cwd, words, env, hold, cpus)
                wrong, by = 0, int(ticks())
                told = f"{pid} {by} {self.boot}".ljust(_CLAIM_SIZE - 1) + "\n"
                os.pwrite(claim, told.encode(), 0)
        except ValueError:
            pass
        except OSError as error:
            if wrong == UNFIT:
                wrong = error.errno or errno.EINVAL
        finally:
            os.close(claim)
        if wrong:
            with suppress(OSError):
                os.unlink(path)
        return pid, wrong, by

    def _begin(
        self,
        folder: bytes,
        cwd: bytes,
        words: list[bytes],
        env: dict[bytes, bytes],
        hold: int,
        cpus: list[int],
    ) -> int:
        """Start a case; its pid, which is its process group as well. Raises OSError, ValueError."""
        opened: list[int] = []
        try:
            try:
                opened.append(_appended(folder + b"/stdout"))
                opened.append(_appended(folder + b"/stderr"))
                word, output = b"cwd", opened
                os.chdir(cwd)
            except OSError as error:
                if len(opened) < 2:
                    word, output = b"output", [self.null, self.null]
                else:
                    where = os.fsdecode(cwd)
                    text = f"sweep-tui: cannot enter the working directory {where}: {error.strerror}\n"
                    with suppress(OSError):
                        os.write(opened[1], os.fsencode(text))
                told_by = b'printf "126 %s\\n" "$1" >|"$2"; exit 126'
                words = [b"/bin/sh", b"-c", told_by, b"sh", word, folder + b"/exit"]
            self._run_on(cpus)  # itself, because a case asks at once how many it has: 35 us
            return self._spawn(words, {**self.env, **env}, [self.null, *output], hold)
        finally:
            if cpus:
                self._run_on(self.cpus)
            os.chdir("/")
            for fd in opened:
                os.close(fd)

    def _program(self, word: bytes, path: bytes) -> bytes | None:
        """As ``program``; remembers the last, as shells do: the cases of a sweep are of one program."""
        if (word, path) != self._last or self._found is None or not os.access(self._found, os.X_OK):
            found = program(word, path)
            self._last, self._found = (word, path), found if found and found.startswith(b"/") else None
            return found
        return self._found

    def _run_on(self, cpus: list[int]) -> None:
        """Run on these cpus, as what is started then will."""
        if cpus and hasattr(os, "sched_setaffinity"):
            with suppress(OSError):  # one was taken offline: running anywhere is better than not at all
                os.sched_setaffinity(0, cpus)

    def _spawn(self, words: list[bytes], env: dict[bytes, bytes], streams: list[int], hold: int) -> int:
        found = self._program(words[0], env.get(b"PATH", os.defpath.encode())) if words else None
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)]
        actions.insert(0, (os.POSIX_SPAWN_DUP2, hold, HOLD_FD))

        def spawned(path: bytes, arguments: list[bytes]) -> int:
            # A group of its own, as in an interactive shell, and no session: a program that makes itself
            # the leader of its group may, and the leader of a session may not
            return os.posix_spawn(
                path,
                arguments,
                env,
                file_actions=actions,
                setpgroup=0,
                setsigmask=[],
                setsigdef=self.defaults,
            )

        if found is not None:
            try:
                return spawned(found, words)
            except OSError as error:
                if error.errno in (errno.E2BIG, errno.EAGAIN, *_SHORT):
                    raise
        return spawned(b"/bin/sh", [b"sh", b"-c", _ASK_SH if words else b":", *words])


def _appended(path: bytes) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOW, 0o666)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.set_blocking(fd, True)  # as a shell would hand it over: io_uring and others do ask
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a plain file")


class Inbox:
    """The frames that have come, with the descriptors that came with them."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._bytes = bytearray()
        self._holds: deque[int] = deque()

    def read(self) -> bool:
        """Read what is there, or wait for it; False when nothing will come any more."""
        try:
            told, rights, _, _ = self._channel.recvmsg(_FRAMES, socket.CMSG_SPACE(_RIGHTS * 4), _CLOEXEC)
        except ConnectionResetError:
            return False
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

    def close(self) -> None:
        """Let go of what has not been read, or not whole, and of its descriptors."""
        self._channel.close()
        while self._holds:
            os.close(self._holds.popleft())


class Keeper:
    """Starts what the runner asks for, and writes down every end."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._inbox = Inbox(channel)
        self._settings: Settings | None = None
        self._folders: dict[int, bytes] = {}
        """Of the living cases, by pid."""
        self._answers = bytearray()
        """What is to be told."""
        self._has_runner = True

    def serve(self, ended: int) -> None:
        """Until the runner is gone and the last case has ended. ``ended`` can be read when one may have."""
        waiting = select.poll()
        waiting.register(self._channel, select.POLLIN)
        waiting.register(ended, select.POLLIN)
        rounds = 0
        while self._has_runner or self._folders:
            # While there is more to do, answers gather: each that is told alone wakes the runner, 60 us
            ready = dict(waiting.poll(0 if self._answers else None))
            rounds = rounds + 1 if self._answers else 0
            if self._answers and (not ready or rounds > _ROUNDS):
                self._tell()
                rounds = 0
            if ended in ready:
                os.read(ended, 4096)
                self._note_ends()
            asked = ready.get(self._channel.fileno(), 0) if self._has_runner else 0
            # What a runner that is gone had asked last is not begun: the next one may have looked for it already
            if asked & select.POLLHUP or (asked and not self._hear()):
                self._has_runner = False
                waiting.unregister(self._channel)
                self._inbox.close()

    def _hear(self) -> bool:
        """Do what was asked; False when nobody will ask any more."""
        is_there = self._inbox.read()
        while (told := self._inbox.next()) is not None:
            if self._settings is None:
                self._settings = Settings(*marshal.loads(told))
                continue
            number, folder, cwd, words, env, cpus = marshal.loads(told)
            hold = self._inbox.hold()
            pid, wrong, by = self._settings.launch(folder, cwd, words, env, hold, cpus)
            os.close(hold)
            if pid:
                self._folders[pid] = folder
            self._answers += ANSWER.pack(number, pid, wrong, by)
        return is_there

    def _tell(self) -> None:
        if self._has_runner:
            with suppress(OSError):  # the runner was killed, which will be read
                self._channel.sendall(self._answers)
        self._answers.clear()

    def _note_ends(self) -> None:
        """Write down the ends of all that have ended, each before its zombie goes."""
        try:
            while (one := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                folder = self._folders.pop(one.si_pid, None)
                if folder is not None:
                    keep(folder, one.si_status if one.si_code == os.CLD_EXITED else 128 + one.si_status)
                _, status = os.waitpid(one.si_pid, 0)
                self._answers += ANSWER.pack(0, one.si_pid, status, 0)
        except ChildProcessError:
            pass  # none is left


def keep(folder: bytes, code: int) -> bool:
    """Write how a case ended, unless that was written with the step that failed before the exec; whether
    it is written.

    Whatever the case left in its place, the claim takes: a file that is there costs a tenth of a new one. If
    that is not the file we made, a new one does.
    """
    claim, exit_, told = folder + b"/claim", folder + b"/exit", b"%d\n" % code
    if code and _begins(exit_, b"%d " % code):
        return True
    try:
        if not _put(claim, os.O_NOFOLLOW, told):
            with suppress(OSError):
                os.unlink(exit_)
            return _put(exit_, os.O_CREAT | os.O_EXCL, told)
        os.rename(claim, exit_)
    except OSError:  # the runner has the wait status, and says what is wrong
        return False
    return True


def _put(path: bytes, flags: int, told: bytes) -> bool:
    """Make this all that a file holds; False when it is none, or has another name as well."""
    try:
        fd = os.open(path, os.O_WRONLY | flags | _NOW, 0o666)
    except OSError:
        return False
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return False
        # all of it: "137" and the rest of the claim of a pid of four digits is a claim of process 137
        os.pwrite(fd, told.ljust(_CLAIM_SIZE), 0)
        os.ftruncate(fd, len(told))
        return True
    finally:
        os.close(fd)


def _begins(path: bytes, text: bytes) -> bool:
    """Whether that is what a file begins with."""
    try:
        fd = os.open(path, os.O_RDONLY | _NOW)
    except OSError:
        return False
    try:
        return os.read(fd, len(text)) == text
    except OSError:
        return False  # a folder
    finally:
        os.close(fd)


def main() -> None:
    """Until the runner closes its end, or is gone, and nothing is left to keep."""
    channel = socket.socket(fileno=CHANNEL)
    os.set_inheritable(CHANNEL, False)
    os.chdir("/")
    # a process that has a hold under this number is taken for a case's
    os.dup2(0, HOLD_FD, inheritable=False)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in signal.valid_signals() - _DEADLY:  # some programs tell their parent that they are ready
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the writing to the pipe is what it is for
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    Keeper(channel).serve(reader)
    os._exit(0)


if __name__ == "__main__":
    main()
