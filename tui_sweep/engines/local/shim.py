"""The shell text around every case, how it is started, and the two small files it leaves.

The shim is a ``/bin/sh`` that leads a process session of its own and outlives the runner. It uses
builtins only: each program started costs 0.6 ms, a third of a whole ``true`` case.

``claim`` in the attempt's folder is created with ``set -C``: of any number of starts one wins, the
others leave without touching anything. It holds "pid boot-id". A pid is believed only when the
process behind it has the shim's own command line with this very file (``is_shim``), which a reused pid
cannot. The start time of ``/proc/PID/stat`` would tell the same, but ``read`` takes
a byte a call: measured 0.4 ms a case, a quarter of the whole.

``exit`` holds "code" or "code word" and a newline that marks it complete; the word says which step
the code is of, when it is not the exec.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError
from tui_sweep.engines.local.spawner import LOST, UNFIT

CLAIMED = 111
"""What a shim exits with when another one has the attempt."""
UNWRITABLE = 112
"""What a shim exits with when it cannot write its claim."""

# The variables carry a prefix, because a plain name might be one of -e's and would be exported
# changed. fd 1 is the case's stdout, fd 8 its stderr; fd 2 is /dev/null, because shells write
# "Killed" and the like there; a step is in parentheses, because dash redirects for a plain command in
# its own place and would write to the case's stderr. The files are opened here and not while spawning: posix_spawn blocks
# the spawner until the exec, and creating two files on a busy ext4 took 2 ms of that.
# The traps are there so that a signal to the whole group ends the step and not the shim; caught
# signals, unlike ignored ones, are at their defaults in the children. A TERM between two steps must
# not let the next one begin: hence _sweep_t.
SHIM = r"""_sweep_t= _sweep_k= _sweep_c=126 _sweep_w=' output'
trap _sweep_t=143 TERM
trap _sweep_t=130 INT
trap _sweep_t=129 HUP
trap : QUIT USR1 USR2 ALRM
set -C
{ _sweep_k=1; printf '%s\n' "$$ $3" || _sweep_k=2; } >"$2"
set +C
case $_sweep_k in
1) ;;
2) exit 112 ;;
*) [ -e "$2" ] && exit 111; exit 112 ;;
esac
[ -z "${11}" ] || ulimit -S -n "${11}"
_sweep_x=$4
{
  if cd -- "$7"; then
    _sweep_n=$8 _sweep_b=$9 _sweep_s=${10} _sweep_c=0 _sweep_w=
    shift 11
    if [ -n "$_sweep_n" ] && [ -z "$_sweep_t" ]; then ("$_sweep_s" -c "$_sweep_n") 2>&8 8>&-; fi
    if [ -n "$_sweep_b" ] && [ -z "$_sweep_t" ]; then
      ("$_sweep_s" -c "$_sweep_b") 2>&8 8>&-
      _sweep_c=$?
    fi
    if [ $_sweep_c -ne 0 ]; then _sweep_w=' build'
    elif [ -n "$_sweep_t" ]; then _sweep_c=$_sweep_t _sweep_w=' stopped'
    elif [ $# -gt 0 ]; then
      ("$@") 2>&8 8>&-
      _sweep_c=$?
    fi
  else
    printf 'sweep-tui: cannot enter the working directory %s\n' "$7" >&8
    _sweep_w=' cwd'
  fi
} >>"$5" 8>>"$6"
printf '%s\n' "$_sweep_c$_sweep_w" >|"$_sweep_x"
exit $_sweep_c
"""

CAUGHT = [int(number) for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
"""Signals set to their defaults: Python ignores PIPE and XFSZ, nohup HUP, and that would be inherited. All of
them, for the C library asks about each one that is left out before it sets it."""

_BUSY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Launch:
    """One case, ready to be started."""

    name: str
    folder: str
    """Without links in it."""
    stdout: str
    stderr: str
    exit: str
    cwd: str
    clean: str
    build: str
    """Commands for ``shell -c``; empty: none."""
    shell: str
    command: Sequence[str]
    """The exec step as words; empty: none."""
    env: Mapping[bytes, bytes]
    """What it has besides ``base``, or else than there."""
    base: Mapping[bytes, bytes]
    """The environment of all cases: the spawner has it."""
    open_files: str = ""
    """The soft limit on descriptors to go back to, if any."""


async def spawn(launch: Launch, ask: Callable[[list[bytes], dict[bytes, bytes]], Awaitable[int]]) -> bool:
    """Have the shim started by ``ask``, which gets the words behind the shim's text and what its
    environment has besides ``base``; False when nobody can say whether it was.

    Raises EngineBusy (it may work later), EngineDenied (it cannot).
    """
    try:
        words = [os.fsencode(word) for word in words_of(launch)]
    except UnicodeEncodeError as error:
        raise refusal(launch, UNFIT) from error
    code = await ask(words, dict(launch.env))
    if code and code != LOST:
        raise refusal(launch, code)
    return code == 0


def words_of(launch: Launch) -> list[str]:
    """``$1`` and so on of the shim's text."""
    return [
        launch.name, f"{launch.folder}/claim", boot_id(), launch.exit, launch.stdout, launch.stderr,
        launch.cwd, launch.clean, launch.build, launch.shell, launch.open_files, *launch.command,
    ]  # fmt: skip


def refusal(launch: Launch, code: int) -> EngineError:
    """The error for a launch that ended with this errno, or with ``UNFIT``: EngineBusy (it may work later)
    or EngineDenied (it cannot)."""
    if code == UNFIT:
        return EngineDenied(
            f"{launch.name}: {_oddity(launch)} holds a character that no argument or variable can hold"
        )
    if code == errno.E2BIG:
        what, size = _largest(launch)
        return EngineDenied(
            f"{launch.name}: arguments and environment are too large for Linux (128 KiB each, about 2 MiB "
            f"in all): the largest is {what} with {size // 1024} KiB; put it into a file"
        )
    message = f"{launch.name}: cannot start /bin/sh with output in {launch.folder}: {os.strerror(code)}"
    if code in _BUSY:
        return EngineBusy(message, retry_after=2.0)
    return EngineDenied(message)


def _named(launch: Launch) -> list[tuple[str, str | bytes]]:
    env = {**launch.base, **launch.env}
    variables: list[tuple[str, str | bytes]] = [(f"variable {os.fsdecode(k)}", v) for k, v in env.items()]
    steps = [("clean", launch.clean), ("build", launch.build), *(("exec", word) for word in launch.command)]
    return variables + [(name, text) for name, text in steps] + [("the working directory", launch.cwd)]


def _largest(launch: Launch) -> tuple[str, int]:
    return max(((name, len(os.fsencode(text))) for name, text in _named(launch)), key=lambda item: item[1])


def _oddity(launch: Launch) -> str:
    for name, text in _named(launch):
        try:
            if b"\0" in os.fsencode(text):
                return name
        except UnicodeEncodeError:
            return name
    return "its command or environment"


@functools.cache
def boot_id() -> str:
    """A word for this start of the machine: pids of another one mean nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who runs an attempt."""

    pid: int
    """Of the shim; 0 when the claim was made and not yet, or never, written."""
    boot: str
    at: float
    """When, in UNIX seconds."""


def _read(path: str) -> tuple[str, float] | None:
    """The beginning of a small file and when it was written; None when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, 200).decode("ascii", "replace"), os.fstat(fd).st_mtime
    except OSError:
        return None
    finally:
        os.close(fd)


def read_claim(folder: str) -> Claim | None:
    """The claim in an attempt's folder, or None when nobody made one."""
    told = _read(f"{folder}/claim")
    if told is None:
        return None
    text, at = told
    words = text.split()
    if not text.endswith("\n") or len(words) != 2 or not words[0].isdecimal():
        return Claim(0, "", at)
    return Claim(int(words[0]), words[1], at)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as its shim wrote it."""

    code: int
    step: str
    """``exec``, ``build``, ``output``, ``cwd`` or ``stopped`` (a signal came before exec began)."""
    at: float

    @property
    def reason(self) -> str | None:
        """A short cause, or None for success."""
        if self.step == "cwd":
            return "cannot enter the working directory"
        if self.step == "output":
            return "cannot open its output files"
        if self.code == 0:
            return None
        told = f"exit {self.code}"
        if self.code > 128:
            try:
                told = signal.Signals(self.code - 128).name
            except ValueError:
                pass  # a plain code above 128
        return f"build: {told}" if self.step == "build" else told


def read_outcome(path: str) -> Outcome | None:
    """What the file ``exit`` says, or None while it is absent or incomplete."""
    told = _read(path)
    if told is None:
        return None
    text, at = told
    words = text.split()
    if not text.endswith("\n") or not words or not words[0].isdecimal():
        return None
    return Outcome(int(words[0]), words[1] if len(words) > 1 else "exec", at)


def is_shim(pid: int, folder: str) -> bool:
    """Whether ``pid`` is, now, the living shim of the attempt in ``folder``. A zombie is not alive."""
    words = _command_line(pid)
    if words is None:
        return not os.path.exists("/proc/self/cmdline") and _is_shim_by_ps(pid, folder)
    return _is_of(words, folder)


def is_another(pid: int, folder: str) -> bool:
    """Whether ``pid`` is certainly not the shim that was started for ``folder``, but somebody since.

    A process without a command line may be the shim: a zombie, or just started, for the kernel lets the
    spawner go on a moment before there is one.
    """
    words = _command_line(pid)
    return words is not None and words != [b""] and not _is_of(words, folder)


def _command_line(pid: int) -> list[bytes] | None:
    """What was typed, as it were, up to the shim's ``$2``; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            return file.read(len(SHIM) + 4096).split(b"\0", 6)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _is_of(words: Sequence[bytes], folder: str) -> bool:
    return words[1:2] == [b"-c"] and words[5:6] == [os.fsencode(f"{folder}/claim")]


def _is_shim_by_ps(pid: int, folder: str) -> bool:
    """The same where there is no /proc (macOS), from the command line that ps prints."""
    asked = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, timeout=5, check=False
    )
    return b"_sweep_t=" in asked.stdout and os.fsencode(f" {folder}/claim ") in asked.stdout
