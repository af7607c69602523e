"""numpy, without the threads that its OpenBLAS starts: nothing here multiplies matrices, and each one spins for
50 ms first. ``from tui_sweep.core.arrays import np`` where numpy may be imported for the first time."""

from __future__ import annotations

import os

_THREADS = "OPENBLAS_NUM_THREADS"
_is_told = _THREADS in os.environ
os.environ.setdefault(_THREADS, "1")
import numpy as np  # noqa: E402 - it looks at the variable once, now

if not _is_told:
    del os.environ[_THREADS]  # or the cases would have it

__all__ = ["np"]
