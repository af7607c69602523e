"""A real Backend.AI on this machine, for the tests: `make cluster-up` and its like.

What there is: PostgreSQL, Redis, etcd, a dockerd of its own, the manager and one agent with two cpus, all
on loopback; users with limits (accounts.py) and one image (image.py). No storage proxy, so no virtual
folders, no web server and no GPU.

What it needs: Debian on x86_64, root, two cpus, 3 GiB of memory, 2 GB of disk for each release, a package
index that pip reaches, and the release's own Python: 3.13 for 26.9.6, 3.12 for 25.5.2, 3.11 for 23.9.10, on
the PATH, in pyenv, or named by CLUSTER_PYTHON. Debian's packages it installs by itself.

Everything is in CLUSTER_STATE (/var/tmp/sweep-tui-cluster), a folder for each release. Each start finds
the same state: no sessions, the same users, nothing counted against them. The first one takes two to four
minutes, the next ones 10 to 25 seconds. Only one release can be up at a time, for the ports are the same.

Ends with 0, with 1 when a step failed that should not, and with 3 when this machine cannot run a cluster.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.accounts import ADMIN, DOMAIN, ENDPOINT, GROUP, IMAGE
from tests.cluster.release import DEFAULT, RELEASES
from tests.cluster.stack import NAMES, Stack
from tests.cluster.state import Broken, Unfit, say, state_of

ROOT = Path(__file__).parent.parent.parent


def up(stack: Stack, options: argparse.Namespace) -> None:
    """start it, if it is not up"""
    stack.up()


def down(stack: Stack, options: argparse.Namespace) -> None:
    """stop it, and keep its folder; with --wipe remove that, too"""
    stack.down(wipe=options.wipe)


def status(stack: Stack, options: argparse.Namespace) -> None:
    """say what runs, with pids"""
    running = stack.running
    word = "up" if stack.is_up else "in part up" if running else "down"
    pids = ", ".join(f"{name} {running.get(name, 'not running')}" for name in NAMES)
    print(f"{stack.state.release.version} {word}" + (f" ({pids})" if running else ""))


def env(stack: Stack, options: argparse.Namespace) -> None:
    """print shell lines that make it the cluster of the official client and of ours"""
    variables = {
        "BACKEND_ENDPOINT": ENDPOINT,
        "BACKEND_ENDPOINT_TYPE": "api",
        "BACKEND_ACCESS_KEY": ADMIN.access_key,
        "BACKEND_SECRET_KEY": ADMIN.secret_key,
        "BACKEND_DOMAIN": DOMAIN,
        "BACKEND_GROUP": GROUP,
        "CLUSTER_IMAGE": IMAGE,
        "CLUSTER_CLIENT": stack.state.bin / "backend.ai",
    }
    for name, value in variables.items():
        print(f"export {name}={value}")


_FAILED = 1
"""What pytest ends with when tests failed."""


def test(stack: Stack, options: argparse.Namespace) -> None:
    """run the tests of the cluster, starting it and stopping it again when it is not up; twice those that fail"""
    was_up = stack.is_up
    stack.up()
    try:
        command = (sys.executable, "-m", "pytest", "tests/cluster", *options.arguments)
        environ = os.environ | {"CLUSTER_VERSION": stack.state.release.version}
        ended = subprocess.run(command, cwd=ROOT, env=environ, check=False)
        if ended.returncode == _FAILED:
            say("cluster: the tests that failed are run once more: a real server has its own bad moments")
            ended = subprocess.run([*command, "--last-failed"], cwd=ROOT, env=environ, check=False)
    finally:
        if not was_up:
            stack.down()
    if ended.returncode:
        raise Broken(f"tests failed on Backend.AI {stack.state.release.version}")


def manager_restart(stack: Stack, options: argparse.Namespace) -> None:
    """stop the manager and start it again"""
    stack.stop_manager()
    stack.start_manager()


def agent_stop(stack: Stack, options: argparse.Namespace) -> None:
    """stop the agent; the containers of its sessions go on"""
    stack.stop_agent()


def agent_start(stack: Stack, options: argparse.Namespace) -> None:
    """start the agent again"""
    stack.start_agent()


COMMANDS = {
    function.__name__.replace("_", "-"): function
    for function in (up, down, status, env, test, manager_restart, agent_stop, agent_start)
}


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description=__doc__.splitlines()[0],
        epilog=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__)
        several = name in ("down", "status")
        choices = [*RELEASES, "all"] if several else list(RELEASES)
        command.add_argument("version", nargs="?", choices=choices, default=DEFAULT)
        if name == "down":
            command.add_argument("--wipe", action="store_true")
        if name == "test":
            command.add_argument("arguments", nargs="*", help="pytest's own, after --")
        command.set_defaults(function=function)
    options = parser.parse_args()
    versions = list(RELEASES) if options.version == "all" else [options.version]
    try:
        for version in versions:
            options.function(Stack(state_of(RELEASES[version])), options)
    except Unfit as reason:
        say(f"cluster: {reason}")
        return 3
    except Broken as failure:
        say(f"cluster: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
