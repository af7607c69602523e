"""``sweep-tui demo``: a bundled real workload, to meet the program."""

from __future__ import annotations

import click

from tui_sweep.cli.kinds import ascii_option
from tui_sweep.cli.run import run_command
from tui_sweep.config import Settings


@click.command("demo", epilog="Example: sweep-tui demo --headless")
@click.option("--headless", is_flag=True, help="No screen.")
@click.option("--json", "as_json", is_flag=True, help="With --headless: events as JSON lines.")
@click.option("--detach", is_flag=True, help="Start it, print its id, return.")
@click.option("--max-parallel", metavar="N", help="At most N cases at once.")
@ascii_option
@click.pass_context
def demo_command(
    ctx: click.Context,
    *,
    headless: bool,
    as_json: bool,
    detach: bool,
    max_parallel: str | None,
    ascii_only: bool,
) -> int:
    """Train a small network over learning rate × width × seed: 24 cases, a minute or two.

    One corner of it really diverges and fails.
    """
    from tui_sweep.demo import arguments

    flags = [
        ("--headless", headless),
        ("--json", as_json),
        ("--detach", detach),
        ("--ascii", ascii_only),
    ]
    words = [flag for flag, given in flags if given]
    if max_parallel is not None:
        words += ["--max-parallel", max_parallel]
    settings: Settings = ctx.obj
    with run_command.make_context("run", [*words, *arguments()], parent=ctx, obj=settings) as run:
        code: int = run_command.invoke(run)
    return code
