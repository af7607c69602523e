"""Which combinations of a product make equal cases, found without looking at them wherever that can be.

A combination makes a case by filling templates in. Where the values can be read back out of the filled
templates, two combinations that differ make two cases that differ, and nothing has to be searched:
``--lr 0.1 --seed 3`` can only come from lr 0.1 and seed 3. Only the rest is searched, by hashing.

Two combinations are equal if they are equal group by group (``_groups``), so of equal ones the first in
the product is made of the first of each group, and what is kept is a product again.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_sweep.core.dimensions import Dimension
from tui_sweep.core.errors import UsageError
from tui_sweep.core.values import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pieces = tuple[str | int, ...]
"""A template: literal texts, and numbers of variables."""

LARGEST_SEARCH = 10_000_000
"""Combinations that are searched at most: 1 to 2 minutes, and 8 bytes each."""

LARGEST_EXACT = 100_000
"""Combinations that are kept as texts while they are compared; above it their hashes, and numpy."""


def fill(pieces: Pieces, texts: Sequence[str]) -> str:
    """The template with the variables' values put in."""
    return "".join([piece if isinstance(piece, str) else texts[piece] for piece in pieces])


@dataclass(frozen=True, slots=True)
class Axis:
    """Neighbouring dimensions of the product as one, without the combinations that were merged."""

    first: int
    """The place of its first dimension."""
    count: int
    """How many combinations it has."""
    counts: tuple[int, ...]
    """The steps of its dimensions."""
    kept: NDArray[np.int64] | None = None
    """Ranks in the product of ``counts``, ascending; None: there is one dimension, and all of it."""

    def steps(self, i: int) -> list[int]:
        """The step of each of its dimensions in combination ``i``, from 0 to ``count - 1``."""
        return [i] if self.kept is None else _steps(int(self.kept[i]), self.counts)


def axes(dims: Sequence[Dimension], templates: Sequence[Pieces]) -> list[Axis]:
    """The dimensions cut into axes, slowest first; ``templates`` is all that tells one case from another.

    Raises UsageError when more than LARGEST_SEARCH combinations would have to be searched.
    """
    merging = [(group, first) for group in _groups(dims, templates) if (first := group.first_ones())]
    spans: list[list[int]] = []
    for group, _ in sorted(merging, key=lambda pair: pair[0].places):
        if spans and group.places[0] <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], group.places[-1])
        else:
            spans.append([group.places[0], group.places[-1]])
    found = []
    place = 0
    for start, end in [*spans, [len(dims), len(dims)]]:
        found += [Axis(i, dims[i].count, (dims[i].count,)) for i in range(place, start)]
        if start < len(dims):
            found.append(
                _thinned(dims, start, end, [pair for pair in merging if start <= pair[0].places[0] <= end])
            )
        place = end + 1
    return found


def _thinned(
    dims: Sequence[Dimension], start: int, end: int, merging: list[tuple[_Group, bytearray]]
) -> Axis:
    """Dimensions ``start`` to ``end`` as one axis of the combinations that are first in every group."""
    import numpy as np  # 0.1 s; most plans merge nothing.

    counts = tuple(dim.count for dim in dims[start : end + 1])
    _refuse_large(dims[start : end + 1])
    # numpy takes 64 dimensions; those of one step need no place, and 24 of two are too many already.
    wide = [place for place in range(start, end + 1) if dims[place].count > 1]
    kept = np.ones([dims[place].count for place in wide], dtype=bool)
    for group, first in merging:
        shape = [dims[place].count if place in group.places else 1 for place in wide]
        kept &= np.frombuffer(first, dtype=bool).reshape(shape)
    ranks = np.flatnonzero(kept).astype(np.int64, copy=False)
    return Axis(start, len(ranks), counts, ranks)


def _refuse_large(dims: Sequence[Dimension]) -> None:
    count = math.prod(dim.count for dim in dims)
    if count > LARGEST_SEARCH:
        names = ", ".join(variable.column for dim in dims for variable in dim.variables)
        raise UsageError(
            f"equal cases would have to be searched for among {counted(count)} combinations of {names},"
            f" and {LARGEST_SEARCH:,} are the most",
            hint="separate the variables of a template by a space, and repeat no values",
        )


def _groups(dims: Sequence[Dimension], templates: Sequence[Pieces]) -> list[_Group]:
    """Sets of dimensions to be searched, each on its own, in any order.

    A dimension whose values can be read back is told apart by these values, so it stands alone. The
    others are told apart by the templates that hold them, together with all that is in these too.
    """
    of = {variable.number: place for place, dim in enumerate(dims) for variable in dim.variables}
    read = _readable(dims, templates)
    plain = {place for place, dim in enumerate(dims) if all(v.number in read for v in dim.variables)}
    leader = list(range(len(dims)))
    mixed = []
    for pieces in templates:
        places = {of[piece] for piece in pieces if isinstance(piece, int)}
        if places - plain:
            mixed.append(pieces)
            joined = {leader[place] for place in places}
            leader = [min(joined) if lead in joined else lead for lead in leader]
    found = []
    for lead in sorted(set(leader)):
        places_of = [place for place in range(len(dims)) if leader[place] == lead]
        if len(places_of) == 1 and _differs(dims[lead], read):
            continue
        within = [p for p in mixed if any(isinstance(i, int) and leader[of[i]] == lead for i in p)]
        found.append(_Group(dims, places_of, read, within))
    return found


def _differs(dim: Dimension, read: set[int]) -> bool:
    return any(variable.number in read and variable.range.distinct for variable in dim.variables)


def _readable(dims: Sequence[Dimension], templates: Sequence[Pieces]) -> set[int]:
    """The variables whose values follow from the filled templates.

    When such values are all different they tell the step of their dimension, and so the values of
    whatever is zipped with it; each that is known may make others readable.
    """
    alphabets = {variable.number: variable.range.alphabet for dim in dims for variable in dim.variables}
    telling = {v.number: dim for dim in dims for v in dim.variables if v.range.distinct}
    read: set[int] = set()
    while True:
        found = {number for pieces in templates for number in _read_out(pieces, read, alphabets)}
        for dim in [telling[number] for number in found if number in telling]:
            found |= {variable.number for variable in dim.variables}
        if found <= read:
            return read
        read |= found


def _read_out(pieces: Pieces, read: set[int], alphabets: dict[int, frozenset[str]]) -> set[int]:
    """The variables whose values follow from this template filled in, when those in ``read`` are known.

    Its known pieces are taken off both ends. A variable at an end is read up to a character of the
    literal beside it that its values never hold. One variable that alone is left is what is left.
    """
    read = set(read)
    rest = list(pieces)
    while True:
        while rest and (isinstance(rest[0], str) or rest[0] in read):
            rest.pop(0)
        while rest and (isinstance(rest[-1], str) or rest[-1] in read):
            rest.pop()
        unread = {piece for piece in rest if isinstance(piece, int)} - read
        if len(unread) < 2:
            return read | unread
        ends = ((rest[0], rest[1]), (rest[-1], rest[-2]))
        found = {
            variable
            for variable, beside in ends
            if isinstance(variable, int)
            and isinstance(beside, str)
            and not alphabets[variable].issuperset(beside)
        }
        if not found:
            return read
        read |= found


def _steps(rank: int, counts: Sequence[int]) -> list[int]:
    """The mixed-radix digits of ``rank``, the first one slowest."""
    steps = []
    for count in reversed(counts):
        rank, step = divmod(rank, count)
        steps.append(step)
    return steps[::-1]


class _Group:
    """Dimensions in which equal combinations are searched for, whatever the others are."""

    def __init__(
        self, dims: Sequence[Dimension], places: list[int], read: set[int], templates: list[Pieces]
    ) -> None:
        self.places = places
        self._dims = [dims[place] for place in places]
        numbers = [variable.number for dim in self._dims for variable in dim.variables]
        local = {number: i for i, number in enumerate(numbers)}
        self._read = [local[number] for number in numbers if number in read]
        self._templates = [
            tuple(p if isinstance(p, str) else local[p] for p in pieces) for pieces in templates
        ]

    def first_ones(self) -> bytearray | None:
        """A 1 for each combination that is the first of its equals, else 0; None when all differ."""
        _refuse_large(self._dims)
        first = self._first_by_texts() if self._count <= LARGEST_EXACT else self._first_by_hashes()
        return first if 0 in first else None

    @property
    def _count(self) -> int:
        return math.prod(dim.count for dim in self._dims)

    def _first_by_texts(self) -> bytearray:
        first = bytearray(self._count)
        seen = set()
        for rank, identity in enumerate(self._identities()):
            if identity not in seen:
                seen.add(identity)
                first[rank] = 1
        return first

    def _first_by_hashes(self) -> bytearray:
        """Hashes point to candidates, which are then compared as texts: nothing is left to luck."""
        import numpy as np

        hashes = np.frombuffer(array("q", map(hash, self._identities())), dtype=np.int64)
        order = np.argsort(hashes, kind="stable")  # Stable: equal hashes stay in the product's order.
        same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        first = bytearray(b"\1") * self._count
        seen: set[tuple[str, ...]] = set()
        last = -2
        for i in map(int, same):
            if i != last + 1:
                seen = {self._identity_at(int(order[i]))}
            last = i
            rank = int(order[i + 1])
            identity = self._identity_at(rank)
            if identity in seen:
                first[rank] = 0
            seen.add(identity)
        return first

    def _identities(self) -> Iterator[tuple[str, ...]]:
        """What tells each combination from the others, in the product's order."""
        slowest, *others = self._dims
        pools = [[dim.texts(step) for step in range(dim.count)] for dim in others]
        for step in range(slowest.count):
            for texts in itertools.product([slowest.texts(step)], *pools):
                yield self._identity(list(itertools.chain.from_iterable(texts)))

    def _identity_at(self, rank: int) -> tuple[str, ...]:
        steps = _steps(rank, [dim.count for dim in self._dims])
        return self._identity(
            [text for dim, step in zip(self._dims, steps, strict=True) for text in dim.texts(step)]
        )

    def _identity(self, texts: list[str]) -> tuple[str, ...]:
        read = [texts[i] for i in self._read]
        return (*read, *[fill(pieces, texts) for pieces in self._templates])
