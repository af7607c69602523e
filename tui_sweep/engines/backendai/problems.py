"""What a server says when it does not do what was asked, read without trusting it (PROTOCOL.md 10).

A manager answers ``application/problem+json``; a proxy before it may answer HTML, half of something or
nonsense. Whatever it is becomes a Problem, whose texts are short and harmless for a terminal;
``verdicts`` turns a Problem into an error.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from tui_sweep.core.plain import plain

LONGEST = 240
"""Characters of a server's text that are shown; validation errors of 26.x go on for pages."""

_TITLE = re.compile(rb"<(title|h1)[^>]*>(.{0,2000}?)</\1", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_LARGEST = 1 << 20
"""Bytes of an error's body that are read as JSON."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer that is no success."""

    status: int
    """The HTTP status."""
    kind: str = ""
    """The last part of ``type``, as ``quota-exceeded``; "" when it is not Backend.AI that speaks."""
    title: str = ""
    """The title; of a web page its own, of other text its first line."""
    msg: str = ""
    data: Any = None
    """As it came: of any type, and not made harmless."""
    error_code: str = ""
    """26.x: ``domain_operation_detail``."""
    agent: str = ""
    """What the agent said, where it was the one that failed."""
    is_page: bool = False
    """A web page: a proxy's, or the wrong address."""
    server_time: datetime | None = None
    """The answer's Date header."""
    retry_after: float | None = None
    """Seconds, where the answer tells (managers never do, proxies may)."""
    location: str = ""
    """Where a redirect leads, without its query."""

    @property
    def words(self) -> str:
        """What was said, in one short line."""
        said = [self.msg or self.title]
        with contextlib.suppress(RecursionError):  # it may be nested as deep as it is long
            if isinstance(self.data, Mapping) and self.data:
                said.append(", ".join(f"{key}: {value}" for key, value in list(self.data.items())[:5]))
            elif isinstance(self.data, (str, list)) and self.data:
                said.append(", ".join(map(str, self.data[:5])) if isinstance(self.data, list) else self.data)
        if self.agent:
            said.append(self.agent)
        return short("; ".join(part for part in said if part)) or f"HTTP {self.status}"


def short(text: object, longest: int = LONGEST) -> str:
    """A text of a server's as one line that can be shown."""
    line = " ".join(str(text)[: 8 * longest].split())
    safe = plain(line[: longest + 1])
    return safe if len(safe) <= longest else safe[: longest - 1].rstrip() + "…"


def read_problem(status: int, headers: Mapping[str, str], body: bytes) -> Problem:
    """What an answer says; never raises. ``headers`` are found whatever their case."""
    found = _told(status, body)
    date, retry = headers.get("Date"), headers.get("Retry-After", "")
    location = headers.get("Location", "") if 300 <= status < 400 else ""
    return Problem(
        **{"status": status, **found},
        server_time=_moment(date),
        retry_after=float(retry) if re.fullmatch(r"[0-9]{1,5}", retry) else None,
        location=_without_query(location),
    )


def is_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether an answer is a web page rather than data."""
    return "html" in headers.get("Content-Type", "").lower() or _looks_like_html(body)


def page_title(body: bytes) -> str:
    """The title of a web page, or ""."""
    match = _TITLE.search(body[:_LARGEST])
    return short(html.unescape(_TAG.sub(" ", match[2].decode("utf-8", "replace")))) if match else ""


def _told(status: int, body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body) if len(body) <= _LARGEST else None
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict):
        return _of_record(record)
    if _looks_like_html(body):
        return {"title": page_title(body), "is_page": True}
    lines = body[:4096].decode("utf-8", "replace").strip().splitlines() if record is None else []
    return {"title": short(lines[0]) if lines else ""}


def _of_record(record: dict[str, Any]) -> dict[str, Any]:
    kind = record.get("type")
    agent = record.get("agent-details")
    return {
        "kind": short(kind.rstrip("/").rpartition("/")[2], 80) if isinstance(kind, str) else "",
        "title": _text(record.get("title")),
        "msg": _text(record.get("msg")) or _text(record.get("details")),
        "data": record.get("data"),
        "error_code": _text(record.get("error_code")),
        "agent": _text(agent.get("exception") or agent.get("title")) if isinstance(agent, dict) else "",
    }


def _text(value: object) -> str:
    return short(value) if isinstance(value, str) else ""


def _looks_like_html(body: bytes) -> bool:
    return body[:1024].lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head", b"<body"))


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None


def _without_query(url: str) -> str:
    """Query and user left out: they may hold what is nobody's business."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return short(parts._replace(query="", fragment="", netloc=parts.netloc.rpartition("@")[2]).geturl())
