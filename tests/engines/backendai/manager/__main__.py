"""Run a stand-in manager as a process: prints its URL, ends by SIGTERM or SIGINT. At each SIGUSR1 it prints
a line of JSON: how often each route was asked, and how many sessions are in each status."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter
from dataclasses import replace

from tests.engines.backendai.manager import ADMIN, IMAGE, Manager, Outcome
from tests.engines.backendai.manager.dialects import DIALECTS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.engines.backendai.manager", description=__doc__)
    parser.add_argument("--version", default="26.9.6", choices=list(DIALECTS))
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--cpu", type=float, default=2, help="capacity")
    parser.add_argument("--mem", type=float, default=24e9, help="capacity in bytes")
    parser.add_argument(
        "--delays", type=json.loads, default={}, help='JSON: status → seconds, {"CREATING": 0.5}'
    )
    parser.add_argument(
        "--canned", metavar="TEXT", help="what every startup command prints, instead of running it"
    )
    parser.add_argument("--seconds", type=float, default=0.0, help="how long a canned command runs")
    parser.add_argument("--code", type=int, default=0, help="how a canned command exits")
    parser.add_argument("--image", action="append", help="an image that exists, in place of the usual one")
    parser.add_argument("--rate-limit", type=int, default=10**9, help="requests in 900 s")
    parser.add_argument(
        "--sessions", type=int, default=10**6, help="how many of a user's sessions may run at once"
    )
    return parser.parse_args()


def _tell(manager: Manager) -> None:
    statuses = Counter(session.status for session in manager.sessions)
    print(json.dumps({"calls": manager.calls, "statuses": statuses}), flush=True)  # noqa: T201


async def _serve(arguments: argparse.Namespace) -> None:
    policy = replace(ADMIN.policy, max_concurrent_sessions=arguments.sessions)
    admin = ADMIN.but(rate_limit=arguments.rate_limit, policy=policy)
    outcome = Outcome((arguments.canned or "").encode(), arguments.code, arguments.seconds)
    manager = Manager(
        arguments.version,
        capacity={"cpu": arguments.cpu, "mem": arguments.mem},
        delays=arguments.delays,
        port=arguments.port,
        keypairs=(admin,),
        canned=None if arguments.canned is None else lambda *_: outcome,
        images=tuple(arguments.image or [IMAGE]),
    )
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    loop.add_signal_handler(signal.SIGUSR1, _tell, manager)
    async with manager:
        print(manager.url, flush=True)  # noqa: T201
        await done.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
