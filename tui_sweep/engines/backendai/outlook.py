"""The outlook: capacity, limits and why our sessions wait, read now and then and kept."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from typing import Any

from tui_sweep.core.errors import EngineDenied, EngineError
from tui_sweep.core.plain import plain
from tui_sweep.core.slots import Slots
from tui_sweep.engines.backendai import listing, queue
from tui_sweep.engines.backendai.api import Api
from tui_sweep.engines.backendai.queue import Limits, Shares, Totals
from tui_sweep.engines.backendai.session import Session
from tui_sweep.engines.base import Facts

log = logging.getLogger(__name__)

_FRESH, _LONG_FRESH, _IDLE_FRESH = 5.0, 20.0, 60.0
"""Seconds for which what was read holds: while sessions of ours wait, doubled each time that nothing has
changed, and while none does."""
_COUNT_NODES = 60.0
"""Seconds between two counts of what the nodes have in all."""
_TOLD = 100
"""Waiting sessions that are told of; nobody reads more."""


class Outlook:
    """What the cluster has and allows, for one sweep or for none."""

    def __init__(self, client: Api, *, project: str, resource_group: str | None, prefix: str = "") -> None:
        """``prefix``: what the names of the sweep's sessions begin with."""
        self._client = client
        self._project = project
        self._group = resource_group
        self._prefix = prefix
        self._scope = ""
        self.limits = Limits()
        self._shares: Shares | None = None
        self._totals: Totals = {}
        self._totals_due = 0.0
        self._places: dict[str, int] = {}
        self._due = 0.0
        self._fresh = _FRESH
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read it for the first time. Raises EngineError: a group that is not ours shows here."""
        self.limits = await queue.read_limits(self._client)
        await self._read_shares()
        self._due = time.monotonic() + self._fresh
        if self._prefix and self._client.dialect.queue_position:
            self._scope = await listing.own_scope(self._client)

    def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()

    def stir(self) -> None:
        """Something of ours has moved: what was read holds no longer than usual."""
        self._fresh = _FRESH
        self._due = min(self._due, time.monotonic() + _FRESH)

    def reasons(self, waiting: Sequence[Session], asked: Slots, running: int) -> list[tuple[Session, str]]:
        """Why each of these waits now, where that is another reason than it was told last.

        ``asked``: what each of them asks; ``running``: how many sessions of ours hold slots.
        """
        self._refresh(bool(waiting))
        common = queue.why(
            asked, self._shares, self.limits, group=self._group, project=self._project, running=running
        )
        found = []
        for session in waiting:
            reason = session.said or common
            place = self._places.get(session.name)
            if place is not None:
                reason = f"{reason}; place {place + 1} in the queue"
            if session.back is not None:
                reason = f"{session.back}; {reason}"
            if session.reason != reason:
                session.reason = reason
                found.append((session, reason))
        return found

    def facts(self, waiting: Sequence[Session], *, trouble: str | None, notes: Sequence[str] = ()) -> Facts:
        """As JSON values, from what was read last."""
        self._refresh(bool(waiting))
        client = self._client
        limits: dict[str, Any] = self.limits.record()
        if self._shares is not None:
            limits.update(
                {name: format(amount.normalize(), "f") for name, amount in self._shares.mine_limit.items()}
            )
        return Facts(
            reachable=trouble is None,
            server=f"Backend.AI {plain(client.dialect.manager)}" + (f" ({trouble})" if trouble else ""),
            endpoint=client.endpoint,
            capacity={} if self._shares is None else queue.capacity(self._shares, self._group),
            limits=limits,
            waiting=[
                {
                    "session": session.name,
                    "since": session.since,
                    "reason": session.reason or "",
                    "place": self._places.get(session.name),
                }
                for session in waiting[:_TOLD]
            ],
            notes=list(notes),
        )

    def _refresh(self, busy: bool) -> None:
        now = time.monotonic()
        if now < self._due or (self._reading is not None and not self._reading.done()):
            return
        self._due = now + (self._fresh if busy else _IDLE_FRESH)
        self._reading = asyncio.get_running_loop().create_task(self._read(busy))

    async def _read_shares(self) -> None:
        now = time.monotonic()
        if now >= self._totals_due:
            self._totals_due = now + _COUNT_NODES
            try:
                self._totals = await queue.read_totals(self._client)
            except EngineDenied as error:
                log.info("nodes are not told: error=%s", error)
                self._totals_due = math.inf
        self._shares = await queue.read_shares(self._client, self._project, self._group, self._totals)

    async def _read(self, busy: bool) -> None:
        before = self._shares, self._places
        try:
            await self._read_shares()
            if busy and self._scope:
                self._places = await listing.places(self._client, self._scope, self._prefix)
        except EngineError as error:
            log.info("no figures of the cluster: error=%s", error)
        is_new = (self._shares, self._places) != before
        self._fresh = _FRESH if is_new else min(2 * self._fresh, _LONG_FRESH)
