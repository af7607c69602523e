"""Sessions as the manager knows them, and how they are found: by id, by name, by owner."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tests.engines.backendai.manager.keys import Keypair

if TYPE_CHECKING:
    from tests.engines.backendai.manager.containers import Container
    from tests.engines.backendai.manager.runs import Runs

IMAGE = "local/stable/python:3.11-debian12"
"""The only image there is, unless a test names others."""

ENDED = frozenset(("TERMINATED", "CANCELLED", "ERROR"))


@lru_cache(65536)
def moment(at: float) -> str:
    """UNIX seconds as the server writes a time."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


@dataclass(slots=True)
class Creation:
    """What a body of POST /session asks for, once read."""

    name: str
    image: str
    kind: str
    """``batch`` or ``interactive``."""
    body: dict[str, Any]
    slots: dict[str, Decimal]
    environ: dict[str, str]
    architecture: str = "x86_64"
    startup_command: str | None = None
    bootstrap_script: str | None = None
    batch_timeout: float | None = None
    """Seconds."""
    priority: int = 10
    tag: str | None = None
    cluster_size: int = 1
    cluster_mode: str = "single-node"
    group: str = "default"
    scaling_group: str = "default"
    resource_opts: dict[str, Any] = field(default_factory=dict)
    preopen_ports: list[int] = field(default_factory=list)
    enqueue_only: bool = False
    max_wait: float = 0.0
    reuse: bool = True


@dataclass(slots=True, eq=False, repr=False)
class Session:
    """One session. Only ``scheduling`` moves it."""

    asked: Creation
    owner: Keypair
    number: int
    """Counts from 0 in the order of creation."""
    created_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    kernel_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    name: str = ""
    status: str = "PENDING"
    status_info: str | None = None
    status_data: dict[str, Any] | None = None
    kernel_info: str | None = None
    kernel_data: dict[str, Any] | None = None
    result: str = "UNDEFINED"
    history: dict[str, float] = field(default_factory=dict)
    terminated_at: float | None = None
    container: Container | None = None
    container_id: str | None = None
    runs: Runs | None = None
    exit_code: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once RUNNING or ended: what a create that does not only enqueue waits for."""
    doom: dict[str, Any] | None = None
    """``status_data.error`` of a start that will fail, set by a test."""
    timer: asyncio.TimerHandle | asyncio.Handle | None = None
    """The scheduler's next step."""
    ending: tuple[str, str] = ("user-requested", "user-requested")
    """Once it is TERMINATING: why, and the status_info of its end."""
    lost: bool = False
    """Its agent is gone."""
    unheard: bool = False
    """Its agent was started anew while its command ran: nobody hears of the command's end."""
    retries: int = 0

    def __post_init__(self) -> None:
        self.name = self.asked.name
        self.history["PENDING"] = self.created_at

    def __repr__(self) -> str:
        return f"<Session {self.name} {self.status}>"

    @property
    def is_alive(self) -> bool:
        return self.status not in ENDED

    @property
    def is_batch(self) -> bool:
        return self.asked.kind == "batch"

    @property
    def has_container(self) -> bool:
        return self.container_id is not None

    def give_container(self) -> None:
        self.container_id = secrets.token_hex(32)


class Store:
    """All sessions, living and ended. Nothing is ever taken out."""

    def __init__(self) -> None:
        self.by_id: dict[str, Session] = {}
        self.in_order: list[Session] = []
        self.of_owner: dict[str, list[Session]] = defaultdict(list)
        """Access key → its sessions, oldest first."""
        self._living: dict[tuple[str, str], Session] = {}
        self._by_name: dict[str, list[Session]] = defaultdict(list)
        self.alive: dict[str, Session] = {}
        """Id → session, those that have not ended."""
        self.pending: dict[str, list[Session]] = defaultdict(list)
        """Access key → PENDING sessions, oldest first."""
        self.revision = 0
        """Grows with every change of any session."""

    def add(self, asked: Creation, owner: Keypair, now: float | None = None) -> Session:
        created_at = time.time() if now is None else now
        session = Session(asked, owner, len(self.in_order), created_at)
        self.by_id[session.id] = session
        self.in_order.append(session)
        self.of_owner[owner.access_key].append(session)
        self._living[owner.access_key, session.name] = session
        self._by_name[session.name].append(session)
        self.alive[session.id] = session
        self.pending[owner.access_key].append(session)
        self.revision += 1
        return session

    def enter(self, session: Session, status: str, now: float) -> None:
        """Write a status down, with all that is looked up by it."""
        owner = session.owner.access_key
        if session.status == "PENDING" and status != "PENDING":
            self.pending[owner].remove(session)
        elif session.status != "PENDING" and status == "PENDING":
            insort(self.pending[owner], session, key=lambda one: one.number)
        session.status = status
        session.history[status] = now
        self.revision += 1
        if status in ENDED:
            session.terminated_at = now
            self.alive.pop(session.id, None)
            if self._living.get((owner, session.name)) is session:
                del self._living[owner, session.name]
            session.ended.set()
        if status == "RUNNING" or status in ENDED:
            session.settled.set()

    def living(self, owner: str, name: str) -> Session | None:
        """The session that holds this name now."""
        return self._living.get((owner, name))

    def named(self, name: str) -> list[Session]:
        """All that ever had this name, oldest first."""
        return self._by_name.get(name, [])

    def rename(self, session: Session, name: str) -> None:
        del self._living[session.owner.access_key, session.name]
        self._by_name[session.name].remove(session)
        session.name = name
        self._living[session.owner.access_key, name] = session
        self._by_name[name].append(session)
        self.revision += 1
