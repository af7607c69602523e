"""Dimensions: the variables of a sweep in the order of the product, those of a ``--zip`` side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tui_sweep.core.errors import UsageError
from tui_sweep.core.ranges import Range
from tui_sweep.core.sweep import Sweep
from tui_sweep.core.values import counted

SHARED = "--range"
"""The option whose variables every template sees."""

KINDS = {"--env-range": "env", "--build-range": "build", "--exec-range": "exec"}
"""The options whose variables one kind of template sees, and the kind's name; the product's order."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: a range, and where it was given."""

    number: int
    """Its place among the plan's variables, slowest first."""
    option: str
    """``--range``, ``--env-range`` …"""
    column: str
    """Its name; with the kind before it (``env.X``) where several kinds have one of that name."""
    range: Range


@dataclass(frozen=True, slots=True)
class Dimension:
    """Variables that are walked together; one, unless they are zipped."""

    variables: tuple[Variable, ...]

    @property
    def count(self) -> int:
        """How many steps it has: the length of any of its ranges."""
        return self.variables[0].range.count

    def texts(self, step: int) -> tuple[str, ...]:
        """The values of its variables at ``step``, from 0 to ``count - 1``."""
        return tuple([variable.range[step] for variable in self.variables])


_Given = tuple[str, Range]


def dimensions(sweep: Sweep) -> tuple[Dimension, ...]:
    """The dimensions of the product, slowest first.

    Raises UsageError for a variable that is given twice and for a ``--zip`` that cannot be.
    """
    ranges = (sweep.ranges, sweep.env_ranges, sweep.build_ranges, sweep.exec_ranges)
    given = [(option, r) for option, some in zip((SHARED, *KINDS), ranges, strict=True) for r in some]
    _refuse_repeated(given)
    partners = _partners(sweep.zips, given)
    kinds_of = Counter(r.key for _, r in given)
    found: list[Dimension] = []
    number = 0
    for place in range(len(given)):
        members = partners.get(place, [place])
        if place != members[0]:
            continue
        variables = []
        for member in members:
            option, r = given[member]
            column = r.key if kinds_of[r.key] == 1 else f"{KINDS[option]}.{r.key}"
            variables.append(Variable(number, option, column, r))
            number += 1
        found.append(Dimension(tuple(variables)))
    return tuple(found)


def _refuse_repeated(given: Sequence[_Given]) -> None:
    seen: set[tuple[str, str]] = set()
    for option, r in given:
        span = (0, len(r.key))
        if (option, r.key) in seen:
            raise UsageError(f"{option}: {r.key} is given twice", text=r.option, span=span)
        if (SHARED, r.key) in seen:
            message = f"{r.key} is given by {SHARED} and by {option}"
            hint = f"{SHARED} is seen by every template; give one of the two another name"
            raise UsageError(message, text=r.option, span=span, hint=hint)
        seen.add((option, r.key))


def _partners(zips: Sequence[Sequence[str]], given: Sequence[_Given]) -> dict[int, list[int]]:
    """The places in ``given`` that each zipped place is walked with, itself among them, in order."""
    partners: dict[int, list[int]] = {}
    for names in zips:
        places = _places(names, given)
        for i, place in enumerate(places):
            if place in partners:
                raise _zip_error(names, i, f"{names[i]} is in a --zip already")
        _refuse_unequal(names, [given[place][1] for place in places])
        for place in places:
            partners[place] = sorted(places)
    return partners


def _places(names: Sequence[str], given: Sequence[_Given]) -> list[int]:
    """Where in ``given`` the zipped names stand: all under the one option that has them all."""
    for i, name in enumerate(names):
        if not any(r.key == name for _, r in given):
            known = ", ".join(dict.fromkeys(r.key for _, r in given)) or "none"
            what = f"there is no variable {name}" if name else "a name is missing"
            raise _zip_error(names, i, what, hint=f"the variables are: {known}")
        if name in names[:i]:
            raise _zip_error(names, i, f"{name} is named twice")
    if len(names) < 2:
        raise _zip_error(names, 0, "two variables or more are walked together", hint="--zip V,W")
    whole = []
    for option in (SHARED, *KINDS):
        place_of = {r.key: place for place, (its, r) in enumerate(given) if its == option}
        if all(name in place_of for name in names):
            whole.append((option, [place_of[name] for name in names]))
    if not whole:
        others = {option for option, r in given if r.key == names[0]}
        odd = next(i for i, n in enumerate(names) if others.isdisjoint(o for o, r in given if r.key == n))
        message = f"{names[0]} and {names[odd]} are of different kinds"
        raise _zip_error(
            names, odd, message, hint=f"variables of one kind are zipped; {SHARED} is seen by all"
        )
    if len(whole) > 1:
        message = f"these variables are in {' and in '.join(option for option, _ in whole)}"
        raise _zip_error(names, 0, message, hint="give those that are zipped names of their own")
    return whole[0][1]


def _refuse_unequal(names: Sequence[str], ranges: Sequence[Range]) -> None:
    for i, r in enumerate(ranges):
        if r.count != ranges[0].count:
            counts = f"{counted(ranges[0].count)} and {counted(r.count)}"
            message = f"{names[0]} and {names[i]} are of different lengths, {counts}"
            raise _zip_error(
                names, i, message, hint="variables that are walked together have equally many values"
            )


def _zip_error(names: Sequence[str], i: int, message: str, *, hint: str | None = None) -> UsageError:
    first = sum(len(name) + 1 for name in names[:i])
    span = (first, first + max(len(names[i]), 1)) if names else (0, 1)
    return UsageError(f"--zip: {message}", text=",".join(names), span=span, hint=hint)
