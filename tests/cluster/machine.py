"""What the machine must have: Debian, root, room, free ports, packages, a Python of the right version."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
from pathlib import Path

from tests.cluster.command import run
from tests.cluster.release import Release
from tests.cluster.state import PORTS, State, Unfit, say

PACKAGES = (
    *("postgresql", "redis-server", "etcd-server", "docker.io"),
    *("debootstrap", "iproute2", "iptables"),
)
DEBIAN = "bookworm"
"""The Debian of the sessions' image, whatever this machine has."""
MEMORY = 3 << 30
"""Bytes: the cluster idles at 1.4 GiB."""
DISK = 5 << 30
"""Bytes: 1.5 GB stay, debootstrap and pip need as much again for a while."""
_POLICY = Path("/usr/sbin/policy-rc.d")


def examine() -> None:
    """Raises Unfit with the first reason why no cluster can be started or stopped here."""
    release = _os_release()
    if platform.system() != "Linux" or release.get("ID") != "debian" or not shutil.which("apt-get"):
        name = release.get("PRETTY_NAME", platform.system())
        raise Unfit(f"the cluster runs on Debian Linux only: this is {name}")
    if platform.machine() != "x86_64":
        raise Unfit(f"the cluster runs on x86_64 only: this is {platform.machine()}")
    if os.geteuid() != 0:
        raise Unfit("root is needed, to start and stop PostgreSQL and dockerd")


def look_for_room(state: State) -> None:
    """Raises Unfit when cpus, memory, disk or ports that a start needs are not there or not free."""
    if (os.cpu_count() or 1) < 2:
        raise Unfit("two cpus are needed: this machine has one")
    if (memory := _free_memory()) < MEMORY:
        raise Unfit(f"{MEMORY >> 20} MiB of free memory are needed: {memory >> 20} MiB are free")
    if (disk := shutil.disk_usage(state.root).free) < DISK and not (state.root / "venv").exists():
        raise Unfit(f"{DISK >> 20} MiB of free disk are needed in {state.root}: {disk >> 20} MiB are free")
    for name, port in PORTS.items():
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                raise Unfit(
                    f"port {port}, for {name}, is in use by {_listener(port)}: stop that first"
                ) from None


def install_packages(state: State) -> None:
    """Installs the Debian packages that are missing, without starting their services. Raises Unfit."""
    missing = [name for name in PACKAGES if not _is_installed(name)]
    if not missing:
        return
    say(f"apt-get install {' '.join(missing)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120")
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        run(*apt, "update", log=state.log("apt"), raises=Unfit, env=env)
        run(
            *(*apt, "install", "--yes", "--no-install-recommends", *missing),
            log=state.log("apt"),
            raises=Unfit,
            env=env,
        )
    finally:
        if ours:
            _POLICY.unlink()


def debian_mirror(state: State) -> str:
    """Where this machine's apt takes Debian from. Raises Unfit when it takes it from nowhere."""
    for attempt in range(2):
        # Each line: codename and address of one of Debian's own archives, known after an update.
        form = ("--format", "$(CODENAME) $(REPO_URI)", "Origin: Debian", "Created-By: Packages")
        asked = subprocess.run(
            ("apt-get", "indextargets", *form), capture_output=True, text=True, check=False
        )
        found = [line.split(maxsplit=1) for line in asked.stdout.splitlines()]
        found = [source for source in found if "security" not in source[0]]
        if found:
            return next((uri for codename, uri in found if codename == DEBIAN), found[0][1])
        if attempt == 0:
            run("apt-get", "-qq", "update", log=state.log("apt"), raises=Unfit)
    raise Unfit(f"apt knows no source of Debian packages, from which the image of {DEBIAN} would be made")


def find_python(release: Release) -> Path:
    """The Python that a release runs on: ``CLUSTER_PYTHON``, the PATH's, or pyenv's newest. Raises Unfit."""
    tried = [os.environ.get("CLUSTER_PYTHON"), shutil.which(f"python{release.python}")]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    versions = [path for path in pyenv.glob(f"{release.python}.*") if re.fullmatch(r"[\d.]+", path.name)]
    versions.sort(key=lambda path: [int(part) for part in path.name.split(".")])
    tried += [str(path / "bin" / "python") for path in reversed(versions)]
    question = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for python in filter(None, tried):
        try:
            answer = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if answer.stdout.strip() == release.python:
            return Path(python)
    raise Unfit(
        f"Backend.AI {release.version} runs on Python {release.python} only, and none with venv is on the PATH"
        f" or in {pyenv}: install one, or name it with CLUSTER_PYTHON"
    )


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _is_installed(package: str) -> bool:
    asked = ("dpkg-query", "--show", "--showformat", "${db:Status-Status}", package)
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "installed"


def _free_memory() -> int:
    """MemAvailable of proc(5) meminfo, bytes."""
    text = Path("/proc/meminfo").read_text()
    return int(text.partition("MemAvailable:")[2].split()[0]) << 10


def _listener(port: int) -> str:
    """The process that listens on a port: its pid and name, by the socket's inode (proc(5) net/tcp)."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) in inodes:
                return f"process {link.parts[2]} ({Path('/proc', link.parts[2], 'comm').read_text().strip()})"
        except OSError:
            continue
    return "another process"
