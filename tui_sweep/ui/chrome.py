"""What Textual draws around our text, in characters that are one cell wide in every terminal.

Its own lines, blocks and icons are Ambiguous or Wide: two cells in CJK terminals, where they break the screen.
"""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBarRender


class Bar(ScrollBarRender):
    """A scrollbar of whole cells, in colours alone."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "]
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "]


CSS = """
Toast {
    width: auto; max-width: 60; padding: 0 1;
    &.-information, &.-warning, &.-error { border: none; }
    &.-error { color: $text-error; text-style: bold; }
}
CommandPalette {
    SearchIcon { display: none; }
    #--input, #--input.--list-visible { border: none; }
    LoadingIndicator { display: none; }
    CommandList, CommandList.--populating { border: none; border-top: blank; border-bottom: blank; }
}
"""
"""Rules for the app: notices and the palette without frames."""
