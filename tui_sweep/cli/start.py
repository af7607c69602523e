"""A quick start of the window, or of a sweep: without what Python and numpy do meanwhile, and nobody needs.

Measured at the first paint of the board of a million cases, 0.5 s then.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

_THREADS = "OPENBLAS_NUM_THREADS"


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected inside, until ``painted``: modules leave next to none behind, and going
    through all of them again and again costs 60 to 100 ms.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def painted() -> None:
    """The first screen is seen: collect garbage from now on, but not among what was there by then. It
    stays to the end, and a full collection would hold up a key by 30 ms.
    """
    gc.freeze()
    gc.enable()


@contextmanager
def unthreaded() -> Iterator[None]:
    """An import of numpy inside starts no threads for its linear algebra, which nothing here uses: a
    thread a core, 15 ms on two cores. What is started later has the environment as it was.
    """
    if _THREADS in os.environ:
        yield
        return
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[_THREADS]
