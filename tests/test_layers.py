"""Who may import whom (ARCHITECTURE), as tables that every source file is held against."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

from tests.conftest import RunCli

PACKAGE = Path(__file__).parent.parent / "tui_sweep"

MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"config", "ui", "run", "view", "store", "engines", "core", "demo"},
    "config": {"core"},
    "ui": {"view", "core"},
    "run": {"store", "engines", "core"},
    "view": {"store", "core"},
    "store": {"core"},
    "engines": {"core"},
    "core": set(),
    "demo": set(),
}
"""Layer → the layers below that it knows. Each may import itself, engines with a limit of their own."""

HOMES = {
    "textual": {"ui"},
    "rich": {"ui", "cli"},
    "aiohttp": {"engines"},
    "sqlite3": {"store"},
    "click": {"cli"},
    "numpy": {"core", "store", "view", "ui", "demo"},
}
"""Heavy library → the layers that may import it."""

NOT_IN_CORE = {"asyncio", "multiprocessing", "socket", "subprocess", "threading", "time"}
"""Decisions have no loop, no clock and no hands."""

COMMANDS = (
    *("run", "plan", "ls", "show", "log", "cancel", "retry", "resume", "wait", "export", "rm"),
    *("engine", "config", "demo"),
)


def imports(module: str, source: str, *, package: bool) -> Iterator[str]:
    """Dotted names that a module's text imports, at any depth, constant ``import_module`` calls included.

    ``from a import b`` gives ``a`` and ``a.b``, because ``b`` may be a module; an f-string gives the
    constant at its start.
    """
    parent = module if package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                origin = resolve_name("." * node.level + (node.module or ""), parent) if node.level else None
                base = origin or node.module or ""
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[first, *_]) if (
                called in {"import_module", "__import__"}
            ):
                if isinstance(first, ast.JoinedStr) and first.values:
                    first = first.values[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    name = first.value.rstrip(".")
                    yield resolve_name(name, parent) if name.startswith(".") else name


def offences(module: str, source: str, *, package: bool = False) -> list[str]:
    """Sentences about what a module imports and may not."""
    path = module.split(".")
    layer = path[1] if len(path) > 1 else "__init__"
    found = []
    for name in dict.fromkeys(imports(module, source, package=package)):
        root, _, rest = name.partition(".")
        if root != "tui_sweep":
            if layer not in HOMES.get(root, {layer}):
                found.append(f"{module} imports {name}, whose home is {', '.join(sorted(HOMES[root]))}")
            if layer == "core" and root in NOT_IN_CORE:
                found.append(f"{module} imports {name}, and decisions have no use for it")
            continue
        target = rest.partition(".")[0]
        if target in {"", "__version__"}:
            continue  # the package itself imports nothing
        if target != layer and target not in MAY_IMPORT[layer]:
            found.append(f"{module} imports {name}: {layer} does not know {target}")
        if layer == target == "engines":
            mine, theirs = path[2:3], rest.split(".")[1:2]
            if theirs and theirs != mine and (PACKAGE / "engines" / theirs[0]).is_dir():
                found.append(f"{module} imports {name}: engines do not know one another")
    return found


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its file."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = ["tui_sweep", *file.relative_to(PACKAGE).with_suffix("").parts]
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), file


@pytest.mark.parametrize(("module", "file"), modules(), ids=lambda value: str(value).rpartition("/")[2])
def test_every_import_points_down(module: str, file: Path) -> None:
    assert offences(module, file.read_text("utf-8"), package=file.name == "__init__.py") == []


def test_every_layer_of_the_package_is_in_the_table() -> None:
    layers = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert layers - {"__pycache__", "py"} <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("tui_sweep.core.plan", "import asyncio", "asyncio"),
        ("tui_sweep.core.plan", "from tui_sweep.store import layout", "core does not know store"),
        ("tui_sweep.core.plan", "from ..store.layout import SweepDir", "core does not know store"),
        ("tui_sweep.core.plan", "from .. import store", "core does not know store"),
        ("tui_sweep.core.plan", "from tui_sweep import store", "core does not know store"),
        ("tui_sweep.run.runner", "def f():\n    from textual.app import App", "whose home is ui"),
        ("tui_sweep.run.runner", "import tui_sweep.ui.app", "run does not know ui"),
        ("tui_sweep.ui.app", "import importlib\nimportlib.import_module('tui_sweep.run.runner')", "know run"),
        ("tui_sweep.ui.app", "from importlib import import_module as i\nimport_module('sqlite3')", "store"),
        ("tui_sweep.store.journal", "__import__('aiohttp')", "whose home is engines"),
        ("tui_sweep.store.journal", "import_module(f'tui_sweep.engines.{name}')", "does not know engines"),
        ("tui_sweep.engines.local.engine", "from tui_sweep.view import follow", "engines does not know view"),
        ("tui_sweep.view.follow", "import rich.text", "whose home is cli, ui"),
        ("tui_sweep.run.adopt", "import numpy as np", "whose home is"),
    ],
)
def test_an_import_that_points_up_is_found(module: str, source: str, said: str) -> None:
    assert any(said in offence for offence in offences(module, source)), offences(module, source)


def test_one_engine_importing_another_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "engines" / "first").mkdir(parents=True)
    (tmp_path / "engines" / "second").mkdir()
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    said = [
        "tui_sweep.engines.first.engine imports tui_sweep.engines.second: engines do not know one another"
    ]
    assert offences("tui_sweep.engines.first.engine", "import tui_sweep.engines.second") == said
    assert offences("tui_sweep.engines.first.engine", "import tui_sweep.engines.first.api") == []
    assert offences("tui_sweep.engines.first.engine", "from tui_sweep.engines import base") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "tui_sweep.cli.run",
            "import click\nfrom tui_sweep import __version__\nfrom tui_sweep.core import plan",
        ),
        ("tui_sweep.core.cases", "import numpy as np\nfrom tui_sweep.core.states import State"),
        ("tui_sweep.core.cases", "from .states import State"),
        ("tui_sweep.engines.local.engine", "import asyncio\nfrom tui_sweep.engines.base import Engine"),
        ("tui_sweep.run.runner", "import asyncio, time\nfrom tui_sweep.store.journal import Journal"),
    ],
)
def test_an_import_that_points_down_is_not_found(module: str, source: str) -> None:
    assert offences(module, source) == []


def imported(stderr: str) -> set[str]:
    """The top-level modules of ``-X importtime``'s report."""
    lines = (line for line in stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("--version",),
        *((command, "-h") for command in COMMANDS),
        ("plan", "--count", "--range", "X=range:10", "-e", "X=$X", "-c", "pass", "python"),
    ],
    ids=" ".join,
)
def test_what_needs_no_screen_and_no_network_imports_neither(run_cli: RunCli, args: tuple[str, ...]) -> None:
    result = run_cli(*args, options=("-X", "importtime"))
    assert result.returncode == 0, result.stderr[-2000:]
    assert imported(result.stderr) & {"textual", "aiohttp", "numpy"} == set()
    assert "tui_sweep" in imported(result.stderr)
