"""What is settled when a sweep is created: the runtime, the surroundings, and what cannot be done here."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import UsageError
from tui_sweep.core.slots import Slots, format_size
from tui_sweep.core.sweep import STAR, Sweep
from tui_sweep.engines.base import Prepared
from tui_sweep.engines.local.capacity import Capacity, measure
from tui_sweep.engines.local.runtimes import Chosen, choose
from tui_sweep.engines.local.surroundings import kept

_ALTERING = {
    "mounts": ("--mount", "a mount changes what the program sees"),
    "bootstrap_script": ("--bootstrap-script", "a bootstrap script changes what the program finds"),
}
"""What cannot be done here: how it is written, and why."""
_LARGEST = 128 * 1024
"""Bytes of one argument on Linux, its final zero included."""


def prepare(sweep: Sweep, *, environ: Mapping[str, str], cwd: Path) -> Prepared:
    """Check what can be checked before anything exists. Raises UsageError."""
    left_out = _options(sweep.options)
    chosen = choose(sweep.image, environ, cwd)
    _commands(sweep, chosen)
    with_gpus = any(name.startswith("cuda") for name in sweep.slots)
    check_fits(sweep.slots, measure(environ, with_gpus=with_gpus))
    notices = []
    if not chosen.by_path:
        notices.append(f"the image itself is not used on local: {sweep.image} means {chosen.interpreter}")
    if left_out:
        notices.append("without meaning on local and left out: " + ", ".join(left_out))
    place = {
        "host": socket.gethostname(),
        "cwd": os.path.abspath(cwd),
        "runtime": chosen.runtime.name,
        "interpreter": chosen.interpreter,
        "environ": kept(environ),
    }
    return Prepared(place, notices)


def _options(options: Mapping[str, Any]) -> list[str]:
    """The options that do nothing here, as written. Raises UsageError for those that would do something."""
    left_out = []
    for key, value in options.items():
        name = key.replace("-", "_")
        if value is None or value is False or value in ("", (), [], {}):
            continue
        if name in ("cluster_size", "cluster_mode"):
            if name == "cluster_size" and str(value) != "1":
                raise UsageError(
                    f"--cluster-size {value}: this machine is one node",
                    hint="leave it out, or use --engine backendai",
                )
            continue
        if name in _ALTERING:
            written, why = _ALTERING[name]
            raise UsageError(
                f"{written} is not possible on local: {why}",
                hint="leave it out, or use --engine backendai",
            )
        left_out.append("--" + name.replace("_", "-"))
    return left_out


def _commands(sweep: Sweep, chosen: Chosen) -> None:
    if sweep.code is not None and len(os.fsencode(sweep.code)) >= _LARGEST:
        raise UsageError(
            f"-c has {len(os.fsencode(sweep.code)) // 1024} KiB; Linux takes less than 128 KiB as one argument",
            hint="put it into a file and give it as FILES",
        )
    if sweep.files and sweep.exec == STAR and not sweep.exec_ranges and chosen.runtime.main is None:
        raise UsageError(
            f"{chosen.interpreter}: it is not known which file this interpreter executes by default",
            hint="name the command with --exec",
        )


def check_fits(request: Slots, capacity: Capacity) -> None:
    """Raise UsageError for a request that could never start here."""
    for name in request.short_of(capacity.slots):
        asked = f"{name}={_amount(name, request[name])}"
        if name not in capacity.slots:
            there = ", ".join(f"{n}={_amount(n, capacity.slots[n])}" for n in capacity.slots)
            message = f"-r {asked}: this machine has no {name}; it has {there}"
        else:
            message = f"-r {asked}: this machine has {_amount(name, capacity.slots[name])} in all"
        raise UsageError(
            message,
            text=asked,
            span=(len(name) + 1, len(asked)),
            hint="ask for less, or use --engine backendai",
        )
    gpus = request["cuda.device"]
    if gpus != int(gpus):
        raise UsageError(f"-r cuda.device={gpus}: whole devices only on local", hint="ask for a whole number")


def _amount(name: str, amount: Decimal) -> str:
    return format_size(amount).replace(" ", "") if name == "mem" else format(amount.normalize(), "f")
