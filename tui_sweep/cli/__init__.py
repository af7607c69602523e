"""The command line: parse, construct, exit with a code. One file per family of commands."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib import import_module
from pathlib import Path

import click

from tui_sweep import __version__
from tui_sweep.cli.kinds import ascii_option
from tui_sweep.cli.tell import tell_click, tell_error
from tui_sweep.config import read_settings
from tui_sweep.core.errors import JournalError, SweepError
from tui_sweep.core.plain import plain

_COMMANDS = {
    "run": "run",
    "plan": "plan",
    "open": "screen",
    "ls": "look",
    "show": "look",
    "log": "log",
    "wait": "look",
    "cancel": "change",
    "retry": "change",
    "resume": "change",
    "rm": "change",
    "export": "export",
    "engine": "about",
    "config": "about",
    "demo": "demo",
}
"""Command → module; imported when it is asked for, so that each starts quickly."""

_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""What becomes of a write to a full disk, over a limit, or to a descriptor that is none."""

_ALIASES = {"attach": "open"}


class Commands(click.Group):
    """The commands, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = _ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"tui_sweep.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    epilog="Example: sweep-tui run -e 'LR=$LR' --range LR=case:0.1,0.01 --exec 'python train.py' python",
)
@click.version_option(__version__, prog_name="sweep-tui")
@click.option("--state-dir", metavar="PATH", help="Where sweep folders live (SWEEP_TUI_STATE).")
@click.option("--config", metavar="FILE", help="Another config.toml.")
@ascii_option
@click.pass_context
def cli(ctx: click.Context, state_dir: str | None, config: str | None, ascii_only: bool) -> None:
    """Run one command with every combination of some parameters, and watch the cases."""
    ctx.obj = read_settings(
        environ=os.environ,
        cwd=Path.cwd(),
        options={"state_dir": state_dir},
        config=Path(config) if config else None,
    )
    os.environ.update(ctx.obj.backend)  # for the engines of this process and of the runners it starts
    if ctx.invoked_subcommand is None:
        from tui_sweep.cli.screen import has_screen, show_home

        if has_screen():
            ctx.exit(show_home(ctx.obj, ascii_only=ascii_only))
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command line and exit. No traceback ever reaches the user."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # for a character that the locale has not
    try:
        code = cli.main(prog_name="sweep-tui", standalone_mode=False)
        if sys.stdout is not None:  # it was closed by whoever started us
            sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except click.ClickException as error:
        tell_click(error)
        code = error.exit_code
    except click.Abort:
        code = 130
    except SweepError as error:
        tell_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        _hush()  # whoever read our output has enough; nothing more can be said to it
        code = 0
    except OSError as error:
        code = _unwritten(error) if error.errno in _UNWRITTEN and error.filename is None else _crash()
    except Exception:
        code = _crash()
    sys.exit(code or 0)


def _crash() -> int:
    """Keep the traceback in a file and name it."""
    from tui_sweep.view.crash import keep_traceback

    click.echo(f"sweep-tui: internal error; running cases go on. {plain(keep_traceback())}", err=True)
    return SweepError.exit_code


def _unwritten(error: OSError) -> int:
    """Say that the output found no room. Whatever ran goes on, and its folder has what was not said."""
    _hush()
    click.echo(f"sweep-tui: the output cannot be written: {error.strerror}", err=True)
    return JournalError.exit_code


def _hush() -> None:
    """Let what is still to be printed go nowhere: Python would complain of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
