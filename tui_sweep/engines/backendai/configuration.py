"""Where the cluster is and who asks: read from one mapping of the official BACKEND_ names.

The command line puts the settings in force into it, whatever file they came from, so that only
names of the official client are known here (PROTOCOL.md 1).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tui_sweep.core.errors import UsageError

YES = frozenset(("y", "yes", "t", "true", "1"))
NO = frozenset(("n", "no", "f", "false", "0"))
"""What the official client takes for a yes and a no, in any case of letters."""

_IN_A_URL = re.compile(r"[!-~]+")
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that does not change while the program runs. The defaults are the official client's."""

    endpoints: tuple[str, ...]
    """URLs without a slash at their end. One server, reached in several ways."""
    endpoint_type: str = "api"
    """``api``: signed requests to a manager; ``session``: a cookie, through the web server."""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    domain: str = "default"
    group: str = "default"
    skip_ssl_validation: bool = False
    connection_timeout: float = 10.0
    """Seconds; 0: only the request's own time limit."""
    read_timeout: float = 0.0
    """Seconds between two bytes of an answer; 0: only the request's own time limit."""
    vfolder_mounts: tuple[str, ...] = ()
    """Mounts that every session gets."""

    @property
    def is_session(self) -> bool:
        """Requests carry a cookie, and are not signed."""
        return self.endpoint_type == "session"

    @property
    def notices(self) -> list[str]:
        """What the user should know about this configuration, a sentence each."""
        found = [
            f"{endpoint} is not encrypted: whoever is on the way can read and change what is sent"
            for endpoint in self.endpoints
            if is_in_clear(endpoint)
        ]
        if self.skip_ssl_validation and any(one.startswith("https:") for one in self.endpoints):
            found.append(
                "BACKEND_SKIP_SSLCERT_VALIDATION is on: whoever is on the way can pretend to be the server"
            )
        return found


def read_configuration(environ: Mapping[str, str]) -> Configuration:
    """What the BACKEND_ variables say; a missing or empty one is its default. Raises UsageError."""
    usual = Configuration(())
    configuration = Configuration(
        endpoints=_endpoints(_Asked("BACKEND_ENDPOINT", environ)),
        endpoint_type=_type(_Asked("BACKEND_ENDPOINT_TYPE", environ)) or usual.endpoint_type,
        access_key=_key(_Asked("BACKEND_ACCESS_KEY", environ)),
        secret_key=_key(_Asked("BACKEND_SECRET_KEY", environ)),
        domain=_name(_Asked("BACKEND_DOMAIN", environ)) or usual.domain,
        group=_name(_Asked("BACKEND_GROUP", environ)) or usual.group,
        skip_ssl_validation=_yes(_Asked("BACKEND_SKIP_SSLCERT_VALIDATION", environ)),
        connection_timeout=_seconds(_Asked("BACKEND_CONNECTION_TIMEOUT", environ), usual.connection_timeout),
        read_timeout=_seconds(_Asked("BACKEND_READ_TIMEOUT", environ), usual.read_timeout),
        vfolder_mounts=_list(_Asked("BACKEND_VFOLDER_MOUNTS", environ)),
    )
    if not configuration.is_session:
        _check_keys(configuration)
    return configuration


def host_of(endpoint: str) -> str:
    """``host[:port]`` as the Host header has it: the default port left out, IPv6 in brackets."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    default = {"http": 80, "https": 443}[parts.scheme]
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


def is_in_clear(endpoint: str) -> bool:
    """What is sent there can be read by others: plain http that leaves this machine."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


_WHERE = "where settings come from: sweep-tui config; to run on this machine: --engine local"


def _check_keys(configuration: Configuration) -> None:
    key = configuration.access_key
    if key and configuration.secret_key:
        return
    if key:
        raise UsageError(f"BACKEND_SECRET_KEY is not set, and access key {key} needs it", hint=_WHERE)
    missing = "BACKEND_ACCESS_KEY is" if configuration.secret_key else "BACKEND_ACCESS_KEY and SECRET_KEY are"
    raise UsageError(f"{missing} not set: the cluster takes no requests without a key", hint=_WHERE)


class _Asked:
    """One variable."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self.text = environ.get(name, "").strip()

    def wrong(self, fault: str, span: tuple[int, int] | None = None, *, quote: bool = True) -> UsageError:
        """The error to raise; ``quote``: the value may be shown."""
        message = f"{self.name}: {fault}"
        if not quote:
            return UsageError(message)
        return UsageError(message, text=self.text, span=span or (0, len(self.text)))


def _endpoints(asked: _Asked) -> tuple[str, ...]:
    found = []
    at = 0
    for word in asked.text.split(","):
        if url := word.strip():
            start = at + word.index(url)
            if fault := _fault(url):
                # before an @ there may be a password: nothing of it is shown
                raise asked.wrong(fault, (start, start + len(url)), quote="@" not in asked.text)
            found.append(url.rstrip("/"))
        at += len(word) + 1
    if not found:
        raise UsageError("BACKEND_ENDPOINT is not set", hint=_WHERE)
    return tuple(dict.fromkeys(found))


def _fault(url: str) -> str | None:
    """What is wrong with an endpoint's URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "not an address, or its port is no number up to 65535"
    if parts.username is not None or parts.password is not None:
        return "a user name and password in an address are not used; keys go into BACKEND_ACCESS_KEY and SECRET_KEY"
    if parts.scheme not in ("http", "https"):
        return "an address begins with https:// or http://"
    if not host or port == 0 or any(not part or len(part) > 63 for part in host.rstrip(".").split(".")):
        return "there is no host in this address"
    if not _IN_A_URL.fullmatch(url):
        return "an address has no spaces and no letters beyond ASCII (a host of such letters: its xn-- form)"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "an address ends with its path; leave out what begins with ? or #"
    return None


def _type(asked: _Asked) -> str:
    if asked.text.lower() not in ("", "api", "session"):
        raise asked.wrong("api or session is needed")
    return asked.text.lower()


def _key(asked: _Asked) -> str:
    if asked.text and not _IN_A_URL.fullmatch(asked.text):
        raise asked.wrong("a key has no spaces, line breaks or letters beyond ASCII", quote=False)
    return asked.text


def _name(asked: _Asked) -> str:
    if not asked.text.isprintable():
        raise asked.wrong("a name has no control characters")
    return asked.text


def _yes(asked: _Asked) -> bool:
    word = asked.text.lower()
    if word and word not in YES | NO:
        raise asked.wrong("yes or no is needed")
    return word in YES


def _seconds(asked: _Asked, usual: float) -> float:
    if not asked.text:
        return usual
    try:
        seconds = float(asked.text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _DAY:
        raise asked.wrong(f"seconds are needed, 0 to {_DAY}")
    return seconds


def _list(asked: _Asked) -> tuple[str, ...]:
    return tuple(word.strip() for word in asked.text.split(",") if word.strip())
