"""A case in an interactive session: one run of code, asked for again and again under an id of our own.

That is the one way of all that can be taken up again, after a lost connection and by another process
(NOTES.md, Execute): a WebSocket run whose client is gone wedges its session, batch mode loses
output. The code starts the same wrapper as in a batch session and hands on its frames, so what comes is as
exact; the wrapper's stdin is empty.

One answer may be lost on the way, and to go on after the run has finished makes a run that never ends. So
the code leaves a file beside its work when it ends, whose *name* says how; a list of files tells it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tui_sweep.core.errors import EngineError, EngineUnreachable
from tui_sweep.engines.backendai import sent
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.frames import End
from tui_sweep.engines.backendai.receive import Received, Receiver
from tui_sweep.engines.backendai.session import Session

log = logging.getLogger(__name__)

_MARK = ".sweep-tui"
_END = re.compile(r"\.sweep-tui-end-(-?\d{1,5})\Z")
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_SILENT = 5
"""Answers without a word, after a lost one, until the session's files are looked at: 10 s."""

_DRIVER = """
def _sweep():
    import codecs, os, subprocess, sys
    home = "/home/work" if os.path.isdir("/home/work") else "."
    try:
        os.close(os.open(home + "/%(mark)s-begun", os.O_CREAT | os.O_EXCL))
    except OSError:
        return
    case = subprocess.Popen(["/bin/sh", "-c", %(command)s], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        block = os.read(case.stdout.fileno(), 65536)
        if not block:
            break
        sys.stdout.write(text.decode(block))
        sys.stdout.flush()
    code = case.wait()
    os.close(os.open(home + "/%(mark)s-end-%%d" %% code, os.O_CREAT))
_sweep()
"""


def driver(startup: str) -> str:
    """The code of the run: Python, for an image whose runtime is Python."""
    return _DRIVER % {"mark": _MARK, "command": json.dumps(startup)}


class Interactive:
    """Runs cases in interactive sessions."""

    def __init__(self, client: Api) -> None:
        self._client = client

    async def run(self, session: Session, startup: str) -> Received:
        """Run the case to its end, or take up its run; what came of it.

        Raises EngineError when the session is gone.
        """
        folder = session.spec.sink.folder
        kept = sent.read(folder) or sent.Sent(session.id)
        mode, run = "continue", kept.run
        if not run:
            mode, run = "query", secrets.token_hex(8)
            sent.write(folder, replace(kept, id=session.id, run=run))
        code = driver(startup)
        session.receiver = session.receiver or Receiver(session.spec.sink)
        lost, silent, delay = kept.run != "", 0, _FIRST_DELAY
        while True:
            try:
                result = await self._client.execute(session.id, run, mode, code if mode == "query" else "")
            except EngineUnreachable as error:
                log.warning("answer of a run lost: session=%s error=%s", session.name, error)
                lost = True
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
                if mode == "query" and not await self._has(session.id, f"{_MARK}-begun"):
                    continue  # it never arrived; should it after all, its second run sees the file
                mode = "continue"
                continue
            delay = _FIRST_DELAY
            received = self._take(session, result)
            if received.ended is not None or result.get("status") in ("finished", "exec-timeout"):
                return received
            mode = "input" if result.get("status") == "waiting-input" else "continue"
            silent = 0 if received.new or not lost else silent + 1
            if lost and silent >= _SILENT:
                silent = 0
                if (code_ := await self._ended(session.id)) is not None:
                    return replace(received, ended=End(code=code_, step="exec"))

    def _take(self, session: Session, result: Mapping[str, Any]) -> Received:
        console = result.get("console")
        text = ""
        for record in console if isinstance(console, list) else []:
            if isinstance(record, (list, tuple)) and len(record) == 2 and record[0] in ("stdout", "stderr"):
                text += str(record[1])
        assert session.receiver is not None
        received = session.receiver.feed(text)
        if received.new:
            session.grew()
        return received

    async def _ended(self, id_: str) -> int | None:
        for name in await self._files(id_):
            if match := _END.search(name):
                return int(match[1])
        return None

    async def _has(self, id_: str, name: str) -> bool:
        return name in await self._files(id_)

    async def _files(self, id_: str) -> list[str]:
        delay = _FIRST_DELAY
        while True:
            try:
                return await self._client.files(id_)
            except EngineUnreachable as error:
                log.info("files not listed: error=%s", error)
            except EngineError:
                raise
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
