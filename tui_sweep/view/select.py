"""Selection: which cases are shown, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tui_sweep.core.cases import NO_CODE, CaseTable
from tui_sweep.core.plan import Plan
from tui_sweep.core.states import LIVE, State
from tui_sweep.view import durations
from tui_sweep.view.columns import Column
from tui_sweep.view.filters import STATES_BY_WORD, Facts, Term, parse_filter
from tui_sweep.view.marks import Marks
from tui_sweep.view.mask import Mask

VIEWS: dict[str, frozenset[State]] = {
    "all": frozenset(State),
    "live": LIVE,
    "waiting": frozenset({State.WAITING, State.HELD}),
    "failed": frozenset({State.FAILED, State.TIMEOUT, State.LOST}),
    "done": frozenset({State.DONE, State.CANCELLED}),
}
"""What each view shows. Every case is in ``all`` and in one of the others."""

SortKey = str | int
"""``"index"``, ``"state"``, ``"waited"``, ``"ran"``, ``"exit"``, or the number of a variable among
``Plan.names``: a variable may have any of these names."""

_TITLES = {"index": "#", "waited": "wait", "ran": "run"}


@dataclass(frozen=True, slots=True)
class Sort:
    """An order. Equal cases stand by index, and those that have no value at the end, in both directions."""

    key: SortKey = "index"
    reverse: bool = False

    def by(self, key: SortKey) -> Sort:
        """The order by a key; the other way round when it is by that key already."""
        return Sort(key, reverse=key == self.key and not self.reverse)

    @property
    def moves(self) -> bool:
        """Whether the order may change while cases move on."""
        return isinstance(self.key, str) and self.key != "index"


class Selection:
    """The cases that a view and a filter let through, sorted: a sequence of case indices.

    A million cases that are all shown by index cost nothing; else 4 bytes for each that is shown.
    """

    def __init__(
        self,
        table: CaseTable,
        plan: Plan,
        mask: Mask,
        *,
        why: Callable[[], str | None] = lambda: None,
        words: Mapping[str, State] | None = None,
    ) -> None:
        """``why`` says why a case waits of which nothing is noted; ``words`` are more words for states."""
        self._facts = Facts(table, plan, mask, why)
        self._words = STATES_BY_WORD | {word.lower(): state for word, state in (words or {}).items()}
        self._terms: tuple[Term, ...] = ()
        self._seen: tuple[int, str | None] | None = None
        self.view = "all"
        self.text = ""
        """The filter, as it was written."""
        self.sort = Sort()
        self.order: np.ndarray | None = None
        """The cases that are shown: int32; None: all of them by index."""
        self.marks = Marks(len(table))

    def __len__(self) -> int:
        return len(self._facts.table) if self.order is None else len(self.order)

    def __getitem__(self, row: int) -> int:
        """The case in a row, from 0. Raises IndexError outside; negative rows mean nothing here."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        return row if self.order is None else int(self.order[row])

    @property
    def columns(self) -> Sequence[Column]:
        """The values of each variable, as ``Plan.names`` names them, secrets masked."""
        return self._facts.columns

    @property
    def hidden(self) -> int:
        """How many cases are not shown."""
        return len(self._facts.table) - len(self)

    def place(self, case: int) -> int | None:
        """The row of a case, or None when it is not shown. 0.3 ms among a million."""
        if self.order is None:
            return case
        rows = np.flatnonzero(self.order == case)
        return int(rows[0]) if len(rows) else None

    def cases(self, first: int = 0, past: int | None = None) -> np.ndarray:
        """The cases in rows ``first`` to before ``past``, all by default: integers, in the order shown."""
        past = len(self) if past is None else min(past, len(self))
        return np.arange(first, past, dtype=np.int32) if self.order is None else self.order[first:past]

    def seek(self, states: Iterable[State], row: int, step: int) -> int | None:
        """The next row after ``row`` whose case is in one of the states, or the last before it when ``step``
        is negative, around the end; None when there is none.
        """
        wanted = np.isin(self._facts.table.state[self.cases()], [int(state) for state in states])
        rows = np.flatnonzero(wanted)
        if not len(rows):
            return None
        place = np.searchsorted(rows, row, side="right") if step > 0 else np.searchsorted(rows, row) - 1
        return int(rows[place % len(rows)])

    def describe(self) -> list[str]:
        """The view, the filter and the order, each in a few words."""
        names, key = self._facts.plan.names, self.sort.key
        order = names[key] if isinstance(key, int) else _TITLES.get(key, key)
        shown = f" ({len(self):,} of {len(self._facts.table):,})" if self.hidden else ""
        return [
            f"view: {self.view}{shown}",
            f"filter: {self.text.strip() or 'none'}",
            f"sort: {order}{' desc' if self.sort.reverse else ''}",
        ]

    @property
    def nothing(self) -> str:
        """What to say where no case is shown."""
        text = self.text.strip()
        matches = [f"matches `{text}`"] if text else []
        what = " and ".join([*matches, *([f"is {self.view}"] if self.view != "all" else [])])
        return f"No case {what}. {self.hidden:,} hidden. {'esc clears.' if text else 'v shows others.'}"

    # -- choosing -------------------------------------------------------------------------------

    def show(self, view: str) -> None:
        """Show one of VIEWS."""
        self._arrange(view=view)

    def filter(self, text: str) -> None:
        """Show what a filter (``view.filters``) lets through. Raises UsageError, and changes nothing then."""
        terms = parse_filter(text, self._facts.plan.names, self._words)
        self._terms = terms
        self._arrange(text=text)

    def sort_by(self, sort: Sort) -> None:
        """Put what is shown in an order."""
        self._arrange(sort=sort)

    def _arrange(self, *, view: str | None = None, text: str | None = None, sort: Sort | None = None) -> None:
        self.view = self.view if view is None else view
        self.text = self.text if text is None else text
        self.sort = self.sort if sort is None else sort
        self._seen = None

    def refresh(self, now: float) -> bool:
        """Choose again if what is chosen by has changed; whether other cases, or another order, came of it.

        ``now`` is UNIX seconds. When nothing has to be chosen again this costs a microsecond.
        """
        moves = self.view != "all" or self.sort.moves or any(term.moves for term in self._terms)
        seen = (self._facts.table.revision, self._facts.why()) if moves else (0, None)
        if seen == self._seen:
            return False
        self._seen = seen
        before, self.order = self.order, self._ordered(self._chosen(), now)
        return not _same(before, self.order)

    def _chosen(self) -> np.ndarray | None:
        """The cases that the view and the filter let through, by index; None: all."""
        if self.view == "all" and not self._terms:
            return None
        cases = np.arange(len(self._facts.table), dtype=np.int32)
        if self.view != "all":
            shown = np.zeros(len(State), dtype=bool)
            shown[list(VIEWS[self.view])] = True
            cases = cases[shown[self._facts.table.state]]
        for term in self._terms:
            cases = cases[term.holds(self._facts, cases)]
        return cases

    def _ordered(self, cases: np.ndarray | None, now: float) -> np.ndarray | None:
        if self.sort == Sort():
            return cases
        if cases is None:
            cases = np.arange(len(self._facts.table), dtype=np.int32)
        if self.sort.key == "index":
            return cases[::-1].copy()
        keys, known = self._keys(cases, now)
        if known is None:
            return np.asarray(cases[_sorted(keys, self.sort.reverse)])
        some = cases[known]
        return np.concatenate([some[_sorted(keys[known], self.sort.reverse)], cases[~known]])

    def _keys(self, cases: np.ndarray, now: float) -> tuple[np.ndarray, np.ndarray | None]:
        """What the order goes by, for each case, and which cases have it; None: all."""
        table, key = self._facts.table, self.sort.key
        if isinstance(key, int):
            return self._facts.columns[key].ranks[self._facts.plan.position(key, cases)], None
        if key == "state":
            return table.state[cases], None
        if key == "exit":
            codes = table.exit_code[cases]
            return codes, codes != NO_CODE
        times = (durations.all_waited if key == "waited" else durations.all_ran)(table, cases, now)
        return times, ~np.isnan(times)


def _sorted(keys: np.ndarray, reverse: bool) -> np.ndarray:
    """The places of the keys in their order; equal ones stay as they stand, in both directions."""
    if not reverse:
        return np.argsort(keys, kind="stable")
    # From the other end twice: so that equal keys stay, and narrow integers need no wider ones.
    return (len(keys) - 1 - np.argsort(keys[::-1], kind="stable"))[::-1]


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
