"""Mounts as `backend.ai run -v` takes them: NAME, NAME:PATH, NAME=PATH, or type=…,source=…,target=…."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tui_sweep.core.errors import UsageError

_KEYS = (
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "permission",
    "perm",
    "subpath",
)
_PERMISSIONS = ("ro", "rw", "wd")


@dataclass(frozen=True, slots=True)
class Mount:
    """One folder of the cluster's storage, seen in the container."""

    source: str
    """The folder's name, with a path below it where one was given."""
    target: str | None = None
    permission: str | None = None
    type: str = "bind"
    subpath: str | None = None


def parse_mount(text: str) -> Mount:
    """One ``-v``. Raises UsageError."""
    fields = text.split(",")
    if len(fields) > 1 or fields[0].partition("=")[0] in ("source", "src"):
        return _long(text, fields)
    for mark in (":", "="):
        source, found, target = text.partition(mark)
        if found:
            break
    if not source or (found and not target):
        raise UsageError(
            "-v: NAME, NAME:PATH, NAME=PATH or type=bind,source=NAME,target=PATH is needed",
            text=text,
            span=(0, max(len(text), 1)),
        )
    return Mount(source, target or None)


def _long(text: str, fields: list[str]) -> Mount:
    found: dict[str, str] = {}
    at = 0
    for field in fields:
        name, _, value = field.partition("=")
        if name not in _KEYS or (not value and name not in ("readonly", "ro")):
            raise UsageError(
                "-v: a mount is made of type=, source=, target=, permission=, subpath= and readonly",
                text=text,
                span=(at, at + max(len(field), 1)),
            )
        found[name] = value
        at += len(field) + 1
    source = found.get("source") or found.get("src")
    if not source:
        raise UsageError("-v: source=NAME is missing", text=text, span=(0, len(text)))
    permission = found.get("permission") or found.get("perm")
    if permission is None and any(
        found.get(name, "false") in ("", "true", "1") for name in ("readonly", "ro")
    ):
        permission = "ro"
    if permission is not None and permission not in _PERMISSIONS:
        raise UsageError(
            f"-v: permission is one of {', '.join(_PERMISSIONS)}", text=text, span=(0, len(text))
        )
    target = found.get("target") or found.get("dst") or found.get("destination")
    return Mount(source, target, permission, found.get("type") or "bind", found.get("subpath"))


def config(mounts: Iterable[Mount]) -> dict[str, Any]:
    """The three keys of the body's ``config`` that name mounts; those that would be empty left out."""
    names, targets, options = [], {}, {}
    for mount in mounts:
        names.append(mount.source)
        if mount.target is not None:
            targets[mount.source] = mount.target
        option: dict[str, str] = {}
        if mount.permission is not None:
            option["permission"] = mount.permission
        if mount.subpath is not None:
            option["subpath"] = mount.subpath
        if option:
            options[mount.source] = {"type": mount.type, **option}
    found: dict[str, Any] = {"mounts": names, "mount_map": targets, "mount_options": options}
    return {key: value for key, value in found.items() if value}
