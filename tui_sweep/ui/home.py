"""HomeScreen: recent sweeps, what the engine has, and a new sweep. It starts and opens nothing itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from tui_sweep.core.errors import SweepError, UsageError
from tui_sweep.core.plain import plain
from tui_sweep.core.plan import LARGE_SWEEP
from tui_sweep.core.values import counted
from tui_sweep.ui.capacity import CapacityLine
from tui_sweep.ui.dialogs import Confirm
from tui_sweep.ui.form import Form
from tui_sweep.ui.preview import CommandLine, Preview
from tui_sweep.ui.sweeps import SweepList
from tui_sweep.view.capacity import Capacity, EngineFacts, at_once, capacity, unfit
from tui_sweep.view.draft import Check, Checked, Draft
from tui_sweep.view.recent import Recent

_PACE = 0.5
"""Seconds between two looks at the sweeps: the one timer of the screen."""

_ENGINE_EVERY = 20
"""Looks between two questions to the engine."""

_REST = 0.12
"""Seconds without a key before what was typed is checked: half a word is no error yet."""

_CALM = 0.5
"""Seconds more before the engine is asked about it: that may run a program."""

_LIST_KEYS = " ?help  enter open  n new sweep  y copy command  ^r start  : palette  q quit"
_FORM_KEYS = " esc sweeps  tab next field  shift+tab back  ^r start  ^p palette  F1 help"

Prepare = Callable[[Sequence[str], Checked], Checked]
"""Adds the engine's own errors and notices to a good check; called in a thread."""


class HomeScreen(Screen[None]):
    """The first screen: recent sweeps and a new one."""

    DEFAULT_CSS = """
    HomeScreen { layout: vertical; overflow: hidden; }
    HomeScreen #body { height: 1fr; layout: vertical; }
    HomeScreen SweepList { height: 7; }
    HomeScreen #new { height: 1fr; }
    HomeScreen #title { height: 1; background: $panel; text-style: bold; }
    HomeScreen #work { height: 1fr; layout: vertical; }
    HomeScreen #keys { height: 1; background: $panel; }
    HomeScreen.-wide #work { layout: horizontal; }
    HomeScreen.-wide Preview { width: 45%; height: 100%; }
    HomeScreen.-wide Form { width: 55%; }
    HomeScreen.-huge #body { layout: horizontal; }
    HomeScreen.-huge SweepList { width: 45%; height: 100%; }
    HomeScreen.-huge #new { width: 55%; }
    HomeScreen.-huge #work { layout: vertical; }
    HomeScreen.-huge Form { width: 100%; height: auto; max-height: 70%; }
    HomeScreen.-huge Preview { width: 100%; height: 1fr; }
    HomeScreen.-short Preview { height: 2; }
    HomeScreen.-small Preview, HomeScreen.-small CommandLine { display: none; }
    HomeScreen.-small #new { display: none; }
    HomeScreen.-small SweepList { height: 1fr; }
    HomeScreen.-small.-editing #new { display: block; }
    HomeScreen.-small.-editing SweepList { display: none; }
    HomeScreen.-tiny #title, HomeScreen.-tiny CapacityLine { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "A new sweep", id="home.new"),
        Binding("ctrl+r", "start", "Start the new sweep", id="home.start"),
        Binding("y", "copy", "Copy the command line of the new sweep", id="home.copy"),
        Binding("escape", "sweeps", "Back to the sweeps; what was typed stays", id="home.sweeps"),
        Binding("q", "app.leave", "Leave", id="home.leave"),
    ]

    class Open(Message):
        """The user wants to see a sweep."""

        def __init__(self, sweep_id: str) -> None:
            super().__init__()
            self.sweep_id = sweep_id

    class Start(Message):
        """The user wants a new sweep; answered by another screen, or by ``refuse``."""

        def __init__(self, words: list[str]) -> None:
            super().__init__()
            self.words = words
            """What stands behind ``sweep-tui run``; was checked, and confirmed if it is large."""

    def __init__(
        self,
        recent: Recent,
        *,
        facts: Callable[[str], Awaitable[EngineFacts]],
        check: Check,
        prepare: Prepare | None = None,
        engine: str = "local",
        draft: Draft | None = None,
        clock: Callable[[], float] = time.time,
        ascii_only: bool = False,
    ) -> None:
        """``facts`` asks an engine by its name; ``engine`` is the one used when the form names none."""
        super().__init__()
        self._recent = recent
        self._facts = facts
        self._check = check
        self._prepare = prepare
        self._engine = engine
        self._draft = draft if draft is not None else Draft(image="python")
        self._clock = clock
        # A worker may end while the screen is being taken down: it finds no widgets by then, but has these.
        self._capacity = CapacityLine(engine, ascii_only=ascii_only)
        self._list = SweepList(ascii_only=ascii_only)
        self._title = Static(Text(" new sweep"), id="title", markup=False)
        self._form = Form(self._draft, engine=engine)
        self._preview = Preview()
        self._line = CommandLine()
        self._keys = Static(id="keys", markup=False)
        self._checked: Checked | None = None
        """What the form's words mean; None: nothing was typed."""
        self._timer: Timer | None = None
        self._looks = 0
        self._starting = False

    # -- what is on it --------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self._capacity
        with Container(id="body"):
            yield self._list
            with Vertical(id="new"):
                yield self._title
                with Container(id="work"):
                    yield self._form
                    yield self._preview
        yield self._line
        yield self._keys

    def on_mount(self) -> None:
        self._recent.refresh()
        self._show_sweeps()
        self._show_keys()
        if self._recent.sweeps or self._recent.unreadable:
            self._list.focus()
        else:
            self._form.enter()
        self._typed()
        self._ask_engine(self._engine)
        self._timer = self.set_interval(_PACE, self._tick)

    def on_unmount(self) -> None:
        self._recent.close()

    def on_screen_suspend(self) -> None:
        self._starting = False
        self._entitle("")
        if self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        if self._timer is not None:
            self._tick()
            self._timer.resume()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        self.set_class(width >= 110 and height >= 18, "-wide")
        self.set_class(width >= 170 and height >= 40, "-huge")
        self.set_class(height < 20, "-short")
        self.set_class(width < 40 or height < 15, "-small")
        self.set_class(width < 30 or height < 8, "-tiny")
        self._arrange()

    def on_descendant_focus(self) -> None:
        self._arrange()
        self._show_keys()

    def _arrange(self) -> None:
        """Share the lines: the pane that has the focus gets more, and no list more than it fills."""
        editing = self._is_editing
        self.set_class(editing, "-editing")
        alone = self.has_class("-small") or self.has_class("-huge")
        share = max(self.size.height // (6 if editing else 3), 3)
        self._list.styles.height = None if alone else min(self._list.wanted_height, share)

    @property
    def _is_editing(self) -> bool:
        return self.focused is not None and self._form in self.focused.ancestors

    def _show_keys(self) -> None:
        text = Text(_FORM_KEYS if self._is_editing else _LIST_KEYS, no_wrap=True, overflow="crop")
        if self._keys.content != text:
            self._keys.update(text)

    # -- looking --------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._looks += 1
        self._recent.refresh()
        self._show_sweeps()
        if self._looks % _ENGINE_EVERY == 0:
            self._ask_engine(self._engine_meant)

    def _show_sweeps(self) -> None:
        before = self._list.wanted_height
        self._list.show(self._recent.sweeps, self._clock(), unreadable=self._recent.unreadable)
        if self._list.wanted_height != before:
            self._arrange()

    @property
    def _engine_meant(self) -> str:
        """The engine of the form, if it names one that there is."""
        return (self._checked.engine if self._checked is not None else "") or self._engine

    @work(exclusive=True, group="engine", exit_on_error=True)  # only a SweepError is the engine's
    async def _ask_engine(self, engine: str) -> None:
        try:
            told = capacity(engine, await self._facts(engine))
        except SweepError as error:
            told = Capacity(plain(engine), trouble=plain(str(error)))
        self._capacity.show(told)
        if self._checked is not None:
            self._tell(self._checked)

    # -- a new sweep ----------------------------------------------------------------------------

    def on_form_changed(self, event: Form.Changed) -> None:
        event.stop()
        self._draft = self._form.draft
        self._typed()

    def _typed(self) -> None:
        """What was typed is something else now."""
        self._entitle("")
        try:
            shown = self._draft.command_line(masked=True)
        except UsageError:
            shown = "(a quotation is not closed)"
        self._line.show(shown)
        self._look_into(self._draft)

    @work(exclusive=True, group="check", exit_on_error=True)  # a check gives its errors as values
    async def _look_into(self, draft: Draft) -> None:
        """Check a draft as soon as nobody types; a later one takes this one's place at any await."""
        if draft.is_empty:
            self._tell(None)
            return
        await asyncio.sleep(_REST)
        checked = await self._checked_of(draft)
        error = self._tell(checked)
        if checked.engine and checked.engine != self._capacity.engine:
            self._ask_engine(checked.engine)
        if error is None and checked.count is not None and self._prepare is not None:
            await asyncio.sleep(_CALM)
            self._tell(await asyncio.to_thread(self._prepare, draft.words, checked))

    async def _checked_of(self, draft: Draft) -> Checked:
        """What a draft would start; the search in the thread ends when nobody waits for it any more."""
        stop = threading.Event()
        try:
            words = draft.words
            return await asyncio.to_thread(self._check, words, stop.is_set)
        except UsageError as error:
            return Checked(error=error)
        finally:
            stop.set()

    def _tell(self, checked: Checked | None) -> SweepError | None:
        """Show what the form would start, and under its field the error, which is returned."""
        self._checked = checked
        note = ""
        there = self._capacity.shown
        if checked is not None and there is not None and there.engine == checked.engine:
            if checked.error is None:
                checked = replace(checked, error=unfit(checked.slots, there))
            if (fit := at_once(checked.slots, there)) is not None:
                note = f"{fit:,} at once"
        error = checked.error if checked is not None else None
        self._form.tell(error)
        self._preview.show(checked, note)
        return error

    def refuse(self, error: SweepError) -> None:
        """Say why the sweep that was asked for by ``Start`` does not begin."""
        self._starting = False
        self._tell(replace(self._checked or Checked(), error=error))
        self._point_at(error)

    def _point_at(self, error: SweepError) -> None:
        """Bring the field of an error into view, or tell it aloud where there is none."""
        blamed = self._form.tell(error)
        self._entitle("not started, see the error")
        if blamed is not None:
            self._form.show(blamed)
        else:
            self.notify(plain(str(error)), title="not started", severity="error", markup=False)

    def _entitle(self, note: str) -> None:
        """Say how the new sweep fares."""
        text = f" new sweep{f': {note}' if note else ''}"
        if str(self._title.content) != text:
            self._title.update(Text(text, no_wrap=True, overflow="crop"))

    # -- what the user does ---------------------------------------------------------------------

    def action_new(self) -> None:
        self._form.enter()

    def action_sweeps(self) -> None:
        self._list.focus()

    def on_sweep_list_chosen(self, event: SweepList.Chosen) -> None:
        event.stop()
        self.post_message(self.Open(event.sweep_id))

    def action_copy(self) -> None:
        try:
            line = self._draft.command_line()
        except UsageError as error:
            self._point_at(error)
            return
        self.app.copy_to_clipboard(line)
        self.notify("The command line was copied.", markup=False)

    def action_start(self) -> None:
        if not self._starting:
            self._starting = True
            self._start(self._draft)

    @work(exclusive=True, group="start", exit_on_error=True)  # a check gives its errors as values
    async def _start(self, draft: Draft) -> None:
        """Check once more, for the last key may be younger than the last check; ask if it is large."""
        self.workers.cancel_group(self, "check")
        checked = await self._checked_of(draft)
        if (error := self._tell(checked)) is not None:
            self._starting = False
            self._point_at(error)
        elif await self._is_meant(checked):
            self._starting = True  # the question has put it back
            self._entitle("starting ...")
            self.post_message(self.Start(draft.words))
        else:
            self._starting = False

    async def _is_meant(self, checked: Checked) -> bool:
        """Whether a large sweep is meant to be started; small ones always are."""
        if checked.count is not None and checked.count <= LARGE_SWEEP:
            return True
        many = "a sweep of unknown size" if checked.count is None else f"{counted(checked.count)} cases"
        sizes = " x ".join(f"{plain(name)} {counted(count)}" for name, count in checked.sizes)
        lines = [line for line in (sizes, *(plain(notice) for notice in checked.notices)) if line]
        answer: bool = await self.app.push_screen_wait(Confirm(f"start {many}?", lines, yes="start"))
        return answer
