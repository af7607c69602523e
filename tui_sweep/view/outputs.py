"""The output of one attempt in the order in which it was sampled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tui_sweep.core.errors import JournalError
from tui_sweep.store.output import at_once, read_timeline

Stream = Literal["stdout", "stderr"]
_BLOCK = 1 << 20
"""Bytes read at once; an output may be larger than the memory."""


class OutputReader:
    """Reads the two streams of an attempt, each byte once, the order between them as sampled.

    Within one sample stdout comes first. What was written after the last sample comes at the end.
    """

    def __init__(self, folder: Path, streams: tuple[Stream, ...] = ("stdout", "stderr")) -> None:
        self._folder = folder
        self._streams = streams
        self._read = dict.fromkeys(streams, 0)

    def new(self) -> Iterator[tuple[Stream, bytes]]:
        """Everything that was not given yet, in blocks. Raises JournalError when it cannot be read."""
        try:
            yield from self._all()
        except OSError as error:
            where = error.filename or self._folder
            raise JournalError(f"{where}: cannot be read: {error.strerror or error}") from error

    def _all(self) -> Iterator[tuple[Stream, bytes]]:
        if len(self._streams) > 1:
            for sample in read_timeline(self._folder / "timeline"):
                yield from self._up_to("stdout", sample.stdout)
                yield from self._up_to("stderr", sample.stderr)
        for stream in self._streams:
            yield from self._up_to(stream, None)

    def _up_to(self, stream: Stream, end: int | None) -> Iterator[tuple[Stream, bytes]]:
        """The bytes of a stream up to an offset, or to its present end."""
        if end is not None and end <= self._read[stream]:
            return
        try:
            # closed below, before the next block is asked for
            file = open(self._folder / stream, "rb", opener=at_once)
        except FileNotFoundError:
            return
        with file:
            file.seek(self._read[stream])
            while end is None or self._read[stream] < end:
                size = _BLOCK if end is None else min(_BLOCK, end - self._read[stream])
                block = file.read(size)
                if not block:
                    return
                self._read[stream] += len(block)
                yield stream, block
