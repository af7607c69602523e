"""The startup command of a batch session: what runs one case inside its container.

The text in front says in plain words what runs, for whoever reads it in the cluster's web UI; behind it
comes ``wrapper.sh`` with ``encoder.awk`` in it, without their comments. Limit: the command is one argument
of a program, 128 KiB (seen: 120,000 characters run, 1,000,000 fail without a word).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tui_sweep.core.errors import EngineDenied
from tui_sweep.engines.backendai.carry import Load
from tui_sweep.engines.backendai.interpreters import SITE, Interpreter, Steps, interpreter, steps

LONGEST = 100_000
"""Bytes of a startup command."""
WORK = "/home/work"
"""Where a session's programs work; "." where an image has none."""
_LONGEST_SHOWN = 2000
"""Characters of a value that is set in the command, too; longer ones are in the body's ``environ`` alone."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_OF_THE_CONTAINER = re.compile(
    r"PATH|HOME|USER|SHELL|PWD|TERM|TMPDIR|LANG(UAGE)?|LC_.*|LD_.*|PYTHON(?!UNBUFFERED$).*|.*_PROXY|.*_proxy"
    r"|LOCAL_(USER|GROUP)_ID|_?BACKEND.*|.*PRELOAD|ENV|BASH_ENV|SWEEP_LOAD_.*"
)
"""Names that would change the container's own programs, were they set for all of it."""
_OF_SHELLS = frozenset(
    {"IFS", "UID", "EUID", "PPID", "GROUPS", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO", "OPTIND", "_"}
)
"""Names that some shell does not let one set."""
SHARED = "# What follows starts that, and tells its output and its end in the log."
"""The line behind which the commands of a sweep are alike: 9 of their 10 kB."""
_TOOLS = ("awk", "base64", "dd", "tr", "mkfifo", "mkdir", "rm", "sleep")


def environ(env: Mapping[str, str], load: Load) -> dict[str, str]:
    """The variables for the create body's ``environ``: the load's, and of the case's those whose name and
    value every server takes as they are. The startup command sets the others, and these once more where they
    are short: a server may have set them otherwise."""
    return {
        **{name: value for name, value in env.items() if _is_plain(name, value)},
        **load.environ,
    }


def startup(
    *,
    name: str,
    image: str,
    env: Mapping[str, str],
    clean: str,
    build: str,
    execute: str,
    load: Load,
    work: str = WORK,
    cgroup: str = "/sys/fs/cgroup",
    cgroups: str = "/proc/self/cgroup",
) -> str:
    """The startup command of the session ``name``; steps may be ``*``. The last three are for tests.

    Raises EngineDenied when it is too long.
    """
    language = interpreter(image)
    plan = steps(language, clean, build, execute, carried=load.kind)
    settings = {
        "work": work,
        "cgroup": cgroup,
        "cgroups": cgroups,
        "tools": " ".join(_tools(load, env)),
        "shell": language.shell,
        "default": "build" if plan.builds_by_default else "",
        "kind": plan.kind,
        "programs": " ".join(language.programs),
        "flag": language.flag,
    }
    lines = [
        f"# sweep-tui: session {name}, one case of a sweep. This runs in it:",
        *_assigned("_sweep_clean", plan.clean),
        *_assigned("_sweep_build", plan.build),
        *_assigned("_sweep_exec", plan.exec),
        *_assigned("_sweep_code", load.code or ""),
        *_environment(env, language, plan),
        f"_sweep_name={_quoted(name)}",
        SHARED,
        _shared(tuple(settings.items()), load.kind, tuple(load.environ)),
    ]
    text = "\n".join(lines)
    size = len(text.encode("utf-8"))
    if size > LONGEST:
        raise EngineDenied(
            f"{name}: its commands and variables take {size:,} bytes, and {LONGEST:,} is the most that can be "
            "sent with a session; put long texts into FILES"
        )
    return text


@functools.lru_cache(4)
def _shared(settings: tuple[tuple[str, str], ...], carried: str, variables: tuple[str, ...]) -> str:
    """What follows SHARED. ``carried`` and ``variables``: the kind of the load, and what it is in."""
    lines = [f"_sweep_{key}={_quoted(value)}" for key, value in settings]
    return "\n".join((*lines, *_unpacking(carried, variables), _script()))


def _is_plain(name: str, value: str) -> bool:
    return not _is_odd(name) and not _is_taken(name) and _PLAIN_VALUE.fullmatch(value) is not None


@functools.lru_cache(64)
def _is_taken(name: str) -> bool:
    """Whether it would change the container's own programs."""
    return _OF_THE_CONTAINER.fullmatch(name) is not None


@functools.lru_cache(64)
def _is_odd(name: str) -> bool:
    """Whether no shell can export it: then only exec sees it, through env(1)."""
    return _IDENTIFIER.fullmatch(name) is None or name in _OF_SHELLS


def _tools(load: Load, env: Mapping[str, str]) -> Iterator[str]:
    yield from _TOOLS
    if load.environ:
        yield "gzip"
    if load.kind == "files":
        yield "tar"
    if any(_is_odd(name) for name in env):
        yield "env"


def _environment(env: Mapping[str, str], language: Interpreter, plan: Steps) -> Iterator[str]:
    """Two functions of the script: one exports, one starts a command with what cannot be exported."""
    yield "_sweep_environment() {"
    yield ":"
    if plan.builds_by_default and language.language == "python":
        yield f'if [ -e setup.py ]; then export PYTHONPATH="$PWD/{SITE}${{PYTHONPATH:+:$PYTHONPATH}}"; fi'
    for name, value in env.items():
        yield from _exported(name, value)
    yield "}"
    yield "_sweep_command() {"
    words = []
    for number, (name, value) in enumerate((n, v) for n, v in env.items() if _is_odd(n)):
        words.append(f'"$_sweep_v{number}"')
        yield from _assigned(f"_sweep_v{number}", f"{name}={value}")
    yield f'_sweep_start {" ".join(["env", "--", *words, ""]) if words else ""}"$@"'
    yield "}"


@functools.lru_cache(64)
def _exported(name: str, value: str) -> tuple[str, ...]:
    """Lines that export a variable; none where the body's ``environ`` alone has it, or no shell can."""
    if _is_odd(name) or (len(value) > _LONGEST_SHOWN and _is_plain(name, value)):
        return ()
    assigned = _assigned(name, value)
    return (f"export {assigned[0]}",) if len(assigned) == 1 else (*assigned, f"export {name}")


def _unpacking(carried: str, variables: tuple[str, ...]) -> Iterator[str]:
    """The function that takes the load out of the environment. A pipe's exit code is its last program's; what
    the tools say goes, made harmless, into the case's stderr."""
    yield "_sweep_unpack() {"
    yield ":"
    if variables:
        yield f'_sweep_p="{"".join(f"${{{name}}}" for name in variables)}"'
        yield f"unset {' '.join(variables)}"
    if carried == "files":
        yield (
            '_sweep_n=$( (export LC_ALL=C; printf %s "$_sweep_p" | base64 -d | { gzip -dc || echo "(gzip failed)" >&2; '
            "} | tar -xpof - || echo '(tar failed)') 2>&1 | tr -c '\\040-\\176' ' ')"
        )
        yield (
            'case $_sweep_n in *"failed)"*) _sweep_fail "the files cannot be unpacked in $PWD: '
            '$(printf %.300s "$_sweep_n")" load 126 ;; esac'
        )
    elif variables:
        yield '_sweep_code=$(printf %s "$_sweep_p" | base64 -d | gzip -dc 2>/dev/null; echo .)'
        yield "_sweep_code=${_sweep_code%.}"
        yield 'if [ -z "$_sweep_code" ]; then _sweep_fail "the program text did not arrive" load 126; fi'
    yield "_sweep_p="
    yield "}"


@functools.lru_cache(64)
def _assigned(name: str, text: str) -> tuple[str, ...]:
    """Lines that set a shell variable to any text. What cannot be seen, or be sent, is spelled in octal."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return (f"{name}={_quoted(text)}",)
    spelled = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"%\\'" else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
    # the dot keeps the newlines at the end, which $( ) would take away
    return f"{name}=$(printf '{spelled}.')", f"{name}=${{{name}%.}}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@functools.cache
def _script() -> str:
    """The part that is the same for all."""
    folder = Path(__file__).parent
    awk = _without_comments((folder / "encoder.awk").read_text("utf-8"))
    return f"_sweep_awk={_quoted(awk)}\n" + _without_comments((folder / "wrapper.sh").read_text("utf-8"))


def _without_comments(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))
