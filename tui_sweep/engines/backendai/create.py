"""The body of ``POST /session``: what a sweep's options become (PROTOCOL.md 3.1).

Older servers refuse keys that they do not know, so a key is sent only where it says something, and
only to those that take it.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from tui_sweep.core.errors import UsageError
from tui_sweep.core.slots import Slots
from tui_sweep.core.sweep import Sweep
from tui_sweep.engines.backendai.mounts import config, parse_mount
from tui_sweep.engines.backendai.wrapper import SHARED

LARGEST_BOOTSTRAP = 16_000
"""Bytes of a bootstrap script: the server keeps it in a column of 16 KiB (seen: 16,001 pass, 20,000 do not)."""
_MIB = 1 << 20
_ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}
_MARGIN = 60
"""Seconds that the server's own time limit leaves ours: ours tells apart a time-out from a failure."""


class Accepting(Protocol):
    """What is needed of the dialect."""

    @property
    def create_keys(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Requested:
    """What all sessions of a sweep ask alike."""

    top: Mapping[str, Any]
    config: Mapping[str, Any]


def requested(sweep: Sweep, place: Mapping[str, Any]) -> Requested:
    """What a sweep's options say. Raises UsageError for one that cannot be read.

    ``place`` has ``domain``, ``group``, ``mounts`` (of the configuration) and ``bootstrap_script``
    (the text).
    """
    options = sweep.options
    top: dict[str, Any] = {
        "image": sweep.image,
        "architecture": options.get("architecture") or own_architecture(),
        "domain": options.get("domain") or place.get("domain") or "default",
        "group": options.get("group") or place.get("group") or "default",
        "clusterSize": int(options.get("cluster_size") or 1),
        "clusterMode": options.get("cluster_mode") or "single-node",
        "enqueueOnly": True,
        "maxWaitSeconds": 0,
        "reuseIfExists": False,
    }
    more = (
        ("tag", options.get("tag")),
        ("callback_url", options.get("callback_url")),
        ("bootstrap_script", place.get("bootstrap_script")),
        ("starts_at", _starts_at(options.get("starts_at"), sweep.type)),
        ("priority", _priority(options.get("priority"))),
        ("batch_timeout", _batch_timeout(sweep)),
    )
    top.update((key, value) for key, value in more if value is not None)
    mounts = [parse_mount(text) for text in (*place.get("mounts", ()), *options.get("mounts", ()))]
    settings: dict[str, Any] = {"resources": resources(sweep.slots), **config(mounts)}
    further = (
        ("resource_opts", _resource_opts(options.get("resource_opts", ()))),
        ("scalingGroup", options.get("scaling_group")),
        ("preopen_ports", _ports(options.get("preopen"))),
        ("agentList", _agents(options.get("assign_agent"))),
        ("attach_network", options.get("network")),
    )
    settings.update((key, value) for key, value in further if value)
    return Requested(top, settings)


_OPTIONS = {"priority": "--priority", "attach_network": "--network", "mount_options": "-v with readonly"}
"""What older servers cannot do. Their lack of ``batch_timeout`` changes nothing: ours is kept."""


def beyond(wanted: Requested, dialect: Accepting) -> list[str]:
    """The options that this server cannot carry out; without them a session would be another."""
    asked = {*wanted.top, *wanted.config} - dialect.create_keys
    return [option for key, option in _OPTIONS.items() if key in asked]


def body(
    wanted: Requested,
    dialect: Accepting,
    *,
    name: str,
    kind: str,
    environ: Mapping[str, str],
    startup: str | None,
    extras: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One session's body. ``kind`` is ``batch`` or ``interactive``; ``extras`` are keys of this server alone."""
    known = dialect.create_keys
    top = {key: value for key, value in wanted.top.items() if key in known}
    settings = {key: value for key, value in wanted.config.items() if key in known}
    if kind != "batch":
        top.pop("batch_timeout", None)
    found = {
        "name": name,
        "type": kind,
        **top,
        **(extras or {}),
        "config": {**settings, "environ": dict(environ)},
    }
    if startup is not None:
        found["startupCommand"] = startup
    return found


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body's JSON text. Of a startup command what a sweep's sessions share is encoded once: 30 µs less."""
    startup = body.get("startupCommand")
    if startup is None:
        return json.dumps(body).encode()
    own, line, shared = startup.partition(SHARED)
    others = json.dumps({key: value for key, value in body.items() if key != "startupCommand"})
    return f'{others[:-1]}, "startupCommand": {json.dumps(own + line)[:-1]}{_rest(shared)}}}'.encode()


@functools.lru_cache(4)
def _rest(text: str) -> str:
    """A text in JSON, as the rest of a string that has begun."""
    return json.dumps(text)[1:]


def own_architecture() -> str:
    """This machine's architecture in the server's words; what the official client sends."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def resources(slots: Slots) -> dict[str, str]:
    """Amounts as the server reads them: memory in MiB where it is a whole number of them."""
    return {name: _amount(name, slots[name]) for name in slots}


def _amount(name: str, amount: Decimal) -> str:
    if name == "mem" and amount % _MIB == 0:
        return f"{int(amount) // _MIB}m"
    return format(amount.normalize(), "f")


def _resource_opts(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, has_value, value = text.partition("=")
        if not name or not has_value or not value:
            raise UsageError("--resource-opts: K=V is needed", text=text, span=(0, max(len(text), 1)))
        if name == "mem" and value[-1:].isdigit():
            value += "m"
        flag = {"true": True, "false": False}.get(value.lower())
        found[name] = value if flag is None else flag
    return found


def _ports(text: str | None) -> list[int]:
    if not text:
        return []
    found = []
    at = 0
    for word in text.split(","):
        if not word.strip().isascii() or not word.strip().isdigit() or not 0 < int(word) < 65536:
            raise UsageError(
                "--preopen: ports are numbers from 1 to 65535", text=text, span=(at, at + max(len(word), 1))
            )
        found.append(int(word))
        at += len(word) + 1
    return found


def _agents(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _priority(value: object) -> int | None:
    if value is None:
        return None
    priority = int(str(value))
    if not 0 <= priority <= 100:
        raise UsageError(f"--priority {priority}: it goes from 0 to 100")
    return priority


def _starts_at(text: str | None, kind: str) -> str | None:
    """A time with its zone, or a text such as ``+1h`` that the server reads itself."""
    if not text:
        return None
    if kind != "batch":
        raise UsageError(f"--starts-at {text}: servers take it for --type batch only")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (time if time.tzinfo else time.astimezone()).isoformat()


def _batch_timeout(sweep: Sweep) -> int | None:
    """The server's own limit, for when no runner is there to keep ours."""
    if sweep.timeout is None or sweep.type != "batch":
        return None
    return int(sweep.timeout) + _MARGIN
