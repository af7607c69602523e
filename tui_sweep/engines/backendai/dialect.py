"""What each version of the server accepts and tells (PROTOCOL.md 13, NOTES.md, NOTES-OLD.md).

Three were run and looked at: 23.09.10 (v7.20230615), 25.5.2 (v8.20240915), 26.9.6 (v9.20250722).
Of those in between the older one's ways are kept until it is known that they changed. Newer ones are
spoken to as 26.x.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tui_sweep.core.errors import EngineDenied
from tui_sweep.engines.backendai.problems import short

ACCEPTED = ("v7.20230615", "v8.20240315", "v8.20240915", "v9.20250722")
"""Versions that servers were seen to announce, of those that we speak, oldest first. Never invent one:
a server refuses each that is not in its own list."""

_FORM = re.compile(r"v([0-9]{1,4})\.([0-9]{8})")
_RELEASE = re.compile(r"([0-9]{2})\.([0-9]{1,2})(?:\.([0-9]{1,4}))?(?![0-9])")

_TOP = frozenset(
    (
        *("name", "image", "architecture", "type", "group", "domain", "clusterSize", "clusterMode", "config"),
        *("tag", "enqueueOnly", "maxWaitSeconds", "starts_at", "reuseIfExists", "startupCommand"),
        *("bootstrap_script", "dependencies", "callback_url", "owner_access_key"),
    )
)
_CONFIG = frozenset(
    (
        *("mounts", "mount_map", "environ", "scalingGroup", "resources", "resource_opts", "preopen_ports"),
        "agentList",
    )
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server is spoken to."""

    version: str
    """What X-BackendAI-Version says to it."""
    manager: str
    """What it calls itself, e.g. ``26.9.6``; made harmless."""
    top_keys: frozenset[str]
    """Keys of ``POST /session``; servers before 26 answer others with 400."""
    config_keys: frozenset[str]
    """Keys of its ``config``; servers before 26 answer others with 500."""
    delete_needs_force_while_starting: bool
    """DELETE is 403 between PENDING and RUNNING, and in TERMINATING and ERROR, unless ``forced``."""
    delete_waits: bool
    """DELETE answers when the container is gone: 0.5 to 10 s."""
    can_upload: bool
    """A file under a relative name gets into a session. 25.5.2 refuses each, and wants a form that 23.09
    would write outside the container: no other form is ever sent."""
    slow_by_name: bool
    """Every request that names a session makes all later ones slower (23.09): ask by list."""
    logs_by_id_only: bool
    """An ended session's log is found by its UUID alone."""
    status_history: bool
    """``GET /session/ID/status-history`` is there."""
    tells_why_pending: bool
    """``status_data.scheduler`` says why a session waits."""
    sse_scope: str
    """What ``scope`` of the event stream says for everything."""
    sse_has_exit_code: bool
    """``session_success`` and ``session_failure`` carry the exit code."""
    sse_tells_starts: bool
    """``session_enqueued``, ``_scheduled``, ``_started`` and ``_cancelled`` are delivered."""
    query_has_exit_code: bool
    """A run in query mode tells its exit code; older servers always say 0."""
    queue_position: bool
    """GraphQL knows ``compute_session_nodes.queue_position`` (25.13)."""
    session_nodes: bool
    """GraphQL knows ``compute_session_nodes`` with ``scope_id`` (24.12)."""
    has_requested_slots: bool
    """GraphQL knows ``requested_slots`` of a session (24.03)."""
    has_pending_limit: bool
    """GraphQL knows ``max_pending_session_count`` of a policy (24.03.4)."""
    has_rolling_count: bool
    """GraphQL knows ``rolling_count`` of a key (24.09)."""
    pending_limit_at_creation: bool
    """More waiting sessions than allowed are refused (26). Before, with as many as that waiting *none*
    ever starts (seen on 25.5.2)."""

    def most_pending(self, limit: int | None) -> int | None:
        """How many may wait where the policy says ``limit``; None is no limit."""
        return limit if limit is None or self.pending_limit_at_creation else max(limit - 1, 1)

    @property
    def create_keys(self) -> frozenset[str]:
        """Keys of ``POST /session``, at its top or in its ``config``; no name is in both."""
        return self.top_keys | self.config_keys


def run_ids(run: str) -> dict[str, str]:
    """The id of a run, as every version reads it: 26 ``run_id``, those before ``runId``."""
    return {"runId": run, "run_id": run}


def dialect(announced: str, manager: str, host: str) -> Dialect:
    """How to speak to a server that announces this API version and manager version.

    Raises EngineDenied for one that is too old, or announces no version at all.
    """
    match = _FORM.fullmatch(announced)
    if match is None:
        raise EngineDenied(
            f"{host} announces no API version: is BACKEND_ENDPOINT the address of a manager's API?"
        )
    theirs = (int(match[1]), match[2])
    fitting = [one for one in ACCEPTED if _parsed(one) <= theirs]
    if not fitting:
        raise EngineDenied(
            f"{host} is too old: it is Backend.AI {short(manager, 40) or '?'} with API {announced}, "
            f"and 23.09 with {ACCEPTED[0]} is the oldest that can be spoken to"
        )
    return _dialect(fitting[-1], short(manager, 40))


def _parsed(version: str) -> tuple[int, str]:
    major, _, date = version[1:].partition(".")
    return int(major), date


def _dialect(version: str, manager: str) -> Dialect:
    is_26 = version == "v9.20250722"
    is_8 = version.startswith("v8.")
    is_late_8 = version == "v8.20240915"
    release = _release(version, manager)
    top, config = _TOP, _CONFIG
    if is_late_8 or is_26:
        top |= {"priority", "batch_timeout"}
        config |= {"mount_options", "attach_network"}
    if is_26:
        top |= {"job_priority", "is_preemptible"}
        config |= {"mount_ids", "mount_id_map"}
    return Dialect(
        version=version,
        manager=manager,
        top_keys=top,
        config_keys=config,
        delete_needs_force_while_starting=not is_26,
        delete_waits=not is_26,
        can_upload=not is_8,
        slow_by_name=not (is_8 or is_26),
        logs_by_id_only=is_26,
        status_history=is_26,
        tells_why_pending=not is_26,
        sse_scope="*",
        sse_has_exit_code=not is_26,
        sse_tells_starts=is_8 or is_26,
        query_has_exit_code=is_26,
        queue_position=release >= (25, 13),
        session_nodes=release >= (24, 12),
        has_requested_slots=release >= (24, 3),
        has_pending_limit=release >= (24, 3, 4),
        has_rolling_count=release >= (24, 9),
        pending_limit_at_creation=is_26,
    )


_ASSUMED = {"v7.20230615": (23, 9), "v8.20240315": (24, 3), "v8.20240915": (24, 9), "v9.20250722": (25, 6)}
"""The release behind an API version where the manager does not tell its own: rather older than it is."""


def _release(version: str, manager: str) -> tuple[int, ...]:
    """The manager's release as numbers; what it calls itself may be anything."""
    match = _RELEASE.match(manager)
    return tuple(int(part) for part in match.groups("0")) if match else _ASSUMED[version]
