"""Runs of code in an interactive session, one after another, with the agent's queue and its traps.

A run belongs to whoever knows its id; nobody else gets a word until it has been fetched to its end. To
continue a run that is over begins an empty one that never ends. In 26.x nothing is kept of what is printed
between ``clean-finished`` or ``build-finished`` and the next call (NOTES.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.engines.backendai.manager.containers import Canned, Container
from tests.engines.backendai.manager.dialects import Dialect

INTERPRETER = Path(__file__).with_name("interpreter.py")
DEFAULTS = {
    "clean": ":",
    "build": "if [ -e Makefile ]; then make; fi",
    "exec": "if [ -e main.py ]; then exec python3 main.py; else exit 127; fi",
}
"""What ``*`` means."""

Result = dict[str, Any]


class Run:
    """One run: what it told and nobody fetched yet."""

    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self.told: deque[tuple[str, Any]] = deque()
        """(``stdout``, text), (``stderr``, text), or (a status, what comes with it)."""
        self.attached = True
        """Whether somebody listens; if not, what is told is lost (26.x)."""
        self.stirred = asyncio.Event()

    def tell(self, kind: str, what: Any) -> None:
        if self.attached:
            self.told.append((kind, what))
            self.stirred.set()


class Runs:
    """The runs of one session."""

    def __init__(self, container: Container, dialect: Dialect, canned: Canned | None) -> None:
        self._container = container
        self._dialect = dialect
        self._canned = canned
        self._free = asyncio.Condition()
        self.active: Run | None = None
        self.closed = asyncio.Event()
        self._interpreter: asyncio.subprocess.Process | None = None
        self._command: asyncio.subprocess.Process | None = None
        self._channel: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, run_id: str, mode: str, code: str, options: Mapping[str, Any]) -> Run:
        """Start a run, as soon as the one before has been fetched to its end; or join it by its id."""
        async with self._free:
            await self._free.wait_for(lambda: self.active is None or self.active.id == run_id)
            if self.active is not None:
                return self.active
            run = self.active = Run(run_id)
        if mode in ("query", "batch"):
            self._spawn(self._query(run, code) if mode == "query" else self._batch(run, options))
        return run

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def answer(self, text: str) -> None:
        """What the user typed."""
        if self._channel is not None:
            self._channel[1].write(json.dumps({"input": text}).encode() + b"\n")

    async def fetch(self, run: Run, seconds: float) -> Result:
        """What a run told: until a status comes or so much time has passed."""
        run.attached = True
        console: list[list[str]] = []
        status, what = "continued", None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while status == "continued":
            while run.told and status == "continued":
                kind, told = run.told.popleft()
                if kind not in ("stdout", "stderr"):
                    status, what = kind, told
                elif console and console[-1][0] == kind:
                    console[-1][1] += told
                else:
                    console.append([kind, told])
            if status != "continued":
                break
            run.stirred.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await run.stirred.wait()
            except TimeoutError:
                break
        if status in ("clean-finished", "build-finished") and self._dialect.is_26:
            run.attached = False
        if status == "finished":
            async with self._free:
                self.active = None
                self._free.notify_all()
        waits = status == "waiting-input"
        return {
            "status": status,
            "runId": run.id,
            "exitCode": None if waits else what,
            "options": {"is_password": what} if waits else None,
            "files": [],
            "console": console,
        }

    # -- query mode

    async def _query(self, run: Run, code: str) -> None:
        if self._canned is not None:
            outcome = self._canned(code, self._container.environ)
            await asyncio.sleep(outcome.seconds)
            run.tell("stdout", outcome.output.decode())
            run.tell("finished", outcome.code if self._dialect.is_26 else 0)
            return
        reader, writer = await self._talk()
        writer.write(json.dumps({"code": code}).encode() + b"\n")
        while line := await reader.readline():
            told = json.loads(line)
            if "stream" in told:
                run.tell(told["stream"], told["text"])
            elif "input" in told:
                run.tell("waiting-input", told["input"])
            else:
                run.tell("finished", told["finished"] if self._dialect.is_26 else 0)
                return

    async def _talk(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The socket to the interpreter, which is started the first time."""
        if self._channel is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._interpreter = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-u",
                    str(INTERPRETER),
                    str(theirs.fileno()),
                    cwd=self._container.home,
                    env=self._container.surroundings,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            self._channel = await asyncio.open_connection(sock=ours, limit=64 * 1024 * 1024)
        return self._channel

    # -- batch mode

    async def _batch(self, run: Run, options: Mapping[str, Any]) -> None:
        is_26 = self._dialect.is_26
        code = await self._phase(run, "clean", options.get("clean"))
        run.tell("clean-finished", code)
        build = options.get("build")
        if build or not is_26:  # a skipped build is told at once, which 26.x loses
            code = await self._phase(run, "build", build)
            run.tell("build-finished", code)
            if code:
                if not is_26:  # told at once, too
                    run.tell("finished", 127)
                return
        run.tell("finished", await self._phase(run, "exec", options.get("exec")))

    async def _phase(self, run: Run, name: str, command: Any) -> int:
        if not command:
            return 0
        if command == "*":
            command = DEFAULTS[name]
        if self._canned is not None:
            outcome = self._canned(command, self._container.environ)
            await asyncio.sleep(outcome.seconds)
            run.tell("stdout", outcome.output.decode())
            return outcome.code
        self._command = process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            cwd=self._container.home,
            env=self._container.surroundings,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.gather(
            self._pump(run, process.stdout, "stdout"),
            self._pump(run, process.stderr, "stderr"),
        )
        return await process.wait()

    async def _pump(self, run: Run, pipe: asyncio.StreamReader, name: str) -> None:
        while data := await pipe.read(65536):
            self._container.write(data)
            run.tell(name, data.decode(errors="replace"))

    # -- from outside

    def interrupt(self) -> None:
        """SIGINT to what runs."""
        for process in (self._interpreter, self._command):
            _signal(process, signal.SIGINT)

    def close(self) -> None:
        """Kill what runs; nobody gets another word."""
        self.closed.set()
        for process in (self._interpreter, self._command):
            _signal(process, signal.SIGKILL)
        if self._channel is not None:
            self._channel[1].close()
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Wait until all that was killed is gone."""
        self.close()
        for process in (self._interpreter, self._command):
            if process is not None:
                await process.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)


def _signal(process: asyncio.subprocess.Process | None, number: signal.Signals) -> None:
    if process is not None and process.returncode is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass  # it ended in this moment
