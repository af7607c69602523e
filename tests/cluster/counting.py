"""A proxy on loopback that hands on what comes, as it is, and counts the requests in it.

A signature covers the Host header as it was sent, so that a manager behind it finds nothing amiss.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any

from tests.cluster.state import PORTS

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade: *websocket", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BLOCK = 1 << 16


class Counting:
    """The proxy while the ``with`` lasts, in a thread of its own."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """``METHOD /path``, ids left out; ``WebSocket`` before those that become one."""
        self.received = 0
        """Bytes of all answers."""
        self.endpoint = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Counting:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forget(self) -> None:
        """Count from zero again."""
        self.requests.clear()
        self.received = 0

    # inside

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_BLOCK)
        self.endpoint = "http://{}:{}".format(*self._server.sockets[0].getsockname())

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: requests one way, answers the other."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            theirs, to_them = await asyncio.open_connection("127.0.0.1", PORTS["manager"])
            with suppress(OSError, asyncio.IncompleteReadError):
                await _first_of(self._count(reader, to_them), self._answer(theirs, writer))
            to_them.close()
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            word = f"{method} {_UUID.sub('ID', target.partition('?')[0])}"
            is_socket = _UPGRADE.search(head) is not None
            self.requests[f"WebSocket {word}" if is_socket else word] += 1
            writer.write(head)
            if is_socket:
                while data := await reader.read(_BLOCK):
                    writer.write(data)
                    await writer.drain()
                return
            if (length := _LENGTH.search(head)) is not None:
                writer.write(await reader.readexactly(int(length[1])))
            elif _CHUNKED.search(head):
                await _pass_on_chunks(reader, writer)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_BLOCK):
            self.received += len(data)
            writer.write(data)
            await writer.drain()


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Return when one of them has, and end the others. Raises what the first raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _pass_on_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = 1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        writer.write(line + await reader.readexactly(size + 2))
