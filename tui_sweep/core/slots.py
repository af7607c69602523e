"""Slots: amounts of cpu, memory and accelerators, as Backend.AI names them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from tui_sweep.core.errors import UsageError

_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SMALLEST, _LARGEST = Decimal("1e-9"), Decimal(1 << 60)
"""Beyond these an amount is a mistake; ``1e999999999`` written out would fill the memory."""

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([bkmgtp])?(?:i?b)?", re.IGNORECASE)


def parse_size(text: str, *, unit: str = "m") -> Decimal:
    """Bytes in a text like ``256m``, ``1.5g``; a number without a letter counts in ``unit``.

    Letters are powers of 1024, in either case, with or without ``b``/``ib`` behind them.
    Raises ValueError when it is not a size above zero.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    size = Decimal(match[1]) * _UNITS[(match[2] or unit).lower()]
    if size < 1:
        raise ValueError(text)
    return size.to_integral_value()


def format_size(size: Decimal | int) -> str:
    """Bytes for a person: ``256 MiB``, ``1.5 GiB``; exact powers are written without a fraction."""
    value = Decimal(size)
    for letter in ("", "Ki", "Mi", "Gi", "Ti"):
        if value < 1024 or letter == "Ti":
            digits = f"{value:.1f}".removesuffix(".0")
            return f"{digits} {letter}B"
        value /= 1024
    raise AssertionError


class Slots(Mapping[str, Decimal]):
    """Amounts by slot name: ``cpu``, ``mem`` (bytes), ``cuda.device``, ``cuda.shares`` …

    Immutable. A name that is absent is an amount of zero, and zero amounts are not kept.
    """

    __slots__ = ("_amounts", "_hash")

    def __init__(self, amounts: Mapping[str, Decimal | int | str] | None = None) -> None:
        exact = ((name, Decimal(amount)) for name, amount in (amounts or {}).items())
        self._amounts = {name: amount for name, amount in exact if amount}
        self._hash: int | None = None

    def __getitem__(self, name: str) -> Decimal:
        return self._amounts.get(name, Decimal(0))

    def __contains__(self, name: object) -> bool:
        return name in self._amounts

    def __iter__(self) -> Iterator[str]:
        return iter(self._amounts)

    def __len__(self) -> int:
        return len(self._amounts)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._amounts.items()))
        return self._hash

    def __repr__(self) -> str:
        return f"Slots({self.record()})"

    def __add__(self, other: Slots) -> Slots:
        return Slots({name: self[name] + other[name] for name in {**self._amounts, **other._amounts}})

    def __sub__(self, other: Slots) -> Slots:
        return Slots({name: self[name] - other[name] for name in {**self._amounts, **other._amounts}})

    def fits(self, capacity: Slots) -> bool:
        """Whether no amount is above the one in ``capacity``."""
        return all(amount <= capacity[name] for name, amount in self._amounts.items())

    def short_of(self, capacity: Slots) -> list[str]:
        """The names whose amount is above the one in ``capacity``, sorted."""
        return sorted(name for name, amount in self._amounts.items() if amount > capacity[name])

    def record(self) -> dict[str, str]:
        """The amounts as text, for JSON; ``Slots(record)`` reads it back."""
        return {name: format(amount.normalize(), "f") for name, amount in sorted(self._amounts.items())}

    def shown(self, name: str) -> str:
        """One amount for a person: sizes with a unit, counts as they are."""
        amount = self[name]
        return format_size(amount) if name == "mem" else format(amount.normalize(), "f")


def parse_slots(options: list[str] | tuple[str, ...]) -> Slots:
    """The slots asked for by ``-r NAME=AMOUNT`` options; ``mem`` without a letter is MiB.

    Without a ``cpu`` it is 1. A later option of the same name wins, as in the reference.
    Raises UsageError with the offending part of the option.
    """
    amounts: dict[str, Decimal] = {"cpu": Decimal(1)}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals:
            raise UsageError(
                "-r needs NAME=AMOUNT, e.g. -r cpu=2 or -r mem=512m", text=option, span=(0, len(option))
            )
        if not name.strip():
            raise UsageError("-r has no name before the '='", text=option, span=(0, 1))
        span = (len(name) + 1, max(len(option), len(name) + 2))
        try:
            amount = parse_size(text) if name == "mem" else Decimal(text.strip())
        except (ValueError, InvalidOperation):
            what = "a size such as 512m or 2g" if name == "mem" else "a number"
            raise UsageError(f"-r {name}: {what} is needed", text=option, span=span) from None
        if not amount.is_finite() or amount < 0 or (amount == 0 and name in ("cpu", "mem")):
            raise UsageError(f"-r {name}: an amount above zero is needed", text=option, span=span)
        if amount and not _SMALLEST <= amount <= _LARGEST:
            raise UsageError(f"-r {name}: no engine has such an amount", text=option, span=span)
        amounts[name] = amount
    return Slots(amounts)
