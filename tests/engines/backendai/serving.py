"""A stub manager in a thread of its own, for tests whose engines come and go in other loops."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.engines.backendai.manager import USER, Manager
from tests.engines.backendai.manager.keys import Keypair

_T = TypeVar("_T")


class Served:
    """A manager at work in another thread."""

    def __init__(self, manager: Manager, loop: asyncio.AbstractEventLoop) -> None:
        self.manager = manager
        self._loop = loop

    def do(self, action: Callable[[Manager], Any]) -> Any:
        """Do something in its thread; what it gives back, awaited where it has to be."""

        async def main() -> Any:
            found = action(self.manager)
            return await found if inspect.isawaitable(found) else found

        return asyncio.run_coroutine_threadsafe(main(), self._loop).result(30)

    def environ(self, key: Keypair = USER) -> dict[str, str]:
        """The variables that lead a client here."""
        return {
            "BACKEND_ENDPOINT": self.manager.url,
            "BACKEND_ACCESS_KEY": key.access_key,
            "BACKEND_SECRET_KEY": key.secret_key,
        }

    def left(self) -> list[str]:
        """Names of the sessions that are still alive."""
        return sorted(session.name for session in self.do(lambda manager: list(manager.alive)))


@contextmanager
def served(**options: Any) -> Iterator[Served]:
    """A running manager with these options."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> Manager:
        manager = Manager(**options)
        await manager.start()
        return manager

    manager = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    try:
        yield Served(manager, loop)
    finally:
        asyncio.run_coroutine_threadsafe(manager.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
