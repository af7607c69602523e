"""How an answer of the stand-in is held against a captured one.

Alike: the same keys and JSON types all the way down, lists of the same length, the same words. Numbers,
ids, times, ports and what a program printed may differ; JSON inside of text is compared as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MASKS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b"), "<hex>"),
    (re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?"), r"<time\1>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\d+(\.\d+)?"), "<n>"),
)
LOOSE = frozenset(("logs", "console", "files", "stats", "occupying_slots", "userId", "startup_command"))
"""Keys whose texts are not compared: what programs print, what was measured."""

EXACT = frozenset(("exitCode", "total_count", "status", "runId"))


def masked(text: str) -> str:
    for pattern, name in MASKS:
        text = pattern.sub(name, text)
    return text


def _inner(text: str) -> Any:
    """JSON inside of a text, if it is a container."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def differences(expected: Any, given: Any, key: str = "", path: str = "") -> Iterator[str]:
    """What is not alike, a line each; ``key`` is the one that these are the values of."""
    if type(expected) is not type(given):
        yield f"{path}: {expected!r} expected, {given!r} given"
    elif isinstance(expected, dict):
        yield from _of_objects(expected, given, key, path)
    elif isinstance(expected, list):
        yield from _of_lists(expected, given, key, path)
    elif isinstance(expected, str):
        inner = _inner(expected)
        if inner is not None and _inner(given) is not None and key not in LOOSE:
            yield from differences(inner, _inner(given), key, f"{path}(JSON)")
        elif key not in LOOSE and masked(expected) != masked(given):
            yield f"{path}: {expected!r} expected, {given!r} given"
    elif key in EXACT and expected != given:
        yield f"{path}: {expected!r} expected, {given!r} given"


def _of_objects(expected: dict[str, Any], given: dict[str, Any], key: str, path: str) -> Iterator[str]:
    if key == "stats" and "status" in expected and "status" in given:
        return
    if expected.keys() != given.keys():
        missing = sorted(expected.keys() - given.keys())
        yield f"{path}: missing {missing}, too many {sorted(given.keys() - expected.keys())}"
    for name in expected.keys() & given.keys():
        yield from differences(expected[name], given[name], name, f"{path}.{name}")


def _of_lists(expected: list[Any], given: list[Any], key: str, path: str) -> Iterator[str]:
    if key == "console":
        if {stream for stream, _ in expected} != {stream for stream, _ in given}:
            yield f"{path}: {expected!r} expected, {given!r} given"
        return
    if len(expected) != len(given):
        yield f"{path}: {len(expected)} items expected, {len(given)} given"
    for at, (one, other) in enumerate(zip(expected, given, strict=False)):
        yield from differences(one, other, key, f"{path}[{at}]")
