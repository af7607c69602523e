"""Everything that may go wrong in a way a user can act on.

::

    SweepError            exit code 70 unless a child says otherwise
    ├── UsageError        2   the command line is wrong; nothing was created
    │   └── RangeError    2   a range expression is wrong
    ├── JournalError      4   the sweep's folder cannot be read or written
    └── EngineError       3   the engine
        ├── EngineBusy        cannot take it now; try again later, costs nothing
        ├── EngineDenied      understood and refused; trying again will not help
        └── EngineUnreachable gave no answer; nothing is known

A message says what, where and what to do, in one or two lines. What it quotes may be hostile:
whoever prints it neutralises it.
"""

from __future__ import annotations


class SweepError(Exception):
    """An error told to the user in words, never as a traceback."""

    exit_code = 70
    """What the command exits with when this ends it (CONTRACT: exit codes)."""


class UsageError(SweepError):
    """The command line cannot be run as written. Nothing has been created."""

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        text: str | None = None,
        span: tuple[int, int] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        """The argument as the user wrote it, shown under the message."""
        self.span = span
        """Where in ``text`` the offence is: (first, past the last) character; drawn as a caret."""
        self.hint = hint
        """What to do about it."""


class RangeError(UsageError):
    """A range expression cannot be read, or yields nothing."""


class JournalError(SweepError):
    """The sweep's folder cannot be read or written."""

    exit_code = 4


class EngineError(SweepError):
    """The engine failed; the only kind of exception an engine lets out."""

    exit_code = 3
    sent = True
    """Whether it may have heard what was asked. What it has certainly not heard may be asked again at once."""


class EngineBusy(EngineError):
    """The engine cannot take this session now. Not a failure: try again in ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineDenied(EngineError):
    """The engine understood the request and refuses it for good."""


class EngineUnreachable(EngineError):
    """The engine gave no answer that can be believed. What it did is not known."""
