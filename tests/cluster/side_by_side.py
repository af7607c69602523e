"""The official client and ours, side by side on one cluster: prints the README's table. `make bench-cluster`.

Both send their requests through a proxy that counts them. What is measured of a command is that of all
processes that it started: ours with its board are two, the board and the runner.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.accounts import IMAGE, ROOM, USER
from tests.cluster.conftest import environ
from tests.cluster.counting import Counting
from tests.cluster.official import Official
from tests.cluster.release import DEFAULT, RELEASES
from tests.cluster.stack import Stack
from tests.cluster.state import Broken, Unfit, say, state_of

HELLO = 'import os; print("Hello world, {}".format(os.environ["CASENO"]))'
"""The program of Backend.AI's manual."""
SMALL = ("-r", "cpu=1", "-r", "mem=256m")
MANY = 40
LIMIT = 1500.0
"""Seconds after which a command is given up."""
PENDING_LIMIT = 20
"""Seconds that both are told to wait for room in a full cluster."""
SETTLED = 60.0
"""Seconds that sessions get to end in before they count as left behind."""
_MEASURED = Path(__file__).with_name("measured.py")
_ASIDE = re.compile(r"Clean(ing|ed) up|parse_args|name prefix|^sweep |; logs: ")
"""Lines that tell nothing of the case."""
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(slots=True)
class Taken:
    """What one command took, until all of its processes had ended, and what it said."""

    seconds: float = 0.0
    cpu: float = 0.0
    """Seconds."""
    memory: int = 0
    """Bytes: the peaks of its processes, added up."""
    requests: int = 0
    sockets: int = 0
    """Requests among them that became WebSockets."""
    code: int | None = None
    said: list[str] = field(default_factory=list)
    left: int = 0
    """Sessions that were still alive on the cluster a minute later."""


class Client:
    """One of the two, with a home of its own."""

    def __init__(self, home: Path, counting: Counting, *run: str | Path, on_terminal: bool = False) -> None:
        """``run``: the words that run a sweep."""
        home.mkdir()
        self.run = [str(word) for word in run]
        self.home = home
        self._counting = counting
        self._on_terminal = on_terminal
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("BACKEND_")}
        self.env |= environ(USER) | {
            "BACKEND_ENDPOINT": counting.endpoint,
            "HOME": str(home),
            "SWEEP_TUI_STATE": str(home / "state"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
        }

    def do(self, *words: str) -> int:
        """A further command of the client, which is not measured; its exit code."""
        command = (self.run[0], *words)
        return subprocess.run(
            command, env=self.env, cwd=self.home, capture_output=True, check=False
        ).returncode

    def take(self, *words: str, meanwhile: Callable[[], None] | None = None) -> Taken:
        """What a sweep took; ``meanwhile`` is done beside it."""
        self._counting.forget()
        taken = Taken()
        reading, writing = os.pipe()
        command = (sys.executable, "-I", "-S", str(_MEASURED), str(writing), *self.run, *words)
        began = time.perf_counter()
        with _terminal() if self._on_terminal else _file() as screen, open(reading) as told:
            measured = subprocess.Popen(
                command,
                env=self.env,
                cwd=self.home,
                stdin=screen.descriptor if self._on_terminal else subprocess.DEVNULL,
                stdout=screen.descriptor,
                stderr=screen.descriptor,
                pass_fds=[writing],
                start_new_session=True,
            )
            os.close(writing)
            if self._on_terminal:
                meanwhile = functools.partial(self._leave, screen)
            beside = threading.Thread(target=meanwhile or (lambda: None))
            beside.start()
            watchdog = threading.Timer(LIMIT, measured.kill)
            watchdog.start()
            for line in told:
                one = json.loads(line)
                taken.cpu += one["cpu"]
                taken.memory += one["memory"]
                if one["is_first"]:
                    taken.code = one["code"]
            taken.seconds = time.perf_counter() - began
            measured.wait()
            watchdog.cancel()
            beside.join()
            taken.said = screen.lines()
        taken.requests = self._counting.requests.total()
        taken.sockets = sum(n for word, n in self._counting.requests.items() if word.startswith("WebSocket"))
        return taken

    def _leave(self, screen: Screen) -> None:
        """Leave the board when its sweep has ended."""
        while self.do("wait", "@") not in (0, 1, 5):  # there is no sweep yet
            time.sleep(0.2)
        screen.type("q")


class Screen:
    """What a command writes to: a file, or a terminal that somebody reads."""

    def __init__(self, descriptor: int, outside: int | None = None) -> None:
        self.descriptor = descriptor
        self._outside = outside

    def type(self, keys: str) -> None:
        """Type into the terminal."""
        assert self._outside is not None
        os.write(self._outside, keys.encode())

    def lines(self) -> list[str]:
        """The lines of the file, without what colours them."""
        if self._outside is not None:
            return []
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        with open(os.dup(self.descriptor), encoding="utf-8", errors="replace") as file:
            text = _CONTROLS.sub("", file.read()).replace("\r", "\n")
        return [line.strip() for line in text.splitlines() if line.strip()]


@contextmanager
def _file() -> Iterator[Screen]:
    with tempfile.TemporaryFile() as file:
        yield Screen(file.fileno())


@contextmanager
def _terminal() -> Iterator[Screen]:
    outside, inside = pty.openpty()
    termios.tcsetwinsize(inside, (40, 120))

    def read() -> None:
        with suppress(OSError):  # EIO: nobody has it open any more
            while os.read(outside, 1 << 16):
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield Screen(inside, outside)
    finally:
        os.close(inside)
        reader.join(5)
        os.close(outside)


class Comparison:
    """The same sweeps with each client, and what came of them."""

    def __init__(self, stack: Stack, home: Path, counting: Counting) -> None:
        self.official = Official(stack.state.release)
        ours = Path(sys.executable).with_name("sweep-tui")
        self.theirs = Client(home / "official", counting, stack.state.bin / "backend.ai", "run", "--rm")
        self.headless = Client(home / "headless", counting, ours, "run", "--headless")
        self.board = Client(home / "board", counting, ours, "run", on_terminal=True)
        self.clients = {
            f"`backend.ai run` {stack.state.release.version}": self.theirs,
            "`sweep-tui run --headless`": self.headless,
            "`sweep-tui run`, board and runner": self.board,
        }

    def table(self) -> Iterator[str]:
        """The lines of the table, in Markdown."""
        for (
            client
        ) in self.clients.values():  # a first start compiles Python, and a cluster's first session lasts
            self._hello(client, 1)
        yield f"| | {' | '.join(self.clients)} |"
        yield "|---|" + "---|" * len(self.clients)
        for count, clients in (
            (4, (self.theirs, self.headless, self.board)),
            (MANY, (self.theirs, self.headless)),
        ):
            taken = [self._hello(client, count) for client in clients]
            yield _row(f"**{count} cases**: seconds", (f"{one.seconds:.1f}" for one in taken))
            yield _row("CPU seconds of the client", (f"{one.cpu:.1f}" for one in taken))
            yield _row("its peak memory", (f"{one.memory / 1e6:.0f} MB" for one in taken))
            yield _row("requests", map(_requests, taken))
            yield _row("exit code, sessions left", (f"{one.code}, {one.left}" for one in taken))
        for what, took in (
            ("a case that ends with 3", self._failing),
            (f"a case without room, `--max-wait {PENDING_LIMIT}`", self._pending),
            ("a case that is ended while it runs", self._cancelled),
        ):
            yield _row(what, (_reported(took(client)) for client in (self.theirs, self.headless)))

    def _settled(self, taken: Taken, *, but: int = 0) -> Taken:
        """The same, with the sessions that are left; ends these."""
        deadline = time.monotonic() + SETTLED
        while len(left := self.official.live()) > but and time.monotonic() < deadline:
            time.sleep(0.5)
        taken.left = len(left) - but
        for session in left:
            self.official.destroy(session, forced=False)
        while self.official.live():
            time.sleep(0.5)
        return taken

    def _hello(self, client: Client, count: int) -> Taken:
        say(f"{count} case{'s' if count != 1 else ''}: {' '.join(client.run)}")
        cases = ",".join(str(case) for case in range(1, count + 1))
        return self._settled(
            client.take("-c", HELLO, *SMALL, "-e", "CASENO=$X", f"--env-range=X=case:{cases}", IMAGE)
        )

    def _failing(self, client: Client) -> Taken:
        say(f"failing: {' '.join(client.run)}")
        return self._settled(client.take("-c", "raise SystemExit(3)", *SMALL, IMAGE))

    def _pending(self, client: Client) -> Taken:
        say(f"pending: {' '.join(client.run)}")
        for number in range(ROOM):
            filler = self.official.create(f"filler-{client.home.name}-{number}")
            self.official.wait(filler, lambda session: session.status == "RUNNING", 120)
        words = ("-c", "print('through')", *SMALL, "--max-wait", str(PENDING_LIMIT), IMAGE)
        return self._settled(client.take(*words), but=ROOM)

    def _cancelled(self, client: Client) -> Taken:
        say(f"cancelled: {' '.join(client.run)}")

        def cancel() -> None:
            while not (running := [one for one in self.official.live() if one.status == "RUNNING"]):
                time.sleep(0.5)
            time.sleep(3.0)  # until the official client has connected to it: nothing tells that
            if client is self.theirs:
                client.do("session", "destroy", running[0].name)
            else:
                client.do("cancel", "@", "--all")

        words = ("-c", "import time; print('begun', flush=True); time.sleep(60)", *SMALL, IMAGE)
        return self._settled(client.take(*words, meanwhile=cancel))


def _requests(taken: Taken) -> str:
    return f"{taken.requests}, {taken.sockets} of them WebSockets" if taken.sockets else str(taken.requests)


def _reported(taken: Taken) -> str:
    """Exit code, the last words, and whether something was left."""
    told = [line.replace("|", "∣").replace("`", "'") for line in taken.said if not _ASIDE.search(line)]
    said = "<br>".join(f"`{line}`" for line in told[-2:])
    left = f"; {taken.left} session left on the cluster" if taken.left else ""
    return f"exit {taken.code} after {taken.seconds:.0f} s{left}<br>{said}"


def _row(name: str, cells: Iterable[str]) -> str:
    """A line with a cell for each client; the board has none where it was left out."""
    theirs, ours, *board = cells
    return f"| {name} | {theirs} | {ours} | {board[0] if board else ''} |"


def main() -> int:
    """The exit code: 3 when this machine runs no cluster."""
    stack = Stack(state_of(RELEASES[DEFAULT]))
    was_up = stack.is_up
    try:
        stack.up()
        with (stack.state.root / "tests.lock").open("w") as lock, tempfile.TemporaryDirectory() as home:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with Counting() as counting:
                for line in Comparison(stack, Path(home), counting).table():
                    print(line, flush=True)
    except Unfit as reason:
        say(f"cluster: {reason}")
        return 3
    except Broken as failure:
        say(f"cluster: {failure}")
        return 1
    finally:
        if not was_up:
            stack.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
