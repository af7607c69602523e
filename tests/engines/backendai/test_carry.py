"""What travels with a session."""

from __future__ import annotations

import base64
import gzip
import io
import os
import random
import tarfile
from pathlib import Path

import pytest

from tui_sweep.core.errors import UsageError
from tui_sweep.engines.backendai.carry import LARGEST, Load, pack, size_in_words


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)")
    (folder / "sub" / "run").write_text("#!/bin/sh")
    (folder / "sub" / "run").chmod(0o755)
    (folder / "sub" / "link").symlink_to("../main.py")
    return folder


def unpacked(load: Load) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(gzip.decompress(base64.b64decode("".join(load.environ.values())))))


def test_a_folder_keeps_modes_links_and_empty_folders(files: Path) -> None:
    with unpacked(pack(files)) as tar:
        told = {member.name: (member.type, member.mode & 0o111) for member in tar}
        assert told == {
            "main.py": (tarfile.REGTYPE, 0),
            "sub": (tarfile.DIRTYPE, 0o111),
            "sub/empty": (tarfile.DIRTYPE, 0o111),
            "sub/link": (tarfile.SYMTYPE, 0o111),
            "sub/run": (tarfile.REGTYPE, 0o111),
        }
        assert tar.getmember("sub/link").linkname == "../main.py"
        assert {member.mtime for member in tar} == {1_577_836_800}


def test_the_same_files_make_the_same_load(files: Path) -> None:
    first = pack(files)
    for path in files.rglob("*"):
        os.utime(path, (5, 5), follow_symlinks=False)
    assert pack(files) == first
    assert first.kind == "files"


def test_a_load_is_cut_into_variables_that_a_server_takes(tmp_path: Path) -> None:
    (tmp_path / "random").write_bytes(random.Random(1).randbytes(600_000))
    load = pack(tmp_path)
    assert len(load.environ) == 9
    assert all(len(value) <= 100_000 for value in load.environ.values())
    assert load.size == sum(map(len, load.environ.values())) <= LARGEST
    with unpacked(load) as tar:
        member = tar.extractfile("random")
        assert member is not None
        assert member.read() == (tmp_path / "random").read_bytes()


def test_too_much_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x")
    (tmp_path / "large.bin").write_bytes(random.Random(1).randbytes(1_200_000))
    with pytest.raises(UsageError) as refused:
        pack(tmp_path)
    assert refused.value.message == (
        "FILES: 2 files of 1.2 MB, and packed they take more than the 660 kB that a session can carry; "
        "the largest is large.bin with 1.2 MB"
    )
    assert "-v" in str(refused.value.hint)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "../.."])
def test_a_link_that_leads_outside_is_refused(files: Path, target: str) -> None:
    (files / "sub" / "out").symlink_to(target)
    with pytest.raises(UsageError, match="sub/out is a link to"):
        pack(files)


def test_a_short_program_text_stays_readable_and_a_long_one_is_carried() -> None:
    assert pack(None, "print(1)") == Load("code", {}, 0, "print(1)")
    long = "print('장')\n" * 5000
    load = pack(None, long)
    assert load.code is None
    assert gzip.decompress(base64.b64decode("".join(load.environ.values()))).decode() == long
    with pytest.raises(UsageError, match="-c has 195 KiB"):
        pack(None, "x" * 200_000)


def test_nothing_carries_nothing() -> None:
    assert pack(None) == Load("nothing", {}, 0)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (41_400, "41 kB"), (999_700, "1.0 MB"), (12_345_678, "12.3 MB")],
)
def test_sizes_are_told_in_words(count: int, words: str) -> None:
    assert size_in_words(count) == words
