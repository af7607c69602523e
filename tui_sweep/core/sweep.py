"""Sweep: what the user asked for, as one frozen value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tui_sweep.core.ranges import Range
from tui_sweep.core.slots import Slots

STAR = "*"
"""The default of clean, build and exec: with FILES what the runtime does by itself, else nothing."""


@dataclass(frozen=True, slots=True)
class Halt:
    """When failures end the whole sweep, in GNU parallel's words (``--halt``)."""

    when: Literal["never", "soon", "now"] = "never"
    """``soon``: start nothing new; ``now``: cancel the live ones too."""
    fail: int = 0
    """How many failed cases, or how many per cent of all cases (see ``percent``)."""
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep as it was asked for. Everything in it is kept in ``sweep.json``."""

    image: str
    engine: str
    name: str | None = None
    code: str | None = None
    """``-c``: a program text; never a template. Excludes files, build and exec."""
    files: tuple[str, ...] = ()
    """Paths of the snapshot, relative to its root, with ``/``; empty when no FILES were given."""
    env: tuple[tuple[str, str], ...] = ()
    """``-e NAME=TEMPLATE`` in option order; of a repeated name the last template counts."""
    clean: str = STAR
    build: str = STAR
    exec: str = STAR
    ranges: tuple[Range, ...] = ()
    """``--range``: usable in every template."""
    env_ranges: tuple[Range, ...] = ()
    build_ranges: tuple[Range, ...] = ()
    exec_ranges: tuple[Range, ...] = ()
    zips: tuple[tuple[str, ...], ...] = ()
    """``--zip V,W``: names of variables that are walked together."""
    slots: Slots = field(default_factory=lambda: Slots({"cpu": 1}))
    max_parallel: int | None = None
    retries: int = 0
    retry_delay: float = 1.0
    """Seconds before the first retry; doubled for each further one."""
    timeout: float | None = None
    """Seconds a case may run."""
    max_wait: float | None = None
    """Seconds from a case's turn until it starts."""
    halt: Halt = Halt()
    keep: bool = False
    grace: float = 10.0
    """Seconds between TERM and KILL."""
    type: Literal["batch", "interactive"] = "batch"
    options: Mapping[str, Any] = field(default_factory=dict)
    """What only a server understands (tag, group, mounts …), by its option name."""

    def record(self) -> dict[str, Any]:
        """This sweep as JSON values; ``Sweep.restore`` reads it back."""
        return {
            "image": self.image,
            "engine": self.engine,
            "name": self.name,
            "code": self.code,
            "files": list(self.files),
            "env": [list(pair) for pair in self.env],
            "clean": self.clean,
            "build": self.build,
            "exec": self.exec,
            **{kind: [r.record() for r in getattr(self, kind)] for kind in _RANGES},
            "zips": [list(names) for names in self.zips],
            "slots": self.slots.record(),
            "max_parallel": self.max_parallel,
            "retries": self.retries,
            "retry_delay": self.retry_delay,
            "timeout": self.timeout,
            "max_wait": self.max_wait,
            "halt": {"when": self.halt.when, "fail": self.halt.fail, "percent": self.halt.percent},
            "keep": self.keep,
            "grace": self.grace,
            "type": self.type,
            "options": dict(self.options),
        }

    @classmethod
    def restore(cls, record: Mapping[str, Any]) -> Sweep:
        """The sweep that ``record()`` described."""
        values = dict(record)
        values["files"] = tuple(record["files"])
        values["env"] = tuple((name, template) for name, template in record["env"])
        values["zips"] = tuple(tuple(names) for names in record["zips"])
        values["slots"] = Slots(record["slots"])
        values["halt"] = Halt(**record["halt"])
        for kind in _RANGES:
            values[kind] = tuple(Range.restore(item) for item in record[kind])
        return cls(**values)

    @property
    def digest(self) -> str:
        """sha256, in hex, of the canonical JSON of ``record()``."""
        import hashlib  # 4 ms, for it loads OpenSSL

        text = json.dumps(self.record(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


_RANGES = ("ranges", "env_ranges", "build_ranges", "exec_ranges")
