"""What is searched for in a log: the words themselves, no expression; case counts if one letter is upper."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tui_sweep.view.sgr import without_sequences


class Pattern:
    """Finds a text in lines and in raw pieces of a file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._folds = text == text.lower()
        self._expression = re.compile(re.escape(text), re.IGNORECASE if self._folds else 0)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it is in a line as it is shown; nowhere when there is nothing to find."""
        return [match.span() for match in self._expression.finditer(text)] if self.text else []

    def lines(self, piece: bytes) -> Iterator[int]:
        """Which lines of a raw piece may show it, from 0. Three times as fast as the expression.

        "May": of a progress bar also states that were overwritten are in the piece.
        """
        text = without_sequences(piece.decode("utf-8", "replace"))
        if self._folds:
            text = text.lower()
        line, counted = 0, 0
        found = text.find(self.text) if self.text else -1
        while found >= 0:
            line += text.count("\n", counted, found)
            yield line
            counted = text.find("\n", found)
            if counted < 0:
                return
            found = text.find(self.text, counted)
