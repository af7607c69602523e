"""The image of the sessions: Debian 12 with Python 3.11 and ipykernel, and the labels that the agent reads.

Made here rather than pulled: the machine needs no registry of images, only those of Debian and of Python.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.accounts import IMAGE
from tests.cluster.command import run
from tests.cluster.machine import DEBIAN, debian_mirror
from tests.cluster.software import PINS
from tests.cluster.state import Broken, State, Unfit, say

DOCKER = "/usr/bin/docker"
"""Debian's; the PATH may have another one."""
SHORT_NAME = IMAGE.removeprefix("local/")
PACKAGES = "python3,procps"
PYTHON = "3.11"
"""That of Debian 12."""
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "any")
LABELS = {
    "ai.backend.kernelspec": "1",
    "ai.backend.role": "COMPUTE",
    "ai.backend.base-distro": "ubuntu22.04",  # the agent knows no Debian 12, and takes it for this one
    "ai.backend.runtime-type": "python",
    "ai.backend.runtime-path": "/usr/bin/python3",
    "ai.backend.resource.min.cpu": "1",
    "ai.backend.resource.min.mem": "64m",
    "ai.backend.features": '"batch query uid-match user-input"',
    "ai.backend.service-ports": "",
    "ai.backend.envs.corecount": "OPENBLAS_NUM_THREADS,OMP_NUM_THREADS,NPROC",
}
CHANGES = (
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    *(f"LABEL {name}={value}" for name, value in LABELS.items()),
)
KERNEL = {
    "argv": ["/usr/bin/python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}
_PINS = PINS / "image.txt"
_CONTENT = repr((DEBIAN, PACKAGES, _PINS.read_text(), KERNEL, CHANGES))
_RECIPE = hashlib.sha256(_CONTENT.encode()).hexdigest()[:12]
_RECIPE_LABEL = "sweep-tui.recipe"


def archive(state: State) -> Path:
    """The image's files as a tar, made when it is not there; the same for all releases. Raises Unfit."""
    parent = state.root.parent
    tar = parent / f"image-{_RECIPE}.tar"
    if tar.exists():
        return tar
    say(f"debootstrap {DEBIAN}, for the image of the sessions")
    root, log = parent / "image-root", state.log("image")
    shutil.rmtree(root, ignore_errors=True)
    run(
        *("debootstrap", "--variant=minbase", f"--include={PACKAGES}", DEBIAN, root, debian_mirror(state)),
        log=log,
        raises=Unfit,
    )
    run(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"),
        *("--no-deps", "--no-compile", "--only-binary=:all:", "--requirement", _PINS),
        *("--target", root / "usr/local/lib" / f"python{PYTHON}" / "dist-packages"),
        *("--python-version", PYTHON, "--implementation", "cp"),
        *(f"--abi={abi}" for abi in ("cp311", "abi3", "none")),
        *(f"--platform={platform}" for platform in PLATFORMS),
        log=log,
        raises=Unfit,
    )
    run("chroot", root, "/usr/bin/python3", "-c", "import ipykernel", log=log, raises=Broken)
    kernel = root / "usr/local/share/jupyter/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps(KERNEL))
    for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / waste, ignore_errors=True)
    part = tar.with_suffix(".part")
    run("tar", "--create", "--file", part, "--directory", root, ".", log=log, raises=Unfit)
    part.rename(tar)
    shutil.rmtree(root)
    return tar


def identity(env: Mapping[str, str]) -> str | None:
    """The digest of the image that dockerd has of this recipe, or None."""
    wanted = f'{{{{.Id}}}} {{{{index .Config.Labels "{_RECIPE_LABEL}"}}}}'
    asked = (DOCKER, "image", "inspect", "--format", wanted, SHORT_NAME)
    said = subprocess.run(asked, capture_output=True, text=True, env=env, check=False).stdout.split()
    return said[0] if said[1:] == [_RECIPE] else None


def load(state: State, tar: Path, env: Mapping[str, str]) -> None:
    """Gives the image to dockerd, and starts a container of it. Raises Broken, or Unfit when none starts here.

    Under two names: before 26 the agent looks for it with the registry's name to see whether it must be
    pulled, and without to start it.
    """
    say("docker import")
    changes = [f"--change={change}" for change in (*CHANGES, f"LABEL {_RECIPE_LABEL}={_RECIPE}")]
    log = state.log("image")
    run(DOCKER, "import", *changes, tar, SHORT_NAME, log=log, raises=Broken, env=env)
    if not state.release.host_network:
        run(DOCKER, "tag", SHORT_NAME, IMAGE, log=log, raises=Broken, env=env)
    run(
        DOCKER,
        "run",
        "--rm",
        "--network=none",
        SHORT_NAME,
        "true",
        log=log,
        raises=Unfit,
        env=env,
        timeout=60,
    )
