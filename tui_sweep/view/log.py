"""The two streams of one attempt as one sequence of lines, in the order in which they were sampled.

A line belongs to the sample in which it was completed; within a sample stdout comes first; what was
completed after the last sample, or not yet, comes at the end, and may find its place with the next sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
import numpy.typing as npt

from tui_sweep.store.lines import Counts, Line, LineIndex
from tui_sweep.store.timeline import Samples, Timeline
from tui_sweep.view.logline import LogLine, log_line
from tui_sweep.view.order import NO_LINES, Order, Ordering
from tui_sweep.view.outputs import Stream
from tui_sweep.view.search import Pattern

Mode = Literal["both", "stdout", "stderr"]
STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")

_SEARCHED = 4096
"""Lines searched before the nearest match among them is given."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last ``grow`` left; replaced whole, so that readers see one moment."""

    order: Order
    at: npt.NDArray[np.float64]
    sizes: tuple[Counts, Counts]
    """Of each stream at each sample; 0 at those before the case cut its stream."""
    complete: bool


class _Told:
    """An error of the disk is told by the view and not raised."""

    def __init__(self, view: LogView) -> None:
        self._view = view

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, OSError):
            where = error.filename or self._view.folder
            self._view.tell(f"cannot read {where}: {error.strerror or error}")
        return isinstance(error, OSError)


class LogView:
    """One attempt's output to look at.

    ``grow`` and ``search`` may run in worker threads; everything else is for one other thread and never
    waits for them. Nothing is held open between two calls. What cannot be read has no lines, and
    ``trouble`` says why.
    """

    def __init__(self, folder: Path) -> None:
        """The folder need not be there yet: then there are no lines."""
        self.folder = folder
        self.mode: Mode = "both"
        """Which streams are asked for; the numbers of lines are of this mode."""
        self.version = 0
        """Grows whenever there is something else to see."""
        self.trouble = ""
        """Why the files cannot be read; "" when they can."""
        self._timeline = Timeline(folder / "timeline")
        self._indices = (LineIndex(folder / "stdout"), LineIndex(folder / "stderr"))
        self._ordering = Ordering()
        self._ordered = 0
        """Samples that the ordering has."""
        self._cuts = (0, 0, 0, 0)
        empty = self._timeline.samples
        self._known = _Known(NO_LINES, empty.at, (empty.stdout, empty.stderr), complete=False)
        self._growing = Lock()
        """Only between two workers: one that was cancelled ends its step while the next one begins."""

    @property
    def count(self) -> int:
        """Lines known so far, in the present mode."""
        if self.mode == "both":
            return len(self._known.order)
        return len(self._indices[STREAMS.index(self.mode)])

    @property
    def complete(self) -> bool:
        """Whether all that the last ``grow`` saw is indexed."""
        return self._known.complete

    @property
    def progress(self) -> float:
        """The part of the output that is indexed, 0–1."""
        size = sum(self.sizes)
        return sum(index.scanned for index in self._indices) / size if size else float(self.complete)

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of stdout and stderr when ``grow`` last looked."""
        return self._indices[0].size, self._indices[1].size

    @property
    def shrunk(self) -> tuple[Stream, ...]:
        """The streams that the case has cut: what it wrote before is gone."""
        out, err = (self._cuts[at] or self._cuts[2 + at] for at in (0, 1))
        return tuple(stream for stream, cut in zip(STREAMS, (out, err), strict=True) if cut)

    @property
    def cuts(self) -> int:
        """Grows whenever a stream was indexed anew: what was remembered of its bytes is void."""
        return sum(index.shrunk for index in self._indices)

    def behind(self) -> int:
        """Bytes that ``grow`` would have to read; 0 when nothing changed. Three stats, 6 µs."""
        with _Told(self):
            return self._timeline.behind() + sum(index.behind() for index in self._indices)
        return 0

    def grow(self) -> bool:
        """Index what is new, in a step of at most 30 ms. Whether there is more."""
        with self._growing, _Told(self):
            out, err = self._indices
            before = self._look()
            more = self._timeline.grow()  # first: then no stream is smaller than its last sample
            for index in self._indices:
                more = index.grow() or more
            if self._look() != before or not self._known.complete:
                sizes = self._feed(self._timeline.samples)
                order = self._ordering.order(out, err)
                self._known = _Known(order, self._timeline.samples.at, sizes, not more)
                self.version += 1
            self.tell("")
            return more
        return False

    def tell(self, trouble: str) -> None:
        """Say why the files cannot be read, or that they can."""
        if trouble != self.trouble:
            self.trouble = trouble
            self.version += 1

    def _look(self) -> tuple[int, ...]:
        """What changes when there is something new."""
        per_stream = (value for index in self._indices for value in (index.scanned, index.size, index.shrunk))
        return len(self._timeline.samples), *per_stream

    def _feed(self, samples: Samples) -> tuple[Counts, Counts]:
        """Give the ordering what it does not have; all of it when a stream was cut. The valid sizes."""
        out, err = self._indices
        cuts = (_gone(samples.stdout, out.size), _gone(samples.stderr, err.size), out.shrunk, err.shrunk)
        sizes = (_zeroed(samples.stdout, cuts[0]), _zeroed(samples.stderr, cuts[1]))
        if cuts != self._cuts:
            self._cuts, self._ordering, self._ordered = cuts, Ordering(), 0
        self._ordering.add(sizes[0][self._ordered :], sizes[1][self._ordered :])
        self._ordered = len(samples)
        return sizes

    def window(self, first: int, count: int) -> list[LogLine]:
        """Lines ``first`` and following, fewer where no more are known."""
        with _Told(self):
            return self._window(self.mode, first, count)
        return []

    def _window(self, mode: Mode, first: int, count: int) -> list[LogLine]:
        known = self._known
        if mode != "both":
            lines = self._indices[STREAMS.index(mode)].window(first, count)
            return [self._shown(known, mode, line, line.number) for line in lines]
        is_err, numbers = known.order.locate(first, count)
        read: list[dict[int | None, Line]] = []
        for index, mine in zip(self._indices, (numbers[~is_err], numbers[is_err]), strict=True):
            lines = index.window(int(mine[0]), len(mine)) if len(mine) else []
            read.append({line.number: line for line in lines})
        return [
            self._shown(known, STREAMS[stream], line, place)
            for place, (stream, number) in enumerate(
                zip(is_err.astype(int).tolist(), numbers.tolist(), strict=True), first
            )
            if (line := read[stream].get(number))  # missing where the case cuts its stream right now
        ]

    def _shown(self, known: _Known, stream: Stream, line: Line, place: int | None) -> LogLine:
        return log_line(stream, line, place, _time(known.at, known.sizes[STREAMS.index(stream)], line))

    def tail(self, count: int) -> list[LogLine]:
        """The last lines as the files are now, at once, however much is not indexed. Without numbers."""
        with _Told(self):
            return self._tail(count)
        return []

    def _tail(self, count: int) -> list[LogLine]:
        samples = self._timeline.recent()
        found: list[tuple[int, int, LogLine]] = []
        for at, (stream, index) in enumerate(zip(STREAMS, self._indices, strict=True)):
            if self.mode not in {"both", stream}:
                continue
            lines = index.tail(count)
            sizes = (samples.stdout, samples.stderr)[at]
            sizes = _zeroed(sizes, _gone(sizes, lines[-1].end if lines else 0))
            for line in lines:
                seen = int(np.searchsorted(sizes, line.end)) if line.ended else len(samples)
                found.append((seen, at, log_line(stream, line, None, _time(samples.at, sizes, line))))
        found.sort(key=lambda one: one[:2])
        return [line for _, _, line in found[-count:]]

    def place(self, line: LogLine) -> int:
        """The number of a line in the present mode, or of what follows it where it is not in that mode."""
        is_err = line.stream == "stderr"
        index = self._indices[is_err]
        number = 0
        with _Told(self):
            number = index.line_at(min(line.start, index.scanned))
        if self.mode == line.stream:
            return number
        merged = self._known.order.place(number, is_err=is_err)
        return merged if self.mode == "both" else merged - number

    def search(self, pattern: Pattern, start: int, *, forward: bool = True) -> Iterator[int | None]:
        """The number of the nearest line from ``start`` on that shows the pattern, then no more.

        Gives None after each piece of at most 1 MiB, so that who asks may give up; nothing but Nones when
        no line does. Asks for the mode once.
        """
        with _Told(self):
            yield from self._search(pattern, start, forward=forward)

    def _search(self, pattern: Pattern, start: int, *, forward: bool) -> Iterator[int | None]:
        mode, count, order = self.mode, self.count, self._known.order
        while 0 <= start < count:
            first, stop = (start, min(start + _SEARCHED, count)) if forward else (start + 1, start + 1)
            first = first if forward else max(0, stop - _SEARCHED)
            candidates: set[int] = set()
            for is_err, numbers in self._ranges(mode, order, first, stop):
                for number, piece in self._indices[is_err].pieces(numbers.start, numbers.stop):
                    lines = (number + line for line in pattern.lines(piece))
                    candidates.update(
                        order.place(line, is_err=is_err) if mode == "both" else line for line in lines
                    )
                    yield None
            for place in sorted(candidates, reverse=not forward):
                if any(line.left_out or pattern.spans(line.text) for line in self._window(mode, place, 1)):
                    yield place
                    return
                yield None
            start = stop if forward else first - 1

    def _ranges(self, mode: Mode, order: Order, first: int, stop: int) -> Iterator[tuple[bool, range]]:
        """Which lines of which stream some places hold."""
        if mode != "both":
            yield mode == "stderr", range(first, stop)
            return
        is_err, numbers = order.locate(first, stop - first)
        for stream, mine in ((False, numbers[~is_err]), (True, numbers[is_err])):
            if len(mine):
                yield stream, range(int(mine[0]), int(mine[-1]) + 1)


def _gone(sizes: Counts, present: int) -> int:
    """How many samples, from the first, tell of bytes that the case has cut since."""
    falls = np.flatnonzero(np.diff(sizes, append=present) < 0)
    return int(falls[-1]) + 1 if len(falls) else 0


def _zeroed(sizes: Counts, gone: int) -> Counts:
    """The sizes, 0 at the samples that are void."""
    if not gone:
        return sizes
    sizes = sizes.copy()
    sizes[:gone] = 0
    return sizes


def _time(at: npt.NDArray[np.float64], sizes: Counts, line: Line) -> float | None:
    """When a line was first seen complete."""
    seen = int(np.searchsorted(sizes, line.end)) if line.ended else len(at)
    return float(at[seen]) if seen < len(at) else None
