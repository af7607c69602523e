"""``run --headless``: the runner in the foreground, told of in lines, a progress bar or JSON."""

from __future__ import annotations

import asyncio
import signal
import sys

import click

from tui_sweep.cli.events import JsonLines, Lines, Teller
from tui_sweep.cli.start import uncollected
from tui_sweep.core.errors import SweepError
from tui_sweep.core.outcome import INTERRUPTED, exit_code
from tui_sweep.core.scheduler import Cancel
from tui_sweep.run.garbage import collect_rarely
from tui_sweep.run.log import log_to
from tui_sweep.run.runner import Runner, open_runner
from tui_sweep.store.layout import SweepDir
from tui_sweep.store.sweeps import load, remove


def run_headless(
    folder: SweepDir, *, as_json: bool = False, quiet: bool = False, ascii_only: bool = False
) -> int:
    """Run a new sweep to its end in this process; its exit code, or 130 when it was interrupted.

    Raises SweepError; nothing of the sweep is left when it could not begin.
    """
    record = load(folder)
    log_to(folder.log)
    told: Teller
    if as_json:
        told = JsonLines(folder, record)
    elif sys.stdout.isatty() and not quiet:
        from tui_sweep.cli.progress import Progress

        told = Progress(folder, record, ascii_only=ascii_only)
    else:
        told = Lines(folder, record, quiet=quiet)
    begun: list[bool] = []
    try:
        return asyncio.run(_run(folder, told, begun))
    except SweepError:
        if not begun:
            remove(folder)
        raise


async def _run(folder: SweepDir, told: Teller, begun: list[bool]) -> int:
    """The sweep's whole life. ``begun`` gets an item once it is ours and its engine was reached."""

    def ready() -> None:
        begun.append(True)
        told.begin()

    with uncollected():
        runner = open_runner(folder, observer=told)
    collect_rarely()
    interrupts = _Interrupts(runner)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupts.interrupt)
    loop.add_signal_handler(signal.SIGTERM, interrupts.leave)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the terminal is gone; the sweep goes on
    try:
        await runner.run(ready=ready)
    finally:
        told.stop()
    table = runner.table
    code = exit_code(table.word_counts(), halted=runner.scheduler.halted)
    if interrupts.count:
        code = INTERRUPTED
    told.end(table, code)
    return code


class _Interrupts:
    """A first Ctrl-C cancels all and waits for the ends; a second leaves the sessions as they are."""

    def __init__(self, runner: Runner) -> None:
        self.count = 0
        self._runner = runner

    def interrupt(self) -> None:
        self.count += 1
        if self.count > 1:
            self._runner.leave()
            return
        click.echo("sweep-tui: cancelling all cases; Ctrl-C again leaves them as they are", err=True)
        self._runner.wish(Cancel(None))

    def leave(self) -> None:
        self.count += 1
        self._runner.leave()
