"""Interest: tells the runner which case's output a viewer shows, where the engine has to fetch it."""

from __future__ import annotations

from tui_sweep.core.errors import JournalError
from tui_sweep.core.states import State
from tui_sweep.store import commands
from tui_sweep.view.follow import Follower

_REPEAT = 30.0
"""Seconds after which it is said again: the runner believes it for 90."""
_GAP = 1.0
"""Seconds between two words: a cursor that runs down a table shows nothing."""


class Interest:
    """What one viewer said last."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._said: list[int] = []
        self._at = 0.0

    def show(self, case: int | None, now: float) -> None:
        """``case`` is on the screen at ``now`` (UNIX seconds); says so when it matters and is new."""
        follower = self._follower
        if follower.facts["sweep"]["engine"] == "local":
            return
        is_live = case is not None and follower.table.state[case] == State.RUNNING
        cases = [case] if is_live and case is not None else []
        age = now - self._at
        if (cases == self._said and (not cases or age < _REPEAT)) or age < _GAP or follower.runner is None:
            return
        try:
            commands.drop(follower.folder.commands, "watch", cases=cases)
        except JournalError:
            return  # a folder of somebody else's, or a full disk: the output comes later
        self._said, self._at = cases, now
