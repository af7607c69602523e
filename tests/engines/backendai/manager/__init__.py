"""A stand-in for a Backend.AI manager, for tests and benchmarks: real sockets, three dialects, faults.

    async with Manager(version="26.9.6", capacity={"cpu": 2}) as manager:
        await run_the_sweep(endpoint=manager.url, keypair=manager.admin)
        assert not manager.alive

What it answers follows the captures of running clusters (``captures/``; the tests beside hold it to them).
``python -m tests.engines.backendai.manager --help`` runs one as a process.
"""

from tests.engines.backendai.manager.containers import Canned, Outcome
from tests.engines.backendai.manager.faults import BAD_GATEWAY
from tests.engines.backendai.manager.keys import ADMIN, INACTIVE, MONITOR, USER, USER2, Keypair
from tests.engines.backendai.manager.server import Manager
from tests.engines.backendai.manager.sessions import IMAGE, Session

__all__ = [
    "ADMIN",
    "BAD_GATEWAY",
    "IMAGE",
    "INACTIVE",
    "MONITOR",
    "USER",
    "USER2",
    "Canned",
    "Keypair",
    "Manager",
    "Outcome",
    "Session",
]
