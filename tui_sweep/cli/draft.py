"""What the form of the home screen would start: `run`'s own parsing, without running anything."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import click

# numpy must be there before a search may be interrupted: half an import of it cannot be repeated.
import tui_sweep.core.cases  # noqa: F401
from tui_sweep import engines
from tui_sweep.cli.options import Asked, asked, check_size
from tui_sweep.cli.run import run_command
from tui_sweep.config import Settings
from tui_sweep.core.errors import SweepError, UsageError
from tui_sweep.core.ranges import parse_range
from tui_sweep.view.draft import Check, Checked
from tui_sweep.view.mask import Mask

FIRST = 20
"""Cases that are shown at most; 2.5 µs each."""

_LONGEST = 1.5
"""Seconds for one check. A million combinations are searched for equal cases in 4."""

_RANGES = ("ranges", "env_ranges", "build_ranges", "exec_ranges")


def parsed(words: Sequence[str], settings: Settings) -> dict[str, Any]:
    """The options of ``sweep-tui run`` by name. Raises UsageError; prints nothing, whatever they are."""
    try:
        # without names of its own, --help is an option that does not exist, and does not print
        context = run_command.make_context("run", list(words), obj=settings, help_option_names=[])
    except click.ClickException as error:
        raise _as_ours(error) from error
    return context.params


def checker(settings: Settings) -> Check:
    """What says how many cases a command line has, or why it has none. Creates nothing."""

    def check(words: Sequence[str], stop: Callable[[], bool], /) -> Checked:
        params: dict[str, Any] = {}
        try:
            with _interrupted_by(stop, time.monotonic() + _LONGEST):
                params = parsed(words, settings)
                return _checked(_asked(params, settings))
        except _Interrupted:
            long = (
                "Counting takes long (equal cases are searched for, or many files); it is done at the start."
            )
            return Checked(notices=(long,), sizes=tuple(_readable(params)))
        except SweepError as error:
            return Checked(error=error, sizes=tuple(_readable(params)))
        except OSError as error:
            told = UsageError(f"FILES: {error.filename}: {error.strerror}")
            return Checked(error=told, sizes=tuple(_readable(params)))

    return check


def preparer(settings: Settings, environ: Mapping[str, str]) -> Callable[[Sequence[str], Checked], Checked]:
    """What adds the engine's own word to a good check: errors and notices. May take seconds."""

    def prepare(words: Sequence[str], checked: Checked) -> Checked:
        try:
            sweep = _asked(parsed(words, settings), settings).sweep
            prepared = engines.load(sweep.engine).prepare(sweep, environ=environ, cwd=Path.cwd())
        except SweepError as error:
            return replace(checked, error=error)
        return replace(checked, notices=(*checked.notices, *prepared.notices))

    return prepare


def _asked(params: Mapping[str, Any], settings: Settings) -> Asked:
    """As `run` has it, and what a form cannot wait for refused."""
    if not params["image"]:
        raise UsageError("IMAGE: a runtime or an image is needed", hint="e.g. python")
    for text in (text for kind in _RANGES for text in params[kind]):
        _refuse_endless(text)
    wanted = asked(params, settings)
    check_size(wanted.plan)
    if (name := wanted.sweep.engine) not in engines.names():
        there = ", ".join(engines.names())
        raise UsageError(
            f"--engine: there is none of that name; there are: {there}", text=name, span=(0, len(name))
        )
    return wanted


def _checked(wanted: Asked) -> Checked:
    sweep, plan = wanted.sweep, wanted.plan
    mask = Mask(sweep)
    ranges = [one for kind in _RANGES for one in getattr(sweep, kind)]
    return Checked(
        count=plan.count,
        merged=plan.merged,
        sizes=tuple((one.key, one.count) for one in ranges),
        rows=tuple(mask.masked(plan.values(i)) for i in range(min(FIRST, plan.count))),
        slots=sweep.slots,
        engine=sweep.engine,
    )


def _readable(params: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The ranges that can be read although something else is wrong; files are left alone."""
    for text in (text for kind in _RANGES for text in params.get(kind, ())):
        if "=lines:" not in text:
            try:
                one = parse_range(text)
            except UsageError:
                continue
            yield one.key, one.count


def _refuse_endless(text: str) -> None:
    """Raise UsageError for the lines of something that is no file: reading may wait, or eat the keyboard."""
    key, _, path = text.partition("=lines:")
    try:
        mode = os.stat(path).st_mode if path else stat.S_IFREG
    except (OSError, ValueError):
        return  # the range's own error is better
    if not stat.S_ISREG(mode):
        first = len(key) + len("=lines:")
        raise UsageError("--range: lines: a regular file is needed here", text=text, span=(first, len(text)))


def _as_ours(error: click.ClickException) -> UsageError:
    """Click's error, worded like ours: the option first, the offending word with a caret."""
    if isinstance(error, click.NoSuchOption):
        hint = f"did you mean {' or '.join(error.possibilities)}?" if error.possibilities else None
        name = error.option_name
        return UsageError(f"{name}: there is no such option", text=name, span=(0, len(name)), hint=hint)
    if isinstance(error, click.BadOptionUsage):
        return UsageError(f"{error.option_name}: {error.message}")
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Option):
        return UsageError(f"{error.param.opts[-1]}: {error.message}")
    return UsageError(error.format_message())


class _Interrupted(BaseException):
    """Not an error: no ``except Exception`` on the way may keep it."""


@contextmanager
def _interrupted_by(stop: Callable[[], bool], deadline: float) -> Iterator[None]:
    """Raises _Interrupted in the block, at the next call of a Python function, once it is time.

    A thread cannot be stopped from outside, and a search for equal cases may take two minutes.
    """

    def watch(frame: FrameType, event: str, argument: object) -> None:
        if stop() or time.monotonic() > deadline:
            raise _Interrupted

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)
