"""Opening the window: everything the screens are given, and ``sweep-tui open``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from tui_sweep.cli.kinds import ascii_option, ascii_wanted
from tui_sweep.cli.look import follower
from tui_sweep.cli.start import painted, uncollected, unthreaded
from tui_sweep.config import Settings
from tui_sweep.core.errors import UsageError
from tui_sweep.store.layout import StateDir, SweepDir

if TYPE_CHECKING:
    from tui_sweep.ui.app import SweepApp
    from tui_sweep.ui.home import HomeScreen
    from tui_sweep.view.follow import Follower


def has_screen() -> bool:
    """Whether there is a terminal that a full-screen program can use (CONTRACT: ``run``)."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def show_board(folder: SweepDir, settings: Settings, *, ascii_only: bool = False) -> int:
    """The board of a sweep, until it is left; the exit code."""
    with uncollected():
        with unthreaded():
            from tui_sweep.view.follow import Follower
        return _show(settings, Follower(folder), ascii_only=ascii_only)


def show_home(settings: Settings, *, ascii_only: bool = False) -> int:
    """Home, until it is left; the exit code."""
    with uncollected():
        return _show(settings, None, ascii_only=ascii_only)


def _show(settings: Settings, sweep: Follower | None, *, ascii_only: bool = False) -> int:
    if sweep is not None:
        sweep.whole().make_room()
    app = window(settings, sweep, ascii_only=ascii_only)
    app.run()
    return app.return_code or 0


def window(settings: Settings, sweep: Follower | None, *, ascii_only: bool = False) -> SweepApp:
    """The window with all that it is given from outside, not yet open."""
    with unthreaded():
        from tui_sweep.run.launch import start
        from tui_sweep.ui.app import Outside, SweepApp
        from tui_sweep.view.follow import Follower

    plain_ascii = ascii_only or ascii_wanted(os.environ)
    state = StateDir(settings.state_dir)
    outside = Outside(
        start_runner=start,
        find=lambda sweep_id: Follower(state.sweep(sweep_id)).whole(),
        start_sweep=partial(_start_sweep, settings),
        home=partial(_home, settings, ascii_only=plain_ascii),
        painted=painted,
    )
    return SweepApp(outside, sweep=sweep, ascii_only=plain_ascii)


def _home(settings: Settings, *, ascii_only: bool) -> HomeScreen:
    from tui_sweep import engines
    from tui_sweep.cli.draft import checker, preparer
    from tui_sweep.ui.home import HomeScreen
    from tui_sweep.view.recent import Recent

    return HomeScreen(
        Recent(StateDir(settings.state_dir)),
        facts=lambda name: engines.load(name).survey(environ=os.environ),
        check=checker(settings),
        prepare=preparer(settings, os.environ),
        engine=settings.engine,
        ascii_only=ascii_only,
    )


def _start_sweep(settings: Settings, words: Sequence[str]) -> str:
    """What the form asks for, as if it had been typed behind ``sweep-tui run``; the sweep's id."""
    from tui_sweep.cli.draft import parsed
    from tui_sweep.cli.options import asked, check_size
    from tui_sweep.cli.run import create_sweep, start_detached

    wanted = asked(parsed(list(words), settings), settings)
    check_size(wanted.plan)
    folder = create_sweep(wanted, StateDir(settings.state_dir), yes=True, tell=lambda notices: None)
    start_detached(folder)
    return folder.id


@click.command("open", epilog="Example: sweep-tui open mnist-lr")
@click.argument("sweep", default="@")
@ascii_option
@click.pass_obj
def open_command(settings: Settings, *, sweep: str, ascii_only: bool) -> int:
    """Open the board of SWEEP, the latest if none is named."""
    with uncollected():
        with unthreaded():
            one = follower(settings, sweep)
        if not has_screen():
            raise UsageError(
                "open needs a terminal on stdin and stdout",
                hint=f"without one: sweep-tui show {one.folder.id}, or sweep-tui wait {one.folder.id}",
            )
        return _show(settings, one, ascii_only=ascii_only)
