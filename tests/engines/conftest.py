"""What the engines' tests share: a bench for the local engine, and a look at processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.contract import Bench
from tui_sweep.engines import local
from tui_sweep.engines.local.tree import census, look, mark_of


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    process = look(pid)
    return process is not None and process.is_alive


def marked(root: Path) -> list[int]:
    """Living processes of the attempts whose folders are below ``root``."""
    pids = [process.pid for process in census().values() if process.is_alive]
    return [pid for pid in pids if (mark_of(pid) or "").startswith(f"{root}/")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A sweep on this machine whose commands are sh."""
    return Bench(local, "sh", tmp_path)


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """No test leaves processes of its cases behind."""
    yield
    assert marked(tmp_path) == []
