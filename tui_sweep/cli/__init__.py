"""The command line: parse, construct, exit with a code. One file per family of commands."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import click

from tui_sweep import __version__
from tui_sweep.cli.tell import tell_error
from tui_sweep.config import read_settings
from tui_sweep.core.errors import SweepError

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
@click.pass_context
def cli(ctx: click.Context, state_dir: str | None, config: str | None) -> None:
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
            ctx.exit(show_home(ctx.obj))
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command line and exit. No traceback ever reaches the user."""
    try:
        code = cli.main(prog_name="sweep-tui", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = 130
    except SweepError as error:
        tell_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # whoever read our output has enough; nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception:
        code = _crash()
    sys.exit(code or 0)


def _crash() -> int:
    """Keep the traceback in a file and name it."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="sweep-tui-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    click.echo(f"sweep-tui: internal error; running cases go on. The crash file is {file.name}", err=True)
    return SweepError.exit_code
