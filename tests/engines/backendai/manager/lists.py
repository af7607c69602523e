"""Paged lists of sessions that stay cheap with ten thousand of them.

What never changes of a session (its name, owner, type, …) is matched once and remembered; what does is
matched once per revision of the store, so that the pages of one listing cost one pass together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.engines.backendai.manager import minilang
from tests.engines.backendai.manager.gql import QueryError
from tests.engines.backendai.manager.sessions import Session, Store, moment

LASTING = frozenset(
    (
        *("id", "type", "priority", "image", "domain_name", "group_name", "user_email", "user_id"),
        *("full_name", "access_key", "scaling_group", "cluster_mode", "cluster_size", "created_at"),
        *("startup_command", "project_id"),
    )
)
"""Fields that a session keeps for ever. ``name`` is treated as one too: ``forget`` after a rename."""

COLUMNS: dict[str, minilang.Column] = {
    "id": lambda session: session.id,
    "type": lambda session: session.asked.kind,
    "name": lambda session: session.name,
    "priority": lambda session: session.asked.priority,
    "image": lambda session: session.asked.image,
    "domain_name": lambda _: "default",
    "group_name": lambda session: session.asked.group,
    "user_email": lambda session: session.owner.email,
    "user_id": lambda session: session.owner.user_id,
    "full_name": lambda session: session.owner.full_name,
    "access_key": lambda session: session.owner.access_key,
    "scaling_group": lambda session: session.asked.scaling_group,
    "cluster_mode": lambda session: session.asked.cluster_mode,
    "cluster_size": lambda session: session.asked.cluster_size,
    "status": lambda session: session.status,
    "status_info": lambda session: session.status_info,
    "result": lambda session: session.result,
    "created_at": lambda session: moment(session.created_at),
    "terminated_at": lambda session: moment(session.terminated_at) if session.terminated_at else None,
    "starts_at": lambda session: moment(session.history["RUNNING"]) if "RUNNING" in session.history else None,
    "scheduled_at": lambda session: (
        moment(session.history["SCHEDULED"]) if "SCHEDULED" in session.history else None
    ),
    "startup_command": lambda session: session.asked.startup_command,
}
MOST = 64
"""Filters that are remembered at once."""


class Lists:
    """Answers to list queries of one manager."""

    def __init__(self, store: Store, statuses: frozenset[str], *, has_priority: bool) -> None:
        self._store = store
        self._statuses = statuses
        missing = set() if has_priority else {"priority", "user_id"}
        self._columns = {name: column for name, column in COLUMNS.items() if name not in missing}
        self._filters: dict[str, minilang.Filter] = {}
        self._lasting: dict[tuple[str | None, str], tuple[int, list[Session]]] = {}
        self._found: dict[tuple[Any, ...], tuple[int, list[Session]]] = {}

    def forget(self) -> None:
        """A session changed what it usually keeps."""
        self._lasting.clear()
        self._found.clear()

    def matching(
        self, owner: str | None, filter_text: str | None, order: str | None, statuses: str | None = None
    ) -> Sequence[Session]:
        """All sessions of an access key (None: of everybody) in order. Raises QueryError."""
        key = (owner, filter_text, order, statuses)
        known = self._found.get(key)
        if known is not None and known[0] == self._store.revision:
            return known[1]
        found = self._select(owner, filter_text)
        if statuses is not None:
            wanted = frozenset(statuses.split(","))
            self._check_statuses(wanted)
            found = [session for session in found if session.status in wanted]
        found = self._sorted(found, order)
        while len(self._found) >= MOST:
            del self._found[next(iter(self._found))]
        self._found[key] = (self._store.revision, found)
        return found

    def _check_statuses(self, wanted: Any) -> None:
        for status in wanted:
            if status not in self._statuses:
                raise QueryError(f"'{status}' is not a valid SessionStatus")

    def _parsed(self, text: str) -> minilang.Filter:
        known = self._filters.get(text)
        if known is None:
            try:
                known = minilang.parse(text, self._columns)
            except minilang.LanguageError as error:
                raise QueryError(str(error)) from error
            for condition in known.conditions():
                if condition.field == "status":
                    many = isinstance(condition.value, list)
                    self._check_statuses(condition.value if many else [condition.value])
            while len(self._filters) >= MOST:
                del self._filters[next(iter(self._filters))]
            self._filters[text] = known
        return known

    def _select(self, owner: str | None, text: str | None) -> list[Session]:
        everything = self._store.in_order if owner is None else self._store.of_owner[owner]
        if text is None:
            return list(everything)
        parsed = self._parsed(text)
        lasting, passing = parsed.split(LASTING | {"name"})
        found = self._indexed(owner, parsed)
        if found is not None:
            passing = lasting + passing
        else:
            key = (owner, text)
            seen, found = self._lasting.get(key, (0, []))
            new = everything[seen:]
            for test in lasting:
                new = [session for session in new if test(session)]
            found.extend(new)
            while len(self._lasting) >= MOST and key not in self._lasting:
                del self._lasting[next(iter(self._lasting))]
            self._lasting[key] = (len(everything), found)
        for test in passing:
            found = [session for session in found if test(session)]
        return list(found)

    def _indexed(self, owner: str | None, parsed: minilang.Filter) -> list[Session] | None:
        """Candidates by id or name where the filter names them; oldest first."""
        for condition in parsed.conditions():
            if condition.op not in ("==", "in") or condition.field not in ("id", "name"):
                continue
            values = condition.value if isinstance(condition.value, list) else [condition.value]
            if condition.field == "id":
                found = [self._store.by_id[value] for value in values if value in self._store.by_id]
            else:
                found = [session for value in dict.fromkeys(values) for session in self._store.named(value)]
            mine = [one for one in found if owner is None or one.owner.access_key == owner]
            return sorted(mine, key=lambda session: session.number)
        return None

    def _sorted(self, found: list[Session], order: str | None) -> list[Session]:
        """Newest first unless asked otherwise. ``found`` comes oldest first."""
        if order is None:
            return found[::-1]
        try:
            for column, descending in reversed(minilang.ordering(order, self._columns)):
                if column is COLUMNS["created_at"]:
                    found.sort(key=lambda session: session.number, reverse=descending)
                else:
                    # A null is greater than all else, as in PostgreSQL
                    found.sort(
                        key=lambda session: ((value := column(session)) is None, value or 0),
                        reverse=descending,
                    )
        except minilang.LanguageError as error:
            raise QueryError(str(error)) from error
        return found
