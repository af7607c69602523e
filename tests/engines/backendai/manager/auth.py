"""Who asks: the Authorization header checked from PROTOCOL 2, on purpose not with our client's code."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from tests.engines.backendai.manager import problems
from tests.engines.backendai.manager.dialects import Dialect
from tests.engines.backendai.manager.keys import Keypair

ALLOWED_SKEW = 15 * 60.0
"""Seconds between the Date header and the server's clock; from this on it is refused."""

NOTHING = hashlib.sha256(b"").hexdigest()
"""Last line of the string to sign: no body is ever hashed by the versions at hand."""

_HEADER = re.compile(r"signMethod=HMAC-([A-Z0-9_]+),\s*credential=([^:]+):([0-9a-f]+)$")


@lru_cache(4096)
def _signing_key(secret: str, day: str, host: str) -> bytes:
    first = hmac.digest(secret.encode(), day.encode(), "sha256")
    return hmac.digest(first, host.encode(), "sha256")


def signature(
    secret: str, method: str, target: str, date: str, day: str, host: str, kind: str, version: str
) -> str:
    """The hex signature. ``target`` is the path and query as received, ``day`` is ``YYYYMMDD``,
    ``kind`` the media type without parameters."""
    text = f"{method}\n{target}\n{date}\nhost:{host}\ncontent-type:{kind}\nx-backendai-version:{version}\n{NOTHING}"
    return hmac.digest(_signing_key(secret, day, host), text.encode(), "sha256").hex()


def _moment(text: str | None) -> datetime | None:
    """A Date header's time, UTC where no zone is given; None for what is no time."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def authenticate(
    headers: Mapping[str, str],
    method: str,
    target: str,
    *,
    keypairs: Mapping[str, Keypair],
    dialect: Dialect,
    now: float,
) -> Keypair:
    """The keypair that signed this request. Raises Problem with that version's words."""
    date = headers.get("Date") or headers.get("X-BackendAI-Date")
    given = headers.get("Authorization")
    if dialect.is_26 and not given:
        raise problems.unauthorized("Unauthorized access")
    moment = _moment(date)
    if date is None or moment is None or abs(moment.timestamp() - now) >= ALLOWED_SKEW:
        raise problems.invalid_auth("Date/time sync error")
    if not given:
        raise problems.unauthorized("Unauthorized access")
    scheme, _, parameters = given.partition(" ")
    if scheme != "BackendAI":
        raise problems.invalid_auth("Invalid authorization type name")
    parsed = _HEADER.match(parameters)
    if parsed is None or parsed[1] != "SHA256":
        raise problems.invalid_auth("Missing or invalid authorization parameters")
    keypair = keypairs.get(parsed[2])
    if keypair is None or not keypair.is_active:
        raise problems.unauthorized(
            "Access key not found in HMAC" if dialect.is_26 else "Access key not found"
        )
    kind = headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip().lower()
    expected = signature(
        keypair.secret_key,
        method,
        target,
        date,
        moment.strftime("%Y%m%d"),
        headers.get("Host", ""),
        kind,
        headers.get("X-BackendAI-Version", ""),
    )
    if not hmac.compare_digest(expected, parsed[3]):
        raise problems.unauthorized("HMAC signature mismatch" if dialect.is_26 else "Signature mismatch")
    return keypair
