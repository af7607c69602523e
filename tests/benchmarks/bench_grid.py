"""The case grid over a million cases, 100,000 of them ended, beside stock DataTable with a thousand rows.

Each side runs in a process of its own, so that memory is its own; a bare Textual app is the ground. Times
are from the key to the end of what the terminal would be sent. Up to 16 ms of them Textual waits for its
next frame, so the seconds of processor time say more, and both have to be better.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure import fresh, median, report

CASES = 1_000_000
ENDED = 100_000
SPOKEN = 500
"""Cases with output: those on the pages that are seen."""
PEER_ROWS = 1_000
BAR_BYTES = 100
"""Of memory a case above the bare app."""
TIMES = 9
SIZE = (120, 40)


def sweep_folder(home: Path) -> Any:
    """A sweep whose first cases have ended, as its runner left it."""
    from tui_sweep.core.cases import CaseTable
    from tui_sweep.core.plan import Plan
    from tui_sweep.core.ranges import parse_range
    from tui_sweep.core.states import Event
    from tui_sweep.core.sweep import Sweep
    from tui_sweep.store.journal import Entry, Journal
    from tui_sweep.store.layout import StateDir
    from tui_sweep.store.sweeps import create

    ranges = tuple(parse_range(f"{name}=range:100") for name in ("lr", "bs", "seed"))
    sweep = Sweep(image="python", engine="local", exec="run $lr $bs $seed", ranges=ranges)
    count = Plan(sweep).count
    folder = create(StateDir(home), sweep, {}, cases=count, merged=0, snapshot=lambda files: None)
    table = CaseTable(count)
    for case in range(ENDED):
        for step, event in enumerate((Event.LAUNCH, Event.STARTED, Event.SUCCEEDED)):
            table.move(case, event, 1e9 + case + step, exit_code=0 if step == 2 else None)
    for case in range(SPOKEN):
        attempt = folder.attempt(case, 0)
        attempt.mkdir(parents=True)
        table.grew(case, (attempt / "stdout").write_bytes(b"epoch 8 loss 0.6\nepoch 9 loss 0.5\n"))

    async def write() -> None:
        journal = Journal(folder.database)
        await journal.commit(Entry(table.take_rows(), {"counts": table.word_counts()}))
        await journal.close()

    asyncio.run(write())
    return folder


def resident() -> int:
    """Memory of this process now, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grid(path: str) -> dict[str, Any]:
    from tui_sweep.store.layout import SweepDir
    from tui_sweep.ui.grid import CaseGrid
    from tui_sweep.view.follow import Follower

    return shown(lambda: CaseGrid(Follower(SweepDir(Path(path))), clock=time.time), down="pagedown", end="G")


def table(_: str) -> dict[str, Any]:
    from textual.widgets import DataTable

    def filled() -> Any:
        peer: Any = DataTable(cursor_type="row")
        peer.add_columns("#", "state", "lr", "bs", "seed", "wait", "run", "exit", "last line / why")
        for row in range(PEER_ROWS):
            peer.add_row(str(row), "+ ok", "1", "2", str(row % 100), "10s", "10s", "0", "epoch 9 loss 0.5")
        return peer

    return shown(filled, down="pagedown", end="ctrl+end")


def bare(_: str) -> dict[str, Any]:
    from textual.widgets import Static

    return shown(lambda: Static("nothing"), down="x", end="x")


def shown(make: Any, *, down: str, end: str) -> dict[str, Any]:
    """Milliseconds of a page down and of a jump to the end, on the clock and of the processor; memory, bytes."""
    from textual._compositor import CompositorUpdate
    from textual.app import App

    class Stage(App[None]):
        painted = 0.0

        def compose(self) -> Any:
            self.widget = make()
            self.widget.styles.height = "1fr"
            yield self.widget

        def _display(self, screen: Any, renderable: Any) -> None:
            super()._display(screen, renderable)
            if isinstance(renderable, CompositorUpdate):
                renderable.render_segments(self.console)
                self.painted = time.perf_counter()

    async def scene() -> dict[str, list[float]]:
        app = Stage()
        taken: dict[str, list[float]] = {"page": [], "end": [], "page_cpu": [], "end_cpu": []}
        async with app.run_test(size=SIZE) as pilot:
            app.widget.focus()
            await pilot.pause()
            for _ in range(TIMES):
                for name, key in (("page", down), ("end", end)):
                    began, spent = time.perf_counter(), time.process_time()
                    app.simulate_key(key)
                    await pilot.pause()
                    taken[name].append((app.painted - began) * 1000)
                    taken[f"{name}_cpu"].append((time.process_time() - spent) * 1000)
                await pilot.press("ctrl+home", "g")
        return taken

    taken = asyncio.run(scene())
    return {"ms": {name: median(values) for name, values in taken.items()}, "rss": resident()}


def child(side: str, path: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, side, path], capture_output=True, text=True, check=True, timeout=300
    )
    return dict(json.loads(done.stdout))


def main() -> int:
    with fresh() as home:
        folder = sweep_folder(home)
        ours, peer, ground = (child(side, str(folder.path)) for side in ("grid", "table", "bare"))
    a_case = (ours["rss"] - ground["rss"]) / CASES
    slower = max(ours["ms"][name] / peer["ms"][name] for name in peer["ms"])
    return report(
        "grid",
        figures={"ms": ours["ms"], "bytes_a_case": round(a_case, 1)},
        peer={"ms": peer["ms"], "rows": PEER_ROWS},
        ratio=slower,
        bar=f"{CASES:,} cases: page down and end no slower than DataTable with {PEER_ROWS:,} rows, and "
        f"under {BAR_BYTES} bytes a case above a bare app",
        ok=slower <= 1 and a_case < BAR_BYTES,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps({"grid": grid, "table": table, "bare": bare}[sys.argv[1]](sys.argv[2])))
        sys.exit(0)
    sys.exit(main())
