"""Looking at sweeps: ``ls``, ``show``, ``wait``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from tui_sweep.cli.kinds import Count
from tui_sweep.config import Settings
from tui_sweep.core.errors import JournalError, UsageError
from tui_sweep.core.outcome import LOST
from tui_sweep.core.plain import plain
from tui_sweep.core.states import State
from tui_sweep.store.layout import StateDir

if TYPE_CHECKING:
    from tui_sweep.view.follow import Follower

_POLL = 0.1
"""Seconds between two looks at a sweep that is waited for."""


def follower(settings: Settings, called: str) -> Follower:
    """The sweep that a user calls by its id, a prefix of it, its name, or ``@``."""
    from tui_sweep.store.sweeps import find
    from tui_sweep.view.follow import Follower

    return Follower(find(StateDir(settings.state_dir), called))


def counts_text(counts: dict[str, int]) -> str:
    """Counts for a person, in the order of the states."""
    words = [state.word for state in State]
    return ", ".join(f"{counts[word]:,} {word}" for word in words if counts.get(word))


def clock(at: float | None) -> str:
    """A time for a person, in local time."""
    return "-" if at is None else time.strftime("%m-%d %H:%M:%S", time.localtime(at))


@click.command("ls", epilog="Example: sweep-tui ls --json")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def ls_command(settings: Settings, *, as_json: bool) -> None:
    """List sweeps: id, name, engine, counts, started, runner alive or not; the newest first."""
    from tui_sweep.view.follow import Follower

    found: list[dict[str, Any]] = []
    unread = False
    for folder in StateDir(settings.state_dir).all():
        try:
            one = Follower(folder)
            found.append(one.summary())
            one.close()
        except (JournalError, KeyError) as error:
            unread = True
            click.echo(f"sweep-tui: {plain(str(folder.path))}: not a sweep: {plain(str(error))}", err=True)
    found.sort(key=lambda line: float(line["started"]), reverse=True)
    for line in found:
        if as_json:
            click.echo(json.dumps(line))
        else:
            runner = f"runner {line['runner']}" if line["runner"] is not None else "no runner"
            name = plain(line["name"] or "-")
            click.echo(
                f"{line['id']}  {name:<16}  {line['engine']}  {clock(line['started'])}  {runner:<14}  "
                f"{counts_text(line['counts'])}"
            )
    if not found and not unread and not as_json:
        click.echo("no sweeps yet; start one with: sweep-tui run", err=True)


def _states(texts: tuple[str, ...]) -> set[State] | None:
    """The states that ``--state`` names, with commas or repeated."""
    words = [word.strip() for text in texts for word in text.split(",")]
    known = {state.word: state for state in State}
    for word in words:
        if word not in known:
            raise UsageError(
                f"--state: there is no state {word!r}; there are: {', '.join(known)}",
                text=word,
                span=(0, max(len(word), 1)),
            )
    return {known[word] for word in words} or None


@click.command("show", epilog="Example: sweep-tui show @ --state failed,timeout")
@click.argument("sweep")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: the sweep, then its cases.")
@click.option("--state", "states", metavar="WORD", multiple=True, help="Only cases in these states.")
@click.option("--limit", type=Count(0), help="At most N cases; 0: all.")
@click.option("--offset", type=Count(0), default=0, help="Pass over the first N.")
@click.pass_obj
def show_command(
    settings: Settings,
    *,
    sweep: str,
    as_json: bool,
    states: tuple[str, ...],
    limit: int | None,
    offset: int,
) -> None:
    """Print one snapshot of SWEEP and its cases."""
    chosen = _states(states)
    one = follower(settings, sweep).whole()
    summary = one.summary()
    click.echo(json.dumps(summary) if as_json else _heading(summary))
    for row in one.rows(offset=offset, limit=limit or None, states=chosen):
        case = one.case(row)
        click.echo(json.dumps(case) if as_json else _case_line(case))


def _heading(summary: dict[str, Any]) -> str:
    runner = f"runner {summary['runner']}" if summary["runner"] is not None else "no runner"
    name = f" {summary['name']}" if summary["name"] else ""
    ended = f", ended {clock(summary['ended'])}" if summary["ended"] else ""
    return plain(
        f"{summary['id']}{name}: {summary['cases']:,} case{'s' if summary['cases'] != 1 else ''} "
        f"on {summary['engine']}, "
        f"started {clock(summary['started'])}{ended}, {runner}; {counts_text(summary['counts'])}"
    )


def _case_line(case: dict[str, Any]) -> str:
    ran = "-"
    if case["started"] is not None:
        ran = f"{(case['ended'] or time.time()) - case['started']:.1f}s"
    code = "-" if case["exit_code"] is None else str(case["exit_code"])
    attempt = f".{case['attempt']}" if case["attempt"] else ""
    variables = " ".join(f"{name}={value}" for name, value in case["variables"].items())
    number = f"#{case['index']}{attempt}"
    return plain(
        f"{number:<8} {case['state']:<10} ran {ran:>8}  exit {code:>3}  {variables}"
        + (f"  {case['reason']}" if case["reason"] else "")
    )


@click.command("wait", epilog="Example: sweep-tui wait @ && echo all done")
@click.argument("sweep")
@click.pass_obj
def wait_command(settings: Settings, *, sweep: str) -> int:
    """Block until SWEEP ends; the exit code tells how."""
    one = follower(settings, sweep)
    while True:
        runner = one.runner  # before the look at the counts: a runner that leaves has written them
        one.refresh()
        if one.is_finished and runner is None:
            return one.exit_code
        if runner is None:
            click.echo(
                f"sweep-tui: sweep {one.folder.id} is unfinished and has no runner; go on with: "
                f"sweep-tui resume {one.folder.id}",
                err=True,
            )
            return LOST
        time.sleep(_POLL)
