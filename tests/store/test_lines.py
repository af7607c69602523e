"""LineIndex and Timeline against the naive way: read the whole file and split it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_sweep.store import lines as lines_module
from tui_sweep.store.lines import BLOCK, PART, LineIndex
from tui_sweep.store.timeline import Timeline

GIB = 1 << 30
short = st.lists(
    st.sampled_from([b"", b"a", b"\xff\x00", b"\r", b"\n", b"\n", b"\n\n", b"word "]), max_size=40
)
chunks = st.lists(
    st.one_of(short.map(b"".join), st.integers(1, 3 * BLOCK).map(lambda n: b"x" * n)), max_size=8
)


def naive(content: bytes) -> list[bytes]:
    """The lines; a last one without newline counts."""
    lines = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def shown(line: bytes) -> bytes:
    return line if len(line) <= 2 * PART else line[:PART] + line[-PART:]


def scanned(path: Path, step: int = lines_module.STEP) -> LineIndex:
    index = LineIndex(path)
    while index.grow(step):
        pass
    return index


@settings(max_examples=60, deadline=None)
@given(chunks, st.integers(5000, 2 * BLOCK), st.data())
def test_windows_of_a_growing_file_equal_a_naive_split(
    parts: list[bytes], step: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdout")
        index = LineIndex(path)
        content = b""
        for part in parts:
            content += part
            with open(path, "ab") as file:
                file.write(part)
            while index.grow(step):
                pass
            expected = naive(content)
            assert len(index) == len(expected)
            assert index.is_complete
            assert index.behind() == 0
            first = data.draw(st.integers(0, len(expected) + 1))
            count = data.draw(st.integers(0, 50))
            window = index.window(first, count)
            assert [line.raw for line in window] == [shown(line) for line in expected[first : first + count]]
            assert [line.number for line in window] == list(
                range(first, min(first + count, len(expected)))
            ) or not window
            assert [line.length for line in window] == [len(line) for line in expected[first : first + count]]
            tail = index.tail(count)
            assert [line.raw for line in tail] == [shown(line) for line in expected[-count:] if count]
        assert index.shrunk == 0


@settings(max_examples=60, deadline=None)
@given(chunks, st.lists(st.integers(0, 5 * BLOCK), max_size=30))
def test_lines_before_an_offset_are_the_newlines_before_it(parts: list[bytes], offsets: list[int]) -> None:
    content = b"".join(parts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdout")
        path.write_bytes(content)
        index = scanned(path)
        inside = sorted(min(offset, len(content)) for offset in offsets)
        counted = index.lines_at(np.array(inside, np.int64)).tolist()
        assert counted == [content.count(b"\n", 0, offset) for offset in inside]
        for offset in inside[:3]:
            assert index.line_at(offset) == content.count(b"\n", 0, offset)


@settings(max_examples=60, deadline=None)
@given(chunks, st.data())
def test_pieces_hold_every_byte_of_their_lines_in_order(parts: list[bytes], data: st.DataObject) -> None:
    content = b"".join(parts)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_READ", BLOCK)
        path = Path(folder, "stdout")
        path.write_bytes(content)
        index = scanned(path)
        expected = naive(content)
        first = data.draw(st.integers(0, len(expected)))
        last = data.draw(st.integers(first, len(expected)))
        seen = first
        kept: dict[int, bytes] = {}
        for number, piece in index.pieces(first, last, overlap=10):
            assert seen <= number, "pieces go forward"
            seen = number
            for at, line in enumerate(naive(piece) or [b""]):
                before = kept.get(number + at)
                kept[number + at] = line if before is None else before + line[10:]
        wanted = dict(enumerate(expected[first:last], first))
        assert {number: line for number, line in kept.items() if number < last} == wanted


def test_a_file_that_is_not_there_has_no_lines_until_it_is(tmp_path: Path) -> None:
    index = LineIndex(tmp_path / "stdout")
    assert not index.grow()
    assert (len(index), index.window(0, 5), index.tail(5), index.behind()) == (0, [], [], 0)
    assert list(index.pieces(0, 5)) == []
    (tmp_path / "stdout").write_bytes(b"here\n")
    assert index.behind() == 5
    assert not index.grow()
    assert [line.raw for line in index.window(0, 5)] == [b"here"]
    assert index.shrunk == 0


def test_a_file_that_shrinks_is_noticed_and_indexed_anew(tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    path.write_bytes(b"one\ntwo\nthree\n")
    index = scanned(path)
    path.write_bytes(b"new\n")
    assert index.behind() > 0
    index.grow()
    assert index.shrunk == 1
    assert [line.raw for line in index.window(0, 9)] == [b"new"]


@pytest.mark.parametrize("now", [b"ONE\nTWO\n", b"ONE\nTWO\nmore\n"], ids=["as long", "longer"])
def test_a_file_rewritten_between_two_looks_is_known_by_its_bytes(tmp_path: Path, now: bytes) -> None:
    path = tmp_path / "stderr"
    path.write_bytes(b"one\ntwo\n")
    index = scanned(path)
    path.write_bytes(now)
    os.utime(path, ns=(1, 1))  # a clock too coarse to tell is not what is tested
    assert index.behind() > 0
    index.grow()
    assert index.shrunk == 1
    assert [line.raw for line in index.window(0, 9)] == now.splitlines()


def test_a_file_that_was_removed_or_replaced_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"one\n")
    index = scanned(path)
    path.unlink()
    assert index.behind() == 1
    assert index.window(0, 1) == []
    index.grow()
    assert (len(index), index.shrunk, index.behind()) == (0, 1, 0)
    path.write_bytes(b"two\n")
    index.grow()
    (tmp_path / "other").write_bytes(b"two\n")
    (tmp_path / "other").rename(path)
    index.grow()
    assert (len(index), index.shrunk) == (1, 2)


def test_a_file_cut_while_it_is_read_gives_fewer_lines_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"line\n" * 100_000)
    index = scanned(path)
    path.write_bytes(b"x\ny\n")
    assert index.window(99_990, 10) == []
    assert list(index.pieces(99_990, 100_000)) == []
    assert index.lines_at(np.array([400_000], np.int64)).shape == (1,)


def test_of_a_line_of_ten_megabytes_only_the_ends_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"head" + b"-" * 10_000_000 + b"tail\nnext\n")
    index = scanned(path)
    read = bytes_read(monkeypatch)
    long, following = index.window(0, 2)
    assert (long.length, long.is_truncated, long.left_out) == (10_000_008, True, 10_000_008 - 2 * PART)
    assert (long.head[:4], long.tail[-4:], following.raw) == (b"head", b"tail", b"next")
    assert sum(read) < 4 * BLOCK
    assert [line.raw for line in index.tail(1)] == [b"next"]


def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much each read from here on gives."""
    read: list[int] = []

    def pread(fd: int, count: int, offset: int, real=os.pread) -> bytes:
        block = real(fd, count, offset)
        read.append(len(block))
        return block

    def preadv(fd: int, buffers: list[memoryview], offset: int, real=os.preadv) -> int:
        read.append(real(fd, buffers, offset))
        return read[-1]

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(os, "preadv", preadv)
    return read


def test_the_tail_of_a_gigabyte_reads_a_few_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stdout"
    with open(path, "wb") as file:
        file.seek(GIB)
        file.write(b"".join(b"\nline %d" % number for number in range(1000)))
    index = LineIndex(path)
    read = bytes_read(monkeypatch)
    assert [line.raw for line in index.tail(50)] == [b"line %d" % number for number in range(950, 1000)]
    assert sum(read) < 2 * BLOCK
    assert index.scanned == 0
    read.clear()
    assert index.grow(), "one step is not the whole file"
    assert sum(read) <= lines_module.STEP + BLOCK


def test_a_last_line_of_a_gigabyte_shows_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stdout"
    with open(path, "wb") as file:
        file.seek(GIB)
        file.write(b"the end")
    read = bytes_read(monkeypatch)
    (line,) = LineIndex(path).tail(50)
    assert line.tail.endswith(b"the end")
    assert line.is_truncated
    assert not line.ended
    assert sum(read) < 10 << 20


def test_memory_is_eight_bytes_for_each_64_kib(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"\n" * (100 * BLOCK))
    index = scanned(path)
    assert len(index) == 100 * BLOCK
    assert index._scan.before.nbytes == 800


def test_a_step_is_bounded_and_says_whether_there_is_more(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"abcdefg\n" * 100)
    index = LineIndex(path)
    assert index.grow(500)
    assert (index.scanned, len(index), index.is_complete) == (500, 62, False)
    assert not index.grow(500)
    assert (len(index), index.is_complete) == (100, True)


def test_a_timeline_is_read_as_it_grows_and_torn_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "timeline"
    timeline = Timeline(path)
    assert not timeline.grow()
    path.write_bytes(b"1.5 10 0\n2.0 20 5\n3.0 3")
    timeline.grow()
    assert timeline.samples.at.tolist() == [1.5, 2.0]
    with open(path, "ab") as file:
        file.write(b"0 9\nx 1 2\n4.0 4\n5.0 40 95.2 41 10\n17123456781712345678.5 1 1\n6.0 50 11\n")
    timeline.grow()
    assert timeline.samples.at.tolist() == [1.5, 2.0, 3.0, 6.0]
    assert timeline.samples.stdout.tolist() == [10, 20, 30, 50]
    assert timeline.samples.stderr.tolist() == [0, 5, 9, 11]
    assert timeline.behind() == 0


def test_the_newest_samples_are_had_without_reading_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "timeline"
    path.write_bytes(b"".join(b"%.3f %d 0\n" % (number, number) for number in range(1, 100_001)))
    timeline = Timeline(path)
    recent = timeline.recent()
    assert 400 < len(recent) < 2000
    assert recent.stdout.tolist() == list(range(100_001 - len(recent), 100_001))
    while timeline.grow():
        pass
    assert len(timeline.samples) == 100_000
