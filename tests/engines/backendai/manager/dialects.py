"""What differs between the three servers, as values; sources: NOTES.md, NOTES-OLD.md, the captures.

Where only a branch can tell, code asks ``is_26``; everything that is a word, a list or a number is here.
"""

from __future__ import annotations

from dataclasses import dataclass

_V4_TO_V7 = (
    *("v4.20181215", "v4.20190115", "v4.20190315", "v4.20190615", "v5.20191215", "v6.20200815"),
    *("v6.20220315", "v6.20220615", "v6.20230315", "v7.20230615"),
)

_ROOT_KEYS = frozenset(
    (
        *("name", "session_name", "clientSessionToken", "image", "lang", "arch", "architecture"),
        *("type", "sessionType", "group", "groupName", "group_name", "domain", "domainName", "domain_name"),
        *("cluster_size", "clusterSize", "cluster_mode", "clusterMode", "config", "tag", "enqueueOnly"),
        *("maxWaitSeconds", "starts_at", "startsAt", "reuseIfExists", "startupCommand"),
        *("bootstrap_script", "bootstrapScript", "dependencies", "owner_access_key"),
        *("callback_url", "callbackUrl", "callbackURL"),
    )
)
_CONFIG_KEYS = frozenset(
    (
        *("mounts", "mount_map", "mountMap", "environ", "scaling_group", "scalingGroup", "resources"),
        *("resource_opts", "resourceOpts", "preopen_ports", "preopenPorts", "agent_list", "agentList"),
    )
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server version."""

    version: str
    """As a test names it."""
    manager: str
    """As ``GET /`` names it."""
    api: str
    accepted: frozenset[str]
    """Values of X-BackendAI-Version that are not refused."""
    is_26: bool
    starting: tuple[str, ...]
    """Statuses between PENDING and RUNNING, in order."""
    info: dict[str, str | None]
    """status → status_info on the way there, where it is no reason."""
    root_keys: frozenset[str] | None = None
    """Keys that POST /session takes; others are refused. None: others are ignored."""
    config_keys: frozenset[str] | None = None
    """The same inside ``config``, where others are a 500."""
    session_events: frozenset[str] | None = None
    """Names of session_ events that are delivered. None: all."""
    undeletable: str = ""
    """How the 403 of a DELETE lists the statuses that need ``forced``."""
    predicates: tuple[str, ...] = ()
    """What the scheduler checks before it looks for room, in its order."""
    delete_seconds: float = 0.0
    """How long a DELETE of a running session takes to answer; in truth 0.5–5 s before 26."""

    @property
    def speaks_gql_nodes(self) -> bool:
        return self.api >= "v8"


_LIMITS = (
    "keypair_resource_limit",
    "user_resource_limit",
    "user_group_resource_limit",
    "domain_resource_limit",
)

V26 = Dialect(
    version="26.9.6",
    manager="26.9.6",
    api="v9.20250722",
    accepted=frozenset((*_V4_TO_V7, "v6.20221201", "v8.20240315", "v8.20240915", "v9.20250722")),
    is_26=True,
    starting=("SCHEDULED", "PREPARING", "PREPARED", "CREATING"),
    info={},
)
V25 = Dialect(
    version="25.5.2",
    manager="25.5.2",
    api="v8.20240915",
    accepted=frozenset((*_V4_TO_V7, "v6.20210815", "v8.20240315", "v8.20240915")),
    is_26=False,
    starting=("SCHEDULED", "PREPARING", "PREPARED", "CREATING"),
    info={
        **dict.fromkeys(("SCHEDULED", "PREPARING", "PREPARED", "CREATING"), "scheduled"),
        **dict.fromkeys(("RUNNING", "TERMINATING"), ""),
    },
    root_keys=_ROOT_KEYS | {"priority", "batch_timeout", "batchTimeout"},
    config_keys=_CONFIG_KEYS | {"mount_options", "mountOptions", "attach_network", "attachNetwork"},
    undeletable="scheduled/preparing/pulling/prepared/creating/terminating/error",
    predicates=(
        *("reserved_time", "dependencies", "concurrency"),
        *("pending_session_resource_limit", "pending_session_count_limit", *_LIMITS),
    ),
    delete_seconds=0.05,
)
V23 = Dialect(
    version="23.9.10",
    manager="23.09.10",
    api="v7.20230615",
    accepted=frozenset((*_V4_TO_V7, "v6.20210815")),
    is_26=False,
    starting=("SCHEDULED", "PREPARING"),
    info={"SCHEDULED": "scheduled", "PREPARING": "", "RUNNING": "", "TERMINATING": ""},
    root_keys=_ROOT_KEYS,
    config_keys=_CONFIG_KEYS,  # 23.9.10 has no mount_options, whatever the manual says
    session_events=frozenset(
        ("session_success", "session_failure", "session_terminating", "session_terminated"),
    ),
    undeletable="scheduled/preparing/terminating/error",
    predicates=("reserved_time", "dependencies", "concurrency", *_LIMITS),
    delete_seconds=0.05,
)
DIALECTS = {dialect.version: dialect for dialect in (V26, V25, V23)}
