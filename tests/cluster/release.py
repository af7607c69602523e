"""The Backend.AI releases that can be started here, and what differs between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the manager, the agent and the official client."""

    version: str
    """Its version on the package index."""
    series: int
    """The year, by which most differences go."""
    python: str
    """The only minor version of Python that it installs on."""
    api: str
    """The newest API version that it speaks, announced by ``GET /``."""
    fixtures: tuple[str, ...]
    """Files with the example users, in the wheel of its installer; later ones refer to earlier ones."""

    @property
    def host_network(self) -> bool:
        """Whether containers share the network of the machine; otherwise they are on a bridge of their own.

        Before 26 the network of the machine does not work: the agent keys its table of ports by those of
        the machine, and ends with ``KeyError: 2000``.
        """
        return self.series >= 26

    @property
    def limits_itself(self) -> bool:
        """Whether its agent asks for no higher RLIMIT than this machine allows."""
        return self.series >= 26

    @property
    def refuses_pending(self) -> bool:
        """Whether it refuses more waiting sessions than the policy allows; 25.5.2 takes them, and then starts none
        of them, and 23.9.10 knows no such limit."""
        return self.series >= 26

    @property
    def tells_places(self) -> bool:
        """Whether it tells an ordinary user the places of her sessions in the queue."""
        return self.series >= 26

    @property
    def ends_starting(self) -> bool:
        """Whether it ends a session that is being prepared. Older ones refuse that unless they are forced, which is
        done when such a session does not run soon; mostly it does."""
        return self.series >= 26

    @property
    def refuses_types(self) -> bool:
        """Whether it refuses sessions of a type that a resource group does not take; 26.9.6 takes and runs them."""
        return self.series < 26

    @property
    def finds_its_containers(self) -> bool:
        """Whether an agent that is started anew ends the sessions it finds as any others. Before 26 their containers
        stay, and hold cpus: "network None not found"."""
        return self.series >= 26

    @property
    def tells_of_its_agent(self) -> bool:
        """Whether a session whose agent was stopped is told from one that failed: 23.9.10 calls both task-finished,
        with the result FAILURE."""
        return self.series >= 25

    @property
    def registry_in_etcd(self) -> bool:
        """Whether container registries are keys in etcd; later they are a table."""
        return self.series <= 23

    @property
    def number(self) -> tuple[int, ...]:
        """The version in numbers: 23.9.10 calls itself 23.09.10."""
        return number(self.version)


def number(version: str) -> tuple[int, ...]:
    """``23.09.10`` and ``23.9.10`` alike as (23, 9, 10)."""
    return tuple(int(part) for part in version.split("."))


RELEASES = {
    release.version: release
    for release in (
        Release(
            version="26.9.6",
            series=26,
            python="3.13",
            api="v9.20250722",
            fixtures=(
                *("example-users", "example-keypairs", "example-resource-slot-types"),
                *("example-runtime-variants", "example-role-presets", "example-retention-policies"),
            ),
        ),
        Release(
            version="25.5.2",
            series=25,
            python="3.12",
            api="v8.20240915",
            fixtures=("example-users", "example-keypairs", "example-set-user-main-access-keys"),
        ),
        Release(
            version="23.9.10",
            series=23,
            python="3.11",
            api="v7.20230615",
            fixtures=("example-users", "example-keypairs", "example-set-user-main-access-keys"),
        ),
    )
}
"""The newest first; it is also the default."""

DEFAULT = next(iter(RELEASES))
