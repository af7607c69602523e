"""The lines of a growing file of any size: counted at the speed of the memory, read a window at a time.

What is kept is how many newlines there are before each block of 64 KiB, 8 bytes a block, and not every
256th line start: then the search for any line ends within one block, be the lines 10 bytes long or 10 MB,
and counting (6 GB/s) is all that a scan has to do. No descriptor is held between two calls, and nothing
is mapped: a file that a case cuts while we read it must not be able to kill the reader.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tui_sweep.store.output import at_once

Counts = npt.NDArray[np.int64]
"""Line numbers, numbers of lines or offsets in bytes."""

BLOCK = 1 << 16
STEP = 32 << 20
"""Bytes that one ``grow`` scans: 5 ms."""
PART = 4096
"""Bytes of a line's head, and of its tail. What is between them is not read."""
_READ = 1 << 20
"""Bytes read at once; larger ones fall out of the cache before they are counted."""
_FAR = 8 << 20
"""Bytes that ``tail`` looks back at most: a last line of a gigabyte is not read to its start."""
_NEWLINE = ord("\n")
_MARK = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or of a long one its two ends."""

    number: int | None
    """From 0; None where it was read from the end of a file that is not indexed yet."""
    start: int
    """Offset of its first byte."""
    length: int
    """Bytes, the newline not counted."""
    ended: bool
    """Whether it has its newline."""
    head: bytes
    tail: bytes = b""
    """The last ``PART`` bytes of a line longer than twice that."""

    @property
    def raw(self) -> bytes:
        """The bytes that were read."""
        return self.head + self.tail

    @property
    def left_out(self) -> int:
        """Bytes between head and tail that were not read."""
        return self.length - len(self.head) - len(self.tail)

    @property
    def is_truncated(self) -> bool:
        return self.left_out > 0

    @property
    def end(self) -> int:
        """Offset of what follows the line and its newline."""
        return self.start + self.length + self.ended


@dataclass(frozen=True, slots=True)
class _Scan:
    """What is known of the file; replaced whole, so that a reader in another thread sees one moment."""

    scanned: int = 0
    newlines: int = 0
    before: Counts = field(default_factory=lambda: np.empty(0, np.int64))
    """Newlines before each block that was begun, shape (blocks,)."""
    mark: bytes = b""
    """The last bytes scanned: by them a file is known again."""
    size: int = 0
    """The file's size when it was looked at."""
    stamp: tuple[int, int, int] = (0, 0, 0)

    @property
    def lines(self) -> int:
        """A last line without a newline counts once its end is reached."""
        is_open = self.scanned == self.size and self.mark[-1:] not in {b"", b"\n"}
        return self.newlines + is_open


class LineIndex:
    """Where the lines of one file are. ``grow`` may run in one thread while others read."""

    def __init__(self, path: Path) -> None:
        """The file need not be there yet: then it has no lines."""
        self._path = path
        self._scan = _Scan()
        self.shrunk = 0
        """How often the file was found to be cut or replaced, and was indexed from its start again."""

    def __len__(self) -> int:
        """Lines known so far; a last one without a newline counts."""
        return self._scan.lines

    @property
    def scanned(self) -> int:
        """Bytes that are indexed."""
        return self._scan.scanned

    @property
    def size(self) -> int:
        """Bytes of the file when ``grow`` last looked."""
        return self._scan.size

    @property
    def is_complete(self) -> bool:
        """Whether all that ``grow`` last saw is indexed."""
        return self._scan.scanned == self._scan.size

    def behind(self) -> int:
        """Bytes that ``grow`` would have to scan; 0 when nothing changed. One stat."""
        scan = self._scan
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return int(scan.size > 0)
        if _stamp(stat) == scan.stamp:
            return scan.size - scan.scanned
        return max(1, stat.st_size - scan.scanned if stat.st_size >= scan.scanned else stat.st_size)

    def grow(self, most: int = STEP) -> bool:
        """Scan what is new, at most ``most`` bytes. Whether more is to be scanned. Raises OSError."""
        with _opened(self._path) as fd:
            if fd is None:
                self.shrunk += self._scan.size > 0
                self._scan = _Scan()
                return False
            stat = os.fstat(fd)
            scan = self._scan
            if _is_another(fd, stat, scan):
                self.shrunk += 1
                scan = _Scan()
            self._scan = grown = _counted(fd, scan, min(stat.st_size, scan.scanned + most), stat)
        return scan.scanned < grown.scanned < stat.st_size

    def window(self, first: int, count: int) -> list[Line]:
        """Lines ``first`` and following, fewer where there are no more. Reads no more than it gives,
        and a block for each line at most."""
        scan = self._scan
        last = min(first + count, scan.lines)
        with _opened(self._path) as fd:
            if fd is None or first >= last:
                return []
            edges = _edges(fd, scan, first, last)
            return [
                _line(fd, first + at, int(edges[at]) + 1, int(edges[at + 1]), first + at < scan.newlines)
                for at in range(len(edges) - 1)
            ]

    def tail(self, count: int) -> list[Line]:
        """The last lines as the file is now, indexed or not: read backwards from its end, without
        numbers. The first is a part of its line where that is longer than 8 MiB."""
        with _opened(self._path) as fd:
            if fd is None or count <= 0:
                return []
            size = at = os.fstat(fd).st_size
            found: list[Counts] = []
            newlines = 0
            while at > 0 and newlines <= count and size - at < _FAR:
                at, stop = (at - 1) // BLOCK * BLOCK, at
                found.insert(0, _newlines(os.pread(fd, stop - at, at)) + at)
                newlines += len(found[0])
            edges = [edge for part in found for edge in part.tolist()]
            ends = [True] * len(edges)
            if size and (not edges or edges[-1] != size - 1):
                edges.append(size)
                ends.append(False)
            edges.insert(0, at - 1)
            ends.insert(0, True)
            first = max(1, len(edges) - count)
            return [_line(fd, None, edges[n - 1] + 1, edges[n], ends[n]) for n in range(first, len(edges))]

    def lines_at(self, offsets: Counts) -> Counts:
        """How many lines end before each offset, shape (n,). Offsets ascend, none beyond ``scanned``.
        Each block that they lie in is read once."""
        scan = self._scan
        lines = np.full(len(offsets), scan.newlines, np.int64)
        known = np.flatnonzero(offsets < scan.scanned)
        with _opened(self._path) as fd:
            if fd is None:
                return lines
            for block, group in _groups(offsets[known] // BLOCK):
                inside = offsets[known[group]] - block * BLOCK
                part = os.pread(fd, int(inside[-1]), block * BLOCK)
                # to count is five times as fast as to find, and most blocks are asked for one offset
                found = np.searchsorted(_newlines(part), inside) if len(inside) > 1 else _count(part)
                lines[known[group]] = scan.before[block] + found
        return lines

    def line_at(self, offset: int) -> int:
        """The number of the line that holds the byte at an offset."""
        return int(self.lines_at(np.array([offset], np.int64))[0])

    def pieces(self, first: int, last: int, overlap: int = PART) -> Iterator[tuple[int, bytes]]:
        """All bytes of lines ``first`` to before ``last`` in pieces of at most 1 MiB, each with the
        number of the line it begins in. Pieces end with a line; those of a longer line overlap."""
        scan = self._scan
        with _opened(self._path) as fd:
            if fd is None or first >= min(last, scan.lines):
                return
            last = min(last, scan.lines)
            begin, finish = _edges(fd, scan, first, first + 1), _edges(fd, scan, last - 1, last)
            if len(begin) + len(finish) < 4:  # cut meanwhile
                return
            at, end = int(begin[0]) + 1, min(int(finish[-1]) + 1, scan.scanned)
            while at < end and (piece := os.pread(fd, min(_READ, end - at), at)):
                step = len(piece)
                if at + step < end:
                    cut = piece.rfind(b"\n") + 1
                    piece = piece[: cut or step]
                    step = cut or step - overlap
                yield first, piece
                first += piece.count(b"\n", 0, step)
                at += step


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A descriptor to read with, None where there is no file."""
    try:
        fd = at_once(str(path), os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _stamp(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _is_another(fd: int, stat: os.stat_result, scan: _Scan) -> bool:
    """Whether what was scanned is no longer what is there."""
    if stat.st_size < scan.scanned or (scan.size and stat.st_ino != scan.stamp[0]):
        return True
    return os.pread(fd, len(scan.mark), scan.scanned - len(scan.mark)) != scan.mark


def _counted(fd: int, scan: _Scan, end: int, stat: os.stat_result) -> _Scan:
    """The scan continued to an offset, or to the end of the file if that comes first."""
    room = bytearray(min(_READ, max(0, end - scan.scanned)))
    buffer = np.frombuffer(room, np.uint8)
    at, newlines = scan.scanned, scan.newlines
    before: list[int] = []
    while at < end:
        want = min(end, (at // _READ + 1) * _READ) - at
        got = os.preadv(fd, [memoryview(room)[:want]], at)
        if not got:
            break
        is_newline = buffer[:got] == _NEWLINE
        stop, position = at + got, at
        while position < stop:
            if position % BLOCK == 0:
                before.append(newlines)
            edge = min(stop, (position // BLOCK + 1) * BLOCK)
            newlines += int(np.count_nonzero(is_newline[position - at : edge - at]))
            position = edge
        at = stop
    marked = min(at, _MARK)
    return _Scan(
        scanned=at,
        newlines=newlines,
        before=np.concatenate([scan.before, np.array(before, np.int64)]) if before else scan.before,
        mark=os.pread(fd, marked, at - marked),
        size=stat.st_size,
        stamp=_stamp(stat),
    )


def _newlines(block: bytes) -> Counts:
    """Where the newlines of a block are, from its start."""
    return np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE)


def _count(block: bytes) -> int:
    """How many newlines a block has."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _NEWLINE))


def _groups(blocks: Counts) -> Iterator[tuple[int, slice]]:
    """Each run of one block in an ascending array: the block, and where the run is."""
    starts = np.flatnonzero(np.diff(blocks, prepend=-1)).tolist()
    for start, stop in pairwise([*starts, len(blocks)]):
        yield int(blocks[start]), slice(start, stop)


def _edges(fd: int, scan: _Scan, first: int, last: int) -> Counts:
    """The offsets of the newlines around lines ``first`` to before ``last``: -1 before line 0, the end
    of what was scanned after a line without one. Fewer where the file was cut meanwhile."""
    wanted = np.arange(max(0, first - 1), min(last, scan.newlines), dtype=np.int64)
    blocks = np.searchsorted(scan.before, wanted, side="right") - 1
    edges = [np.array([-1], np.int64)] if first == 0 else []
    for block, group in _groups(blocks):
        found = _newlines(os.pread(fd, BLOCK, block * BLOCK))
        inside = wanted[group] - scan.before[block]
        edges.append(found[inside[inside < len(found)]] + block * BLOCK)
    if last > scan.newlines:
        edges.append(np.array([scan.scanned], np.int64))
    return np.concatenate(edges)


def _line(fd: int, number: int | None, start: int, end: int, ended: bool) -> Line:
    """The line between two offsets, read."""
    length = max(0, end - start)
    if length <= 2 * PART:
        return Line(number, start, length, ended, os.pread(fd, length, start))
    head, tail = os.pread(fd, PART, start), os.pread(fd, PART, end - PART)
    return Line(number, start, length, ended, head, tail)
