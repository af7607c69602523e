"""Containers without a container: the startup command under the shells and tools that images have, and what
the way through a terminal and a server does to its log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tui_sweep.engines.backendai import carry, wrapper
from tui_sweep.engines.backendai.frames import Begin, Close, End, Piece, frames

NOTHING = carry.Load("nothing", {}, 0)


@dataclass(frozen=True)
class Shell:
    """A shell and the tools beside it."""

    name: str
    words: tuple[str, ...]
    awk: tuple[str, ...]
    tools: str | None = None
    """The program that all tools are, where they are one."""

    @property
    def missing(self) -> str | None:
        """Why it cannot be tried here."""
        wanted = {self.words[0], self.awk[0], *([self.tools] if self.tools else [])}
        absent = sorted(program for program in wanted if shutil.which(program) is None)
        return f"not installed: {', '.join(absent)}" if absent else None

    def path(self, folder: Path) -> str:
        """A PATH with these tools, and what else is installed behind them."""
        folder.mkdir(exist_ok=True)
        if self.tools is not None:
            whole = shutil.which(self.tools)
            assert whole is not None
            subprocess.run([whole, "--install", "-s", str(folder)], check=True)
        else:
            awk = shutil.which(self.awk[0])
            assert awk is not None
            (folder / "awk").symlink_to(awk)
        # not what PATH has: that may be a script which chooses one, and changes PATH
        (folder / "python3").symlink_to(os.path.realpath(sys.executable))
        return f"{folder}:{os.environ['PATH']}"


SHELLS = (
    Shell("dash-mawk", ("dash",), ("mawk",)),
    Shell("bash-gawk", ("bash",), ("gawk",)),
    Shell("busybox", ("busybox", "sh"), ("busybox", "awk"), "busybox"),
)


@dataclass
class Case:
    """What a log says about one case."""

    raw: bytes = b""
    stderr: bytes = b""
    code: int | None = None
    """The wrapper's own exit code."""
    out: bytes = b""
    err: bytes = b""
    begin: Begin | None = None
    end: End | None = None
    totals: dict[str, int] = field(default_factory=dict)


def read(raw: bytes) -> Case:
    """A log that lost nothing."""
    case = Case(raw)
    written = {"out": bytearray(), "err": bytearray()}
    for frame in frames(raw.decode("utf-8")):
        match frame:
            case Piece():
                data = frame.data()
                assert data is not None, frame
                told_twice = len(written[frame.stream]) - frame.offset
                assert 0 <= told_twice < 3, frame
                written[frame.stream] += data[told_twice:]
            case Begin():
                case.begin = frame
            case Close():
                case.totals[frame.stream] = frame.total
            case End():
                case.end = frame
    case.out, case.err = bytes(written["out"]), bytes(written["err"])
    return case


class Box:
    """A place to run cases in, as a container is one."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self.shell = shell
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.cgroup = folder / "cgroup"
        self.cgroup.mkdir()
        self.cgroups = folder / "cgroups"
        self.cgroups.write_text("0::/\n")
        self.path = shell.path(folder / "bin")
        self._starts = 0

    def command(self, **asked: object) -> str:
        """The startup command of a case; see ``wrapper.startup``."""
        settings: dict[str, object] = {
            "name": "ab12cd34-0",
            "image": "stable/python:3",
            "env": {},
            "clean": "*",
            "build": "*",
            "execute": "*",
            "load": NOTHING,
            "work": str(self.work),
            "cgroup": str(self.cgroup),
            "cgroups": str(self.cgroups),
        }
        return wrapper.startup(**{**settings, **asked})  # type: ignore[arg-type]

    def start(self, command: str, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Run a startup command as the kernel runner of a fresh container does: its output goes into pipes."""
        self._starts += 1
        self._temporary.mkdir()
        return self.start_again(command, environ)

    def start_again(self, command: str, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Run it in the container of the last start."""
        return subprocess.Popen(
            [*self.shell.words, "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.work,
            env={
                "PATH": self.path,
                "LANG": "C.UTF-8",
                "TMPDIR": str(self._temporary),
                **(environ or {}),
            },
        )

    @property
    def _temporary(self) -> Path:
        return self.work.parent / f"tmp-{self._starts}"

    def run(self, **asked: object) -> Case:
        """One case to its end."""
        return finish(self.begin(**asked))

    def begin(self, **asked: object) -> subprocess.Popen[bytes]:
        """One case."""
        load = asked.get("load", NOTHING)
        env = asked.get("env", {})
        assert isinstance(load, carry.Load)
        assert isinstance(env, dict)
        return self.start(self.command(**asked), wrapper.environ(env, load))


def everywhere(boxes: list[Box], **asked: object) -> list[tuple[Box, Case]]:
    """One case in each, all at once: most of their time is waiting."""
    begun = [box.begin(**asked) for box in boxes]
    return [(box, finish(process)) for box, process in zip(boxes, begun, strict=True)]


def finish(process: subprocess.Popen[bytes], begun: bytes = b"") -> Case:
    """Wait for a case; ``begun`` is what was read of its log before."""
    stdout, stderr = process.communicate(timeout=30)
    case = read(begun + stdout)
    case.stderr, case.code = stderr, process.returncode
    return case


NOISE = (
    "\x1b[35;1m[2026/11/22 22:19:27:4267] N: ttyd 1.7.7-eccebc6 (libwebsockets 4.3.5-unknown)\n\x1b[0m",
    "[54] Nov 22 22:19:27 Child connection from 127.0.0.1:39536\n",
    "python-kernel: +1.616 [INFO] Service sshd has started (pid: 52, port: 30090)\n",
    "[IPKernelApp] WARNING | Eventloop or matplotlib integration failed. Is matplotlib installed?\n",
    "\x1b[0m",
)
"""What a container's own programs write into its log (transcripts 04, 20-26)."""


def terminal(text: str) -> str:
    """What a terminal makes of a text."""
    return text.replace("\n", "\r\n")


def log_of(raw: bytes, noise: dict[int, str] | None = None) -> str:
    """The log that a server has of what a wrapper printed, with others' output at these bytes of it."""
    parts = []
    last = 0
    for at in sorted(noise or {}):
        parts += [raw[last:at], (noise or {})[at].encode()]
        last = at
    text = b"".join([*parts, raw[last:]]).decode("utf-8", "replace")
    return terminal(NOISE[0] + NOISE[1] + text + NOISE[2])
