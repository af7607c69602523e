"""The real encoder by itself, write by write."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import tui_sweep.engines.backendai
from tests.engines.backendai.shells import SHELLS, Shell

ENCODER = Path(tui_sweep.engines.backendai.__file__).parent / "encoder.awk"
AWKS = [shell for shell in SHELLS if not shell.missing]


class Encoder:
    """``encoder.awk`` under one awk, without its pauses."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._path = shell.path(folder / "bin")
        (folder / "bin" / "sleep").unlink(missing_ok=True)
        true = shutil.which("true")
        assert true is not None
        (folder / "bin" / "sleep").symlink_to(true)
        (folder / "open").touch()
        self._input = folder / "input"

    def writes(self, data: bytes, stream: str = "out") -> list[bytes]:
        """What it writes for a stream, one item a write: a packet socket keeps them apart."""
        self._input.write_bytes(data)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {
            "PATH": self._path,
            "LC_ALL": "C",
            "_sweep_d": str(self._folder),
            "_sweep_stream": stream,
            "_sweep_mark": "mark",
        }
        with ours, its, open(self._input, "rb") as source:
            process = subprocess.Popen(
                ["awk", "-f", str(ENCODER)], stdin=source, stdout=its, env=environ | {"HOME": os.sep}
            )
            its.close()
            written = []
            while packet := ours.recv(1 << 20):
                written.append(packet)
            assert process.wait(timeout=10) == 0
        return written
