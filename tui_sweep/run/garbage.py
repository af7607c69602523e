"""How often a runner's process looks for garbage: seldom."""

from __future__ import annotations

import gc

_ALLOCATED = 10_000
"""Objects more than at the last look, after which there is one; Python's own 700 are two or three cases."""


def collect_rarely() -> None:
    """To be called when all is loaded: what is there by now stays to the end, and is not gone through again.

    A live case is some fifty objects that are freed one by one when it ends; cycles are rare. Looking for
    them every 700 objects took 4 % of a sweep's CPU time.
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATED, 10, 10)
