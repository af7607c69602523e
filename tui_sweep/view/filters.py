"""The filter language: a few words that choose cases.

Terms stand between blanks, and a case is shown when all of them hold for it:

- ``lr=0.1`` ``lr!=0.1`` ``lr<0.1`` ``lr<=0.1`` ``lr>0.1`` ``lr>=0.1``: the value of a variable;
- ``state:failed`` ``state:run,wait``: its state, by any beginning of a state's word;
- ``#12`` ``#12-40`` ``#12-``: its index;
- any other word: some value of its variables, or the reason it waits or ended for, holds the word.

``!`` before a term means the contrary. Blanks within double quotes do not end a term.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tui_sweep.core.cases import CaseTable
from tui_sweep.core.errors import UsageError
from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import NAME
from tui_sweep.core.states import State
from tui_sweep.view.columns import Column, Words, number
from tui_sweep.view.mask import MASKED, Mask

_TERM = re.compile(r'(?:"[^"]*"?|[^\s"])+')
_COMPARED = re.compile(rf"((?:{NAME.pattern}\.)?{NAME.pattern})(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_INDEX = re.compile(r"#(\d{1,18})(-(\d{1,18})?)?", re.ASCII)
_STATE = "state:"
_ORDERED: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

STATES_BY_WORD = {state.word: state for state in State}


class Facts:
    """What filters and orders look at: every case's variables, state and reason, as arrays."""

    def __init__(self, table: CaseTable, plan: Plan, mask: Mask, why: Callable[[], str | None]) -> None:
        """``why`` says why a case waits of which nothing is noted."""
        self.table = table
        self.plan = plan
        self.why = why
        shown = mask.masked(dict.fromkeys(plan.names, ""))
        self.columns = [
            Column(variable, hidden=shown[variable.column] == MASKED) for variable in plan.variables
        ]
        self._words = Words([])

    def where(self, number_of: int, chosen: np.ndarray, cases: np.ndarray) -> np.ndarray:
        """Which of ``cases`` have one of the chosen values of a variable: bool."""
        return np.asarray(chosen[self.plan.position(number_of, cases)])

    def reason_holds(self, word: str, cases: np.ndarray) -> np.ndarray:
        """Which of ``cases`` wait or ended for a reason that holds the word: bool."""
        numbers, reasons = self.table.reasons
        if len(self._words) != len(reasons):
            self._words = Words([reason or "" for reason in reasons])
        holds = self._words.holding(word)
        holds[0] = False
        found = holds[numbers[cases]]
        unsaid = self.why()
        if unsaid is not None and word.casefold() in unsaid.casefold():
            found |= (numbers[cases] == 0) & (self.table.state[cases] == State.WAITING)
        return np.asarray(found)


@dataclass(frozen=True, slots=True)
class Term:
    """One term: which of some cases it holds for, and whether that may change as cases move on."""

    holds: Callable[[Facts, np.ndarray], np.ndarray]
    """Takes indices, gives bool."""
    moves: bool


def parse_filter(text: str, names: Sequence[str], states: Mapping[str, State]) -> tuple[Term, ...]:
    """The terms of a filter; none for a blank text. ``names`` are the variables, ``states`` the states
    by all their words. Raises UsageError, with the offending part of ``text``.
    """
    return tuple(
        _term(text, match.start(), match[0].replace('"', ""), names, states) for match in _TERM.finditer(text)
    )


def _term(text: str, start: int, word: str, names: Sequence[str], states: Mapping[str, State]) -> Term:
    span = (start, start + max(len(word), 1))
    if word.startswith("!"):
        if word == "!":
            raise UsageError("nothing stands after the '!'", text=text, span=span)
        term = _term(text, start + 1, word[1:], names, states)
        return Term(lambda facts, cases: ~term.holds(facts, cases), term.moves)
    try:
        if word.startswith("#"):
            return _index_term(word)
        if word.lower().startswith(_STATE):
            return _state_term(word[len(_STATE) :], states)
        if match := _COMPARED.fullmatch(word):
            return _compared_term(*match.groups(), names=names)
    except UsageError as error:
        raise UsageError(error.message, text=text, span=span, hint=error.hint) from None
    return _word_term(word, len(names))


def _index_term(word: str) -> Term:
    match = _INDEX.fullmatch(word)
    if match is None:
        raise UsageError(f"{word} is no case", hint="a case is written #12, several #12-40")
    first = int(match[1])
    last = first if match[2] is None else int(match[3]) if match[3] else math.inf
    if last < first:
        raise UsageError(f"{word} holds no case: the first number is the larger one")
    return Term(lambda facts, cases: (cases >= first) & (cases <= last), moves=False)


def _state_term(words: str, states: Mapping[str, State]) -> Term:
    chosen = np.zeros(len(State), dtype=bool)
    for word in words.lower().split(","):
        meant = [states[word]] if word in states else [s for w, s in states.items() if w.startswith(word)]
        if not meant or not word:
            what = f"no state is called {word}" if word else "the name of a state is missing"
            raise UsageError(what, hint=f"the states are: {', '.join(STATES_BY_WORD)}")
        chosen[meant] = True
    return Term(lambda facts, cases: chosen[facts.table.state[cases]], moves=True)


def _compared_term(name: str, sign: str, value: str, *, names: Sequence[str]) -> Term:
    if name not in names:
        raise UsageError(f"there is no variable {name}", hint=f"the variables are: {', '.join(names)}")
    place = names.index(name)
    if sign in _ORDERED:
        limit = number(value)
        if math.isnan(limit):
            raise UsageError(f"{name}{sign} needs a number", hint=f"for example {name}{sign}0.5")
        compare = _ORDERED[sign]

        def chosen(facts: Facts) -> np.ndarray:
            return compare(facts.columns[place].numbers, limit)
    else:

        def chosen(facts: Facts) -> np.ndarray:
            same = facts.columns[place].equal(value)
            return ~same if sign == "!=" else same

    return Term(lambda facts, cases: facts.where(place, chosen(facts), cases), moves=False)


def _word_term(word: str, variables: int) -> Term:
    def holds(facts: Facts, cases: np.ndarray) -> np.ndarray:
        found = facts.reason_holds(word, cases)
        for place in range(variables):
            having = facts.columns[place].words.holding(word)
            if having.any():
                found |= facts.where(place, having, cases)
        return found

    return Term(holds, moves=True)
