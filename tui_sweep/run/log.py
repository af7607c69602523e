"""run.log: what a runner has to say about itself, never on the terminal."""

from __future__ import annotations

import logging
from pathlib import Path


def log_to(path: Path) -> None:
    """Send this process's log to a file; it is made when there is something to say."""
    handler = logging.FileHandler(path, delay=True, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a disk that is full must not print tracebacks on the terminal
