"""``sweep-tui engine`` and ``sweep-tui config``: what is there, and what is set."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any, cast

import click

from tui_sweep.config import Settings
from tui_sweep.core.errors import EngineError, UsageError
from tui_sweep.core.plain import plain
from tui_sweep.core.slots import Slots
from tui_sweep.view.times import brief

if TYPE_CHECKING:
    from tui_sweep.engines.base import Login


@click.command("engine", epilog="Example: sweep-tui engine --json")
@click.option("--engine", "name", metavar="NAME", help="Another than the chosen one.")
@click.option("--login", "wants_login", is_flag=True, help="Log in (endpoint type session).")
@click.option("--logout", "wants_logout", is_flag=True, help="End the login.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def engine_command(
    settings: Settings, *, name: str | None, wants_login: bool, wants_logout: bool, as_json: bool
) -> int:
    """Say whether the engine can be reached, its capacity, your limits, and who waits."""
    from tui_sweep import engines

    chosen = name or settings.engine
    module = engines.load(chosen)
    if wants_login or wants_logout:
        _log(chosen, module, out=wants_logout)
        return 0
    try:
        facts = asyncio.run(module.survey(environ=os.environ))
    except EngineError as error:
        if as_json:
            click.echo(json.dumps({"v": 1, "engine": chosen, "reachable": False, "error": str(error)}))
        raise
    if as_json:
        click.echo(
            json.dumps(
                {
                    "v": 1,
                    "engine": chosen,
                    "endpoint": facts.endpoint,
                    "server": facts.server,
                    "reachable": facts.reachable,
                    "capacity": facts.capacity,
                    "limits": facts.limits,
                    "waiting": facts.waiting,
                }
            )
        )
        return 0 if facts.reachable else EngineError.exit_code
    click.echo(plain(f"{chosen}: {facts.server}{f' at {facts.endpoint}' if facts.endpoint else ''}"))
    for slot, amounts in facts.capacity.items():
        click.echo(
            plain(f"  {slot}: {_amount(slot, amounts['used'])} of {_amount(slot, amounts['total'])} in use")
        )
    for limit, value in facts.limits.items():
        click.echo(plain(f"  limit {limit}: {value}"))
    now = time.time()
    for waiting in facts.waiting:
        click.echo(plain(f"  {_waiting(waiting, now)}"))
    if not facts.waiting:
        click.echo("  nothing waits")
    return 0 if facts.reachable else EngineError.exit_code


def _amount(slot: str, text: str) -> str:
    return Slots({slot: text}).shown(slot)


def _log(name: str, module: object, *, out: bool) -> None:
    """Log in, asking for what that takes, or out. The password is asked for, never an argument."""
    if not hasattr(module, "login"):
        raise UsageError(f"there is no login to {name}")
    door = cast("Login", module)
    if out:
        there_was = asyncio.run(door.logout(environ=os.environ))
        click.echo("logged out" if there_was else "nobody was logged in")
        return
    username = click.prompt("user (e-mail)", err=True)
    password = click.prompt("password", hide_input=True, err=True)
    otp = click.prompt("one-time code (empty: none)", default="", show_default=False, err=True)
    who = asyncio.run(door.login(environ=os.environ, username=username, password=password, otp=otp or None))
    click.echo(plain(f"logged in{f' with access key {who}' if who else ''}"))


def _waiting(waiting: dict[str, Any], now: float) -> str:
    """Who waits, how long, for what."""
    since, place = waiting.get("since"), waiting.get("place")
    waited = "" if since is None else f" {brief(now - since)}"
    return (
        f"{waiting['session']} waits{waited}"
        + ("" if place is None else f", place {place}")
        + (f": {waiting['reason']}" if waiting.get("reason") else "")
    )


@click.command("config", epilog="Example: sweep-tui config")
@click.pass_obj
def config_command(settings: Settings) -> None:
    """Print the settings in force and where each came from; secrets are not shown."""
    width = max(map(len, settings.by_name))
    for name, setting in settings.by_name.items():
        value = setting.shown
        if name == "state_dir":
            value = str(settings.state_dir)
        if name == "engine":
            value = settings.engine
        click.echo(plain(f"{name:<{width}} {value or '-':<40} ({setting.origin})"))
