"""Where a cluster lives on this machine: its folder and its ports, all on loopback."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.release import RELEASES, Release

DEFAULT_STATE = "/var/tmp/sweep-tui-cluster"
"""Not in the home directory: PostgreSQL runs as another user, who must reach it."""
PORTS = {
    "postgres": 8100,
    "redis": 8110,
    "etcd": 8120,
    "etcd-peer": 8121,
    "manager": 8081,
    "manager-internal": 18080,
    "agent": 6001,
    "agent-http": 6003,
    "agent-sock": 6007,
    "agent-metadata": 6008,
    "agent-console": 6011,
    "agent-console-web": 6012,
    "manager-console": 6013,
    "manager-console-web": 6014,
}
"""None of them is a port that the system may give to a connection (from 32768 on); some of Backend.AI's
defaults are, and then are taken now and then.
"""
SESSION_PORTS = (30000, 30999)
"""First and last of those that the services inside of sessions listen on."""


class Unfit(Exception):
    """This machine cannot run the cluster: nothing that a change of the project could mend."""


class Broken(Exception):
    """A step failed that should not."""


@dataclass(frozen=True, slots=True)
class State:
    """The folders of one release's cluster. They exist after `make`."""

    release: Release
    root: Path

    def make(self) -> None:
        """Raises Unfit when the folder above is another user's: what we start from there runs as root."""
        parent = self.root.parent
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if parent.is_symlink() or parent.stat().st_uid != os.geteuid():
            raise Unfit(f"{parent} belongs to another user: choose a folder with CLUSTER_STATE")
        for folder in ("conf", "keys", "log", "run"):
            (self.root / folder).mkdir(mode=0o755, parents=True, exist_ok=True)

    @property
    def bin(self) -> Path:
        """Programs of the release: ``backend.ai`` and the Python that it runs on."""
        return self.root / "venv" / "bin"

    @property
    def conf(self) -> Path:
        """Configuration files, rendered."""
        return self.root / "conf"

    @property
    def run(self) -> Path:
        """Pid files and sockets."""
        return self.root / "run"

    def log(self, name: str) -> Path:
        """The log file of a daemon or a step."""
        return self.root / "log" / f"{name}.log"

    def wipe(self) -> None:
        """Removes everything, unmounting first what dockerd or the agent may have left mounted there."""
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted(mounts, reverse=True):
            if Path(mount).is_relative_to(self.root):
                os.spawnlp(os.P_WAIT, "umount", "umount", "--lazy", mount)
        shutil.rmtree(self.root, ignore_errors=True)
        parent = self.root.parent
        if not any((parent / version).exists() for version in RELEASES):
            for image in parent.glob("image-*.tar*"):
                image.unlink()


def state_of(release: Release) -> State:
    """Where the cluster of a release is: below ``CLUSTER_STATE``, one folder a release."""
    parent = Path(os.environ.get("CLUSTER_STATE") or DEFAULT_STATE).absolute()
    return State(release, parent / release.version)


def say(text: str) -> None:
    """One line on stderr, with the seconds since the program began."""
    print(f"[{time.monotonic() - _BEGAN:5.1f}s] {text}", file=sys.stderr, flush=True)


@contextmanager
def alone(state: State) -> Iterator[None]:
    """Holds off every other start and stop of a cluster below the same folder."""
    state.make()
    with (state.root.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start or stop of a cluster")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_BEGAN = time.monotonic()
