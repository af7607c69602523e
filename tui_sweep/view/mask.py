"""Mask: which variables hold something that no screen should show."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from tui_sweep.core.sweep import Sweep
from tui_sweep.core.templates import parse_template

_TELLING = ("KEY", "TOKEN", "SECRET", "PASSWORD")
MASKED = "****"


@functools.lru_cache(256)
def is_telling(name: str) -> bool:
    """Whether a name says that its value is a secret (CONTRACT)."""
    return any(word in name.upper() for word in _TELLING)


class Mask:
    """Masks the variables of one sweep: by their own name, or because such an ``-e`` is made of them."""

    def __init__(self, sweep: Sweep) -> None:
        self._hidden: set[str] = set()
        for name, text in sweep.env:
            if is_telling(name):
                self._hidden |= {mention.name for mention in parse_template("-e", text).mentions}

    def masked(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The variables by column, with the values of secrets masked."""
        return {
            column: MASKED if is_telling(column) or column.rpartition(".")[2] in self._hidden else value
            for column, value in variables.items()
        }
