"""What Textual draws around our text: one cell a character in every terminal, and ASCII where asked for."""

import asyncio
import unicodedata

import pytest

from tests.folders import EPOCH, make_folder
from tui_sweep.ui.app import Outside, SweepApp
from tui_sweep.view.follow import Follower

SCENES = {
    "board": [],
    "notice": ["e", "x"],
    "error": ["slash", *"lr:", "enter"],
    "filter": ["slash", *"LR"],
    "palette": ["colon"],
    "palette, no match": ["colon", *"qqq"],
    "themes": ["colon", *"theme", "enter"],
    "help": ["question_mark", "j"],
    "question": ["asterisk", "r"],
    "log": ["2", "k", "w", "z"],
}


def painted(tmp_path, keys, size, *, ascii_only=False):
    """Every character of the screen after some keys."""
    states = ["done"] * 40
    outputs = {0: b"".join(b"line %d of many, and %s\n" % (i, b"long " * 40) for i in range(100))}
    folder = make_folder(tmp_path, states, variables={"LR": "range:40"}, outputs=outputs)
    outside = Outside(
        lambda folder: None, find=Follower, start_sweep=lambda words: "", clock=lambda: EPOCH + 300
    )
    app = SweepApp(outside, sweep=Follower(folder), ascii_only=ascii_only)

    async def scene():
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.press(*keys)
            await app.workers.wait_for_complete()
            await pilot.pause()
            return "".join("".join(strip.text) for strip in app.screen._compositor.render_strips())

    return asyncio.run(scene())


def test_the_palette_names_an_action_once_however_many_keys_it_has(tmp_path):
    shown = painted(tmp_path, ["colon", *"by name"], (80, 24))
    assert shown.count("All actions, by name") == 1


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("scene", SCENES)
def test_no_character_is_of_another_width_in_cjk_terminals(tmp_path, scene, size):
    shown = painted(tmp_path, SCENES[scene], size)
    assert {c for c in shown if unicodedata.east_asian_width(c) in "AWF"} == set()


@pytest.mark.parametrize("scene", SCENES)
def test_ascii_is_all_there_is_where_it_was_asked_for(tmp_path, scene):
    shown = painted(tmp_path, SCENES[scene], (80, 24), ascii_only=True)
    assert {c for c in shown if not c.isascii()} == set()
