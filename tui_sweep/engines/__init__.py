"""Hands: one folder per engine. Engines never import one another."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from tui_sweep.core.errors import UsageError
from tui_sweep.engines.base import EngineModule


def names() -> list[str]:
    """The engines there are, without importing any."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/__init__.py"))


def load(name: str) -> EngineModule:
    """The module of one engine. Raises UsageError for a name that is none."""
    if name not in names():
        raise UsageError(
            f"there is no engine named {name!r} in this version; there are: {', '.join(names())}",
            hint="to run on this machine: --engine local",
        )
    module = importlib.import_module(f"tui_sweep.engines.{name}")
    return cast(EngineModule, module)  # a module that has the protocol's functions
