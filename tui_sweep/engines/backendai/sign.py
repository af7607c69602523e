"""The signature of a request (PROTOCOL.md 2): HMAC over what goes on the wire, the body never.

A server computes the same over the request as it received it: path and query must be sent exactly
as they were signed, and so must Date, Host, Content-Type and X-BackendAI-Version.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Key:
    """Who signs."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signed:
    """What of a request the signature covers."""

    method: str
    """Upper case."""
    target: str
    """Path and query as on the wire: percent-encoded, with the endpoint's path prefix; ``/`` for none."""
    at: datetime
    """Now, in UTC: a server takes the day from it without converting, and refuses 15 minutes off."""
    host: str
    """``host[:port]`` as in the Host header."""
    content_type: str
    """Lower case, without parameters; ``application/octet-stream`` where the header is not sent."""
    version: str
    """As in X-BackendAI-Version."""

    date: str = field(init=False)
    """The value of the Date header."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "date", self.at.isoformat())

    def text(self, algorithm: str = "sha256") -> str:
        """What is signed: seven lines, the last one the digest of no bytes."""
        return "\n".join(
            (
                self.method,
                self.target,
                self.date,
                f"host:{self.host}",
                f"content-type:{self.content_type}",
                f"x-backendai-version:{self.version}",
                _nothing(algorithm),
            )
        )


def authorization(key: Key, signed: Signed, algorithm: str = "sha256") -> str:
    """The value of the Authorization header."""
    day = signed.date[:10].replace("-", "")
    secret = _of_the_day(key, day, signed.host, algorithm)
    signature = hmac.digest(secret, signed.text(algorithm).encode(), algorithm).hex()
    return f"BackendAI signMethod=HMAC-{algorithm.upper()}, credential={key.access_key}:{signature}"


@lru_cache(16)
def _of_the_day(key: Key, day: str, host: str, algorithm: str) -> bytes:
    """What signs for one host on one day."""
    of_all_hosts = hmac.digest(key.secret_key.encode(), day.encode(), algorithm)
    return hmac.digest(of_all_hosts, host.encode(), algorithm)


@lru_cache(16)
def _nothing(algorithm: str) -> str:
    """The digest of no bytes, in hex."""
    return hashlib.new(algorithm).hexdigest()
