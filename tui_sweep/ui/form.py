"""Form: a new sweep's fields, each with its error under it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from tui_sweep.core.errors import SweepError
from tui_sweep.ui.carets import complaint
from tui_sweep.ui.editors import Line, Lines
from tui_sweep.view.draft import Draft

_LABEL = 11
"""Cells of a label, the blanks around it included."""


@dataclass(frozen=True, slots=True)
class FieldLook:
    """How one field of a draft is asked for."""

    name: str
    label: str
    example: str
    """Shown while it is empty."""
    grows: bool = False
    """Whether it may have several lines."""


FIELDS = (
    FieldLook("image", "Image", "the runtime or image, e.g. python"),
    FieldLook("command", "Command", "--exec, e.g. python train.py --lr $lr", grows=True),
    FieldLook("code", "or Code", "-c, a program in place of Command and Files", grows=True),
    FieldLook("files", "Files", "copied for each case, e.g. train.py conf/"),
    FieldLook("ranges", "Ranges", "one a line, e.g. lr=case:0.1,0.01", grows=True),
    FieldLook("env", "Env", "one a line, e.g. LR=$lr", grows=True),
    FieldLook("resources", "Resources", "cpu=1; e.g. cpu=2 mem=512m"),
    FieldLook("max_parallel", "Parallel", "at most so many at once; no limit but the engine's"),
    FieldLook("name", "Name", "of letters, digits, _ . and -"),
    FieldLook("engine", "Engine", ""),
    FieldLook("options", "Options", "more of sweep-tui run, e.g. --retries 2 --timeout 5m"),
)
"""In the order in which they are asked for; the names are those of ``Draft``."""


class Field(Vertical):
    """A label, an editor, and what is wrong with what was typed."""

    DEFAULT_CSS = """
    Field { height: auto; }
    Field Horizontal { height: auto; }
    Field .label { width: 11; padding: 0 1; color: $text-muted; }
    Field:focus-within .label { color: $text; text-style: bold; }
    Field Line, Field Lines { width: 1fr; background: $surface; }
    Field Line:focus, Field Lines:focus { background: $boost; }
    Field .wrong { display: none; height: auto; padding: 0 0 0 11; color: $text-error; }
    Field.-wrong .wrong { display: block; }
    """

    def __init__(self, look: FieldLook, value: str, example: str) -> None:
        super().__init__(id=f"field-{look.name}")
        self.field = look.name
        self._label = look.label
        kind = Lines if look.grows else Line
        self.editor: Line | Lines = kind(value, placeholder=example, id=look.name)
        self._wrong = Static(classes="wrong", markup=False)
        self.error: SweepError | None = None
        """What is told under it."""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(Text(self._label), classes="label", markup=False)
            yield self.editor
        yield self._wrong

    def tell(self, error: SweepError | None) -> None:
        """Show an error under the field, or none; nothing is drawn when it says the same."""
        if _same(error, self.error):
            return
        self.error = error
        self.set_class(error is not None, "-wrong")
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        if self.error is not None:
            room = max(self.size.width - _LABEL, 8)
            self._wrong.update(complaint(self.error, self.editor.typed, room))


def _same(one: SweepError | None, other: SweepError | None) -> bool:
    """Whether two errors look alike."""
    if one is None or other is None:
        return one is other
    return (type(one), str(one), vars(one)) == (type(other), str(other), vars(other))


class Form(VerticalScroll, can_focus=False):
    """A new sweep."""

    DEFAULT_CSS = """
    Form { height: 1fr; background: $surface; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "jump(-1)", "First field", id="form.first", show=False),
        Binding("pagedown", "jump(1)", "Last field", id="form.last", show=False),
    ]

    class Changed(Message):
        """Something was typed; the form's ``draft`` has it."""

    def __init__(self, draft: Draft, *, engine: str) -> None:
        super().__init__()
        self.draft = draft
        self._engine = engine
        self._fields: dict[str, Field] = {}
        self._last = "image" if not draft.image else "command"

    def compose(self) -> ComposeResult:
        for look in FIELDS:
            example = self._engine if look.name == "engine" else look.example
            self._fields[look.name] = Field(look, getattr(self.draft, look.name), example)
        yield from self._fields.values()

    def enter(self) -> None:
        """Focus the field that was left last."""
        self._fields[self._last].editor.focus()

    def tell(self, error: SweepError | None) -> str | None:
        """Show an error under the field that caused it, and none elsewhere; the field's name, if it is one's."""
        blamed = self.draft.field_of(error) if error is not None else None
        for name, field in self._fields.items():
            field.tell(error if name == blamed else None)
        return blamed

    def show(self, name: str) -> None:
        """Focus a field."""
        field = self._fields[name]
        field.editor.focus()
        self.call_after_refresh(field.scroll_visible, animate=False)

    def fill(self, draft: Draft) -> None:
        """Put other texts into the fields."""
        for name, field in self._fields.items():
            field.editor.typed = getattr(draft, name)

    @on(Input.Changed)
    @on(TextArea.Changed)
    def _typed(self, event: Message) -> None:
        event.stop()
        draft = Draft(**{f.name: self._fields[f.name].editor.typed for f in fields(Draft)})
        if draft != self.draft:
            self.draft = draft
            self.post_message(self.Changed())

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget.id in self._fields:
            self._last = event.widget.id

    def action_jump(self, direction: int) -> None:
        self.show(FIELDS[0 if direction < 0 else -1].name)
