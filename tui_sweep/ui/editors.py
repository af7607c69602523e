"""Editors of the form: a line, or lines that grow. What is pasted cannot control the terminal."""

from __future__ import annotations

import re
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import Input, TextArea

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All but tab and newline: an escape in a widget's text would reach the terminal."""


def harmless(text: str) -> str:
    """A pasted text without control characters; every kind of line end becomes a newline."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


class Line(Input):
    """One line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,enter", "app.focus_next", "Next field", id="line.next", show=False),
        Binding("up", "app.focus_previous", "Previous field", id="line.previous", show=False),
    ]

    def __init__(self, value: str, *, placeholder: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(value, placeholder=placeholder, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False  # a blinking cursor is a timer, and bytes to the terminal

    @property
    def typed(self) -> str:
        return self.value

    @typed.setter
    def typed(self, text: str) -> None:
        self.value = text

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.replace(" ".join(harmless(event.text).replace("\t", " ").splitlines()), *self.selection)


class Lines(TextArea):
    """A line that becomes more when enter is pressed."""

    DEFAULT_CSS = """
    Lines { height: auto; min-height: 1; max-height: 8; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "cursor_down", "Next line or field", id="lines.next", show=False),
        Binding("up", "cursor_up", "Previous line or field", id="lines.previous", show=False),
    ]

    def __init__(self, value: str, *, placeholder: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(value, placeholder=placeholder, id=id, compact=True, highlight_cursor_line=False)
        self.cursor_blink = False

    @property
    def typed(self) -> str:
        return self.text

    @typed.setter
    def typed(self, text: str) -> None:
        self.text = text

    @property
    def _row(self) -> int:
        """The cursor's row on the screen, counted from the first; long lines are wrapped."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    def action_cursor_up(self, select: bool = False) -> None:
        if self._row == 0 and not select:
            self.screen.focus_previous()
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if self._row == self.wrapped_document.height - 1 and not select:
            self.screen.focus_next()
        else:
            super().action_cursor_down(select)

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.replace(harmless(event.text), *self.selection)
