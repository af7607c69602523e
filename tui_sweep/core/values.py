"""The values behind a range, each computed when it is asked for.

A number is held exactly, as a ratio of integers, and rounded to a double once: Python's division of
two integers of any size is correctly rounded. Nothing is kept for each value of an arithmetic range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

NUMERALS = frozenset("0123456789+-.e")
"""Every character that a written number can hold."""

_CONTEXT = Context(prec=28, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""``exp`` costs 6 µs with these digits, 11 µs with 40."""

_TRUSTED = Context(prec=23, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Digits that are right for every double. Rounding to them first makes ends and powers of ten exact:
1e23 lies halfway between two doubles, and an error in its last digit would choose the wrong one."""


def counted(count: int) -> str:
    """A count for a person: ``1,000,000``. One that nobody reads is cut short, for it may have thousands
    of digits, which Python refuses to write.
    """
    return f"{count:,}" if count < 10**15 else f"more than 1e{int(math.log10(count))}"


def written(number: float) -> str:
    """A double as the user sees it: ``repr`` without a trailing ``.0``, and never ``-0``."""
    return repr(number + 0.0).removesuffix(".0")


@dataclass(frozen=True, slots=True)
class Listed:
    """Values that were given one by one."""

    items: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.items)

    @property
    def distinct(self) -> bool:
        """Whether no value comes twice. Looks at all of them."""
        return len(set(self.items)) == len(self.items)

    @property
    def alphabet(self) -> frozenset[str]:
        """The characters that occur in the values. Looks at all of them."""
        return frozenset("".join(self.items))

    def text(self, i: int) -> str:
        """Value ``i``, from 0 to ``count - 1``."""
        return self.items[i]


@dataclass(frozen=True, slots=True)
class Integers:
    """``first + i * step``, as Python integers of any size."""

    first: int
    step: int
    count: int
    distinct = True

    @property
    def alphabet(self) -> frozenset[str]:
        """Digits, and the minus sign where it occurs."""
        lowest = min(self.first, self.first + (self.count - 1) * self.step)
        return frozenset("0123456789-" if lowest < 0 else "0123456789")

    def text(self, i: int) -> str:
        """Value ``i``, from 0 to ``count - 1``."""
        return str(self.first + i * self.step)


@dataclass(frozen=True, slots=True)
class Spaced:
    """``(first + i * step) / divisor``, exact until it is rounded to a double."""

    first: int
    step: int
    divisor: int
    count: int
    alphabet = NUMERALS

    @property
    def distinct(self) -> bool:
        """Whether the step is above the rounding of the largest value, so that no two values meet."""
        if self.count == 1:
            return True
        last = self.first + (self.count - 1) * self.step
        largest = max(abs(self.first), abs(last)) / self.divisor
        # Twice the room that is needed; halved on both sides, for a step may be above the largest double.
        return abs(self.step) / (2 * self.divisor) >= math.ulp(largest)

    def text(self, i: int) -> str:
        """Value ``i``, from 0 to ``count - 1``. Raises OverflowError above the largest double."""
        return written((self.first + i * self.step) / self.divisor)


@dataclass(frozen=True, slots=True)
class Curve:
    """``exp(low + i * step)``, negated if ``negative``; good to the last digit of a double."""

    low: Decimal
    step: Decimal
    count: int
    negative: bool = False
    alphabet = NUMERALS

    @classmethod
    def powers(cls, start: Decimal, stop: Decimal, count: int) -> Curve:
        """Ten to the evenly spaced powers from ``start`` to ``stop``."""
        ln10 = _CONTEXT.ln(Decimal(10))
        return cls._from_to(_CONTEXT.multiply(start, ln10), _CONTEXT.multiply(stop, ln10), count)

    @classmethod
    def between(cls, start: Decimal, stop: Decimal, count: int) -> Curve:
        """From ``start`` to ``stop``, both of one sign and not zero, by a constant factor."""
        low, high = _CONTEXT.ln(_CONTEXT.abs(start)), _CONTEXT.ln(_CONTEXT.abs(stop))
        return cls._from_to(low, high, count, negative=start < 0)

    @classmethod
    def _from_to(cls, low: Decimal, high: Decimal, count: int, *, negative: bool = False) -> Curve:
        step = _CONTEXT.divide(_CONTEXT.subtract(high, low), Decimal(max(count - 1, 1)))
        return cls(low, step, count, negative)

    @property
    def distinct(self) -> bool:
        """Whether neighbours differ by more than the rounding, and none is below the normal doubles."""
        lowest = min(self.low, self._power(self.count - 1))
        return self.count == 1 or (abs(self.step) > Decimal("1e-15") and lowest > -700)

    def _power(self, i: int) -> Decimal:
        return _CONTEXT.fma(self.step, Decimal(i), self.low)

    def text(self, i: int) -> str:
        """Value ``i``, from 0 to ``count - 1``. Raises OverflowError above the largest double."""
        number = float(_TRUSTED.plus(_CONTEXT.exp(self._power(i))))
        if math.isinf(number):
            raise OverflowError("above the largest double")
        return written(-number if self.negative else number)


Values = Listed | Integers | Spaced | Curve
