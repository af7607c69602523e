"""Changing sweeps: ``cancel``, ``retry``, ``resume``, ``rm``."""

from __future__ import annotations

from typing import Any

import click

from tui_sweep.cli.kinds import Count
from tui_sweep.cli.look import follower
from tui_sweep.config import Settings
from tui_sweep.core.errors import SweepError, UsageError


def _ask(settings: Settings, called: str, verb: str, cases: tuple[int, ...] | None) -> None:
    """Ask a sweep's runner, starting one if it has none, and say what it did."""
    from tui_sweep.run.launch import start
    from tui_sweep.view.ask import ask

    one = follower(settings, called)
    beyond = [case for case in cases or () if case >= one.cases]
    if beyond:
        raise UsageError(f"there is no case {beyond[0]}; they go from 0 to {one.cases - 1}")
    arguments: dict[str, Any] = {} if cases is None else {"cases": list(cases)}
    answer = ask(one, verb, start_runner=lambda: start(one.folder), **arguments)
    if not answer["ok"]:
        raise SweepError(f"{verb}: {answer['message']}")
    done = "cancelled" if verb == "cancel" else "to be run again"
    click.echo(f"{answer['cases']:,} case{'s' if answer['cases'] != 1 else ''} {done}", err=True)


@click.command("cancel", epilog="Example: sweep-tui cancel @ 3 7")
@click.argument("sweep")
@click.argument("cases", type=Count(0), nargs=-1, metavar="CASE...")
@click.option("--all", "every", is_flag=True, help="Every case that has not ended.")
@click.pass_obj
def cancel_command(settings: Settings, *, sweep: str, cases: tuple[int, ...], every: bool) -> None:
    """Cancel cases of SWEEP, waiting or running; never asks."""
    if bool(cases) == every:
        raise UsageError("cancel: name the cases, or say --all")
    _ask(settings, sweep, "cancel", None if every else cases)


@click.command("retry", epilog="Example: sweep-tui retry @ --failed")
@click.argument("sweep")
@click.argument("cases", type=Count(0), nargs=-1, metavar="CASE...")
@click.option("--failed", is_flag=True, help="Every case that failed, timed out or was lost.")
@click.pass_obj
def retry_command(settings: Settings, *, sweep: str, cases: tuple[int, ...], failed: bool) -> None:
    """Run ended cases of SWEEP again, each as another attempt."""
    if bool(cases) == failed:
        raise UsageError("retry: name the cases, or say --failed")
    _ask(settings, sweep, "retry", None if failed else cases)


@click.command("resume", epilog="Example: sweep-tui resume @")
@click.argument("sweep")
@click.pass_obj
def resume_command(settings: Settings, *, sweep: str) -> None:
    """Start a detached runner for a sweep whose runner is gone, and return."""
    from tui_sweep.run.launch import start

    one = follower(settings, sweep)
    if one.runner is None:
        if one.is_finished:
            click.echo(f"sweep-tui: sweep {one.folder.id} has ended; nothing to resume", err=True)
            return
        try:
            start(one.folder)
        except SweepError:
            if one.runner is None:  # else somebody resumed it at the same moment
                raise
        else:
            click.echo(one.folder.id)
            return
    click.echo(f"sweep-tui: sweep {one.folder.id} is being run, by process {one.runner}", err=True)


@click.command("rm", epilog="Example: sweep-tui rm --yes mnist-lr")
@click.argument("sweep")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rm_command(settings: Settings, *, sweep: str, yes: bool) -> None:
    """Delete an ended sweep's folder, with all it logged."""
    from tui_sweep.store.sweeps import remove

    one = follower(settings, sweep)
    if one.runner is not None:
        raise UsageError(
            f"sweep {one.folder.id} is being run, by process {one.runner}",
            hint=f"cancel it first: sweep-tui cancel {one.folder.id} --all",
        )
    if not one.is_finished and one.live:
        raise UsageError(
            f"sweep {one.folder.id} has not ended: {one.live} cases may still run",
            hint=f"sweep-tui resume {one.folder.id} to go on, or sweep-tui cancel {one.folder.id} --all",
        )
    if not yes:
        click.confirm(f"Delete {one.folder.path} and all it holds?", abort=True, err=True)
    one.close()
    remove(one.folder)
