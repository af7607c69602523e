"""What the log of a session holds, written into the files of its attempt: each byte once.

A log comes whole at each fetch, and the server may have lost its oldest part. The files' own sizes say how
far we are, so that a process killed at any point is gone on from by the next one: what was appended is
there, what was not will be fetched again. Only where a file does not hold its stream from the first byte,
the two differ; such places are noted in the attempt's ``gaps`` before they are written:

::

    {"run": "5f0c…", "out": [[AT, "LINE", OFFSET, MISSING], …], "err": […]}

LINE stands at byte AT of the file, and what follows it is the stream from OFFSET on.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tui_sweep.core.session import Sink
from tui_sweep.engines.backendai.carry import size_in_words
from tui_sweep.engines.backendai.frames import Begin, Close, End, Frame, Piece, Stream, frames

_BEGIN = "\x1esweep-tui begin "
_END = "\x1esweep-tui end "
_NOISE_LINES = 20
_NOISE_LENGTH = 8192
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Received:
    """What one fetch of a log brought."""

    ended: End | None
    """How the case ended, once the log says so."""
    new: int
    """Bytes of both streams that were written now."""
    missing: int
    """Bytes of both streams that the server has no more, in all fetches so far."""
    began: bool
    """Whether anything of the wrapper was ever seen. If not, it could not start in this image."""
    has_begun: bool
    """Whether this log has anything of it: that of a container which the server started anew may not yet."""
    noise: str
    """While nothing was: the last lines of the log, raw. Whoever shows them makes them plain."""


@dataclass(slots=True)
class _Gap:
    """A place where a file goes on with another part of its stream."""

    at: int
    line: str
    offset: int
    missing: int

    @property
    def text(self) -> bytes:
        return self.line.encode("utf-8", "replace")


@dataclass(slots=True)
class _File:
    """One stream of the attempt and its file."""

    path: str
    gaps: list[_Gap] = field(default_factory=list)
    target: int = -1
    """Its descriptor, while it is written."""
    size: int = 0
    """Bytes of the file."""
    next: int = 0
    """The offset in the stream of the first byte that is not in the file."""
    pending: list[bytes] = field(default_factory=list)
    """Bytes that come next, still to be written."""
    total: int | None = None
    """Bytes that the stream had, once it has ended."""


class Receiver:
    """Writes one attempt's output. One at a time; it may be made anew at any time, in another process."""

    def __init__(self, sink: Sink) -> None:
        """Raises OSError. What the files hold is known from the first log on."""
        self._sink = sink
        folder = str(sink.folder)
        self._notes = f"{folder}/gaps"
        self._files: dict[Stream, _File] = {
            "out": _File(f"{folder}/stdout"),
            "err": _File(f"{folder}/stderr"),
        }
        self._written = 0
        """Bytes of both streams that were written by this process."""
        self._run: str | None = None
        self._began = False
        self._ended: End | None = None
        self.final: Received | None = None
        """What was received, once the case has ended and no more of it can come."""
        self._latest: tuple[tuple[int, int], Received] | None = None
        """Length and hash of the log that was taken last, and what it brought: of a silent session it stays."""
        self._last = False
        self._is_anew = False
        """Of the start that the server made last nothing is here yet."""
        self.log_bytes = 0
        """Characters of the log at the last fetch: near the limit of the server, it is about to lose some."""
        self._resume()

    @property
    def seen(self) -> int:
        """Bytes of both streams so far, the missing ones included."""
        return sum(file.next for file in self._files.values())

    @property
    def missing(self) -> int:
        """Bytes of both streams that the server had no more."""
        return sum(gap.missing for file in self._files.values() for gap in file.gaps)

    def take(self, text: str, *, last: bool = False) -> Received:
        """Append what is new in a log, given as a whole. Raises OSError, and then may be called again.

        ``last``: the session has ended; no log of another start of it follows that would have to be known by
        its word.
        """
        mark = len(text), hash(text)
        if not last and self._latest is not None and self._latest[0] == mark:
            return replace(self._latest[1], new=0)
        self._last = last
        has_begun = False
        self.log_bytes = len(text)
        before = self._written
        with self._opened():
            for frame in frames(_one_start(text)):
                has_begun = True
                self._take(frame)
            if self._ended is not None:
                for file in self._files.values():
                    if file.total is not None and file.total > file.next:
                        self._note(file, file.total, file.total - file.next)
        noise = "" if self._began else _tail(text)
        received = Received(self._ended, self._written - before, self.missing, self._began, has_begun, noise)
        self.final = received if self._ended is not None else None
        self._latest = (mark, received) if self._began else None  # its noise would be 8 kB of each
        return received

    def stream(self, told: Iterable[Frame]) -> bool:
        """Append what comes live, in order; False when something before it never came: then only the whole
        log helps, and nothing more is taken from here. Raises OSError, and then only the log helps, too."""
        self._latest = None
        with self._opened():
            for frame in told:
                if self._is_anew and not isinstance(frame, Begin):
                    return False  # its beginning is lost, and this would count as the former start's
                if isinstance(frame, Piece) and (
                    self._run is None or frame.offset > self._files[frame.stream].next
                ):
                    return False  # of whichever start it is, or something before it is not here
                if isinstance(frame, End) and not self._is_whole:
                    return False
                self._take(frame)
        if self._ended is not None:
            self.final = Received(self._ended, 0, self.missing, self._began, has_begun=True, noise="")
        return True

    def start_anew(self) -> None:
        """The server starts the session once more: what comes live counts from its beginning on."""
        self._is_anew = True

    # inside

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """Both files, opened once; at the end what is pending is written. Raises OSError."""
        files = self._files.values()
        try:
            for file in files:
                self._reset(file)
            self._began = self._began or self.seen > 0
            try:
                yield
            finally:
                for file in files:
                    self._write(file)
        finally:
            for file in files:
                if file.target >= 0:
                    os.close(file.target)
                    file.target = -1

    @property
    def _is_whole(self) -> bool:
        """Both streams have ended, and are here to their ends."""
        return all(file.total is not None and file.total <= file.next for file in self._files.values())

    def _take(self, frame: Frame) -> None:
        self._began = True
        match frame:
            case Piece():
                file = self._files[frame.stream]
                if frame.end <= file.next:
                    return
                data = frame.data()
                if data is None:
                    return  # what follows shows that it is missing
                if frame.offset > file.next:
                    self._note(file, frame.offset, frame.offset - file.next)
                fresh = data[file.next - frame.offset :]
                file.pending.append(fresh)
                file.next += len(fresh)
            case Begin():
                self._begin(frame.run)
            case Close():
                self._files[frame.stream].total = frame.total
            case End():
                self._ended = frame

    def _begin(self, run: str) -> None:
        """A session that was sent back to waiting begins once more, from the first byte."""
        if self._run is not None and run != self._run:
            self._ended = self.final = None
            for file in self._files.values():
                file.total = None
                if file.next:
                    self._note(file, 0, 0)
        if run != self._run:
            if not self._last:
                self._keep(run)
            self._run = run
            self._is_anew = False

    def _note(self, file: _File, offset: int, missing: int) -> None:
        """Go on at another offset, and say so in the file."""
        self._write(file)
        if missing:
            said = f"{size_in_words(missing)} of output missing here: the server keeps only the last 10 MB"
        else:
            said = "the session was started anew by the server; its output begins again here"
        start = "" if _ends_a_line(file) else "\n"
        gap = _Gap(file.size, f"{start}[sweep-tui: {said}]\n", offset, missing)
        file.gaps.append(gap)
        try:
            self._keep(self._run)
        except OSError:
            file.gaps.pop()
            raise
        file.next = offset
        self._append(file, gap.text)

    def _write(self, file: _File) -> None:
        if file.pending:
            data, file.pending = b"".join(file.pending), []
            self._append(file, data)
            self._written += len(data)

    def _append(self, file: _File, data: bytes) -> None:
        """At the end of the file; what of it cannot be written is taken again the next time."""
        while data:
            done = os.write(file.target, data)
            file.size += done
            data = data[done:]

    # the sidecar

    def _resume(self) -> None:
        try:
            with open(self._notes, "rb") as notes:
                noted = json.loads(notes.read())
        except (FileNotFoundError, ValueError):
            noted = {}
        if isinstance(noted, dict):
            run = noted.get("run")
            self._run = run if isinstance(run, str) else None
            for stream, file in self._files.items():
                file.gaps = list(_gaps(noted.get(stream)))
        self._began = self._run is not None

    def _reset(self, file: _File) -> None:
        """Where the stream is, by the file as it is now, with a torn line completed."""
        file.pending.clear()
        try:
            file.target = os.open(file.path, _APPEND, 0o666)
        except FileNotFoundError:
            self._sink.create()
            file.target = os.open(file.path, _APPEND, 0o666)
        file.size = os.fstat(file.target).st_size
        while file.gaps and file.gaps[-1].at > file.size:
            file.gaps.pop()  # somebody else cut the file
        if not file.gaps:
            file.next = file.size
            return
        last = file.gaps[-1]
        torn = last.at + len(last.text) - file.size
        if torn > 0:
            self._append(file, last.text[-torn:])
        file.next = last.offset + file.size - last.at - len(last.text)

    def _keep(self, run: str | None) -> None:
        """Replace the sidecar as a whole."""
        noted: dict[str, Any] = {"run": run}
        for stream, file in self._files.items():
            noted[stream] = [[gap.at, gap.line, gap.offset, gap.missing] for gap in file.gaps]
        unfinished = f"{self._notes}.new"
        with open(unfinished, "w", encoding="utf-8") as notes:
            json.dump(noted, notes)
        os.replace(unfinished, self._notes)


def _gaps(noted: object) -> Iterator[_Gap]:
    """The gaps of one stream as noted; none from the first entry on that nobody of ours wrote."""
    for entry in noted if isinstance(noted, list) else []:
        match entry:
            case [int(at), str(line), int(offset), int(missing)]:
                yield _Gap(at, line, offset, missing)
            case _:
                return


def _ends_a_line(file: _File) -> bool:
    """Whether a file is empty or ends with a newline."""
    if not file.size:
        return True
    with open(file.path, "rb") as source:
        source.seek(-1, os.SEEK_END)
        return source.read(1) == b"\n"


def _one_start(text: str) -> str:
    """The part of a log that tells of one start of the command: the first that came to its end, else the last.

    A server that is restarted while a session comes up starts its command once more in the same container
    (seen on 26.9.6); the second start is cut off when the first one's end ends the session.
    """
    first = text.find(_BEGIN)
    if first == text.rfind(_BEGIN):  # one, or none
        end = text.find(_END) if first >= 0 else -1
        return text if end < 0 else text[first:] if first < end else text[:first]
    begun = [0, *(match.start() for match in re.finditer(_BEGIN, text)), len(text)]
    starts = [text[first:last] for first, last in itertools.pairwise(begun)]
    return next((start for start in starts if _END in start), starts[-1])


def _tail(text: str) -> str:
    """The last lines of a log."""
    return "\n".join(text[-_NOISE_LENGTH:].splitlines()[-_NOISE_LINES:])
