"""A runner that kills itself at the n-th step of its write order: ``crash_runner.py FOLDER N``.

A step is any act that the outside can see: a commit, a session started or ended, a folder or a timeline
written, a command's file removed. It dies before and after each. With N too large it runs to its end, and
prints how many steps there were.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tui_sweep.engines.local import sessions
from tui_sweep.engines.local.engine import LocalEngine
from tui_sweep.run.runner import open_runner
from tui_sweep.store import commands
from tui_sweep.store.journal import Journal
from tui_sweep.store.layout import SweepDir
from tui_sweep.store.output import Output

taken = 0


def step(last):
    global taken  # noqa: PLW0603 - one counter for the whole process is the point
    taken += 1
    if taken == last:
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name, last):
    """Let every call of a function be two steps: one before, one after."""
    real = getattr(owner, name)
    if asyncio.iscoroutinefunction(real):

        async def wrapped(*args, **more):
            step(last)
            result = await real(*args, **more)
            step(last)
            return result
    else:

        def wrapped(*args, **more):
            step(last)
            result = real(*args, **more)
            step(last)
            return result

    setattr(owner, name, wrapped)


async def main():
    folder, last = SweepDir(Path(sys.argv[1])), int(sys.argv[2])
    for owner, name in [
        (Journal, "_written"),
        (LocalEngine, "submit"),
        (LocalEngine, "cancel"),
        (LocalEngine, "admit"),
        (sessions, "spawn"),
        (Output, "create"),
        (Output, "sample"),
        (commands, "remove"),
    ]:
        around(owner, name, last)
    await open_runner(folder).run()
    print(taken)


asyncio.run(main())
