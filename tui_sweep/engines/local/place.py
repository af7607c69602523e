"""Where the ledger of this user lives: a folder that is ours alone and gone after a reboot."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tui_sweep.core.errors import EngineDenied

_MEMORY, _DISK = Path("/dev/shm"), Path("/tmp")


def place(environ: Mapping[str, str]) -> Path:
    """The ledger's folder, by the rules; it may not exist yet.

    In XDG_RUNTIME_DIR, else /run/user/UID, else sweep-tui-UID in /dev/shm or in /tmp. A runtime directory
    that is missing or somebody else's (``su`` keeps the variable) is passed over: all processes of a user
    have to arrive at the same place. Memory comes before the disk because nothing here outlives a reboot,
    a hold costs a dozen calls of the file system, and nobody tidies there (systemd removes what lies in
    /tmp for ten days).
    """
    uid = os.getuid()
    for name in (environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}"):
        if name and os.path.isabs(name) and _is_ours(Path(name), uid):
            return Path(name) / "sweep-tui"
    root = _MEMORY if _is_shared_memory(_MEMORY) else _DISK
    return root / f"sweep-tui-{uid}"


def _is_shared_memory(folder: Path) -> bool:
    """Whether it is a file system of its own where everybody may make files, and nobody remove another's."""
    try:
        told, parent = os.stat(folder), os.stat(folder.parent)
    except OSError:
        return False
    is_open = stat.S_ISDIR(told.st_mode) and told.st_mode & 0o1777 == 0o1777
    return is_open and told.st_dev != parent.st_dev and os.access(folder, os.W_OK | os.X_OK)


def _is_ours(folder: Path, uid: int) -> bool:
    try:
        told = os.stat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(told.st_mode) and told.st_uid == uid and os.access(folder, os.W_OK | os.X_OK)


def make(folder: Path) -> None:
    """Create the ledger's folder, or see that it is ours, private and no link. Raises EngineDenied."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        told = os.lstat(folder)
        if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.getuid():
            raise EngineDenied(
                f"{folder} is not a folder of yours: remove it, or set XDG_RUNTIME_DIR to a private one"
            )
        if told.st_mode & 0o077:
            folder.chmod(0o700)
        for part in ("held", "spare", "tickets"):
            (folder / part).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EngineDenied(
            f"cannot keep the ledger of this machine's slots in {folder}: {error.strerror}; "
            "set XDG_RUNTIME_DIR to a folder that can be written"
        ) from error
