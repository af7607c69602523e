"""Questions in the middle of the screen. What they are about is fixed when they open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

# No border: the lines of a box are two cells wide in CJK terminals, and break it.
_STYLE = """
    $NAME { align: center middle; background: $background 60%; }
    $NAME > VerticalScroll {
        width: auto; max-width: 90%; height: auto; max-height: 90%;
        background: $panel; padding: 1 2;
    }
    $NAME Static { width: auto; max-width: 100%; }
"""


def _style(name: str) -> str:
    return _STYLE.replace("$NAME", name)


class Confirm(ModalScreen[bool]):
    """A question with a yes that has to be meant: No is the default, and what esc and enter say."""

    DEFAULT_CSS = _style("Confirm")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes"),
        Binding("n,escape,enter,q", "answer(False)", "No", id="confirm.no"),
    ]

    def __init__(self, title: str, lines: Sequence[str], *, yes: str = "yes") -> None:
        super().__init__()
        self._title, self._lines, self._yes = title, lines, yes

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text(self._title + "\n", style="bold"))
            for line in self._lines:
                yield Static(Text(line, no_wrap=False))
            yield Static(Text(f"\ny {self._yes}      n no (default)     esc no"), id="keys")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Leave(ModalScreen[str]):
    """Leaving a sweep that has not ended: ``detach``, ``hold``, ``cancel`` or ``stay``."""

    DEFAULT_CSS = _style("Leave")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,enter", "answer('detach')", "Detach", id="leave.detach"),
        Binding("h", "answer('hold')", "Hold and detach", id="leave.hold"),
        Binding("c", "answer('cancel')", "Cancel everything", id="leave.cancel"),
        Binding("escape,q,n", "answer('stay')", "Stay", id="leave.stay"),
    ]

    def __init__(self, counts: str, called: str) -> None:
        super().__init__()
        self._counts, self._called = counts, called

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text("leave sweep-tui?\n", style="bold"))
            yield Static(Text(self._counts))
            yield Static(
                Text(
                    f"d  detach: all goes on, come back with\n   sweep-tui open {self._called}   (default)\n"
                    "h  hold: finish what runs, send no more, and leave\n"
                    "c  cancel everything (asks again)\n"
                    "esc stay"
                )
            )

    def action_answer(self, answer: str) -> None:
        self.dismiss(answer)


class Prompt(ModalScreen[str | None]):
    """A line to type; None when it was given up."""

    DEFAULT_CSS = (
        _style("Prompt")
        + """
    Prompt { align: left bottom; background: transparent; }
    Prompt > VerticalScroll { width: 100%; max-width: 100%; padding: 0; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        # before the line itself, for which enter is the way to the next one
        Binding("enter", "take", "Take it", id="prompt.enter", priority=True),
        Binding("escape", "give_up", "Give up", id="prompt.escape"),
    ]

    def __init__(self, label: str, text: str = "") -> None:
        super().__init__()
        self._label, self._text = label, text

    def compose(self) -> ComposeResult:
        from tui_sweep.ui.editors import Line  # not part of a board's first paint

        with VerticalScroll():
            yield Static(Text(self._label))
            yield Line(self._text, placeholder="", id="typed")

    def on_mount(self) -> None:
        line = self.query_one("#typed", Input)
        line.focus()
        line.action_select_all()

    def action_take(self) -> None:
        self.dismiss(self.query_one("#typed", Input).value)

    def action_give_up(self) -> None:
        self.dismiss(None)
