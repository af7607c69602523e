"""Range: one variable of a sweep and its values, read from ``NAME=EXPR``.

The expressions are those of ``backend.ai run`` and a few more (CONTRACT, "Range expressions").
"""

from __future__ import annotations

import codecs
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn

from tui_sweep.core.errors import RangeError
from tui_sweep.core.values import Curve, Integers, Listed, Spaced, Values

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""The name of a variable: ASCII, as in Python's ``string.Template``."""

LONGEST_NUMBER = 4300
"""Characters of a number, and its largest power of ten. Python itself refuses to read and write longer
integers, and an exact ``1e999999999`` would fill the memory."""

LARGEST_FILE = 256 << 20
"""Bytes of a ``lines:`` file; ``lines:/dev/zero`` has no end."""

_INTEGER = re.compile(r"[+-]?\d+(?:_\d+)*")
_DIGITS = r"\d+(?:_\d+)*"
_DECIMAL = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?\d+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:inf|infinity|s?nan\d*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Range:
    """One variable and its values: a sequence of texts, each computed when it is asked for."""

    key: str
    """The variable's name."""
    expr: str
    """The expression as it was written: all that stands after the first ``=``."""
    values: Values

    @property
    def count(self) -> int:
        """How many values there are, at least 1; ``len()`` fails above ``sys.maxsize``, this does not."""
        return self.values.count

    @property
    def distinct(self) -> bool:
        """Whether the values are known to be all different. False may also mean: could not be shown."""
        return self.values.distinct

    @property
    def alphabet(self) -> frozenset[str]:
        """Characters that the values are made of; a value holds no other."""
        return self.values.alphabet

    @property
    def option(self) -> str:
        """The range as the user wrote it: ``NAME=EXPR``."""
        return f"{self.key}={self.expr}"

    def __len__(self) -> int:
        return self.values.count

    def __getitem__(self, i: int) -> str:
        """Value ``i``, from 0. Raises IndexError outside; negative indices mean nothing here."""
        i = operator.index(i)
        if not 0 <= i < self.values.count:
            raise IndexError(i)
        return self.values.text(i)

    def __iter__(self) -> Iterator[str]:
        i = 0
        while i < self.values.count:
            yield self.values.text(i)
            i += 1

    def record(self) -> dict[str, Any]:
        """This range as JSON values; the lines of a file are in it, so that the file may go."""
        record: dict[str, Any] = {"key": self.key, "expr": self.expr}
        if isinstance(self.values, Listed) and self.expr.startswith("lines:"):
            record["values"] = list(self.values.items)
        return record

    @classmethod
    def restore(cls, record: Mapping[str, Any]) -> Range:
        """The range that ``record()`` described."""
        if "values" in record:
            return cls(record["key"], record["expr"], Listed(tuple(record["values"])))
        return parse_range(f"{record['key']}={record['expr']}")


def parse_range(text: str) -> Range:
    """The range that ``NAME=EXPR`` describes. A ``lines:`` file is read now.

    Raises RangeError, with the offending part of ``text``, when it cannot be read or has no values.
    """
    key, equals, expr = text.partition("=")
    if not equals:
        raise RangeError(
            "a range is written NAME=EXPR; there is no '='", text=text, span=(0, len(text)), hint=_EXAMPLE
        )
    if not key:
        raise RangeError("there is no name before the '='", text=text, span=(0, 1), hint=_EXAMPLE)
    if not NAME.fullmatch(key):
        raise RangeError(
            "a variable's name is made of ASCII letters, digits and _, and does not start with a digit",
            text=text,
            span=(0, len(key)),
        )
    if "\0" in text:
        at = text.index("\0")
        raise RangeError("a value cannot hold a NUL character", text=text, span=(at, at + 1))
    kind, colon, _ = expr.partition(":")
    if not colon or kind not in _READERS:
        raise _unknown_kind(text, kind, start=len(key) + 1)
    values = _READERS[kind](_Fields(text, kind, len(key) + len(kind) + 2))
    return Range(key, expr, values)


_EXAMPLE = "for example lr=linspace:0,1,5"


def _unknown_kind(text: str, kind: str, *, start: int) -> RangeError:
    hint = None
    if kind in _READERS:
        hint = f"a ':' is missing behind {kind}"
    elif (near := kind.strip().lower()) in _READERS:
        hint = f"write {near}: in small letters, without spaces"
    known = ", ".join(f"{name}:" for name in _READERS)
    span = _visible(text, start, start + len(kind))
    return RangeError(f"an expression begins with one of {known}", text=text, span=span, hint=hint)


def _visible(text: str, first: int, past: int) -> tuple[int, int]:
    """The span without the blanks around it; of an empty one the character behind or, at the end, before."""
    part = text[first:past]
    if part.strip():
        return past - len(part.lstrip()), first + len(part.rstrip())
    first = min(first, len(text) - 1)
    return first, max(past, first + 1)


class _Fields:
    """What stands behind ``KIND:``, between commas, and where; it words the errors."""

    def __init__(self, text: str, kind: str, start: int) -> None:
        self.text = text
        self.kind = kind
        self.start = start
        self.rest = text[start:]
        self.fields = self.rest.split(",")

    def fail(self, message: str, i: int | None = None, *, hint: str | None = None) -> NoReturn:
        """Raises RangeError with the caret under field ``i``, or under all of them."""
        first, past = self.start, len(self.text)
        if i is not None:
            first += sum(len(field) + 1 for field in self.fields[:i])
            past = first + len(self.fields[i])
        span = _visible(self.text, first, past)
        raise RangeError(f"{self.kind}{message}", text=self.text, span=span, hint=hint)

    def need(self, wanted: str, form: str, *counts: int) -> None:
        """Raises RangeError unless there are as many fields as one of ``counts``."""
        given = 0 if not self.rest.strip() else len(self.fields)
        if given not in counts:
            words = ("none was", "one was", "two were", "three were", "four were", "five were")
            told = words[given] if given < len(words) else f"{given} were"
            self.fail(f" needs {wanted} ({form}); {told} given")

    def number(self, i: int, name: str) -> Decimal:
        """Field ``i``, exactly as it is written."""
        text = self.fields[i].strip()
        if not text:
            self.fail(f": {name} is empty", i)
        if len(text) > LONGEST_NUMBER:
            self.fail(f": {name} is longer than {LONGEST_NUMBER} characters", i)
        if _NOT_FINITE.fullmatch(text):
            self.fail(f": {name} is not finite", i, hint="infinities and NaN cannot be swept; use case:")
        if not _DECIMAL.fullmatch(text):
            self.fail(f": {name} is not a number", i)
        try:
            number = Decimal(text.replace("_", ""))
        except InvalidOperation:
            number = Decimal("1e999999")  # Its exponent is beyond what even Decimal holds.
        if not number:
            return Decimal(0)
        if abs(number.adjusted()) > LONGEST_NUMBER:
            self.fail(f": {name} is beyond 1e{LONGEST_NUMBER} or below 1e-{LONGEST_NUMBER}", i)
        return number

    def is_integer(self, i: int) -> bool:
        """Whether field ``i`` is written as an integer: ``1000`` is, ``1e3`` is not."""
        return _INTEGER.fullmatch(self.fields[i].strip()) is not None

    def num(self, i: int) -> int:
        """Field ``i`` as the number of points."""
        number = self.number(i, "num")
        if not self.is_integer(i):
            self.fail(": num is not an integer", i)
        if number < 1:
            self.fail(": num is below 1", i, hint="num is how many values there are")
        return int(number)

    def checked(self, values: Values) -> Values:
        """``values``, whose first and last (the extremes) can be written."""
        for i, at in ((0, 0), (values.count - 1, min(1, len(self.fields) - 1))):
            try:
                values.text(i)
            except OverflowError:
                self.fail(": a value is above the largest double, 1.8e308", at)
            except ValueError:  # PYTHONINTMAXSTRDIGITS may be below our own limit.
                self.fail(": a value has more digits than Python writes", at)
        return values


def _case(given: _Fields) -> Values:
    return Listed(tuple(given.fields))


def _range(given: _Fields) -> Values:
    given.need("one to three numbers", "stop or start,stop or start,stop,step", 1, 2, 3)
    every = range(len(given.fields))
    names = ("stop",) if len(given.fields) == 1 else ("start", "stop", "step")
    numbers = [given.number(i, names[i]) for i in every]
    if len(numbers) == 1:
        numbers.insert(0, Decimal(0))
    if len(numbers) == 2:
        numbers.append(Decimal(1))
    divisor, (start, stop, step) = _over_one_divisor(numbers)
    if not step:
        given.fail(": step is zero", 2)
    count = -((start - stop) // step)
    if count < 1:
        side = "above" if step > 0 else "below"
        given.fail(f" has no values: stop is not {side} start", hint="a negative step counts down")
    if all(given.is_integer(i) for i in every):
        return given.checked(Integers(start, step, count))
    return given.checked(Spaced(start, step, divisor, count))


def _linspace(given: _Fields) -> Values:
    start, stop, num = _start_stop_num(given)
    divisor, (first, last) = _over_one_divisor([start, stop])
    if num == 1:
        return given.checked(Spaced(first, 0, divisor, 1))
    return given.checked(Spaced(first * (num - 1), last - first, divisor * (num - 1), num))


def _logspace(given: _Fields) -> Values:
    start, stop, num = _start_stop_num(given)
    for i, power in enumerate((start, stop)):
        if abs(power) > LONGEST_NUMBER:
            given.fail(f": the power of ten {('start', 'stop')[i]} is beyond {LONGEST_NUMBER}", i)
    return given.checked(Curve.powers(start, stop, num))


def _geomspace(given: _Fields) -> Values:
    start, stop, num = _start_stop_num(given)
    for i, number in enumerate((start, stop)):
        if not number:
            given.fail(f": {('start', 'stop')[i]} is zero, and no factor leads from or to zero", i)
    if (start < 0) != (stop < 0):
        given.fail(": start and stop are of different signs, and no factor leads through zero", 1)
    return given.checked(Curve.between(start, stop, num))


def _start_stop_num(given: _Fields) -> tuple[Decimal, Decimal, int]:
    given.need("three numbers", "start,stop,num", 3)
    return given.number(0, "start"), given.number(1, "stop"), given.num(2)


def _over_one_divisor(numbers: list[Decimal]) -> tuple[int, list[int]]:
    """A divisor, and integers that are ``numbers`` when divided by it."""
    ratios = [number.as_integer_ratio() for number in numbers]
    divisor = math.lcm(*(below for _, below in ratios))
    return divisor, [above * (divisor // below) for above, below in ratios]


def _lines(given: _Fields) -> Values:
    if not given.rest:
        given.fail(": there is no file name behind the colon")
    given.fields = [given.rest]  # A comma in the name is a part of it.
    content = _content(given)
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content:
        given.fail(": the file is empty")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        given.fail(f": the file is not UTF-8 (line {line}, byte {byte} of it)")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        given.fail(f": line {line} of the file holds a NUL character, which no value can")
    return Listed(tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")))


def _content(given: _Fields) -> bytes:
    content = bytearray()
    try:
        with Path(given.rest).open("rb") as file:
            while (chunk := file.read(1 << 20)) and len(content) <= LARGEST_FILE:
                content += chunk
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        given.fail(f": the file cannot be read: {reason or error}")
    if len(content) > LARGEST_FILE:
        given.fail(f": the file is larger than {LARGEST_FILE >> 20} MiB")
    return bytes(content)


_READERS: dict[str, Callable[[_Fields], Values]] = {
    "case": _case,
    "range": _range,
    "linspace": _linspace,
    "logspace": _logspace,
    "geomspace": _geomspace,
    "lines": _lines,
}
