"""Questions and the line to type: what is seen of them, and what is pasted into them."""

import asyncio

import pytest
from textual import events
from textual.app import App

from tui_sweep.ui.dialogs import Prompt


class Asks(App):
    """A screen with a prompt on it."""

    said = None

    def on_mount(self):
        self.push_screen(Prompt("filter:", "LR=0.1"), lambda text: setattr(self, "said", text))


def rows(app):
    """The screen as it is painted."""
    return ["".join(strip.text).rstrip() for strip in app.screen._compositor.render_strips()]


def play(*keys, then=None):
    """Open a prompt, press keys, and run ``then(app, pilot)``."""
    app = Asks()

    async def scene():
        async with app.run_test(size=(40, 8)) as pilot:
            await pilot.press(*keys)
            if then is not None:
                await then(app, pilot)
            await pilot.pause()
            app.seen = rows(app)

    asyncio.run(scene())
    return app


def test_what_is_typed_is_seen_below_its_label():
    assert play("end", *"x y").seen[-2:] == ["filter:", "LR=0.1x y"]


def test_typing_replaces_what_was_there():
    app = play(*"bs>2")
    assert app.seen[-1] == "bs>2"


@pytest.mark.parametrize(("key", "said"), [("enter", "LR=0.1"), ("escape", None)])
def test_enter_takes_the_text_and_esc_gives_up(key, said):
    assert play(key).said == said


def test_what_is_pasted_cannot_control_the_terminal():
    async def paste(app, pilot):
        app.screen.focused.post_message(events.Paste("a\x1b]0;title\x07\nb"))
        await pilot.pause()

    assert play(then=paste).seen[-1] == "a]0;title b"
