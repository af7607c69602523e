"""Who may do what on the cluster: the example users of Backend.AI's installer, with limits of ours.

The keys are public: they are in the wheel ``backend.ai-install``, and open nothing but a cluster on loopback.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.cluster.state import PORTS

ENDPOINT = f"http://127.0.0.1:{PORTS['manager']}"
DOMAIN = GROUP = "default"
IMAGE = "local/stable/python:3.11-debian12"
"""Debian 12 with Python 3.11 and ipykernel. The only one that there is."""
ROOM = 2
"""Cpus that the agent gives to sessions, however many the machine has."""


@dataclass(frozen=True, slots=True)
class Account:
    """A key pair."""

    access_key: str
    secret_key: str


ADMIN = Account("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
"""Superadmin; 30 concurrent sessions."""
USER = Account("AKIANABBDUSEREXAMPLE", "C8qnIo29EZvXkPK_MXcuAakYTy4NYrxwmCEyNPlf")
"""An ordinary user; 30 concurrent sessions."""
USER2 = Account("AKIANATWOUSEREXAMPLE", "P7oxTDdzHbEpUSs5v7r7EWj9yKstp8VpZ7SEyA-g")
"""One concurrent session and, where the release has such a limit, two pending ones."""
MONITOR = Account("AKIANAMONITOREXAMPLE", "7tuEwF1J7FfK41vOM4uSSyWCUWjPBolpVwvgkSBu")
"""An ordinary user here; twenty requests in fifteen minutes."""
INACTIVE = Account("AKIABAIINACTIVEKEY01", "throwawayInactive00000000000000000000000")
"""A key of ``USER`` that has been switched off."""
