"""What is to be started, in words that the keeper takes, and what is wrong when it was not."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError
from tui_sweep.engines.local.keeper import CLAIMED, LOST, STEPS, UNFIT, UNWRITABLE

CAUGHT = [int(number) for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
"""Signals set to their defaults: Python ignores PIPE and XFSZ, nohup HUP, and that would be inherited. All of
them, for the C library asks about each one that is left out before it sets it."""

_BUSY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Launch:
    """One case, ready to be started."""

    name: str
    folder: str
    """Without links in it; claim, stdout, stderr and exit are made there."""
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
    """The environment of all cases: the keeper has it."""

    @property
    def words(self) -> Sequence[str]:
        """What is executed: the command itself, unless there are steps before it."""
        if not self.clean and not self.build:
            return self.command
        before = (f"{self.folder}/exit", self.shell, self.clean, self.build)
        return ("/bin/sh", "-c", STEPS, "sh", *before, *self.command)


Call = tuple[bytes, bytes, list[bytes], dict[bytes, bytes]]
"""Folder, working directory, words, and what the environment has besides that of all cases."""


async def spawn(launch: Launch, ask: Callable[[Call], Awaitable[int]]) -> bool:
    """Have it started by ``ask``; False when nobody can say whether it was, or somebody else has.

    Raises EngineBusy (it may work later), EngineDenied (it cannot).
    """
    try:
        words = [os.fsencode(word) for word in launch.words]
        call = os.fsencode(launch.folder), os.fsencode(launch.cwd), words, dict(launch.env)
    except UnicodeEncodeError as error:
        raise refusal(launch, UNFIT) from error
    code = await ask(call)
    if code and code not in (LOST, CLAIMED):
        raise refusal(launch, code)
    return code == 0


def refusal(launch: Launch, code: int) -> EngineError:
    """The error for a launch that ended with this errno, or as ``keeper.ANSWER`` tells: EngineBusy (it may
    work later) or EngineDenied (it cannot)."""
    if code == UNFIT:
        return EngineDenied(
            f"{launch.name}: {_oddity(launch)} holds a character that no argument or variable can hold"
        )
    if code == UNWRITABLE:
        return EngineDenied(f"{launch.name}: cannot write to {launch.folder} (is the disk full?)")
    if code == errno.E2BIG:
        what, size = _largest(launch)
        return EngineDenied(
            f"{launch.name}: arguments and environment are too large for Linux (128 KiB each, about 2 MiB "
            f"in all): the largest is {what} with {size // 1024} KiB; put it into a file"
        )
    message = f"{launch.name}: cannot be started with output in {launch.folder}: {os.strerror(code)}"
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
