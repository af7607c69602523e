"""What the manager itself says, asked by raw signed requests: the tests' other opinion.

Only the signature is the program's own; that is proven by the official client's vectors.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.accounts import ADMIN, DOMAIN, GROUP, IMAGE, Account
from tests.cluster.release import Release
from tests.cluster.state import PORTS
from tui_sweep.engines.backendai.sign import Key, Signed, authorization

HOST = f"127.0.0.1:{PORTS['manager']}"
ENDS = ("TERMINATED", "CANCELLED")
_LIST = """query($limit: Int!, $offset: Int!) {
  compute_session_list(limit: $limit, offset: $offset, order: "-created_at") {
    total_count
    items { session_id name access_key status result }
  }
}"""
_ONE = "query($id: UUID!) { compute_session(id: $id) { session_id name access_key status result } }"
_ROOM = "{ agent_list(limit: 10, offset: 0) { items { status available_slots occupied_slots } } }"
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the manager."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any
    """Read as JSON; None for an empty one."""


@dataclass(frozen=True, slots=True)
class Room:
    """Of one kind of slot, what the agent has and what sessions hold of it."""

    total: int
    used: int


@dataclass(frozen=True, slots=True)
class Session:
    """One session as the manager lists it."""

    id: str
    name: str
    access_key: str
    status: str
    result: str
    """UNDEFINED, SUCCESS or FAILURE."""

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.status not in ENDS


class Official:
    """The manager's own view, by the rights of one account."""

    def __init__(self, release: Release, account: Account = ADMIN) -> None:
        self.release = release
        self.account = account

    def send(self, method: str, target: str, body: object = None) -> Answer:
        """One signed request. ``target``: path and query, percent-encoded."""
        key = Key(self.account.access_key, self.account.secret_key)
        what = Signed(method, target, datetime.now(UTC), HOST, "application/json", self.release.api)
        headers = {
            "Date": what.date,
            "Content-Type": what.content_type,
            "X-BackendAI-Version": what.version,
            "Authorization": authorization(key, what),
        }
        connection = http.client.HTTPConnection(HOST, timeout=60)
        try:
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, json.loads(text) if text else None)

    def graphql(self, query: str, **variables: object) -> Any:
        """The data of an answer without errors."""
        answer = self.send("POST", "/admin/gql", {"query": query, "variables": variables})
        assert answer.status == 200, answer
        assert not answer.body.get("errors"), answer.body["errors"]
        return answer.body["data"]

    def sessions(self) -> list[Session]:
        """All sessions that there ever were, those of all users for an administrator; the newest first."""
        found: list[Session] = []
        while True:
            page = self.graphql(_LIST, limit=_PAGE, offset=len(found))["compute_session_list"]
            found += [_session(item) for item in page["items"]]
            if not page["items"] or len(found) >= page["total_count"]:
                return found

    def live(self) -> list[Session]:
        """Those that have not ended."""
        return [session for session in self.sessions() if session.is_live]

    def room(self) -> dict[str, Room]:
        """Of each kind of slot that the one agent has."""
        (agent,) = self.graphql(_ROOM)["agent_list"]["items"]
        assert agent["status"] == "ALIVE"
        has, held = json.loads(agent["available_slots"]), json.loads(agent["occupied_slots"])
        return {slot: Room(int(has[slot]), int(held.get(slot, 0))) for slot in has if int(has[slot])}

    def session(self, session_id: str) -> Session:
        """One session, ended or not."""
        return _session(self.graphql(_ONE, id=session_id)["compute_session"])

    def create(self, name: str, command: str = "sleep 600", **more: object) -> str:
        """Enqueues a batch session of one cpu, and returns its id."""
        body = {
            "name": name,
            "image": IMAGE,
            "architecture": "x86_64",
            "type": "batch",
            "domain": DOMAIN,
            "group": GROUP,
            "config": {"resources": {"cpu": "1", "mem": "256m"}},
            "enqueueOnly": True,
            "maxWaitSeconds": 0,
            "reuseIfExists": False,
            "startupCommand": command,
        }
        answer = self.send("POST", "/session", body | more)
        assert answer.status == 201, answer
        return str(answer.body["sessionId"])

    def wait(self, session_id: str, condition: Callable[[Session], bool], timeout: float = 60) -> Session:
        """The session as soon as ``condition`` is true of it, asked four times a second."""
        end = time.monotonic() + timeout
        while not condition(found := self.session(session_id)):
            if time.monotonic() > end:
                pytest.fail(f"waited {timeout:g} s; the session is {found}")
            time.sleep(0.25)
        return found

    def log(self, session_id: str) -> str:
        """What the session's container has written to its terminal."""
        answer = self.send("GET", f"/session/{session_id}/logs")
        assert answer.status == 200, answer
        return str(answer.body["result"]["logs"])

    def has_printed(self, session: Session, text: str) -> bool:
        """Whether a text stands in the log of a session's container, if it has one by now."""
        answer = self.send("GET", f"/session/{session.id}/logs")
        return answer.status == 200 and text in answer.body["result"]["logs"]

    def destroy(self, session: Session, *, forced: bool = True) -> None:
        """Ends a session of any user, whatever it is doing. One that has ended in between is no error.

        On 26.9.6 a session that is created right after a forced end was twice seen to stay in CREATING.
        """
        owner = (
            "" if session.access_key == self.account.access_key else f"&owner_access_key={session.access_key}"
        )
        self.send("DELETE", f"/session/{session.id}?forced={str(forced).lower()}{owner}")

    def end(self, session_id: str, timeout: float = 120) -> None:
        """Ends a session and sees that it has ended: one that was about to start may start all the same
        (seen on 23.9.10), and is asked again."""
        ends = time.monotonic() + timeout
        asked = 0.0
        while (session := self.session(session_id)).is_live:
            if time.monotonic() > ends:
                pytest.fail(f"not ended in {timeout:g} s: {session}")
            if time.monotonic() - asked > 10 and session.status != "TERMINATING":
                self.destroy(session)
                asked = time.monotonic()
            time.sleep(0.25)


def _session(item: Mapping[str, Any]) -> Session:
    return Session(
        id=item["session_id"],
        name=item["name"],
        access_key=item["access_key"],
        status=item["status"],
        result=item["result"],
    )
