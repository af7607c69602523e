"""What the server says of many sessions at once: the paged list, by GraphQL.

No request is ever made for one session's status. Texts and filters follow PROTOCOL.md 8.1 and 8.2;
the list is forced by the server to the sessions of our own key.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from tui_sweep.core.errors import EngineDenied
from tui_sweep.core.plain import plain
from tui_sweep.engines.backendai.verdicts import Unanswered

PAGE = 100
"""Sessions a page; no server was seen to refuse as many."""
_LONGEST = 300
"""Characters of an id, a name, a status or its reason that are read."""
_NAMES = 50
"""Names in one filter: a filter of 2 kB."""

_LIST = """query MySessions($limit: Int!, $offset: Int!, $filter: String, $order: String) {
  compute_session_list(limit: $limit, offset: $offset, filter: $filter, order: $order) {
    total_count
    items {
      session_id name status status_info status_data result created_at terminated_at scaling_group
    }
  }
}"""
_PLACES = """query MyPending($scope: ScopeField, $first: Int, $filter: String) {
  compute_session_nodes(scope_id: $scope, first: $first, filter: $filter) {
    edges { node { name queue_position } }
  }
}"""
_ALIVE = 'status != "TERMINATED" & status != "CANCELLED"'
"""Written with the two words that every version has: an unknown word in a filter is an error."""


class Asked(Protocol):
    """What is needed of the client."""

    @property
    def ahead(self) -> float: ...

    async def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One session as the list has it."""

    id: str
    name: str
    status: str
    info: str | None
    data: Mapping[str, Any]
    """``status_data``, read; empty when there is none."""
    result: str
    """UNDEFINED, SUCCESS or FAILURE."""
    created: float
    ended: float | None
    """UNIX seconds by our own clock, and not to come."""
    scaling_group: str | None


async def alive(client: Asked, prefix: str) -> AsyncIterator[Item]:
    """The live sessions whose names begin with ``prefix``, oldest first.

    Sessions that end while the pages are read move the others up: one may be passed over. Who misses
    a session asks for it by name.
    """
    offset = 0
    # `_` and `%` are wildcards of `like`; a longer list than asked for is sifted here
    where = f"name like {json.dumps(prefix + '%')} & {_ALIVE}"
    while True:
        page, total = await _page(client, where, "+created_at", offset)
        for item in page:
            if item.name.startswith(prefix):
                yield item
        offset += PAGE
        if not page or offset >= total:
            return


async def named(client: Asked, names: Iterable[str]) -> list[Item]:
    """Every session, ended ones included, that has one of the names; the latest of a name comes last."""
    wanted = sorted(set(names))
    found: list[Item] = []
    for start in range(0, len(wanted), _NAMES):
        chunk = wanted[start : start + _NAMES]
        where = f"name in {json.dumps(chunk)}"
        offset = 0
        while True:
            page, total = await _page(client, where, "+created_at", offset)
            found += [item for item in page if item.name in chunk]
            offset += PAGE
            if not page or offset >= total:
                break
    return found


async def own_scope(client: Asked) -> str:
    """The scope of our own sessions, ``user:UUID``; "" when the server does not tell who we are."""
    try:
        told = _mapping((await client.graphql("query Me { user { uuid } }", {})).get("user"))
    except EngineDenied:
        return ""
    uuid = _text(told.get("uuid"))
    return f"user:{uuid}" if uuid else ""


async def places(client: Asked, scope: str, prefix: str) -> dict[str, int]:
    """The place in the queue of our first hundred pending sessions, by name (25.13 and later).

    ``scope`` is ``user:UUID`` or ``project:UUID``: without one, only administrators may ask.
    """
    where = f'name like {json.dumps(prefix + "%")} & status == "PENDING"'
    variables = {"scope": scope, "first": PAGE, "filter": where}
    told = await client.graphql(_PLACES, variables)
    found = {}
    for edge in _sequence(_mapping(told.get("compute_session_nodes")).get("edges")):
        node = _mapping(_mapping(edge).get("node"))
        if isinstance(node.get("queue_position"), int) and (name := _text(node.get("name"))):
            found[name] = node["queue_position"]
    return found


async def _page(client: Asked, where: str, order: str, offset: int) -> tuple[list[Item], int]:
    """One page, and how many sessions there are in all. Raises EngineError, also for what is no such page: who
    has no place in a list is believed to be gone."""
    variables = {"limit": PAGE, "offset": offset, "filter": where, "order": order}
    told = _mapping((await client.graphql(_LIST, variables)).get("compute_session_list"))
    rows, total = told.get("items"), told.get("total_count")
    if not isinstance(rows, list) or type(total) is not int:
        raise Unanswered("the server answers with no list of sessions when it is asked for one")
    items = [_item(_mapping(row), client.ahead) for row in rows]
    if not all(item.id and item.name for item in items):
        raise Unanswered("the server's list of sessions has one without an id or a name")
    return items, total


def _item(row: Mapping[str, Any], ahead: float) -> Item:
    created, ended = _own(row.get("created_at"), ahead), _own(row.get("terminated_at"), ahead)
    return Item(
        id=_text(row.get("session_id")),
        name=_text(row.get("name")),
        status=_text(row.get("status")).upper(),
        info=_text(row.get("status_info")) or None,
        data=_read(row.get("status_data")),
        result=_text(row.get("result")).upper() or "UNDEFINED",
        created=created or 0.0,
        ended=ended,
        scaling_group=_text(row.get("scaling_group")) or None,
    )


def _own(text: object, ahead: float) -> float | None:
    """A time of the server's by our clock."""
    at = moment(text)
    return None if at is None else min(at - ahead, time.time())


def moment(text: object) -> float | None:
    """UNIX seconds of an ISO time; None for what is none. Without a zone it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    if told.tzinfo is None:
        told = told.replace(tzinfo=UTC)
    return told.timestamp()


def _read(value: object) -> Mapping[str, Any]:
    """A JSONString: text that has to be read once more."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # the text may be nested as deep as it is long
            return {}
    return _mapping(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: object) -> str:
    """Made harmless as it comes in: JSON may hold halves of characters, which no file and no journal takes."""
    return plain(value[:_LONGEST]) if isinstance(value, str) else ""
