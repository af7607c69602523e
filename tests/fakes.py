"""An engine in memory that does what a test tells it to."""

import asyncio
import time
from collections import defaultdict

from tui_sweep.core.session import Refusal, Report
from tui_sweep.core.states import ENDINGS, Event
from tui_sweep.engines.base import Facts


class FakeEngine:
    """Sessions are names; a test ends them with ``report``, or all end by themselves with ``auto``."""

    tells_growth = False

    def __init__(self, room=1000, auto=None):
        self.capacity = room
        self.auto = auto
        """Called with a spec; the exit code of a case that ends by itself, or None."""
        self.submitted = []
        self.cancelled = []
        self.alive = {}
        self.ended = {}
        self.unread = set()
        """Names of those that have ended, how is not known yet."""
        self.admitted = set()
        self.peak = 0
        self.errors = defaultdict(list)
        """Errors to raise, by the method's name, one a call."""
        self.stubborn = set()
        """Names that do not end when they are cancelled."""
        self.watched = []
        """Each word about what is on a screen: names, sorted."""
        self.opened = self.closed = 0
        self._queues = defaultdict(asyncio.Queue)
        self._freed = asyncio.Event()

    def _fail(self, method):
        if self.errors[method]:
            raise self.errors[method].pop(0)

    async def open(self):
        self._fail("open")
        self.opened += 1

    async def close(self):
        self.closed += 1

    def admit(self, spec):
        if len(self.admitted) >= self.capacity:
            return Refusal(f"full: {self.capacity} of {self.capacity} in use", 60.0)
        self.admitted.add(spec.name)
        self.peak = max(self.peak, len(self.admitted))
        return None

    def withdraw(self, name):
        self.admitted.discard(name)
        self._freed.set()

    async def room(self):
        self._freed.clear()
        await self._freed.wait()

    async def submit(self, spec):
        self._fail("submit")
        if spec.name in self.alive or spec.name in self.ended:
            return
        self.submitted.append(spec.name)
        self.alive[spec.name] = spec
        self.report(spec.name, Event.STARTED, status="RUNNING", session=f"id-{spec.name}")
        if self.auto is not None and (code := self.auto(spec)) is not None:
            self.end(spec.name, code)

    def report(self, name, event, **more):
        """Tell something about a session."""
        self._queues[name].put_nowait(Report(name, event, time.time(), **more))

    def end(self, name, code):
        """Let a session end with an exit code."""
        event = Event.SUCCEEDED if code == 0 else Event.ERRED
        reason = None if code == 0 else f"exit {code}"
        self.alive.pop(name, None)
        self.ended[name] = Report(name, event, time.time(), exit_code=code, reason=reason)
        self._queues[name].put_nowait(self.ended[name])
        self.withdraw(name)

    async def follow(self, spec):
        self._fail("follow")
        if spec.name in self.ended and self._queues[spec.name].empty():
            yield self.ended[spec.name]
            return
        while True:
            report = await self._queues[spec.name].get()
            yield report
            if report.event in ENDINGS:
                return

    async def cancel(self, name, *, grace):
        self._fail("cancel")
        self.cancelled.append((name, grace))
        if name in self.alive and name not in self.stubborn:
            self.end(name, 143)

    async def find(self, specs):
        self._fail("find")
        found = {}
        for spec in specs:
            if spec.name in self.alive:
                found[spec.name] = Report(spec.name, Event.STARTED, time.time(), status="RUNNING")
            elif spec.name in self.ended:
                found[spec.name] = self.ended[spec.name]
            elif spec.name in self.unread:
                found[spec.name] = Report(spec.name, None, time.time(), status="TERMINATED", over=True)
        return found

    async def live(self):
        self._fail("live")
        return list(self.alive)

    def watch(self, names):
        self.watched.append(sorted(names))

    async def facts(self):
        return Facts(True, "in memory", None, {"cpu": {"total": "4", "used": "1"}})
