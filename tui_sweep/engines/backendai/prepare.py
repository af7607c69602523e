"""What is settled when a sweep is created: where it runs, as whom, and what its options mean there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import EngineDenied, UsageError
from tui_sweep.core.plain import plain
from tui_sweep.core.sweep import Sweep
from tui_sweep.engines.backendai import create
from tui_sweep.engines.backendai.configuration import Configuration, read_configuration
from tui_sweep.engines.base import Prepared


def prepare(sweep: Sweep, *, environ: Mapping[str, str], cwd: Path) -> Prepared:
    """Check what can be checked before anything exists. Raises UsageError."""
    configuration = read_configuration(environ)
    place: dict[str, Any] = {
        "endpoint": ",".join(configuration.endpoints),
        "access_key": _access_key(configuration),
        "domain": configuration.domain,
        "group": configuration.group,
        "mounts": list(configuration.vfolder_mounts),
    }
    script = sweep.options.get("bootstrap_script")
    if script:
        place["bootstrap_script"] = _script(cwd / script, script)
    create.requested(sweep, place)
    notices = list(configuration.notices)
    if sweep.keep and sweep.type == "batch":
        notices.append("--keep: a batch session ends by itself; only with --type interactive it can be kept")
    if sweep.type == "interactive":
        notices.append(
            "--type interactive: output comes live, for a request every 2 s and running case; batch sessions "
            "cost less, and need no runner to begin"
        )
    return Prepared(place, notices)


def check_place(place: Mapping[str, Any], configuration: Configuration) -> None:
    """A sweep goes on where it was begun, and as whom. Raises EngineDenied."""
    places = [("at", place["endpoint"].split(","), list(configuration.endpoints))]
    if not configuration.is_session:
        places.append(("with access key", [place["access_key"]], [configuration.access_key]))
    for what, begun, now in places:
        if sorted(begun) != sorted(now):
            raise EngineDenied(
                f"this sweep was begun {what} {plain(', '.join(begun))}, and {plain(', '.join(now)) or 'none'} is "
                "configured now; set it as it was then to go on with it"
            )


def check_user(place: Mapping[str, Any], access_key: str) -> None:
    """A sweep goes on as the user who began it; ``access_key`` is what the server calls who is logged in now.
    Where either is not known nothing can be said. Raises EngineDenied."""
    begun = place["access_key"]
    if begun and access_key and begun != access_key:
        raise EngineDenied(
            f"this sweep was begun by {plain(begun)}, and {plain(access_key)} is logged in now; log in as then to go "
            "on with it"
        )


def _access_key(configuration: Configuration) -> str:
    """As whom a sweep is begun; "" for a login that does not tell, or that cannot be read: then none begins."""
    if not configuration.is_session:
        return configuration.access_key
    from tui_sweep.engines.backendai.cookies import cookie_file, read_access_key  # which brings HTTP along

    try:
        return read_access_key(cookie_file(configuration), configuration)
    except EngineDenied:
        return ""


def _script(path: Path, shown: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--bootstrap-script: cannot be read: {error}", text=shown, span=(0, len(shown))
        ) from error
    if len(text.encode()) > create.LARGEST_BOOTSTRAP:
        raise UsageError(
            f"--bootstrap-script: {len(text.encode()):,} bytes; servers keep {create.LARGEST_BOOTSTRAP:,} at most",
            text=shown,
            span=(0, len(shown)),
            hint="put the work into --build, or into a file given as FILES",
        )
    return text
