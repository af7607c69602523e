"""Asking a sweep's runner for something, and waiting for its answer.

Nobody is left talking to a dead runner: who drops a command and finds the lock free starts a runner,
so that cancelling and rerunning work on ended and orphaned sweeps too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tui_sweep.core.errors import SweepError
from tui_sweep.store import commands
from tui_sweep.view.follow import Follower

_POLL = 0.05
"""Seconds between two looks for the answer."""
PATIENCE = 60.0
"""Seconds; a runner takes commands ten times a second, but its disk may be slow."""


def ask(
    follower: Follower, verb: str, *, start_runner: Callable[[], object], **arguments: Any
) -> dict[str, Any]:
    """Ask, and return the runner's answer. Blocks. Raises SweepError when none comes.

    ``start_runner`` is called whenever nobody holds the sweep; it may raise SweepError.
    """
    name = commands.drop(follower.folder.commands, verb, **arguments)
    deadline = time.monotonic() + PATIENCE
    while (answer := follower.answer(name)) is None:
        if _is_left(follower, name):
            try:
                start_runner()
            except SweepError:
                if _is_left(follower, name):
                    raise
                # somebody else's runner was quicker: it began after our command, and answers it
        if time.monotonic() > deadline:
            raise SweepError(
                f"the runner of sweep {follower.folder.id} (process {follower.runner}) does not answer; "
                f"the command stays in {follower.folder.commands}"
            )
        time.sleep(_POLL)
    return answer


def _is_left(follower: Follower, name: str) -> bool:
    """Whether nobody is there who will answer a command."""
    return follower.runner is None and follower.answer(name) is None
