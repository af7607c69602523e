"""Frames: how a case's two streams and its end stand in the log of its container.

::

    \\036sweep-tui begin 1 NAME RUN\\037            version, session, a word for this start of it
    \\036out OFFSET SIZE|TEXT\\037                  TEXT and a newline are SIZE bytes of stdout from OFFSET on
    \\036err OFFSET SIZE:TEXT\\037                  … without the newline, of stderr
    \\036out OFFSET SIZE=BASE64\\037                … in base64
    \\036out TOTAL end\\037                         the stream ended
    \\036sweep-tui end CODE STEP KILLED\\037        exit code, of which step, processes killed for memory

A newline follows each. Those of one stream are in order; a few bytes may be told twice. TEXT is UTF-8 with
newlines and tabs; where many lines come at once, \\035 is a newline. What is no text is a byte in hex behind
\\020; so none of these marks occurs otherwise. On its way a log gets carriage returns, lines of others
anywhere (in the middle of a frame, too: the container's runner hands on 4 KiB at a time), and loses its
oldest part. What does not come out at its SIZE is not believed.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

LARGEST = 4096
"""Bytes of a stream in one frame."""
_LONGEST = 16 * 1024
"""Bytes of a frame with others' lines in it; a longer one is given up."""

Stream = Literal["out", "err"]


@dataclass(frozen=True, slots=True)
class Begin:
    """The case is about to begin."""

    version: int
    name: str
    run: str
    """Another word means that the session was started once more, from nothing."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a stream, as they stand in the log."""

    stream: Stream
    offset: int
    """Of the first byte, in its stream."""
    size: int
    kind: bytes
    body: bytes

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + self.size

    def data(self) -> bytes | None:
        """The bytes as the program wrote them; None when something else than that is here."""
        data = _decoded(self.kind, self.body)
        if data is not None and len(data) == self.size:
            return data
        for body in _without_others(self.body):
            data = _decoded(self.kind, body)
            if data is not None and len(data) == self.size:
                return data
        return None


@dataclass(frozen=True, slots=True)
class Close:
    """A stream ended."""

    stream: Stream
    total: int
    """Bytes it had."""


@dataclass(frozen=True, slots=True)
class End:
    """The case ended."""

    code: int
    """128+N for signal N."""
    step: str
    """``exec`` or ``build``; ``start`` or ``load`` when the container lacks something (the sentence is in
    stderr), ``stopped`` when a signal ended the wrapper."""
    killed: int
    """Processes of the container that the kernel killed for memory while the case ran; the runner's own idle
    interpreter may be one (seen with 128 MiB)."""

    @property
    def oom(self) -> bool:
        """Whether something was killed for memory."""
        return self.killed > 0


Frame = Begin | Piece | Close | End

_SPAN = re.compile(rb"\x1e([^\x1e\x1f]*)\x1f")
_PIECE = re.compile(rb"(out|err) (\d{1,15}) (\d{1,4})([|:=])", re.ASCII)
_OTHER = re.compile(
    rb"(?P<stream>out|err) (?P<total>\d{1,15}) end"
    rb"|sweep-tui begin (?P<version>\d{1,3}) (?P<name>[!-~]{1,200}) (?P<run>[!-~]{1,64})"
    rb"|sweep-tui end (?P<code>\d{1,3}) (?P<step>[a-z]{1,16}) (?P<killed>\d{1,9})",
    re.ASCII,
)


def frames(text: str) -> Iterator[Frame]:
    """The whole frames in a log, in its order. Anything else is passed over; never raises."""
    return _frames(_bytes(text))


class Decoder:
    """Frames out of a text that comes in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, text: str) -> list[Frame]:
        """The frames that are whole now. Never raises; keeps at most 16 KiB."""
        log = self._rest + _bytes(text)
        found = list(_frames(log))
        begun = log.rfind(b"\x1e")
        is_open = begun >= 0 and b"\x1f" not in log[begun:] and len(log) - begun <= _LONGEST
        self._rest = log[begun:] if is_open else b""
        return found


def _bytes(text: str) -> bytes:
    """A log as bytes without carriage returns: no frame has one."""
    return text.encode("utf-8", "surrogatepass").replace(b"\r", b"")


def _frames(log: bytes) -> Iterator[Frame]:
    for span in _SPAN.finditer(log):
        if span.end() - span.start() > _LONGEST:
            continue
        content = span[1]
        frame = _frame(content)
        if frame is None:
            # others' lines may stand in the head
            frame = next((found for found in map(_frame, _without_others(content)) if found), None)
        if frame is not None:
            yield frame


def _frame(content: bytes) -> Frame | None:
    head = _PIECE.match(content)
    if head is not None:
        size = int(head[3])
        if not 0 < size <= LARGEST:
            return None
        stream = cast(Stream, head[1].decode("ascii"))
        return Piece(stream, int(head[2]), size, head[4], content[head.end() :])
    other = _OTHER.fullmatch(content)
    if other is None:
        return None
    if (closed := other["stream"]) is not None:
        return Close(cast(Stream, closed.decode("ascii")), int(other["total"]))
    if (version := other["version"]) is not None:
        return Begin(int(version), other["name"].decode("ascii"), other["run"].decode("ascii"))
    return End(int(other["code"]), other["step"].decode("ascii"), int(other["killed"]))


_HEX = {b"%02x" % byte: bytes([byte]) for byte in range(256)}


def _decoded(kind: bytes, body: bytes) -> bytes | None:
    if kind == b"=":
        try:
            return binascii.a2b_base64(body, strict_mode=True)
        except binascii.Error:
            return None
    newline = b"\n" if kind == b"|" else b""
    body = body.replace(b"\x1d", b"\n")
    if b"\x10" not in body:
        return body + newline
    first, *escapes = body.split(b"\x10")
    parts = [first]
    for part in escapes:
        byte = _HEX.get(part[:2])
        if byte is None:
            return None
        parts += (byte, part[2:])
    return b"".join(parts) + newline


# No frame has an escape character, so colours are always others'. Repeats are bounded, or a hostile log could
# take hours.
_COLOURED = re.compile(rb"(?:\x1b\[[0-9;]{0,20}m){1,9}(?:\[\d{4}/\d\d/\d\d [^\n]{0,400}\n)?(?:\x1b\[0m)?")
_LINE = re.compile(
    rb"\[\d{1,9}\] [A-Z][a-z][a-z] \d\d \d\d:\d\d:\d\d [^\n]{0,400}\n"  # sshd
    rb"|(?:python|app|base|cpp?|git|golang|haskell|java|julia|lua|nodejs|octave|php|r|rust|scheme)-kernel: "
    rb"[^\n]{0,400}\n"  # the kernel runner; its name in full, for it follows on a case's text
    rb"|\[[A-Za-z]{1,30}App\] [A-Z]{1,9} [^\n]{0,400}\n"  # IPython
)


def _without_others(content: bytes) -> Iterator[bytes]:
    """What a frame may have been before the container's own programs wrote into it, likely ones first.

    Such lines are known by their looks (NOTES.md), but a case may print the like: so what comes out is
    believed only at the right size.
    """
    plain = _COLOURED.sub(b"", content)
    if plain != content:
        yield plain
    lines = [match.span() for match in _LINE.finditer(plain)]
    if lines:
        yield _LINE.sub(b"", plain)
        if len(lines) > 1:
            for start, end in lines[:16]:
                yield plain[:start] + plain[end:]
