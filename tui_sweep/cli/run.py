"""``sweep-tui run``: start a sweep, and stay with it or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from tui_sweep.cli.options import Asked, asked, check_size, sweep_options
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
    state_dir: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Start a sweep of IMAGE (with FILES) over every combination of its ranges."""
    wanted = asked(options, settings)
    check_size(wanted.plan)
    state = StateDir(Path(state_dir).expanduser().absolute() if state_dir else settings.state_dir)
    return start(wanted, state, yes=yes, detach=detach, as_json=as_json, quiet=quiet, stats=options["stats"])


def start(
    wanted: Asked,
    state: StateDir,
    *,
    yes: bool = False,
    detach: bool = False,
    as_json: bool = False,
    quiet: bool = False,
    stats: bool = False,
) -> int:
    """Create a sweep and run it; the exit code."""
    from tui_sweep import engines

    prepared = engines.load(wanted.sweep.engine).prepare(wanted.sweep, environ=os.environ, cwd=Path.cwd())
    notices = list(prepared.notices)
    if merged := wanted.plan.merged:
        total = wanted.plan.count + merged
        notices.append(f"{merged:,} of {total:,} cases are equal to an earlier one and were merged")
    if stats:
        notices.append("--stats is not told apart here: waited and ran times are in sweep-tui show")
    tell_notices(notices)
    _confirm(wanted, yes=yes)
    folder = _create(wanted, state, prepared.place)
    if detach:
        return _detach(folder)
    from tui_sweep.cli.headless import run_headless

    return run_headless(folder, as_json=as_json, quiet=quiet)


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


def _detach(folder: SweepDir) -> int:
    from tui_sweep.run import launch
    from tui_sweep.store.sweeps import remove

    if (advice := launch.lingering_advice()) is not None:
        tell_notices([advice])
    try:
        launch.start(folder)
    except SweepError:
        remove(folder)  # nothing of it ever began
        raise
    click.echo(folder.id)
    return 0
