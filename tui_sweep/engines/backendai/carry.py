"""What travels with every session of a sweep: FILES, or the program text of ``-c``.

FILES become a tar.gz in base64, cut into environment variables of the create body; the wrapper joins,
unpacks and unsets them. Limits, seen on 26.9.6 and both older servers: a variable 128 KiB (one argument
of Linux), a request's body 1 MiB. An upload would not do: it needs a running session and a client that
stays, and 25.5 cannot take any.
"""

from __future__ import annotations

import base64
import gzip
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from tui_sweep.core.errors import UsageError

LARGEST = 880_000
"""Characters that all variables of a load have together; the rest of the 1 MiB is the startup command's
and the body's own."""
_PIECE = 100_000
"""Characters of one variable."""
_PREFIX = "SWEEP_LOAD_"
_LONGEST_INLINE = 40_000
"""Bytes of ``-c`` that are written into the startup command itself, where people can read them."""
_LONGEST_CODE = 128 * 1024
"""Bytes of one argument on Linux, its final zero included."""
_MTIME = 1_577_836_800
"""2020-01-01, for all: what is packed twice is the same, and zip files know no time before 1980."""


@dataclass(frozen=True, slots=True)
class Load:
    """What every session of a sweep carries."""

    kind: Literal["files", "code", "nothing"]
    environ: dict[str, str]
    """Variables for the create body; empty when there is nothing, or it is in ``code``."""
    size: int
    """Characters of them."""
    code: str | None = None
    """A program text short enough for the startup command."""


def pack(files: Path | None, code: str | None = None) -> Load:
    """Pack a folder of files, or a program text, or neither. Takes seconds for much; call it in a thread.

    The same input gives the same load. Raises UsageError when it is too large, OSError when a file cannot be
    read.
    """
    if code is not None:
        text = code.encode("utf-8", "surrogateescape")
        if len(text) >= _LONGEST_CODE:
            raise UsageError(
                f"-c has {len(text) // 1024} KiB; Linux takes less than 128 KiB as one argument",
                hint="put it into a file and give it as FILES",
            )
        if len(text) <= _LONGEST_INLINE:
            return Load("code", {}, 0, code)
        return _load("code", gzip.compress(text, 9, mtime=0))
    if files is None:
        return Load("nothing", {}, 0)
    return _load("files", _packed(files))


def _load(kind: Literal["files", "code"], packed: bytes) -> Load:
    text = base64.b64encode(packed).decode("ascii")
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return Load(kind, {f"{_PREFIX}{number}": piece for number, piece in enumerate(pieces)}, len(text))


class _TooLarge(Exception):
    """More than a load can have."""


class _Bounded(io.BytesIO):
    """Stops what is written to it before it takes all memory."""

    def write(self, data: bytes) -> int:  # type: ignore[override]  # only tarfile and gzip write to it: bytes
        if self.tell() + len(data) > LARGEST // 4 * 3:
            raise _TooLarge
        return super().write(data)


def _packed(folder: Path) -> bytes:
    target = _Bounded()
    try:
        with (
            gzip.GzipFile("", "wb", 9, cast("BinaryIO", target), mtime=0) as squeezed,
            tarfile.open(fileobj=squeezed, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar,
        ):
            for name, path in _walk(folder):
                _add(tar, folder, name, path)
    except _TooLarge:
        raise _refusal(folder) from None
    return target.getvalue()


def _walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """All that is in a folder, by name; a folder comes before what is in it, links are not followed."""
    for path in sorted(folder.iterdir()):
        name = prefix + path.name
        yield name, path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, name + "/")


def _add(tar: tarfile.TarFile, folder: Path, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.mtime = _MTIME
    status = path.lstat()
    member.mode = stat.S_IMODE(status.st_mode)
    if path.is_symlink():
        target = os.readlink(path)
        inside = os.path.normpath(os.path.join(os.path.dirname(name), target))
        if os.path.isabs(target) or inside.split("/")[0] == "..":
            raise UsageError(
                f"FILES: {name} is a link to {target}, which is not among the FILES",
                hint="give the file itself, or put it into a vfolder and mount that with -v",
            )
        member.type, member.linkname = tarfile.SYMTYPE, target
        tar.addfile(member)
    elif path.is_dir():
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            tar.addfile(member, file)


def _refusal(folder: Path) -> UsageError:
    sizes = {
        name: path.stat().st_size for name, path in _walk(folder) if path.is_file() and not path.is_symlink()
    }
    largest = max(sizes, key=lambda name: sizes[name])
    count = f"{len(sizes):,} files" if len(sizes) != 1 else "one file"
    return UsageError(
        f"FILES: {count} of {size_in_words(sum(sizes.values()))}, and packed they take more than the "
        f"{size_in_words(LARGEST // 4 * 3)} that a session can carry; the largest is {largest} with "
        f"{size_in_words(sizes[largest])}",
        hint="put large data into a vfolder and mount it with -v, and give the programs alone as FILES",
    )


def size_in_words(count: int) -> str:
    """``41 kB``; decimal, as the gap in an output is told."""
    if count < 1000:
        return f"{count} bytes"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB" if count < 999_500 else "1.0 MB"
    return f"{count / 1e6:,.1f} MB"
