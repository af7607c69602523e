"""A case's own copy of FILES."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from tui_sweep.core.errors import EngineDenied


def copy(snapshot: Path, work: Path) -> None:
    """Copy the snapshot to ``work``, modes and links as they are. Blocks: call it in a thread.

    It is made aside and renamed, so that a ``work`` that exists is whole; one that exists is kept, it
    belongs to a start that came before. Raises EngineDenied with the path that failed.
    """
    if work.exists():
        return
    aside = work.with_name(f".work-{uuid.uuid4().hex}")
    try:
        shutil.copytree(snapshot, aside, symlinks=True)
        # a snapshot may be read-only, its copy must not be: the case works in it
        aside.chmod(aside.stat().st_mode | 0o700)
        os.rename(aside, work)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        if work.exists():
            return
        raise EngineDenied(f"cannot copy FILES to {work}: {_told(error)}") from error


def _told(error: OSError) -> str:
    """The first thing that failed, with its path."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        source, _, why = error.args[0][0]
        return f"{source}: {why}"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
