"""Onlookers: which cases are on a screen now. An engine far away fetches only those outputs live."""

from __future__ import annotations

from tui_sweep.store.commands import Command

_LASTS = 90.0
"""Seconds that a viewer's word counts; it repeats it every 30."""


class Onlookers:
    """What each viewer said last that it shows."""

    def __init__(self) -> None:
        self._shown: dict[object, tuple[float, frozenset[int]]] = {}
        self._told: frozenset[int] = frozenset()

    def heard(self, command: Command, now: float) -> None:
        """A viewer's ``watch``; no cases: it shows none any more."""
        cases = command.arguments.get("cases")
        shown = (
            frozenset(case for case in cases if isinstance(case, int))
            if isinstance(cases, list)
            else frozenset()
        )
        self._shown[command.arguments.get("by")] = (now + _LASTS, shown)

    def news(self, now: float) -> frozenset[int] | None:
        """All cases that are shown, where that differs from what was told last; else None."""
        if not self._shown:
            return None
        self._shown = {viewer: said for viewer, said in self._shown.items() if said[0] > now and said[1]}
        cases: frozenset[int] = frozenset().union(*(said[1] for said in self._shown.values()))
        if cases == self._told:
            return None
        self._told = cases
        return cases
