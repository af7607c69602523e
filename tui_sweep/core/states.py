"""The life of a case, whole: states, events, causes, and one table of transitions.

Nothing else decides what a state becomes. ``CaseTable.move`` is the only caller that matters;
an event that has no entry is illegal there, is logged with the case's story, and is dropped.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What a case is. The numbers are kept in ``sweep.db``: never renumber them."""

    WAITING = 0
    """Not sent yet. Zero, so that a new table waits."""
    HELD = 1
    SUBMITTING = 2
    """The intent is written; the engine may or may not know."""
    PENDING = 3
    STARTING = 4
    RUNNING = 5
    CANCELLING = 6
    """Being ended, for a recorded cause."""
    DONE = 7
    """Exit code 0 was read."""
    FAILED = 8
    TIMEOUT = 9
    LOST = 10
    """The engine answered and does not know it, or ended it without telling how."""
    CANCELLED = 11

    @property
    def word(self) -> str:
        """The name in JSON and in filters."""
        return self.name.lower()


class Event(IntEnum):
    """What happens to a case."""

    HOLD = 0
    RELEASE = 1
    LAUNCH = 2
    """Its turn has come and the engine has room: the intent."""
    REFUSED = 3
    """The engine could not take it now; it never began, and goes back to waiting for free."""
    ACCEPTED = 4
    """The engine has it and it waits for capacity; also when it was sent back to waiting."""
    PREPARING = 5
    """Scheduled, pulling, preparing, creating."""
    STARTED = 6
    STOP = 7
    """The wish to end it, for a cause."""
    SUCCEEDED = 8
    ERRED = 9
    """Ended with an exit code other than 0, or refused for good."""
    VANISHED = 10
    EXPIRED = 11
    """Waited longer than --max-wait without having been sent."""
    RETRY = 12


class Cause(IntEnum):
    """Why a case is being ended. The numbers are kept in ``sweep.db``."""

    NONE = 0
    USER = 1
    HALT = 2
    TIMEOUT = 3
    MEMORY = 4


FINAL = frozenset({State.DONE, State.FAILED, State.TIMEOUT, State.LOST, State.CANCELLED})
"""States that only a retry leaves."""

LIVE = frozenset({State.SUBMITTING, State.PENDING, State.STARTING, State.RUNNING, State.CANCELLING})
"""States in which the engine may know the case."""

ENDINGS = {Event.SUCCEEDED: State.DONE, Event.ERRED: State.FAILED, Event.VANISHED: State.LOST}

ENDS_AS = {
    Cause.NONE: State.CANCELLED,
    Cause.USER: State.CANCELLED,
    Cause.HALT: State.CANCELLED,
    Cause.TIMEOUT: State.TIMEOUT,
    Cause.MEMORY: State.FAILED,
}
"""What a cancelling case becomes when it ends, whatever its exit code."""

_MOVES = {Event.ACCEPTED: State.PENDING, Event.PREPARING: State.STARTING, Event.STARTED: State.RUNNING}
_RESTART = {Event.RETRY: State.WAITING}

TRANSITIONS: dict[State, dict[Event, State]] = {
    # A case that only waits may turn out to be live: a runner died before its journal heard of it.
    State.WAITING: {
        Event.HOLD: State.HELD,
        Event.LAUNCH: State.SUBMITTING,
        Event.STOP: State.CANCELLED,
        Event.EXPIRED: State.TIMEOUT,
        **_MOVES,
        **ENDINGS,
    },
    State.HELD: {Event.RELEASE: State.WAITING, Event.STOP: State.CANCELLED, **_MOVES, **ENDINGS},
    State.SUBMITTING: {
        Event.REFUSED: State.WAITING,
        Event.STOP: State.CANCELLING,
        **_MOVES,
        **ENDINGS,
    },
    State.PENDING: {Event.STOP: State.CANCELLING, **_MOVES, **ENDINGS},
    State.STARTING: {Event.STOP: State.CANCELLING, **_MOVES, **ENDINGS},
    State.RUNNING: {Event.STOP: State.CANCELLING, **_MOVES, **ENDINGS},
    # The real end depends on the cause (ENDS_AS); REFUSED here means that it never began.
    State.CANCELLING: {
        Event.STOP: State.CANCELLING,
        Event.REFUSED: State.CANCELLED,
        **dict.fromkeys(ENDINGS, State.CANCELLED),
    },
    State.DONE: _RESTART,
    State.FAILED: _RESTART,
    State.TIMEOUT: _RESTART,
    State.LOST: _RESTART,
    State.CANCELLED: _RESTART,
}


def after(state: State, event: Event, cause: Cause = Cause.NONE) -> State | None:
    """The state that follows, or None when ``event`` means nothing in ``state``.

    ``cause`` is why the case is being ended; it counts in CANCELLING only.
    """
    following = TRANSITIONS[state].get(event)
    if state is State.CANCELLING and following is State.CANCELLED:
        return ENDS_AS[cause]
    return following
