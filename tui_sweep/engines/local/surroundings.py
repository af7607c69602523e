"""The environment of a case: the runner's, set back to what it was where the sweep was asked for."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from tui_sweep.core.session import SessionSpec
from tui_sweep.engines.local.runtimes import SITE
from tui_sweep.engines.local.turns import Hold

KEPT = frozenset(
    {
        "PATH",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "CONDA_DEFAULT_ENV",
        "PYTHONPATH",
        "PYTHONHOME",
        "LD_LIBRARY_PATH",
    }
    | {"LANG", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR"}
)
"""What is kept with the sweep, with LC_*. A list of what is wanted: a list of secrets would have holes."""

_PRIVATE = ("BACKEND_", "SORNA_", "SWEEP_TUI_")
"""Credentials of engines, and settings of this program."""

_MAKE = frozenset({"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR"})
"""What `make` tells its children. A make of a case's own is none of them: it would take itself for one,
look for a job server whose descriptors it was never given, and announce the folders it enters."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _is_kept(name: str) -> bool:
    return name in KEPT or name.startswith("LC_")


def kept(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the launching environment goes into ``sweep.json``."""
    return {name: value for name, value in environ.items() if _is_kept(name)}


class Surroundings:
    """Makes the environments of one sweep's cases.

    What the runner has is encoded once: a dictionary of text costs 30 µs a case to encode.
    """

    def __init__(self, environ: Mapping[str, str], place: Mapping[str, Any], *, site: bool) -> None:
        """``environ`` is the runner's; ``site``: a default build may install into the case's copy."""
        launch: Mapping[str, str] = place["environ"]
        own = {n: v for n, v in environ.items() if not (n.startswith(_PRIVATE) or n in _MAKE or _is_kept(n))}
        self.base = {os.fsencode(n): os.fsencode(v) for n, v in {**own, **launch}.items()}
        """What all cases have."""
        self._site = site
        self._threads = [name.encode() for name in _THREADS if name.encode() not in self.base]

    def environment(self, spec: SessionSpec, folder: str, hold: Hold | None, cwd: Path) -> dict[bytes, bytes]:
        """What one case has besides ``base``; ``folder`` is its attempt's. What ``-e`` set wins."""
        env: dict[bytes, bytes] = {}
        if self._threads:
            env.update(dict.fromkeys(self._threads, _threads_of(spec.slots["cpu"])))
        if hold is not None and hold.gpus:
            env[b"CUDA_VISIBLE_DEVICES"] = ",".join(hold.gpus).encode()
        if self._site:
            path = os.fsencode(cwd / SITE)
            older = self.base.get(b"PYTHONPATH")
            env[b"PYTHONPATH"] = path + b":" + older if older else path
        env[b"SWEEP_DIR"], env[b"PWD"] = os.fsencode(folder), os.fsencode(cwd)
        for key, value in spec.env.items():
            env[os.fsencode(key)] = os.fsencode(value)
        return env


@functools.cache
def _threads_of(cpu: Decimal) -> bytes:
    return b"%d" % max(1, int(cpu.to_integral_value(ROUND_CEILING)))


def odd_names(env: Mapping[str, str]) -> list[str]:
    """``NAME=VALUE`` words for variables that a shell would drop because it could not have them
    (``-e foo.bar=1``): they take the way through env(1)."""
    return [f"{name}={value}" for name, value in env.items() if not _IDENTIFIER.fullmatch(name)]
