"""``sweep-tui plan``: the expanded cases, before anything exists."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

import click

from tui_sweep.cli.kinds import Count
from tui_sweep.cli.options import asked, merged, sweep_options
from tui_sweep.cli.tell import tell_notices
from tui_sweep.config import Settings
from tui_sweep.core.plain import plain
from tui_sweep.core.plan import Case, Plan
from tui_sweep.core.sweep import STAR
from tui_sweep.core.values import counted

_HEAD, _TAIL = 20, 3
"""Cases shown on a terminal when no limit is given."""


@click.command(
    "plan", epilog="Example: sweep-tui plan --range LR=geomspace:1e-4,1e-1,4 --exec 'train --lr $LR' python"
)
@sweep_options
@click.option("--count", "count_only", is_flag=True, help="Print the number of cases alone.")
@click.option("--limit", type=Count(0), help="At most N cases; 0: all.")
@click.option("--offset", type=Count(0), default=0, help="Begin with case N.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def plan_command(
    settings: Settings,
    /,
    *,
    count_only: bool,
    limit: int | None,
    offset: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Print the expanded cases; create nothing, send nothing."""
    plan = asked(options, settings).plan
    if count_only:
        click.echo(Decimal(plan.count))  # int to str has a limit of 4,300 digits
        return
    end = plan.count if not limit else min(offset + limit, plan.count)
    brief = limit is None and not as_json and sys.stdout.isatty() and end - offset > _HEAD + _TAIL
    spans = [(offset, offset + _HEAD), (end - _TAIL, end)] if brief else [(offset, end)]
    for number, (first, last) in enumerate(spans):
        if number:
            click.echo(f"… {counted(last - spans[0][1] - _TAIL)} more")
        for index in range(first, last):
            case = plan[index]
            click.echo(_json(case) if as_json else _line(case, plan))
    if not as_json and sys.stdout.isatty():
        click.echo(f"{counted(plan.count)} case{'s' if plan.count != 1 else ''}")
    tell_notices(merged(plan))


def _json(case: Case) -> str:
    return json.dumps(
        {
            "v": 1,
            "index": case.index,
            "variables": dict(case.variables),
            "env": dict(case.env),
            "build": case.build,
            "exec": case.exec,
        }
    )


def _line(case: Case, plan: Plan) -> str:
    """One case for a person: its number, its variables, what they become."""
    parts = [f"{name}={value}" for name, value in case.variables.items()]
    parts += [f"-e {name}={value}" for name, value in case.env.items()]
    parts += [f"--build {case.build}"] if case.build != STAR else []
    parts += [f"--exec {case.exec}"] if case.exec != STAR else []
    return f"#{case.index}  " + plain("  ".join(parts))
