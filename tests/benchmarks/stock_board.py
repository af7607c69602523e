"""The board as one would write it with what Textual brings: DataTable, RichLog, Static. The peer of the real one.

It reads the same facts by the same ``view/`` and updates the cells of each changed row ten times a second.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, RichLog, Static

from tui_sweep.store.layout import SweepDir
from tui_sweep.ui.look import LOOKS, glyph
from tui_sweep.ui.summary import said
from tui_sweep.view.follow import Follower
from tui_sweep.view.queue import queue
from tui_sweep.view.row import Row, Rows

PACE = 0.1
KEPT = 1000
"""Lines in the log, and bytes of a line with which the last ones are read."""
COLUMNS = ("#", "state", "wait", "run", "exit", "last line / why")


class StockBoard(App[None]):
    CSS = """
    #summary { height: 3; }
    DataTable { height: 1fr; }
    #lower { height: 15; }
    #pane { width: 2fr; }
    #title { height: 1; }
    #queue { width: 1fr; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        ("j", "step(1)", "Next case"),
        ("k", "step(-1)", "Previous case"),
        ("q", "quit", "Leave"),
    ]

    def __init__(self, folder: SweepDir) -> None:
        super().__init__()
        self.follower = Follower(folder)
        self.rows = Rows(self.follower)
        self.cells: dict[int, list[Any]] = {}
        self.log_of = 0
        self.read = 0

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        yield DataTable(cursor_type="row")
        with Horizontal(id="lower"):
            with Vertical(id="pane"):
                yield Static(id="title")
                yield RichLog(max_lines=KEPT)
            yield Static(id="queue")

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        names = list(self.follower.plan.varying)
        table.add_columns(*COLUMNS[:2], *names, *COLUMNS[2:])
        now = time.time()
        for case in range(self.follower.cases):
            self.cells[case] = shown(self.rows.row(case, now))
            table.add_row(*self.cells[case])
        table.focus()
        self.set_interval(PACE, self.update)

    def update(self) -> None:
        self.follower.refresh()
        now = time.time()
        table = self.query_one(DataTable)
        for case, before in self.cells.items():
            cells = shown(self.rows.row(case, now))
            for column, (old, new) in enumerate(zip(before, cells, strict=True)):
                if old != new:
                    table.update_cell_at((case, column), new)  # type: ignore[arg-type]
            self.cells[case] = cells
        waiting = queue(self.follower, now)
        summary = said(self.follower, now, left=waiting.left)
        counts = "  ".join(f"{LOOKS[state].word} {count}" for state, count in summary.counts)
        head = f"{summary.title}  {summary.running}  {summary.elapsed} gone  [{summary.note}]"
        say(self.query_one("#summary", Static), f"{head}\n{counts}")
        bars = [f"{bar.slot} {bar.used} of {bar.total}" for bar in waiting.bars]
        running = [f"#{one.case} running {int(one.ran)}s" for one in waiting.next]
        say(self.query_one("#queue", Static), "\n".join([*bars, waiting.sentence, *running]))
        self.more_log()

    def more_log(self) -> None:
        """What the case under the cursor has printed since the last look."""
        try:
            with open(self.follower.folder.attempt(self.log_of, 0) / "stdout", "rb") as file:
                end = file.seek(0, 2)
                file.seek(max(self.read, end - 100 * KEPT))
                new = file.read()
        except OSError:
            return
        whole = new.rpartition(b"\n")[0]
        self.read = end - (len(new) - len(whole))
        if whole:
            lines = whole.decode("utf-8", "replace").splitlines()[-KEPT:]
            self.query_one(RichLog).write(Text("\n".join(lines).strip("\n")))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        self.log_of, self.read = event.cursor_row, 0
        self.query_one(RichLog).clear()
        words = " ".join(f"{name}={value}" for name, value in self.follower.masked(self.log_of).items())
        self.query_one("#title", Static).update(Text(f"log #{self.log_of} {words}"))
        self.more_log()

    def action_step(self, count: int) -> None:
        table = self.query_one(DataTable)
        table.move_cursor(row=table.cursor_row + count)


def shown(row: Row) -> list[Any]:
    """The cells of a case."""
    look = LOOKS[row.state]
    state = (f"{glyph(row.state, ascii_only=False)} {look.word}", look.style)
    code = "" if row.exit_code is None else str(row.exit_code)
    return [str(row.index), Text(*state), *row.values, row.wait, row.run, code, row.text]


def say(widget: Static, text: str) -> None:
    if getattr(widget.content, "plain", None) != text:
        widget.update(Text(text))


if __name__ == "__main__":
    StockBoard(SweepDir(Path(sys.argv[1]))).run()
