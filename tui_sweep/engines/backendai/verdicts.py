"""From what a server said to one clear sentence: what happened, and what to do about it.

::

    Refused      EngineDenied       asking again will not help
    └── NotLetIn                    the request was not even looked at: key, login, clock, a proxy's page
    Delayed      EngineBusy         nothing has begun; ask again later
    └── Barred                      NotLetIn, of somebody who was let in before
    Unanswered   EngineUnreachable  no answer that can be believed
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tui_sweep.core.errors import EngineBusy, EngineDenied, EngineError, EngineUnreachable
from tui_sweep.core.plain import plain
from tui_sweep.engines.backendai.problems import Problem, page_title, short

LOG_IN = "log in with: sweep-tui engine --login"


class Refused(EngineDenied):
    """The server said no."""

    def __init__(self, message: str, problem: Problem) -> None:
        super().__init__(message)
        self.problem = problem


class NotLetIn(Refused):
    """Whoever answered looked at who asks, or from where, and not at what is asked."""


class Delayed(EngineBusy):
    """The server said not now."""

    def __init__(self, message: str, problem: Problem, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.problem = problem


class Barred(Delayed):
    """Not let in any more. A clock is set, a login renewed, a proxy's maintenance over: what was refused says
    nothing against the request, and waits."""


class Unanswered(EngineUnreachable):
    """No answer, or none that can be believed."""

    def __init__(self, message: str, problem: Problem | None = None, *, sent: bool = True) -> None:
        super().__init__(message)
        self.problem = problem
        self.sent = sent
        """The request may have reached the server. False: nothing has happened there for certain."""


def problem_of(error: EngineError) -> Problem | None:
    """What the server said, where it said something."""
    problem = getattr(error, "problem", None)
    return problem if isinstance(problem, Problem) else None


@dataclass(frozen=True, slots=True)
class About:
    """What was asked of whom, to name it in a sentence. Empty texts are left out."""

    host: str
    access_key: str = ""
    is_session: bool = False
    domain: str = ""
    group: str = ""
    image: str = ""
    resource_group: str = ""
    size: int = 0
    """Bytes of the request's body."""


def verdict(problem: Problem, about: About, *, now: datetime | None = None) -> EngineError:
    """The error that an answer means. ``now`` is this machine's clock (UTC), for a clock that is off."""
    host, status = about.host, problem.status
    if sentence := _of_access(problem, about, now or datetime.now(UTC)):
        return NotLetIn(sentence, problem)
    if seconds := _pause(problem):
        return Delayed(_busy(problem, host), problem, retry_after=problem.retry_after or seconds)
    if refuses_type(problem):
        return Refused(
            f"{host}: this resource group does not take sessions of this type ({problem.words}): "
            f"choose another with --scaling-group, or another --type",
            problem,
        )
    if problem.kind in _KINDS:
        return Refused(f"{host}: {_KINDS[problem.kind](problem, about)}", problem)
    if 300 <= status < 400:
        where = f" to {problem.location}" if problem.location else ""
        return NotLetIn(
            f"{host} redirects{where}, which is not followed: set BACKEND_ENDPOINT to the API's own address",
            problem,
        )
    if status == 407 or (problem.is_page and status < 500 and status not in _TOO_LARGE):
        return NotLetIn(_page(host, status, problem.title), problem)
    if status in (404, 405) and not problem.kind:
        return NotLetIn(f"{host}: {_no_such_request(problem, about)}", problem)
    if status in _TOO_LARGE or _is_too_large(problem, about):
        return Refused(
            f"{host} takes no request of this size ({about.size:,} bytes): send less code and fewer files, or mount them with -v",
            problem,
        )
    if (found := _missing(problem)) is not None:
        return Refused(f"{host}: {found(problem, about)}", problem)
    if status == 403:
        return Refused(f"{host} does not allow this: {problem.words}", problem)
    if status < 500 or status == 501 or problem.kind in _FINAL_FAULTS:
        return Refused(f"{host} refuses the request: {problem.words}", problem)
    who = f"{host}, or a proxy before it," if not problem.kind else host
    return Unanswered(f"{who} failed (HTTP {status}): {problem.words}; see whether it is up", problem)


def refuses_type(problem: Problem) -> bool:
    """Whether no resource group that was asked takes sessions of this type.

    The kind is that of 26, under its old and its new name; where no group was named, and before 26, only the
    words tell.
    """
    return problem.kind.endswith("group-session-type-not-allowed") or (
        problem.status == 404 and _REFUSES_TYPE.search(problem.msg) is not None
    )


_REFUSES_TYPE = re.compile(r"\b(?:does not|No scaling groups) accept the session type\b")
_TOO_LARGE = (413, 414, 431)
"""Also a proxy says these of the request itself: of its body, its address, its headers."""
_LARGE = 1_000_000
"""Bytes of a body from which managers may refuse it: they take less than 1 MiB, and say no more than
"Bad request." to it."""


def _is_too_large(problem: Problem, about: About) -> bool:
    return about.size >= _LARGE and problem.kind == "generic-bad-request" and not problem.msg


def unreadable(host: str, status: int, body: bytes, *, page: bool) -> EngineUnreachable:
    """A success whose body is not what was asked for."""
    problem = Problem(status, title=page_title(body) if page else "", is_page=page)
    if page:
        return Unanswered(_page(host, status, problem.title), problem)
    return Unanswered(
        f"{host} gave an answer that is no JSON, or is cut short (HTTP {status}, {len(body):,} bytes): "
        f"does a proxy in between change it?",
        problem,
    )


def graphql_verdict(errors: list[Any], about: About) -> EngineError:
    """The error that a GraphQL answer's ``errors`` mean; the status is 200 whatever they say."""
    first = errors[0] if errors and isinstance(errors[0], dict) else {}
    extensions = first.get("extensions")
    code = short(extensions.get("code", ""), 80) if isinstance(extensions, dict) else ""
    problem = Problem(200, kind="graphql-error", msg=short(first.get("message", "")), error_code=code)
    if code.rpartition("_")[2] in ("internal-error", "unavailable", "timeout"):
        return Unanswered(f"{about.host} failed to answer: {problem.words}", problem)
    if "unknown client role" in problem.msg.lower():
        return Refused(
            f"{about.host} tells an account of this role nothing of its sessions: use an ordinary user's key",
            problem,
        )
    return Refused(f"{about.host} refuses the question: {problem.words}", problem)


# -- who may come in ---------------------------------------------------------------------------------


def _of_access(problem: Problem, about: About, now: datetime) -> str | None:
    """What is wrong with the key, the login or the clock; None when it is something else."""
    host, kind, msg = about.host, problem.kind, problem.msg.lower()
    if kind == "password-expired":
        return f"{host}: the password of this account has expired: set a new one in its web console"
    if kind == "invalid-auth-params":
        if "sync" in msg:
            return _clock(problem, host, now)
        return f"{host} cannot read how the request was signed ({problem.words}): does a proxy change its headers?"
    if problem.status != 401 or problem.is_page:
        return None
    if about.is_session:
        return f"{host}: not logged in, or no longer: {LOG_IN}"
    key = f"access key {about.access_key}" if about.access_key else "the access key"
    if "mismatch" in msg:
        return f"{host}: BACKEND_SECRET_KEY is not the secret of {key}: set the right one"
    if "not found" in msg:
        return (
            f"{host}: {key} is unknown there or not active: check BACKEND_ACCESS_KEY and BACKEND_ENDPOINT, "
            f"or have the key activated"
        )
    return f"{host} refuses {key} ({problem.words}): check it, and whether it may come from this machine's address"


_ALLOWED_SKEW = 15 * 60
"""Seconds between the clocks that a manager bears."""


def _clock(problem: Problem, host: str, now: datetime) -> str:
    if problem.server_time is None:
        return (
            f"this machine's clock and that of {host} differ by 15 minutes or more: set this machine's clock"
        )
    skew = (now - problem.server_time).total_seconds()
    if abs(skew) < _ALLOWED_SKEW - 60:
        return f"{host} reads another time from the request than was sent: does a proxy in between change the Date header?"
    ahead = "ahead of" if skew > 0 else "behind"
    return f"this machine's clock is {_span(abs(skew))} {ahead} that of {host}, which bears 15 minutes: set the clock"


def _span(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size or unit == "minute":
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    raise AssertionError  # the last unit always fits


# -- not now -----------------------------------------------------------------------------------------

_PAUSES = {
    "quota-exceeded": 15.0,
    "kernel-not-ready": 2.0,
    "agent-not-allocated": 2.0,
    "rate-limit-exceeded": 5.0,
    "too-many-requests": 60.0,
    "server-frozen": 30.0,
    "service-unavailable": 30.0,
    "instance-not-available": 30.0,
}
"""Kind → seconds until it is worth asking again, where nothing has begun."""


def _pause(problem: Problem) -> float | None:
    return _PAUSES.get(problem.kind) or {409: 2.0, 429: 5.0}.get(problem.status)


def _busy(problem: Problem, host: str) -> str:
    match problem.kind:
        case "quota-exceeded":
            return f"{host} takes no more sessions of yours now: {problem.words}"
        case "too-many-requests":
            return f"{host} takes no logins of this account for a while: {problem.words}"
        case "server-frozen" | "service-unavailable" | "instance-not-available":
            return f"{host} takes nothing now: {problem.words}"
    if problem.status == 429:
        return f"{host} has had all requests that it takes from you for now; it is asked again later, and less often"
    return f"{host} cannot do it at this moment: {problem.words}"


# -- no ----------------------------------------------------------------------------------------------

Sentence = Callable[[Problem, About], str]
_FINAL_FAULTS = frozenset(("invalid-session-data", "not-implemented", "deprecated"))
"""Kinds that are no for good though their status is a server's failure."""


def _page(host: str, status: int, title: str) -> str:
    called = f': "{title}"' if title else ""
    return (
        f"{host} answers with a web page instead of data (HTTP {status}{called}): is BACKEND_ENDPOINT the address of "
        f"the API (of a web console: with BACKEND_ENDPOINT_TYPE=session), or is a proxy in between?"
    )


def _named(what: str, name: str) -> str:
    return f"{what} {plain(name)!r}" if name else f"such {what}"


def _no_group(problem: Problem, about: About) -> str:
    domain = f" in domain {plain(about.domain)!r}" if about.domain else ""
    return (
        f"there is no {_named('group', about.group)}{domain}, or you are not in it: choose one with --group"
    )


def _no_resource_group(problem: Problem, about: About) -> str:
    return (
        f"there is no {_named('resource group', about.resource_group)} that you may use: "
        f"choose one with --scaling-group"
    )


def _no_image(problem: Problem, about: About) -> str:
    return (
        f"there is no {_named('image', about.image)} for you ({problem.words}): "
        f"name one in full, with its registry and tag, and --arch where it is not this machine's"
    )


def _no_such_request(problem: Problem, about: About) -> str:
    return f"the server knows no such request ({problem.words}): is BACKEND_ENDPOINT the address of its API?"


_KINDS: dict[str, Sentence] = {
    "session-already-exists": lambda problem, about: "there is a session of this name already",
    "rejected-by-hook": lambda problem, about: f"a rule of this site refuses the session: {problem.words}",
    "no-available-scaling-group": lambda problem, about: (
        f"no resource group takes sessions of {_named('group', about.group)}: choose another with --group, "
        f"or ask who runs the site"
    ),
    "unresolvable-resource-group": lambda problem, about: (
        f"no resource group can be found for the session ({problem.words}): choose one with --scaling-group"
    ),
    "unknown-resource-slot-type": lambda problem, about: f"{problem.words}: correct -r, see sweep-tui engine",
    "url-not-found": _no_such_request,
    "method-not-allowed": _no_such_request,
}

_MISSING: dict[str, Sentence] = {
    "image": _no_image,
    "project": _no_group,
    "group": _no_group,
    "domain": lambda problem, about: (
        f"there is no {_named('domain', about.domain)}, or you are not in it: set BACKEND_DOMAIN"
    ),
    "resource-group": _no_resource_group,
    "vfolder": lambda problem, about: (
        f"there is no such folder ({problem.words}): correct -v, or BACKEND_VFOLDER_MOUNTS"
    ),
    "session": lambda problem, about: f"there is no such session ({problem.words})",
}
_NOUNS = (
    ("resource-group", re.compile(r"(resource|scaling) group")),
    ("image", re.compile("image")),
    ("project", re.compile("project|user group")),
    ("domain", re.compile("domain")),
    ("vfolder", re.compile("folder")),
    ("session", re.compile("session")),
)
"""What servers before 26 call what is missing, in ``No such ….``"""
_INVALID = {"invalid group": "project", "invalid domain": "domain"}


def _missing(problem: Problem) -> Sentence | None:
    """How to say what is not there, where the server tells what."""
    if problem.status == 400:
        return _MISSING.get(_INVALID.get(problem.msg.lower().rstrip("."), ""))
    if problem.status != 404:
        return None
    title = problem.title.lower()
    if title.startswith("no such"):
        for noun, pattern in _NOUNS:
            if pattern.search(title):
                return _MISSING[noun]
    return _MISSING.get(problem.error_code.partition("_")[0])
