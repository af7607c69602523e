"""The board in a real terminal: first paint and memory beside a bare Textual app; bytes and key latency
beside the same board of DataTable and RichLog (stock_board.py).

Each program runs in a pseudo-terminal of 120x40. Times end when the bytes that show the change can be read
there; what they show is found afterwards, by a terminal emulator, so that this costs the programs nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyte
from bench_grid import CASES, ENDED, sweep_folder
from measure import SWEEP_TUI, alternated, fresh, median, memory, report

SIZE = (120, 40)
HERE = Path(__file__)
BARE = """
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("nothing but this")

Bare().run()
"""
TIMES = 7
BAR_PAINT = 2.0
BAR_BYTES_A_CASE = 100

CHATTY = 16
WATCH = 20.0
"""Seconds for which what is written to the terminal is counted."""
QUIET = 5.0
BAR_WRITTEN = 0.05
CLOCK = 200
"""Bytes that the clock may take a second: the time gone, and that of each running case that is seen."""

LINES_A_SECOND = 10_000
KEYS = 40
BAR_KEY = 0.050
"""Seconds, median."""

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Terminal:
    """A program in a terminal of its own; what it writes is kept with the time when it came."""

    def __init__(self, *command: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self.written: list[tuple[float, bytes]] = []
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def watch(self, seconds: float, until: Callable[[], bool] = lambda: False) -> int:
        """Read for some seconds, or until something holds; the bytes that came."""
        count = 0
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and not until():
            if select.select([self._master], [], [], left)[0]:
                try:
                    data = os.read(self._master, 65536)
                except OSError as error:
                    raise RuntimeError(f"{self.process.args} ended") from error
                self.written.append((time.perf_counter(), data))
                count += len(data)
        return count

    def see(self, words: bytes, timeout: float = 30.0) -> float:
        """Seconds from the start until the words were written. Raises TimeoutError."""
        self.watch(timeout, lambda: words in _ESCAPES.sub(b"", b"".join(data for _, data in self.written)))
        if self.written and time.perf_counter() - self.written[-1][0] > timeout - 1:
            raise TimeoutError(f"{words!r} was not shown in {timeout:g} s")
        return self.written[-1][0] - self.began

    def rest(self) -> None:
        """Read until nothing more is written but once a second."""
        while self.watch(1.0) > 1000:
            pass

    def type(self, keys: str) -> float:
        """Press keys; when that was."""
        at = time.perf_counter()
        os.write(self._master, keys.encode())
        return at

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)


@contextmanager
def shown(*command: str) -> Iterator[Terminal]:
    terminal = Terminal(*command)
    try:
        yield terminal
    finally:
        terminal.close()


# -- first paint and memory -------------------------------------------------------------------


def painted(words: bytes, *command: str) -> tuple[float, int]:
    """Seconds until the words are seen; memory after that, bytes."""
    with shown(*command) as terminal:
        seconds = terminal.see(words)
        terminal.rest()
        return seconds, memory(terminal.process.pid)["pss"]


def first_paint(home: Path) -> int:
    folder = sweep_folder(home / "state")
    measures = {
        "ours": lambda: painted(b"epoch 9 loss 0.5", SWEEP_TUI, "open", folder.id),
        "bare": lambda: painted(b"nothing but this", sys.executable, "-c", BARE),
    }
    for measure in measures.values():
        measure()  # compiled files, and the files in memory
    taken = alternated(measures, times=TIMES)
    seconds = {name: median([one[0] for one in results]) for name, results in taken.items()}
    used = {name: median([one[1] for one in results]) for name, results in taken.items()}
    a_case = (used["ours"] - used["bare"]) / CASES
    ratio = seconds["ours"] / seconds["bare"]
    return report(
        "board, first paint",
        figures={
            "seconds": seconds["ours"],
            "bytes_a_case": round(a_case, 1),
            "cases": CASES,
            "ended": ENDED,
        },
        peer={"bare_app_seconds": seconds["bare"], "bare_app_bytes": used["bare"]},
        ratio=ratio,
        bar=f"within {BAR_PAINT:g} of a bare Textual app, and under {BAR_BYTES_A_CASE} bytes a case above it",
        ok=ratio <= BAR_PAINT and a_case < BAR_BYTES_A_CASE,
    )


# -- cases that print -------------------------------------------------------------------------


def small_folder(home: Path, *, ended: bool = False) -> Any:
    """A sweep of a few cases that all run, or have ended."""
    from tui_sweep.core.cases import CaseTable
    from tui_sweep.core.ranges import parse_range
    from tui_sweep.core.states import Event
    from tui_sweep.core.sweep import Sweep
    from tui_sweep.store.layout import StateDir
    from tui_sweep.store.sweeps import create

    ranges = (parse_range("lr=case:0.1,0.01,0.001,0.0001"), parse_range("seed=range:4"))
    sweep = Sweep(image="python", engine="local", exec="train $lr $seed", ranges=ranges)
    folder = create(StateDir(home), sweep, {}, cases=CHATTY, merged=0, snapshot=lambda files: None)
    table = CaseTable(CHATTY)
    events = [Event.LAUNCH, Event.STARTED, *([Event.SUCCEEDED] if ended else [])]
    for case in range(CHATTY):
        for event in events:
            table.move(case, event, time.time(), exit_code=0 if event is Event.SUCCEEDED else None)
        attempt = folder.attempt(case, 0)
        attempt.mkdir(parents=True)
        table.grew(case, (attempt / "stdout").write_bytes(b"begins\n"))
    amounts = {"cpu": {"total": "16", "used": "0" if ended else "16"}}
    facts = {
        "counts": table.word_counts(),
        "dispatch": {"holding": False, "halted": False, "max_parallel": None, "refusal": None},
        "engine": {"reachable": True, "server": "this machine", "capacity": amounts, "waiting": []},
        **({"ended": time.time()} if ended else {}),
    }
    asyncio.run(committed(folder, table, facts))
    return folder


async def committed(folder: Any, table: Any, facts: dict[str, Any]) -> None:
    from tui_sweep.store.journal import Entry, Journal

    journal = Journal(folder.database)
    await journal.commit(Entry(table.take_rows(), facts))
    await journal.close()


def chatter(path: str, lines_a_second: str) -> None:
    """Prints as the cases of a sweep do, and keeps its journal as the runner does: each case is sampled five
    times a second, and what has grown is one commit. 0: each case at a rate of its own, 10 to 50 a second."""
    from tui_sweep.core.cases import CaseTable
    from tui_sweep.store.journal import Entry, Journal, Reader
    from tui_sweep.store.layout import SweepDir
    from tui_sweep.store.lock import Lock
    from tui_sweep.store.output import Output

    folder = SweepDir(Path(path))
    lock = Lock(folder.lock)
    lock.take()
    table = CaseTable(CHATTY)
    for row in Reader(folder.database).changed(0):
        table.put(row)
    outputs = [Output(folder.attempt(case, 0)) for case in range(CHATTY)]
    files = [open(output.stdout, "ab", buffering=0) for output in outputs]  # closed when it is killed
    rates = [float(lines_a_second) or 10 + 40 * case / (CHATTY - 1) for case in range(CHATTY)]

    async def run() -> None:
        journal = Journal(folder.database)
        printed, sampled = [0] * CHATTY, [0.0] * CHATTY
        began, checked = time.time(), 0.0
        while os.getppid() != 1:
            now = time.time()
            for case, rate in enumerate(rates):
                due = range(printed[case], int((now - began) * rate))
                printed[case] = due.stop
                if due:
                    text = "".join(
                        f"epoch {n // 100} step {n} loss {(n * 7919 % 1000) / 1000:.3f}\n" for n in due
                    )
                    files[case].write(text.encode())
            if now - checked >= 0.1:
                checked = now
                for case in range(CHATTY):
                    if now - sampled[case] >= 0.2 - case % 2 * 0.01:
                        sampled[case] = now
                        table.grew(case, outputs[case].sample(now))
                rows = table.take_rows()
                if rows:
                    journal.write(Entry(rows, {"counts": table.word_counts()}))
            await asyncio.sleep(0.02)

    asyncio.run(run())


def held(path: str) -> None:
    """A runner that has nothing to do."""
    from tui_sweep.store.layout import SweepDir
    from tui_sweep.store.lock import Lock

    Lock(SweepDir(Path(path)).lock).take()
    while os.getppid() != 1:
        time.sleep(1)


@contextmanager
def child(*words: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(HERE), *words])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def boards(folder: Any) -> dict[str, tuple[str, ...]]:
    """The commands of the two boards."""
    stock = str(HERE.with_name("stock_board.py"))
    return {"ours": (SWEEP_TUI, "open", folder.id), "stock": (sys.executable, stock, str(folder.path))}


def bytes_written(home: Path) -> int:
    state = home / "state"
    folder = small_folder(state)
    chatty: dict[str, int] = {}
    with child("chatter", str(folder.path), "0"):
        commands = boards(folder)
        with shown(*commands["ours"]) as ours, shown(*commands["stock"]) as stock:
            for terminal in (ours, stock):
                terminal.see(b"log #0")
            both(ours, stock, 3.0)
            chatty = dict(zip(commands, both(ours, stock, WATCH), strict=True))
    quiet = small_folder(state, ended=True)
    with shown(*boards(quiet)["ours"]) as terminal:
        terminal.see(b"log #0")
        terminal.rest()
        ended = terminal.watch(QUIET)
    idle = small_folder(state)
    with child("held", str(idle.path)), shown(*boards(idle)["ours"]) as terminal:
        terminal.see(b"log #0")
        terminal.watch(3.0)
        before = len(terminal.written)
        running = terminal.watch(QUIET)
        writes = len(terminal.written) - before
    ratio = chatty["ours"] / chatty["stock"]
    return report(
        "board, bytes to the terminal",
        figures={
            "per_second": round(chatty["ours"] / WATCH),
            "ended_idle": ended,
            "running_idle_per_second": round(running / QUIET),
            "running_idle_writes_per_second": writes / QUIET,
        },
        peer={"stock_board_per_second": round(chatty["stock"] / WATCH)},
        ratio=ratio,
        bar=f"{CHATTY} chatty cases: under {BAR_WRITTEN:.0%} of the stock board; ended and idle: 0; running "
        "and idle: the clocks, once a second",
        ok=ratio < BAR_WRITTEN and ended == 0 and writes <= QUIET + 1,
    )


def both(one: Terminal, other: Terminal, seconds: float) -> tuple[int, int]:
    """Read from both for some seconds; the bytes of each."""
    counts = [0, 0]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for at, terminal in enumerate((one, other)):
            counts[at] += terminal.watch(0.02)
    return counts[0], counts[1]


# -- keys -------------------------------------------------------------------------------------


@dataclass
class Pressed:
    """A key, and what must be seen after it."""

    at: float
    words: str


def latencies(command: tuple[str, ...]) -> list[float]:
    """Seconds from each press of j to the log's title that names the next case. Up and down among CHATTY."""
    with shown(*command) as terminal:
        terminal.see(b"log #0")
        terminal.watch(2.0)
        presses = []
        for press in range(KEYS):
            lap, step = divmod(press, CHATTY - 1)
            down = lap % 2 == 0
            case = step + 1 if down else CHATTY - 2 - step
            presses.append(Pressed(terminal.type("j" if down else "k"), f"log #{case} "))
            terminal.watch(0.25 + press % 7 * 0.013)  # not in step with any timer
        terminal.watch(2.0)
        return list(found(terminal.written, presses))


def found(written: list[tuple[float, bytes]], presses: list[Pressed]) -> Iterator[float]:
    """Plays what was written to an emulator; how long each press took to be seen. One that was passed over
    by the next counts until the end of its turn, at the least."""
    screen = pyte.Screen(*SIZE)
    stream = pyte.ByteStream(screen)
    chunks = iter([*written, (time.perf_counter(), b"")])
    at, data = next(chunks)
    for press, following in zip(presses, [*presses[1:], None], strict=True):
        until = following.at + 1.0 if following is not None else float("inf")
        seen = at
        while at < until:
            stream.feed(data)
            seen = at
            at, data = next(chunks, (float("inf"), b""))
            if seen >= press.at and any(press.words in line for line in screen.display):
                break
        yield seen - press.at


def keys(home: Path) -> int:
    folder = small_folder(home / "state")
    with child("chatter", str(folder.path), str(LINES_A_SECOND)):
        taken = {name: latencies(command) for name, command in boards(folder).items()}
    seconds = {name: median(values) for name, values in taken.items()}
    return report(
        "board, key to changed screen",
        figures={
            "median_ms": round(seconds["ours"] * 1000, 1),
            "worst_ms": round(max(taken["ours"]) * 1000, 1),
        },
        peer={
            "stock_board_median_ms": round(seconds["stock"] * 1000, 1),
            "stock_board_worst_ms": round(max(taken["stock"]) * 1000, 1),
        },
        ratio=seconds["ours"] / seconds["stock"],
        bar=f"under {BAR_KEY * 1000:g} ms median while {CHATTY} cases print {LINES_A_SECOND:,} lines a second each",
        ok=seconds["ours"] < BAR_KEY,
    )


PARTS = {"paint": first_paint, "bytes": bytes_written, "keys": keys}


def main() -> int:
    worst = 0
    with fresh() as home:
        for name, part in PARTS.items():
            if len(sys.argv) == 1 or name in sys.argv[1:]:
                worst = max(worst, part(home))
    return worst


if __name__ == "__main__":
    if sys.argv[1:2] == ["chatter"]:
        chatter(*sys.argv[2:])
    elif sys.argv[1:2] == ["held"]:
        held(*sys.argv[2:])
    else:
        sys.exit(main())
