"""What is kept in an attempt's folder of its session: that it was sent, its id, and how it ended.

``session`` grows by a line of JSON each time that one of these is learned: ``{"id": UUID or "", "kind":
"interactive", "end": {…}}``, without what is not so. The last whole one counts, so that writing it takes one system call on the file and no rename. It is there
before the first request that creates: a later process that finds it asks the server before it sends again.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_sweep.core.session import Report
from tui_sweep.core.states import Event
from tui_sweep.engines.backendai.session import Kind

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt that was, or may have been, sent."""

    id: str = ""
    """The server's id; "" while no answer named it."""
    end: dict[str, Any] | None = None
    kind: Kind | None = None
    """None when a file tells nothing."""

    def report(self, name: str) -> Report | None:
        """The report of its end, if that was read."""
        if self.end is None:
            return None
        return Report(
            name,
            Event[self.end["event"]],
            self.end["at"],
            status=self.end.get("status"),
            exit_code=self.end.get("exit_code"),
            reason=self.end.get("reason"),
            session=self.id or None,
            unbegun=self.end.get("unbegun") is True,
        )


def read(folder: Path) -> Sent | None:
    """What is kept; None when nothing was sent. A file that tells nothing still tells that something was."""
    try:
        with open(f"{folder}/session", "rb") as file:
            lines = file.read(_LARGEST).split(b"\n")
    except OSError:
        return None
    return next(filter(None, map(_record, reversed(lines))), Sent())


def _record(line: bytes) -> Sent | None:
    """One line; None for half of one, and for what nobody of ours wrote."""
    try:
        record = json.loads(line)
        kind: Kind = "interactive" if record.get("kind") == "interactive" else "batch"
        sent = Sent(str(record["id"]), record.get("end"), kind)
        sent.report("")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return sent


def begin(folder: Path, sent: Sent) -> bool:
    """Keep it where nothing was kept before; False, and nothing is done, where something was. Raises OSError."""
    try:
        _write(f"{folder}/session", _line(sent), os.O_EXCL)
    except FileExistsError:
        return False
    return True


def write(folder: Path, sent: Sent) -> None:
    """Keep it. Raises OSError; what was kept before then still is."""
    _write(f"{folder}/session", _line(sent), os.O_APPEND)


def _line(sent: Sent) -> bytes:
    record: dict[str, Any] = {"id": sent.id}
    if sent.kind == "interactive":
        record["kind"] = sent.kind
    if sent.end is not None:
        record["end"] = sent.end
    return b"\n" + json.dumps(record).encode()  # a line of its own even behind half of one


def write_end(folder: Path, report: Report) -> None:
    """Keep how it ended, and its exit code where every engine keeps it. Raises OSError."""
    if report.exit_code is not None:
        _write(f"{folder}/exit", b"%d\n" % report.exit_code, os.O_TRUNC)
    assert report.event is not None
    end: dict[str, Any] = {
        "event": report.event.name,
        "at": report.at,
        "status": report.status,
        "exit_code": report.exit_code,
        "reason": report.reason,
    }
    if report.unbegun:
        end["unbegun"] = True
    write(folder, Sent(report.session or "", end))


def _write(path: str, data: bytes, how: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o666)
    try:
        if os.write(file, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)
