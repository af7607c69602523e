"""Help: every key that works on a screen, made from its bindings, so that it cannot be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "plus": "+",
    "minus": "-",
    "comma": ",",
    "full_stop": ".",
    "asterisk": "*",
    "ampersand": "&",
    "equals_sign": "=",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "escape": "esc",
}


def key_name(key: str) -> str:
    """A key as a person calls it."""
    return " ".join(_NAMES.get(part, part) for part in key.split(","))


def described(node: DOMNode) -> list[tuple[str, str]]:
    """(keys, what they do) of a node's own bindings, one line an action, in the order of the source."""
    found: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for binding in _own(node):
        if binding.description:
            found.setdefault(binding.action, []).append(key_name(binding.key))
            words.setdefault(binding.action, binding.description)
    return [(" ".join(keys), words[action]) for action, keys in found.items()]


def _own(node: DOMNode) -> Iterable[Binding]:
    for cls in type(node).__mro__:
        if cls.__module__.startswith("tui_sweep"):
            for binding in cls.__dict__.get("BINDINGS", []):
                yield binding if isinstance(binding, Binding) else Binding(*binding)


class Help(ModalScreen[None]):
    """The keys of the screen below, by part."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 90%; max-width: 100; height: 90%;
        background: $panel; padding: 1 2;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "dismiss", "Close", id="help.close"),
        Binding("j,down", "scroll('down')", "Down", id="help.down"),
        Binding("k,up", "scroll('up')", "Up", id="help.up"),
    ]

    def __init__(self, parts: Iterable[tuple[str, list[tuple[str, str]]]]) -> None:
        super().__init__()
        self._parts = list(parts)

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text("keys; esc closes", style="bold"))
            for title, lines in self._parts:
                if lines:
                    yield Static(Text(f"\n{title}", style="bold"))
                    yield Static(_table(lines))

    def action_scroll(self, where: str) -> None:
        box = self.query_one(VerticalScroll)
        box.scroll_relative(y=1 if where == "down" else -1, animate=False)


def _table(lines: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=18)
    table.add_column()
    for keys, words in lines:
        table.add_row(Text(keys), Text(words))
    return table
