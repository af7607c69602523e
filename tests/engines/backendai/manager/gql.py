"""As much of GraphQL as the manager is asked: queries with variables, aliases, nested selections, fragments.

Written for this stand-in (graphql-core would be one more dependency for one test folder). A query that
names a field or argument which the version's schema lacks gets the error that graphql-core gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(
    r"""[\s,\ufeff]*(?:\#[^\n]*[\s,]*)*(?:(?P<block>\"\"\".*?\"\"\")|(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<name>[_A-Za-z][_0-9A-Za-z]*)|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<mark>\.\.\.|[!$()\[\]{}:=@|&])|(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(slots=True)
class Selection:
    """One field that is asked for."""

    name: str
    key: str
    """Its alias, or its name."""
    arguments: dict[str, Any]
    selections: list[Selection]
    at: int
    """Where in the text."""


@dataclass(slots=True)
class Document:
    """A parsed query."""

    selections: list[Selection]
    defaults: dict[str, Any] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    is_mutation: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a type: what it is of (None: a leaf), and how its value is found."""

    of: str | None = None
    arguments: frozenset[str] = frozenset()
    many: bool = False
    resolve: Callable[..., Any] | None = None
    """Called with (context, parent, arguments)."""
    value: Callable[[Any, Any], Any] | None = None
    """Of a leaf, called with (context, parent). With neither, the parent is a dict that has it."""


Schema = Mapping[str, Mapping[str, Field]]
"""Type name → field name → Field. The root is ``Queries``."""


class QueryError(Exception):
    """An answer with ``errors``."""

    def __init__(self, message: str, at: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.code = code


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        at = 0
        while True:
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise QueryError(f"Syntax Error: Unexpected character: {text[at : at + 1]!r}.", at)
            kind = found.lastgroup
            self._tokens.append((kind, found[kind], found.start(kind)))
            if kind == "end":
                break
            at = found.end()

    def _peek(self) -> str:
        return self._tokens[self._at][1]

    def _next(self) -> tuple[str, str, int]:
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, mark: str) -> None:
        _, text, at = self._next()
        if text != mark:
            raise QueryError(f"Syntax Error: Expected '{mark}', found {text or '<EOF>'!r}.", at)

    def _name(self) -> str:
        kind, text, at = self._next()
        if kind != "name":
            raise QueryError(f"Syntax Error: Expected Name, found {text or '<EOF>'!r}.", at)
        return text

    def document(self) -> Document:
        document = Document([])
        fragments: dict[str, list[Selection]] = {}
        while self._tokens[self._at][0] != "end":
            if self._peek() == "fragment":
                self._next()
                name = self._name()
                self._next()
                self._name()
                fragments[name] = self._selections(fragments)
                continue
            if self._peek() != "{":
                document.is_mutation = self._name() == "mutation"
                if self._peek() not in ("(", "{", "@"):
                    self._name()
                if self._peek() == "(":
                    self._variables(document)
            document.selections = self._selections(fragments)
        return document

    def _variables(self, document: Document) -> None:
        self._expect("(")
        while self._peek() != ")":
            self._expect("$")
            name = self._name()
            self._expect(":")
            required = self._type()
            if self._peek() == "=":
                self._next()
                document.defaults[name] = self._value()
            elif required:
                document.required.append(name)
        self._next()

    def _type(self) -> bool:
        """Skip a type; whether it ends in ``!``."""
        if self._peek() == "[":
            self._next()
            self._type()
            self._expect("]")
        else:
            self._name()
        if self._peek() == "!":
            self._next()
            return True
        return False

    def _selections(self, fragments: dict[str, list[Selection]]) -> list[Selection]:
        self._expect("{")
        found: list[Selection] = []
        while self._peek() != "}":
            if self._peek() == "...":
                self._next()
                if self._peek() == "on":
                    self._next()
                    self._name()
                    found += self._selections(fragments)
                else:
                    found += fragments[self._name()]
                continue
            at = self._tokens[self._at][2]
            key = name = self._name()
            if self._peek() == ":":
                self._next()
                name = self._name()
            arguments = {}
            if self._peek() == "(":
                self._next()
                while self._peek() != ")":
                    argument = self._name()
                    self._expect(":")
                    arguments[argument] = self._value()
                self._next()
            inner = self._selections(fragments) if self._peek() == "{" else []
            found.append(Selection(name, key, arguments, inner, at))
        self._next()
        return found

    def _value(self) -> Any:
        kind, text, at = self._next()
        if kind == "string":
            return _unescape(text[1:-1])
        if kind == "block":
            return text[3:-3].strip()
        if kind == "number":
            return float(text) if re.search(r"[.eE]", text) else int(text)
        if text == "$":
            return Variable(self._name())
        if text == "[":
            values = []
            while self._peek() != "]":
                values.append(self._value())
            self._next()
            return values
        if text == "{":
            content = {}
            while self._peek() != "}":
                name = self._name()
                self._expect(":")
                content[name] = self._value()
            self._next()
            return content
        if kind == "name":
            return {"null": None, "true": True, "false": False}.get(text, text)
        raise QueryError(f"Syntax Error: Unexpected {text or '<EOF>'!r}.", at)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)


@lru_cache(256)
def parse(text: str) -> Document:
    """A query's text. Raises QueryError."""
    return _Parser(text).document()


def validate(schema: Schema, selections: list[Selection], kind: str = "Queries") -> None:
    """Raises QueryError for the first field or argument that this schema has not."""
    fields = schema[kind]
    for one in selections:
        if one.name == "__typename":
            continue
        known = fields.get(one.name)
        if known is None:
            raise QueryError(f"Cannot query field '{one.name}' on type '{kind}'.", one.at)
        for argument in one.arguments:
            if argument not in known.arguments:
                raise QueryError(f"Unknown argument '{argument}' on field '{kind}.{one.name}'.", one.at)
        if known.of is None and one.selections:
            raise QueryError(
                f"Field '{one.name}' must not have a selection since it has no subfields.", one.at
            )
        if known.of is not None:
            if not one.selections:
                msg = f"Field '{one.name}' of type '{known.of}' must have a selection of subfields."
                raise QueryError(f"{msg} Did you mean '{one.name} {{ ... }}'?", one.at)
            validate(schema, one.selections, known.of)


def _argument(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, Variable):
        return variables.get(value.name)
    if isinstance(value, list):
        return [_argument(one, variables) for one in value]
    return value


Step = tuple[str, Callable[[Any, Any], Any]]
"""A key of the answer, and what finds its value from (context, parent)."""


def _steps(
    schema: Schema, kind: str, selections: list[Selection], variables: Mapping[str, Any]
) -> list[Step]:
    """How an object of this type is answered; worked out once for a whole list of them."""
    return [(one.key, _finder(schema, kind, one, variables)) for one in selections]


def _finder(
    schema: Schema, kind: str, one: Selection, variables: Mapping[str, Any]
) -> Callable[[Any, Any], Any]:
    if one.name == "__typename":
        return lambda *_: kind
    known = schema[kind][one.name]
    if known.value is not None:
        return known.value
    arguments = {name: _argument(value, variables) for name, value in one.arguments.items()}
    resolve = known.resolve
    of = known.of
    if of is None:
        if resolve is None:
            return lambda _, parent: parent[one.name]
        return lambda context, parent: resolve(context, parent, arguments)
    steps = _steps(schema, of, one.selections, variables)

    def find(context: Any, parent: Any) -> Any:
        value = parent[one.name] if resolve is None else resolve(context, parent, arguments)
        if value is None:
            return None
        if known.many:
            return [{key: step(context, item) for key, step in steps} for item in value]
        return {key: step(context, value) for key, step in steps}

    return find


def _location(text: str, at: int) -> dict[str, int]:
    line = text.count("\n", 0, at)
    return {"line": line + 1, "column": at - (text.rfind("\n", 0, at) + 1) + 1}


def execute(schema: Schema, text: str, variables: Mapping[str, Any], context: Any) -> tuple[Any, list[Any]]:
    """``data`` and ``errors`` of the answer. A root field that fails is null, the others are answered."""
    try:
        document = parse(text)
        if document.is_mutation:
            raise QueryError("Schema is not configured to execute mutation operation.", 0)
        validate(schema, document.selections)
        for name in document.required:
            if variables.get(name) is None:
                raise QueryError(f"Variable '${name}' of required type was not provided.", 0)
    except QueryError as error:
        return None, [{"message": error.message, "locations": [_location(text, error.at or 0)]}]
    values = {**document.defaults, **variables}
    data: dict[str, Any] = {}
    errors = []
    for one in document.selections:
        try:
            data[one.key] = _finder(schema, "Queries", one, values)(context, None)
        except QueryError as error:
            data[one.key] = None
            told = {"message": error.message, "locations": [_location(text, one.at)], "path": [one.key]}
            errors.append(told | ({"extensions": {"code": error.code}} if error.code else {}))
    return data, errors
