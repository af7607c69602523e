"""``sweep-tui run``: start a sweep, and stay with it or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from tui_sweep.cli.kinds import ascii_option
from tui_sweep.cli.options import Asked, asked, check_size, merged, sweep_options
from tui_sweep.cli.start import uncollected
from tui_sweep.cli.tell import tell_notices
from tui_sweep.config import Settings
from tui_sweep.core.errors import SweepError, UsageError
from tui_sweep.core.plan import LARGE_SWEEP
from tui_sweep.store.layout import StateDir, SweepDir


@click.command(
    "run",
    epilog="Example: sweep-tui run -c 'import os; print(os.environ[\"X\"])' -e 'X=$X' --range X=range:4 python",
)
@sweep_options
@click.option("--headless", is_flag=True, help="No screen: run it to the end in the foreground.")
@click.option("--json", "as_json", is_flag=True, help="With --headless: events as JSON lines.")
@click.option("--detach", "--enqueue-only", "detach", is_flag=True, help="Start it, print its id, return.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a large sweep.")
@ascii_option
@click.option("--state-dir", metavar="PATH", help="Where sweep folders live.")
@click.pass_obj
def run_command(
    settings: Settings,
    /,
    *,
    headless: bool,
    as_json: bool,
    detach: bool,
    yes: bool,
    ascii_only: bool,
    state_dir: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Start a sweep of IMAGE (with FILES) over every combination of its ranges."""
    from tui_sweep.cli.screen import has_screen, show_board

    with uncollected():
        wanted = asked(options, settings)
        check_size(wanted.plan)
        state = StateDir(Path(state_dir).expanduser().absolute() if state_dir else settings.state_dir)
        folder = create_sweep(wanted, state, yes=yes, stats=options["stats"])
    if detach:
        start_detached(folder)
        click.echo(folder.id)
        return 0
    if headless or as_json or not has_screen():
        from tui_sweep.cli.headless import run_headless

        return run_headless(folder, as_json=as_json, quiet=quiet, ascii_only=ascii_only)
    start_detached(folder)
    return show_board(folder, settings, ascii_only=ascii_only)


def create_sweep(
    wanted: Asked,
    state: StateDir,
    *,
    yes: bool = False,
    stats: bool = False,
    tell: Callable[[Iterable[str]], None] = tell_notices,
) -> SweepDir:
    """A new sweep's folder, after everything that can be checked was, and the user was asked.

    ``tell`` is given the notices.
    """
    from tui_sweep import engines

    prepared = engines.load(wanted.sweep.engine).prepare(wanted.sweep, environ=os.environ, cwd=Path.cwd())
    notices = list(prepared.notices)
    notices += merged(wanted.plan)
    if stats:
        notices.append("--stats: waited and ran times of each case are in sweep-tui show and export")
    tell(notices)
    _confirm(wanted, yes=yes)
    return _create(wanted, state, prepared.place)


def _confirm(wanted: Asked, *, yes: bool) -> None:
    count = wanted.plan.count
    if count <= LARGE_SWEEP or yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{count:,} cases: without a terminal to ask on, say --yes to start so many")
    click.confirm(f"{count:,} cases. Start them all?", abort=True, err=True)


def _create(wanted: Asked, state: StateDir, place: dict[str, Any]) -> SweepDir:
    from tui_sweep.store.snapshot import copier
    from tui_sweep.store.sweeps import create

    return create(
        state,
        wanted.sweep,
        place,
        cases=wanted.plan.count,
        merged=wanted.plan.merged,
        snapshot=copier(dict(wanted.sources)),
    )


def start_detached(folder: SweepDir) -> None:
    """Start a runner that outlives us; nothing of the sweep is left when it cannot begin."""
    from tui_sweep.run import launch
    from tui_sweep.store.sweeps import remove

    if (advice := launch.lingering_advice()) is not None:
        tell_notices([advice])
    try:
        launch.start(folder)
    except SweepError:
        remove(folder)
        raise
