"""`make screenshots`: pictures of the running program, from a real run of the demo.

Not a test: it takes as long as the demo. The pictures go into ``screenshots/``.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import wait_until
from tui_sweep.cli.draft import parsed
from tui_sweep.cli.options import asked
from tui_sweep.cli.run import create_sweep, start_detached
from tui_sweep.cli.screen import window
from tui_sweep.config import read_settings
from tui_sweep.demo import arguments
from tui_sweep.store.layout import StateDir, SweepDir
from tui_sweep.ui.app import SweepApp
from tui_sweep.view.follow import Follower

SCREENSHOTS = Path(__file__).parent.parent / "screenshots"


async def take(app: SweepApp, name: str, size: tuple[int, int], keys: Sequence[str] = ()) -> None:
    """One picture, after some keys."""
    async with app.run_test(size=size) as pilot:
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)
        await pilot.pause(1.0)
        (SCREENSHOTS / f"{name}.svg").write_text(app.export_screenshot(title="sweep-tui"), encoding="utf-8")


def counts(folder: SweepDir) -> dict[str, int]:
    """How many cases are in each state."""
    follower = Follower(folder)
    try:
        return follower.counts
    finally:
        follower.close()


def main() -> None:
    """Run the demo and take pictures while it runs and when it has ended."""
    SCREENSHOTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"SWEEP_TUI_STATE": place, "LANG": "C.UTF-8"}
        settings = read_settings(environ=os.environ, cwd=Path.cwd(), options={})
        wanted = asked(parsed(arguments(), settings), settings)
        folder = create_sweep(wanted, StateDir(settings.state_dir), yes=True)
        start_detached(folder)
        wait_until(lambda: counts(folder).get("done", 0) >= 5, 120)
        down = ["j"] * (counts(folder).get("done", 0) + 1)
        asyncio.run(take(window(settings, Follower(folder)), "board-80x24", (80, 24), down))
        asyncio.run(take(window(settings, Follower(folder)), "board-120x40", (120, 40), down))
        later = ["j"] * (counts(folder).get("done", 0) + 2)  # it still lives when it is asked about
        asyncio.run(take(window(settings, Follower(folder)), "cancel-80x24", (80, 24), [*later, "x"]))
        asyncio.run(take(window(settings, None), "home-80x24", (80, 24)))
        wait_until(lambda: sum(counts(folder).get(word, 0) for word in ("done", "failed")) == 24, 600)
        asyncio.run(take(window(settings, Follower(folder)), "ended-120x40", (120, 40), ["e"]))
        asyncio.run(take(window(settings, Follower(folder)), "board-200x60", (200, 60), ["e"]))


if __name__ == "__main__":
    main()
