"""Adoption: what the journal says × what the engine says → what happens to a case.

Being killed and being started again are the same path: every start of a runner goes through here.

============================ ============== =================== ========= ===================================
journal \\ engine             alive          ended               over      unknown
============================ ============== =================== ========= ===================================
HELD, WAITING                its word       its end             ACCEPTED  nothing
SUBMITTING                   its word       its end             ACCEPTED  REFUSED: it never began, free retry
PENDING, STARTING, RUNNING   its word       its end             follow    VANISHED
CANCELLING                   cancel again   its end (by cause)  follow    VANISHED (by cause)
final                        cancel         nothing             nothing   nothing
============================ ============== =================== ========= ===================================

Over: it has ended, how is still to be read. Whoever follows it hears that, and nobody waits for it here. With
``--keep`` a final case's session is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.errors import EngineError
from tui_sweep.core.session import Report, SessionSpec
from tui_sweep.core.states import ENDINGS, FINAL, LIVE, Event, State
from tui_sweep.core.sweep import Sweep
from tui_sweep.engines.base import Engine
from tui_sweep.store.output import Output

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0
"""Seconds between two questions to an engine that gives no answer."""

_NUMBERS = re.compile(r"-(\d+)(?:\.(\d+))?\Z")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with one case at the start of a runner."""

    event: Event | None = None
    """To be told to the scheduler, as if the engine had reported it."""
    follow: bool = False
    """It lives: attend to it."""
    cancel: bool = False
    """End it on the engine (again)."""


def verdict(state: State, report: Report | None) -> Verdict:
    """One cell of the table above; ``report`` is what the engine says of the session, if anything."""
    if report is None:
        if state is State.SUBMITTING:
            return Verdict(Event.REFUSED)
        if state in FINAL or state in (State.WAITING, State.HELD):
            return Verdict()
        return Verdict(Event.VANISHED)
    has_ended = report.over or report.event in ENDINGS
    if state in FINAL:
        return Verdict(cancel=not has_ended)
    if report.event in ENDINGS:
        return Verdict(report.event)
    if state is State.CANCELLING:
        return Verdict(follow=True, cancel=not has_ended)
    if report.event is None and state in (State.WAITING, State.HELD, State.SUBMITTING):
        return Verdict(Event.ACCEPTED, follow=True)  # else it would be sent once more
    return Verdict(report.event, follow=True)


def numbers(name: str) -> tuple[int, int] | None:
    """(case, attempt) in a session's name, or None when it is not of our making."""
    match = _NUMBERS.search(name)
    return None if match is None else (int(match[1]), int(match[2] or 0))


class Adopter(Protocol):
    """What adoption needs of the runner."""

    engine: Engine
    sweep: Sweep
    table: CaseTable

    def spec(self, index: int) -> tuple[SessionSpec, Output]: ...

    def take_over(self, spec: SessionSpec, output: Output) -> None: ...

    def tell(self, spec: SessionSpec, report: Report) -> None: ...

    def end(self, name: str) -> None: ...


async def adopt(runner: Adopter) -> None:
    """Ask the engine about every case that may be live on it, and believe its answer."""
    table = runner.table
    known = {index: runner.spec(index) for index in table.where(LIVE).tolist()}
    strays = []
    for name in await _asked(runner.engine.live):
        found = numbers(name)
        if found is None or found[0] >= len(table):
            continue
        index, attempt = found
        if index in known and known[index][0].name == name:
            continue
        if attempt == table.attempt[index] and table.state_of(index) in (State.WAITING, State.HELD):
            known[index] = runner.spec(index)
        else:
            strays.append(name)
    specs = [spec for spec, _ in known.values()]
    reports = await _asked(lambda: runner.engine.find(specs)) if specs else {}
    for spec, output in known.values():
        _adopt_one(runner, spec, output, reports.get(spec.name))
    for name in () if runner.sweep.keep else strays:
        log.warning("ending a session that nobody waits for: session=%s", name)
        runner.end(name)


async def _asked(ask: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
    """The engine's answer, asked for until there is one: silence changes nothing."""
    delay = _FIRST_DELAY
    while True:
        try:
            return await ask()
        except EngineError as error:
            log.warning("the engine does not answer: error=%s", error)
        await asyncio.sleep(delay)
        delay = min(delay * 2, _LONGEST_DELAY)


def _adopt_one(runner: Adopter, spec: SessionSpec, output: Output, report: Report | None) -> None:
    decided = verdict(runner.table.state_of(spec.case), report)
    output.resume()
    now = time.time()
    if decided.follow or decided.cancel:
        runner.take_over(spec, output)
    if decided.event is not None and not decided.follow:
        runner.table.grew(spec.case, output.sample(now))
    if report is not None and (decided.event is not None or report.over):
        runner.tell(spec, replace(report, event=decided.event))
    elif decided.event is not None:
        runner.tell(spec, Report(spec.name, decided.event, now, reason=_UNKNOWN[decided.event]))
    if decided.cancel:
        runner.end(spec.name)


_UNKNOWN = {
    Event.REFUSED: "never began; sent again",
    Event.VANISHED: "the engine does not know it any more",
}
