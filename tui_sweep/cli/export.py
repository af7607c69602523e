"""``sweep-tui export``: a sweep's cases as a table for other programs."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tui_sweep.cli.look import follower
from tui_sweep.config import Settings
from tui_sweep.core.states import FINAL, State
from tui_sweep.core.sweep import STAR, Sweep

if TYPE_CHECKING:
    from tui_sweep.core.plan import Case
    from tui_sweep.view.follow import Follower

_COLUMNS = (
    "index",
    "attempt",
    "state",
    "session",
    "reason",
    "exit_code",
    "submitted",
    "started",
    "ended",
    "output_bytes",
)
_JOBLOG = ("Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command")


@click.command("export", epilog="Example: sweep-tui export @ --format csv > cases.csv")
@click.argument("sweep")
@click.option("--format", "form", type=click.Choice(["csv", "json", "joblog"]), default="csv", help="[csv]")
@click.pass_obj
def export_command(settings: Settings, *, sweep: str, form: str) -> None:
    """Print SWEEP's cases as CSV, as JSON lines, or as GNU parallel's job log."""
    one = follower(settings, sweep)
    if form == "joblog":
        click.echo("\t".join(_JOBLOG))
        for line in _joblog(one):
            click.echo(line)
        return
    writer: Any = None
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow([*_COLUMNS, *one.plan.names])
    for row in one.rows():
        case = one.case(row)
        if writer is None:
            click.echo(json.dumps(case))
        else:
            writer.writerow([*(case[name] for name in _COLUMNS), *case["variables"].values()])


def _joblog(one: Follower) -> Iterator[str]:
    """A line a started case, in GNU parallel's nine columns; Exitval and Signal as parallel tells them."""
    sweep = one.record.sweep
    host = one.record.place.get("host", ":")
    for row in one.rows():
        if row.started is None or row.state not in FINAL:
            continue
        code = -1 if row.exit_code is None else row.exit_code
        signal = code - 128 if 128 < code < 193 else 0
        size = row.output_bytes if row.state == State.DONE or row.output_bytes else 0
        ran = (row.ended or row.started) - row.started
        fields = (
            row.case + 1,
            host,
            f"{row.started:.3f}",
            f"{ran:10.3f}",
            0,
            size,
            0 if signal else code,
            signal,
            _command(sweep, one.plan[row.case]),
        )
        yield "\t".join(str(field) for field in fields)


def _command(sweep: Sweep, case: Case) -> str:
    """What the case ran, on one line, with its variables before it."""
    from tui_sweep.view.mask import MASKED, is_telling

    env = " ".join(
        f"{name}={MASKED if is_telling(name) else shlex.quote(value)}" for name, value in case.env.items()
    )
    if sweep.code is not None:
        what = f"-c {shlex.quote(sweep.code)}"
    else:
        steps = [step for step in (case.build, case.exec) if step != STAR]
        what = " && ".join(steps) or " ".join(sweep.files)
    return f"{env} {what}".strip().replace("\t", "\\t").replace("\n", "\\n")
