"""Users, keypairs and what they are allowed: those of the test cluster (NOTES.md). All are examples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

DOMAIN = "default"
GROUP = "default"
GROUP_ID = "2de2b969-1d04-48a6-af16-0bc8adb3c831"
SCALING_GROUP = "default"


@dataclass(frozen=True, slots=True)
class Policy:
    """A keypair resource policy."""

    name: str = "default"
    max_concurrent_sessions: int = 30
    max_pending_session_count: int | None = None
    total_resource_slots: dict[str, str] = field(default_factory=dict)
    """Slot name → amount as text; empty: no limit."""


@dataclass(frozen=True, slots=True)
class Keypair:
    """An access key with its secret, whose it is, and its limits."""

    access_key: str
    secret_key: str = field(repr=False)
    user_id: str
    email: str
    full_name: str
    role: str = "user"
    is_active: bool = True
    rate_limit: int = 30_000
    """Requests in 900 s."""
    policy: Policy = Policy()

    @property
    def is_admin(self) -> bool:
        return self.role == "superadmin"

    def but(self, **changes: Any) -> Keypair:
        """The same with other limits: ``ADMIN.but(rate_limit=100)``."""
        return replace(self, **changes)


ADMIN = Keypair(
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "f38dea23-50fa-42a0-b5ae-338f5f4693f4",
    "admin@lablup.com",
    "Admin Lablup",
    role="superadmin",
)
USER = Keypair(
    "AKIANABBDUSEREXAMPLE",
    "C8qnIo29EZvXkPK_MXcuAakYTy4NYrxwmCEyNPlf",
    "dfa9da54-4b28-432f-be29-c0d680c7a412",
    "user@lablup.com",
    "User Lablup",
)
USER2 = Keypair(
    "AKIANATWOUSEREXAMPLE",
    "P7oxTDdzHbEpUSs5v7r7EWj9yKstp8VpZ7SEyA-g",
    "8c1f9a0e-2f3c-4c55-8d4c-0b7d3b0c9f12",
    "user2@lablup.com",
    "User2 Lablup",
    policy=Policy("one-at-a-time", max_concurrent_sessions=1, max_pending_session_count=2),
)
MONITOR = Keypair(
    "AKIANAMONITOREXAMPLE",
    "7tuEwF1J7FfK41vOM4uSSyWCUWjPBolpVwvgkSBu",
    "2e10157d-20ca-4bd0-9806-3f909cbcd0e6",
    "monitor@lablup.com",
    "Monitor Lablup",
    rate_limit=20,
)
INACTIVE = Keypair(
    "AKIABAIINACTIVEKEY01",
    "throwawayInactive00000000000000000000000",
    USER.user_id,
    USER.email,
    USER.full_name,
    is_active=False,
)
EVERYONE = (ADMIN, USER, USER2, MONITOR, INACTIVE)
