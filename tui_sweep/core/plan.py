"""Plan: the product of a sweep's ranges, as a sequence of cases that are made when they are asked for."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tui_sweep.core.dimensions import KINDS, SHARED, Variable, dimensions
from tui_sweep.core.errors import UsageError
from tui_sweep.core.merging import Axis, Pieces, axes, fill
from tui_sweep.core.sweep import STAR, Sweep
from tui_sweep.core.templates import Template, parse_template

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.signedinteger[Any]]

LARGEST_SWEEP = 10_000_000
"""Cases that a sweep runs at most. A plan may be longer."""

LARGE_SWEEP = 1_000
"""Cases above which a sweep is not started without being asked for again, or ``--yes``."""

_SEEN_BY = {
    "-e": (SHARED, "--env-range"),
    "--clean": (SHARED,),
    "--build": (SHARED, "--build-range"),
    "--exec": (SHARED, "--exec-range"),
}
"""The options whose variables a template sees."""


@dataclass(frozen=True, slots=True)
class Case:
    """One point of a sweep, made when it is asked for and never kept."""

    index: int
    """Its place in the plan, from 0; its name for good."""
    variables: dict[str, str]
    """The values by column (``Plan.names``); of equal cases those of the first."""
    env: dict[str, str]
    """In the order of the ``-e`` options."""
    clean: str
    """A command, or ``*`` where none was given; so ``build`` and ``exec``."""
    build: str
    exec: str


class Plan:
    """The cases of a sweep, in the order of the product, the first variable slowest; equal ones once.

    Indexing takes microseconds and holds nothing, whatever the length; only where equal cases have to
    be searched for are the ranks of those kept, 8 bytes each.
    """

    def __init__(self, sweep: Sweep) -> None:
        """Raises UsageError, with the offending part of the option, for a sweep that has no sensible plan."""
        self._dimensions = dimensions(sweep)
        variables = [variable for dim in self._dimensions for variable in dim.variables]
        commands = [("--clean", sweep.clean), ("--build", sweep.build), ("--exec", sweep.exec)]
        self._commands = [_bound(_command(option, text), variables) for option, text in commands]
        self._env = {name: _bound(_env_template(name, text), variables) for name, text in sweep.env}
        templates = [*self._env.values(), *self._commands]
        _refuse_unused(sweep, variables, templates)
        self._columns = [
            (v.range.values.text, i) for i, dim in enumerate(self._dimensions) for v in dim.variables
        ]
        self._fastest_first = axes(self._dimensions, templates)[::-1]
        self.variables: tuple[Variable, ...] = tuple(variables)
        """Slowest first, the members of a ``--zip`` side by side; each with all the values it may take."""
        self.names: tuple[str, ...] = tuple(variable.column for variable in variables)
        """The columns of ``Case.variables``, slowest first; the members of a ``--zip`` side by side."""
        self.count = math.prod(axis.count for axis in self._fastest_first)
        """How many cases there are; ``len()`` fails above ``sys.maxsize``, this does not."""
        self.merged = math.prod(dim.count for dim in self._dimensions) - self.count
        """How many combinations were dropped, for an earlier one makes the same case."""

    def __len__(self) -> int:
        return self.count

    def __bool__(self) -> bool:
        return True  # No plan is empty, and len() may overflow.

    def __getitem__(self, index: int) -> Case:
        """Case ``index``, from 0. Raises IndexError outside; negative indices mean nothing here."""
        index = operator.index(index)
        texts = self._texts(index)
        return Case(
            index,
            dict(zip(self.names, texts, strict=True)),
            {name: fill(pieces, texts) for name, pieces in self._env.items()},
            *[fill(pieces, texts) for pieces in self._commands],
        )

    def values(self, index: int) -> dict[str, str]:
        """``variables`` of a case, without the rest of it. Raises IndexError."""
        return dict(zip(self.names, self._texts(operator.index(index)), strict=True))

    def _texts(self, rank: int) -> list[str]:
        """The value of each of ``names`` in a case."""
        if not 0 <= rank < self.count:
            raise IndexError(rank)
        steps = [0] * len(self._dimensions)
        for axis in self._fastest_first:
            rank, i = divmod(rank, axis.count)
            steps[axis.first : axis.first + len(axis.counts)] = axis.steps(i)
        return [text_at(steps[place]) for text_at, place in self._columns]

    def __iter__(self) -> Iterator[Case]:
        index = 0
        while index < self.count:
            yield self[index]
            index += 1

    def positions(self, indices: Whole) -> list[Whole]:
        """Which value each variable has in these cases, one array for each of ``names``, as ``position``."""
        return [self.position(number, indices) for number in range(len(self.names))]

    def position(self, number: int, indices: Whole) -> Whole:
        """Which of its values variable ``number`` has in these cases, in the shape of ``indices``.

        ``variables[number].range[position]`` is the text. A million int32 take 1 ms, int64 9 ms, and
        ``plan[i]`` takes 2.5 s. The result is of the dtype of ``indices``, or int64.
        """
        axis, faster, weight, count = self._place(number)
        steps = _digit(indices, faster, axis.count)
        return steps if axis.kept is None else _digit(axis.kept[steps], weight, count)

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """The names whose values differ between cases."""
        return tuple(name for number, name in enumerate(self.names) if self._varies(number))

    def _varies(self, number: int) -> bool:
        axis, _, weight, count = self._place(number)
        steps: Iterator[int] = iter(range(count))
        if axis.kept is not None:
            import numpy as np

            found = np.zeros(count, dtype=bool)
            found[_digit(axis.kept, weight, count)] = True
            steps = map(int, np.flatnonzero(found))
        text_at = self._columns[number][0]
        first = text_at(next(steps))
        return any(text_at(step) != first for step in steps)

    def _place(self, number: int) -> tuple[Axis, int, int, int]:
        """A variable's axis and how many combinations all faster axes have; within the axis how many
        the faster dimensions have, and its own.
        """
        place = self._columns[number][1]
        faster = 1
        for axis in self._fastest_first:
            within = place - axis.first
            if within >= 0:
                return axis, faster, math.prod(axis.counts[within + 1 :]), axis.counts[within]
            faster *= axis.count
        raise IndexError(number)


def _digit(ranks: Whole, weight: int, count: int) -> Whole:
    """The mixed-radix digit of this weight, from 0 to ``count - 1``, of each rank."""
    import numpy as np

    # Not divmod, which is four times as slow; and weight and count may be above any int64.
    highest = int(ranks.max(initial=0))
    if weight > highest:
        return np.zeros_like(ranks)
    over = ranks // weight if weight > 1 else ranks
    if count > highest // weight:
        return over
    return over - over // count * count


def _command(option: str, text: str) -> Template:
    if text in ("", STAR):
        return Template(option, STAR, (STAR,))
    return parse_template(option, text)


def _env_template(name: str, template: str) -> Template:
    text = f"{name}={template}"
    if not name:
        raise UsageError("-e has no name before the '='", text=text, span=(0, 1))
    return parse_template("-e", text, start=len(name) + 1)


def _bound(template: Template, variables: Sequence[Variable]) -> Pieces:
    """The template with the numbers of its variables for their names."""
    options = _SEEN_BY[template.option]
    seen = {variable.range.key: variable.number for variable in variables if variable.option in options}
    for mention in template.mentions:
        if mention.name not in seen:
            first, past = mention.span
            raise UsageError(
                f"{template.option}: there is no variable {mention.name} here",
                text=template.text,
                span=mention.span,
                hint=_unbound_hint(mention.name, template.text[first:past], template.option, variables),
            )
    return tuple(p if isinstance(p, str) else seen[p.name] for p in template.pieces)


def _unbound_hint(name: str, written: str, option: str, variables: Sequence[Variable]) -> str:
    literal = f"write ${written} for a literal {written}"
    others = [variable.option for variable in variables if variable.range.key == name]
    if not others:
        return literal
    places = " and ".join(others)
    return f"{name} is a variable of {places}, which {option} does not see; move it to {SHARED}, or {literal}"


def _refuse_unused(sweep: Sweep, variables: Sequence[Variable], templates: Sequence[Pieces]) -> None:
    used = {piece for pieces in templates for piece in pieces if isinstance(piece, int)}
    for variable in variables:
        if variable.number not in used:
            key, option = variable.range.key, variable.option
            reader = "-e" if option == "--env-range" else f"--{KINDS.get(option)}"
            who = "no template uses" if option == SHARED else f"{reader} does not use"
            raise UsageError(
                f"{option}: {who} the variable {key}",
                text=variable.range.option,
                span=(0, len(key)),
                hint=_unused_hint(sweep, key, option, reader),
            )


def _unused_hint(sweep: Sweep, key: str, option: str, reader: str) -> str:
    if any(_mentions("-e", text, key) for _, text in sweep.env) and option in _SEEN_BY["-e"]:
        return f"the -e that uses {key} is replaced by a later -e of the same name"
    if sweep.code is None:
        return f"write ${key} where its values belong" + ("" if option == SHARED else f", in {reader}")
    moved = "" if option in _SEEN_BY["-e"] else f" and give it with {SHARED} or --env-range"
    return f"-c is not a template: pass it in the environment by -e {key}=${key}{moved}"


def _mentions(option: str, text: str, key: str) -> bool:
    return any(mention.name == key for mention in parse_template(option, text).mentions)
