"""What the cluster changes in the machine's network: a bridge for older releases, a closed gate for newer ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.command import run
from tests.cluster.state import SESSION_PORTS, State, Unfit

BRIDGE = "sweeptui0"
BRIDGE_ADDRESS = "172.30.250.1/24"
BRIDGE_MAC = "02:42:ac:1e:fa:01"
"""Fixed: a bridge takes the lowest of its ports' otherwise, another one whenever a container comes or goes,
and the containers go on sending to the old one for a minute."""
_GATE = (
    *("INPUT", "!", "--in-interface", "lo", "--protocol", "tcp"),
    *("--destination-port", f"{SESSION_PORTS[0]}:{SESSION_PORTS[1]}", "--jump", "DROP"),
)


def prepare(state: State) -> None:
    """Makes the bridge, or closes the gate. Raises Unfit.

    Containers on the machine's own network have the services of their sessions listen on all of its
    addresses, with a shell among them: only loopback may reach these ports. A bridge without forwarding and
    NAT reaches nothing, and docker publishes its ports on loopback.
    """
    log = state.log("network")
    _mark(state).touch()
    if state.release.host_network:
        for command in _gates():
            if not _has_gate(command):
                run(command, "--insert", *_GATE, log=log, raises=Unfit)
    elif not Path("/sys/class/net", BRIDGE).exists():
        run("ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge", log=log, raises=Unfit)
        run("ip", "address", "add", BRIDGE_ADDRESS, "dev", BRIDGE, log=log, raises=Unfit)
        run("ip", "link", "set", BRIDGE, "up", log=log, raises=Unfit)


def restore(state: State) -> None:
    """Takes away again what `prepare` made; nothing when that was another cluster's."""
    if not _mark(state).exists():
        return
    if state.release.host_network:
        for command in _gates():
            while _has_gate(command):
                subprocess.run((command, "--delete", *_GATE), check=True)
    elif Path("/sys/class/net", BRIDGE).exists():
        subprocess.run(("ip", "link", "delete", BRIDGE), check=True)
    _mark(state).unlink()


def is_closed() -> bool:
    """Whether the gate is closed."""
    return all(_has_gate(command) for command in _gates())


def _mark(state: State) -> Path:
    """There while the changes are this cluster's."""
    return state.run / "network"


def _gates() -> list[str]:
    ipv6 = Path("/proc/net/if_inet6")
    return ["iptables", "ip6tables"] if ipv6.exists() and ipv6.read_text() else ["iptables"]


def _has_gate(command: str) -> bool:
    try:
        return subprocess.run((command, "--check", *_GATE), capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
