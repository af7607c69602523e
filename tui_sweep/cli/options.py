"""The options that `run` and `plan` share, and the sweep they make.

What ``backend.ai run`` takes has its name and meaning here (PROTOCOL.md 12.1), so that a command line
moves over by changing its first words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tui_sweep.cli.kinds import Count
from tui_sweep.config import Settings
from tui_sweep.core.errors import UsageError
from tui_sweep.core.plan import LARGEST_SWEEP, Plan
from tui_sweep.core.ranges import Range, parse_range
from tui_sweep.core.session import session_name
from tui_sweep.core.slots import parse_slots
from tui_sweep.core.sweep import STAR, Halt, Sweep
from tui_sweep.core.templates import parse_env
from tui_sweep.core.values import counted
from tui_sweep.store.snapshot import collect

_F = TypeVar("_F", bound=Callable[..., Any])

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_HALT = re.compile(r"(soon|now),fail=([1-9]\d*)(%?)")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_LONGEST_NAME = 64
"""Characters of a session's name that every server accepts (PROTOCOL.md 3.1)."""


class Duration(click.ParamType[float]):
    """Seconds, written ``90``, ``30s``, ``5m`` or ``2h``."""

    name = "T"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            option = param.opts[-1] if param else "a duration"
            raise UsageError(
                f"{option}: a time such as 90, 30s, 5m or 2h is needed", text=text, span=(0, len(text))
            )
        return float(match[1]) * _SECONDS[match[2]]


class HaltWords(click.ParamType[Halt]):
    """GNU parallel's words for when failures end everything."""

    name = "HALT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Halt:
        if isinstance(value, Halt):
            return value
        text = str(value)
        if text == "never":
            return Halt()
        match = _HALT.fullmatch(text)
        if match is None or (match[3] and int(match[2]) > 100):
            raise UsageError(
                "--halt: one of never, soon,fail=N, soon,fail=P%, now,fail=N is needed",
                text=text,
                span=(0, len(text)),
            )
        return Halt("soon" if match[1] == "soon" else "now", int(match[2]), bool(match[3]))


def _option(*names: str, **attributes: Any) -> Callable[[_F], _F]:
    return click.option(*names, **attributes)


_MANY: dict[str, Any] = {"multiple": True}

_OPTIONS: list[Callable[[Any], Any]] = [
    _option("-c", "--code", metavar="CODE", help="Run this program text; excludes FILES, --build, --exec."),
    _option("--clean", metavar="CMD", help="With FILES: run before the build; its failure is ignored."),
    _option("--build", metavar="CMD", help="Run before --exec; if it fails, the case ends with its code."),
    _option("--exec", "exec_", metavar="CMD", help="Run this; a template for --exec-range and --range."),
    _option("--basedir", metavar="PATH", default=".", help="FILES keep their paths below it [.]."),
    _option("-e", "--env", metavar="K=V", **_MANY, help="A variable of each case; V is a template."),
    _option("--range", "ranges", metavar="V=EXPR", **_MANY, help="A variable usable in every template."),
    _option("--env-range", "env_ranges", metavar="V=EXPR", **_MANY, help="A variable usable in -e values."),
    _option("--build-range", "build_ranges", metavar="V=EXPR", **_MANY, help="… in --build."),
    _option("--exec-range", "exec_ranges", metavar="V=EXPR", **_MANY, help="… in --exec."),
    _option("--zip", "zips", metavar="V,W", **_MANY, help="Walk these variables together."),
    _option("-r", "--resources", metavar="K=V", **_MANY, help="Slots of each case: cpu=1, mem=512m …"),
    _option("-t", "--name", "--client-token", "name", metavar="NAME", help="The sweep's name."),
    _option("--engine", metavar="local|backendai", help="Where to run [local without keys]."),
    _option("--max-parallel", type=Count(1), help="At most N cases between submission and end."),
    _option("--retries", type=Count(0), default=0, help="Further attempts after a failure."),
    _option("--retry-delay", type=Duration(), default=1.0, help="Before the first retry; doubles [1s]."),
    _option("--timeout", type=Duration(), help="Time limit of a running case."),
    _option("--max-wait", type=Duration(), help="Time limit from a case's turn until it starts."),
    _option(
        "--halt", type=HaltWords(), default="never", help="never | soon,fail=N | soon,fail=P% | now,fail=N."
    ),
    _option("--keep", is_flag=True, help="Leave sessions alive after their case."),
    _option("--grace", type=Duration(), default=10.0, help="Time between TERM and KILL [10s]."),
    _option("--type", "type_", type=click.Choice(["batch", "interactive"]), default="batch", help="[batch]"),
    _option("--terminal", is_flag=True, hidden=True),
    _option("--rm", is_flag=True, hidden=True),
    _option("--no-reuse", is_flag=True, hidden=True),
    _option("-s", "--stats", is_flag=True, hidden=True),
    _option("-q", "--quiet", is_flag=True, help="Without a screen: print failures only."),
    _option(
        "-v", "-m", "--volume", "--mount", "mounts", metavar="NAME[:PATH]", **_MANY, help="Mount a folder."
    ),
    _option("--resource-opts", metavar="K=V", **_MANY, help="Options of the resources, e.g. shmem=64m."),
    _option("--bootstrap-script", metavar="PATH", help="A script for the session's container."),
    _option("--cluster-size", type=Count(1), help="Containers per session."),
    _option("--cluster-mode", type=click.Choice(["single-node", "multi-node"]), help="Where they go."),
    _option("--arch", "--architecture", "architecture", metavar="ARCH", help="Architecture of the image."),
    _option("--preopen", metavar="P,P", help="Ports to open in advance."),
    _option("--assign-agent", metavar="A,A", help="Agents to run on."),
    _option("--priority", type=Count(0), help="0 to 100."),
    _option("--starts-at", metavar="TIME", help="Not before this time."),
    _option("--callback-url", metavar="URL", help="Called by the server on each change."),
    _option("--tag", metavar="TAG", help="A tag for the sessions."),
    _option("-d", "--domain", metavar="NAME", help="Domain."),
    _option("-g", "--group", metavar="NAME", help="Group (project)."),
    _option("--scaling-group", "--sgroup", "scaling_group", metavar="NAME", help="Resource group."),
    _option("--network", metavar="ID", help="A network to attach."),
]

_SERVER_ONLY = (
    "mounts",
    "resource_opts",
    "bootstrap_script",
    "cluster_size",
    "cluster_mode",
    "architecture",
    "preopen",
    "assign_agent",
    "priority",
    "starts_at",
    "callback_url",
    "tag",
    "domain",
    "group",
    "scaling_group",
    "network",
)


def sweep_options(command: _F) -> _F:
    """Decorate a command with IMAGE, FILES and every option of a sweep."""
    for option in reversed(_OPTIONS):
        command = option(command)
    command = click.argument("files", nargs=-1)(command)
    return click.argument("image")(command)


@dataclass(frozen=True, slots=True)
class Asked:
    """A sweep as the command line asks for it, checked as far as no engine is needed."""

    sweep: Sweep
    plan: Plan
    sources: Mapping[str, Path]
    """FILES: where each file of the snapshot comes from, by its path in it."""


def asked(options: Mapping[str, Any], settings: Settings) -> Asked:
    """The sweep that the options describe. Raises UsageError; nothing has been created."""
    _check_combination(options)
    sources = collect(options["files"], Path(options["basedir"]))
    sweep = Sweep(
        image=options["image"],
        engine=options["engine"] or settings.engine,
        name=_name(options["name"]),
        code=options["code"],
        files=tuple(sources),
        env=tuple(parse_env(text) for text in options["env"]),
        clean=options["clean"] or STAR,
        build=options["build"] or STAR,
        exec=options["exec_"] or STAR,
        ranges=_ranges(options["ranges"], "--range"),
        env_ranges=_ranges(options["env_ranges"], "--env-range"),
        build_ranges=_ranges(options["build_ranges"], "--build-range"),
        exec_ranges=_ranges(options["exec_ranges"], "--exec-range"),
        zips=tuple(tuple(text.split(",")) for text in options["zips"]),
        slots=parse_slots(options["resources"]),
        max_parallel=options["max_parallel"],
        retries=options["retries"],
        retry_delay=options["retry_delay"],
        timeout=options["timeout"],
        max_wait=options["max_wait"] or None,
        halt=options["halt"],
        keep=options["keep"],
        grace=options["grace"],
        type=options["type_"],
        options={name: options[name] for name in _SERVER_ONLY if options[name]},
    )
    plan = Plan(sweep)
    _check_names(sweep, plan)
    return Asked(sweep, plan, sources)


def merged(plan: Plan) -> list[str]:
    """The notice of equal cases, if there are some."""
    if not plan.merged:
        return []
    total = counted(plan.count + plan.merged)
    return [f"{counted(plan.merged)} of {total} cases are equal to an earlier one and were merged"]


def check_size(plan: Plan) -> None:
    """Raise UsageError for a sweep that is too large to run."""
    if plan.count > LARGEST_SWEEP:
        raise UsageError(
            f"{counted(plan.count)} cases: a sweep has at most {LARGEST_SWEEP:,}; split it into several"
        )


def _check_combination(options: Mapping[str, Any]) -> None:
    """Exactly one of: code; files; exec and build alone."""
    if options["terminal"]:
        raise UsageError("--terminal: a case has no terminal; its stdin is empty and its output is logged")
    if options["code"] is not None:
        for name, option in (("clean", "--clean"), ("build", "--build"), ("exec_", "--exec")):
            if options[name] is not None:
                raise UsageError(f"-c and {option} exclude each other; put the code into a file, or drop one")
        if options["files"]:
            raise UsageError(
                "-c and FILES exclude each other; drop one",
                text=options["files"][0],
                span=(0, len(options["files"][0])),
            )
    elif not options["files"]:
        if options["clean"] is not None:
            raise UsageError("--clean needs FILES: without them there is nothing to clean")
        if options["build"] is None and options["exec_"] is None:
            raise UsageError(
                "nothing to run: give a program with -c, a command with --exec, or FILES",
                hint="e.g. sweep-tui run --exec 'python train.py' python",
            )


def _name(text: str | None) -> str | None:
    if text is not None and not _NAME.fullmatch(text):
        raise UsageError(
            "-t: a name is made of letters, digits, _ . and -, and begins and ends with a letter, digit or _",
            text=text,
            span=(0, max(len(text), 1)),
        )
    return text


def _check_names(sweep: Sweep, plan: Plan) -> None:
    """Refuse a name that a server would refuse once it is numbered."""
    last = min(plan.count, LARGEST_SWEEP) - 1
    longest = session_name("x" * 8, sweep.name, last, sweep.retries)
    if len(longest) > _LONGEST_NAME:
        over = len(longest) - _LONGEST_NAME
        name = sweep.name or ""
        raise UsageError(
            f"-t: session names would have up to {len(longest)} characters, and servers take "
            f"{_LONGEST_NAME}; shorten it by {over}",
            text=name,
            span=(max(len(name) - over, 0), len(name)),
        )


def _ranges(texts: tuple[str, ...], option: str) -> tuple[Range, ...]:
    found = []
    for text in texts:
        try:
            found.append(parse_range(text))
        except UsageError as error:
            raise type(error)(
                f"{option}: {error.message}", text=error.text, span=error.span, hint=error.hint
            ) from error
    return tuple(found)
