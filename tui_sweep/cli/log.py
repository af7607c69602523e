"""``sweep-tui log``: what a case printed, byte for byte."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from tui_sweep.cli.kinds import Count
from tui_sweep.cli.look import follower
from tui_sweep.config import Settings
from tui_sweep.core.errors import UsageError
from tui_sweep.core.states import FINAL

if TYPE_CHECKING:
    from tui_sweep.core.cases import CaseRow
    from tui_sweep.view.follow import Follower
    from tui_sweep.view.outputs import OutputReader

_POLL = 0.1
"""Seconds between two looks at a log that is followed."""


@click.command("log", epilog="Example: sweep-tui log @ 3 -f")
@click.argument("sweep")
@click.argument("case", type=Count(0))
@click.option("--attempt", type=Count(0), help="Another attempt than the latest.")
@click.option("--stdout", "only_stdout", is_flag=True, help="Its stdout alone.")
@click.option("--stderr", "only_stderr", is_flag=True, help="Its stderr alone.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the case has ended.")
@click.pass_obj
def log_command(
    settings: Settings,
    *,
    sweep: str,
    case: int,
    attempt: int | None,
    only_stdout: bool,
    only_stderr: bool,
    follow: bool,
) -> None:
    """Print CASE's stdout to stdout and its stderr to stderr, each byte for byte."""
    from tui_sweep.view.interest import Interest
    from tui_sweep.view.outputs import OutputReader

    one = follower(settings, sweep)
    row = _attempt(one, case, attempt)
    if only_stdout == only_stderr:
        reader = OutputReader(one.folder.attempt(case, row.attempt))
    else:
        reader = OutputReader(
            one.folder.attempt(case, row.attempt), ("stdout",) if only_stdout else ("stderr",)
        )
    interest = Interest(one)
    while True:
        ended = row.state in FINAL  # looked up before the read: what it wrote last is read below
        _copy(reader)
        if not follow or ended:
            return
        if one.runner is None:
            click.echo("sweep-tui: the sweep has no runner; nothing more will come", err=True)
            return
        interest.show(case, time.time())
        time.sleep(_POLL)
        if one.refresh():
            row = _attempt(one, case, row.attempt)


def _attempt(one: Follower, case: int, attempt: int | None) -> CaseRow:
    """The attempt that is meant. Raises UsageError when there is none such."""
    if case >= one.cases:
        raise UsageError(f"there is no case {case}; they go from 0 to {one.cases - 1}")
    rows = one.attempts(case)
    if attempt is None:
        return rows[-1]
    for row in rows:
        if row.attempt == attempt:
            return row
    raise UsageError(f"case {case} has no attempt {attempt}; its latest is {rows[-1].attempt}")


def _copy(reader: OutputReader) -> None:
    for stream, block in reader.new():
        target = sys.stdout if stream == "stdout" else sys.stderr
        target.buffer.write(block)
        target.buffer.flush()
