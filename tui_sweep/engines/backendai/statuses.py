"""Their words and ours: what a session's status on the server means for a case.

Sources: PROTOCOL.md 3.4 and 3.5; the orders seen on real servers of 23.09, 25.5 and 26.9. A status
that is not known is alive: newer servers have more on the way than older ones, never fewer ends.
"""

from __future__ import annotations

from tui_sweep.core.states import Event

ENDED = frozenset({"TERMINATED", "CANCELLED"})
"""Nothing of the session is left on the cluster."""
BROKEN = "ERROR"
"""Over, but it holds its name and its slots until it is terminated."""

BACK = frozenset({"DEPRIORITIZING", "PREEMPTED", "RESCHEDULING"})
"""On the way back to PENDING (26.x): what ran is gone, and the server starts it anew by itself."""

_EVENTS = {
    "PENDING": Event.ACCEPTED,
    **dict.fromkeys(sorted(BACK), Event.ACCEPTED),
    **dict.fromkeys(
        ("RESERVED", "SCHEDULED", "PULLING", "PREPARING", "PREPARED", "CREATING"), Event.PREPARING
    ),
    **dict.fromkeys(("RUNNING", "RUNNING_DEGRADED", "RESTARTING"), Event.STARTED),
}

_CAUSES = {
    "task-timeout": "over its time limit, ended by the server",
    "idle-timeout": "ended by the server: idle for too long",
    "idle-session-lifetime": "ended by the server: over the longest life of a session",
    "idle-utilization": "ended by the server: it used too little of what it had",
    "pending-timeout": "ended by the server: it waited longer than its resource group allows",
    "failed-to-start": "the server could not start it",
    "failed-to-create": "the server could not create its container",
    "image-pull-failed": "the server could not pull its image",
    "bootstrap-timeout": "its bootstrap script took too long",
    "hang-timeout": "ended by the server: it hung between two states",
    "task-cancelled": "its agent was stopped while it ran",
    "agent-termination": "its agent was shut down",
    "abnormal-termination": "its container was killed from outside",
    "self-terminated": "its container ended by itself",
    "container-not-found": "its container is gone",
    "force-terminated": "terminated by force",
    "user-requested": "terminated by its user",
}


def event(status: str) -> Event | None:
    """What a status of a live session tells; None where it tells nothing new."""
    return _EVENTS.get(status)


def cause(info: str | None) -> str | None:
    """A status_info in words; itself where it has none, None where there is nothing to say."""
    if info is None or info in ("", "None"):
        return None
    return _CAUSES.get(info, info)
