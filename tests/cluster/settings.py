"""What the manager is told: its configuration in files and in etcd, and the rows that its database needs.

The names of keys, tables and columns are Backend.AI's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from tests.cluster.accounts import INACTIVE, MONITOR, ROOM, USER2
from tests.cluster.release import Release
from tests.cluster.state import PORTS, SESSION_PORTS, State

TEMPLATES = Path(__file__).parent / "conf"
USER_ID = "dfa9da54-4b28-432f-be29-c0d680c7a412"
"""Of user@lablup.com, in the example users."""


def render(state: State) -> None:
    """Writes the configuration files, and the rows of `rows`, into ``state.conf``."""
    values = {name.replace("-", "_"): port for name, port in PORTS.items()} | {
        "state": state.root,
        "first_port": SESSION_PORTS[0],
        "last_port": SESSION_PORTS[1],
        "reserved_cpus": max((os.cpu_count() or ROOM) - ROOM, 0),
    }
    for template in TEMPLATES.iterdir():
        written = state.conf / template.name
        written.write_text(Template(template.read_text()).substitute(values))
        written.chmod(0o755 if written.read_text().startswith("#!") else 0o644)
    (state.conf / "rows.json").write_text(json.dumps(rows(state.release), indent=2))


def etcd(release: Release) -> dict[str, str]:
    """Keys and values of the cluster's configuration in etcd."""
    config: dict[str, Any] = {
        "system": {"timezone": "UTC"},
        "redis": {
            "addr": f"127.0.0.1:{PORTS['redis']}",
            "helper": {
                "socket_timeout": "5.0",
                "socket_connect_timeout": "2.0",
                "reconnect_poll_timeout": "0.3",
            },
        },
        "docker": {"image": {"auto_pull": "none"}},
        "api": {
            "allow-graphql-schema-introspection": "yes",
            "allow-openapi-schema-introspection": "yes",
        },
        "idle": {"enabled": ""},
        "network": {
            "subnet": {"agent": "127.0.0.0/8", "container": "127.0.0.0/8"},
            "overlay": {"mtu": "1500"},
        },
        "watcher": {"token": "unused"},
    }
    if release.registry_in_etcd:
        config["docker"]["registry"] = {"local": {"": "http://localhost", "type": "local"}}
    # There is no storage proxy; the manager does not start without the address of one.
    volumes = {
        "_types": {"group": "", "user": ""},
        "default_host": "local:volume1",
        "proxies": {
            "local": {
                "client_api": "http://127.0.0.1:6021",
                "manager_api": "http://127.0.0.1:6022",
                "secret": "unused",
                "ssl_verify": "false",
            }
        },
        "exposed_volume_info": "percentage",
    }
    return dict(_flat("/sorna/local", {"config": config, "volumes": volumes}))


def rows(release: Release) -> dict[str, list[dict[str, Any]]]:
    """What the example data lacks: a registry for the local image, a strict policy, an inactive key."""
    small = {"name": "small", "resource_slots": {"cpu": "1", "mem": str(1 << 30)}}
    one_at_a_time: dict[str, Any] = {
        "name": "one-at-a-time",
        "default_for_unspecified": "UNLIMITED",
        "total_resource_slots": {},
        "max_session_lifetime": 0,
        "max_concurrent_sessions": 1,
        "max_containers_per_session": 1,
        "idle_timeout": 3600,
        "allowed_vfolder_hosts": {},
    }
    inactive: dict[str, Any] = {
        "access_key": INACTIVE.access_key,
        "secret_key": INACTIVE.secret_key,
        "is_active": False,
        "resource_policy": "default",
        "rate_limit": 30000,
        "num_queries": 0,
        "is_admin": False,
        "user": USER_ID,
    }
    if release.series >= 25:
        one_at_a_time["max_pending_session_count"] = 2
    else:
        one_at_a_time |= {"max_vfolder_count": 10, "max_vfolder_size": 0}
    if release.series >= 26:
        one_at_a_time["is_default"] = inactive["is_default"] = False
    else:
        inactive["user_id"] = "user@lablup.com"
    tables = {
        "resource_presets": [small],
        "keypair_resource_policies": [one_at_a_time],
        "keypairs": [inactive],
    }
    if not release.registry_in_etcd:
        tables["container_registries"] = [
            {
                "id": "11111111-0000-4000-8000-000000000001",
                "registry_name": "local",
                "url": "http://localhost",
                "type": "local",
                "project": "stable",
            }
        ]
    return tables


def changes(release: Release) -> str:
    """SQL that changes example rows: the containers' network, the local registry, the users' limits.

    The limits are those of a user's default key, whichever of the keys signs. A monitor of 26.9.6 may not list
    sessions, its own neither, so ours is an ordinary user.
    """
    return f"""
        UPDATE scaling_groups SET use_host_network = {str(release.host_network).lower()};
        UPDATE domains SET allowed_docker_registries = array_append(allowed_docker_registries, 'local')
            WHERE NOT 'local' = ANY(allowed_docker_registries);
        UPDATE keypair_resource_policies SET max_concurrent_sessions = 30 WHERE name = 'default';
        UPDATE keypairs SET resource_policy = 'one-at-a-time' WHERE access_key = '{USER2.access_key}';
        UPDATE users SET role = 'user' WHERE email = 'monitor@lablup.com';
        UPDATE keypairs SET rate_limit = 20 WHERE access_key = '{MONITOR.access_key}';
    """


def _flat(above: str, tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The leaves of a tree with their paths; an empty name stands for the node itself."""
    leaves: list[tuple[str, str]] = []
    for name, value in tree.items():
        path = f"{above}/{name}" if name else above
        leaves += _flat(path, value) if isinstance(value, dict) else [(path, value)]
    return leaves
