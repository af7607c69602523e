"""The filter and order languages of paged lists (PROTOCOL 8.1): ``name like "a-%" & status in ["PENDING"]``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

Test = Callable[[Any], bool]
Column = Callable[[Any], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<op>==|!=|>=|<=|[<>&|!()\[\],])
    |(?P<word>[A-Za-z_][A-Za-z0-9_.]*))""",
    re.VERBOSE,
)
_WORDS = {"null": None, "true": True, "false": False}


class LanguageError(ValueError):
    """A filter or an order that the server does not understand."""


class Condition:
    """One ``field OP value``; ``test`` judges a row."""

    def __init__(self, field: str, op: str, value: Any, column: Column) -> None:
        self.field = field
        self.op = op
        self.value = value
        self.test: Test = _test(column, op, value)


class Filter:
    """A parsed filter: conditions that all must hold, each a Condition or a Test of what is not so simple."""

    def __init__(self, parts: list[Condition | Test]) -> None:
        self.parts = parts

    def conditions(self) -> Iterator[Condition]:
        for part in self.parts:
            if isinstance(part, Condition):
                yield part

    def split(self, fixed: frozenset[str]) -> tuple[list[Test], list[Test]]:
        """Tests of fields that never change, and the others."""
        lasting: list[Test] = []
        passing: list[Test] = []
        for part in self.parts:
            if isinstance(part, Condition):
                (lasting if part.field in fixed else passing).append(part.test)
            else:
                passing.append(part)
        return lasting, passing


@lru_cache(1024)
def _pattern(text: str, flags: int) -> re.Pattern[str]:
    """SQL's LIKE: ``%`` any text, ``_`` any character, a backslash takes the next as it is."""
    parts = []
    escaped = False
    for char in text:
        if escaped:
            parts.append(re.escape(char))
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            parts.append({"%": ".*", "_": "."}.get(char) or re.escape(char))
    return re.compile("".join(parts), flags | re.DOTALL)


def _test(column: Column, op: str, value: Any) -> Test:
    if op in ("like", "ilike"):
        fullmatch = _pattern(str(value), re.IGNORECASE if op == "ilike" else 0).fullmatch
        return lambda row: fullmatch(str(column(row) or "")) is not None
    if op == "in":
        wanted = frozenset(value)
        return lambda row: column(row) in wanted
    if op == "contains":
        return lambda row: value in (column(row) or ())
    compare = {
        "==": operator.eq,
        "!=": operator.ne,
        "is": operator.eq,
        "isnot": operator.ne,
    }.get(op)
    if compare is not None:
        return lambda row: compare(column(row), value)
    order = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}[op]
    return lambda row: column(row) is not None and order(column(row), value)


class _Parser:
    def __init__(self, text: str, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._tokens = list(self._split(text))
        self._at = 0

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise LanguageError(f"Query filter parsing error: {text[at:]!r}")
            yield found.lastgroup, found[found.lastgroup]
            at = found.end()

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise LanguageError("Query filter parsing error: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def whole(self) -> Filter:
        parts = self._conjunction()
        if self._peek() == "|":
            parts = [self._or(parts)]
        if self._at != len(self._tokens):
            raise LanguageError(f"Query filter parsing error at {self._peek()!r}")
        return Filter(parts)

    def _conjunction(self) -> list[Condition | Test]:
        parts = list(self._term())
        while self._peek() == "&":
            self._next()
            parts += self._term()
        return parts

    def _or(self, first: list[Condition | Test]) -> Test:
        branches = [_all(first)]
        while self._peek() == "|":
            self._next()
            branches.append(_all(self._conjunction()))
        return lambda row: any(branch(row) for branch in branches)

    def _term(self) -> list[Condition | Test]:
        if self._peek() == "!":
            self._next()
            inner = _all(self._term())
            return [lambda row: not inner(row)]
        if self._peek() == "(":
            self._next()
            parts = self._conjunction()
            if self._peek() == "|":
                parts = [self._or(parts)]
            if self._next()[1] != ")":
                raise LanguageError("Query filter parsing error: ) is missing")
            return parts
        kind, field = self._next()
        column = self._columns.get(field)
        if kind != "word" or column is None:
            raise LanguageError(f"Unknown field name: {field}")
        op = self._next()[1]
        if op not in ("==", "!=", ">", ">=", "<", "<=", "contains", "in", "isnot", "is", "like", "ilike"):
            raise LanguageError(f"Query filter parsing error at {op!r}")
        return [Condition(field, op, self._value(), column)]

    def _value(self) -> Any:
        kind, text = self._next()
        if text == "[":
            values = []
            while self._peek() != "]":
                values.append(self._value())
                if self._peek() == ",":
                    self._next()
            self._next()
            return values
        if kind == "string":
            # A backslash reaches the database as it is, but for a quote behind it
            return text[1:-1].replace('\\"', '"')
        if kind == "number":
            return float(text) if "." in text else int(text)
        if text in _WORDS:
            return _WORDS[text]
        raise LanguageError(f"Query filter parsing error at {text!r}")


def _all(parts: list[Condition | Test]) -> Test:
    tests = [part.test if isinstance(part, Condition) else part for part in parts]
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def parse(text: str, columns: Mapping[str, Column]) -> Filter:
    """A filter's text as something that judges rows. Raises LanguageError."""
    return _Parser(text, columns).whole()


def ordering(text: str, columns: Mapping[str, Column]) -> list[tuple[Column, bool]]:
    """``+name,-created_at`` as (column, descending) pairs, weightiest first. Raises LanguageError."""
    found = []
    for part in text.split(","):
        part = part.strip()
        name = part.lstrip("+-")
        if name not in columns:
            raise LanguageError(f"Unknown field name: {name}")
        found.append((columns[name], part.startswith("-")))
    return found
