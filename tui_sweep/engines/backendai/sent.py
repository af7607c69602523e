"""What is kept in an attempt's folder of its session: that it was sent, its id, and how it ended.

``session`` is JSON, replaced whole: ``{"id": UUID or "", "kind": "interactive", "end": {…}}``, without
what is not so. It is there before
the first request that creates: a later process that finds it asks the server before it sends again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
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
    kind: Kind = "batch"

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
        )


def read(folder: Path) -> Sent | None:
    """What is kept; None when nothing was sent, or the file is not ours to read."""
    try:
        with open(folder / "session", "rb") as file:
            record = json.loads(file.read(_LARGEST))
        kind: Kind = "interactive" if record.get("kind") == "interactive" else "batch"
        sent = Sent(str(record["id"]), record.get("end"), kind)
        sent.report("")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return sent


def write(folder: Path, sent: Sent) -> None:
    """Keep it, whole or not at all. Raises OSError."""
    aside = folder / ".session"
    record = {"id": sent.id, "end": sent.end, "kind": sent.kind if sent.kind != "batch" else None}
    aside.write_text(json.dumps({key: value for key, value in record.items() if value or key == "id"}))
    os.replace(aside, folder / "session")


def write_end(folder: Path, report: Report) -> None:
    """Keep how it ended, and its exit code where every engine keeps it. Raises OSError."""
    if report.exit_code is not None:
        (folder / "exit").write_text(f"{report.exit_code}\n")
    assert report.event is not None
    end = {
        "event": report.event.name,
        "at": report.at,
        "status": report.status,
        "exit_code": report.exit_code,
        "reason": report.reason,
    }
    write(folder, replace(read(folder) or Sent(), id=report.session or "", end=end))
