"""Logging in at a web server (endpoint type ``session``): from a password, used once, to a cookie in a file.

The file is the user's alone (mode 0600) and holds for which endpoints its cookies are; the password
is never kept, and never sent where others could read it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from tui_sweep.core.errors import EngineDenied
from tui_sweep.engines.backendai.configuration import Configuration, host_of, is_in_clear
from tui_sweep.engines.backendai.problems import read_problem, short
from tui_sweep.engines.backendai.transport import Answer, Transport, Wish
from tui_sweep.engines.backendai.verdicts import About, Refused, Unanswered, verdict

_SECONDS = 30.0
_LARGEST = 1 << 20


def cookie_file(configuration: Configuration) -> Path:
    """Where the login at these endpoints is kept, below the user's state directory."""
    ends = ",".join(sorted(configuration.endpoints))
    name = host_of(configuration.endpoints[0]).replace(":", "_").strip("[]")
    digest = hashlib.sha256(ends.encode()).hexdigest()[:8]
    return platformdirs.user_state_path("sweep-tui", appauthor=False) / "logins" / f"{name}-{digest}.json"


async def login(
    configuration: Configuration, username: str, password: str, otp: str | None, cookies: Path
) -> str:
    """Log in, keep the cookie, and return the access key that the login stands for.

    Raises EngineDenied (a wrong password, a code is needed, not over an encrypted line), EngineBusy
    (too many bad logins), EngineUnreachable.
    """
    _check_type(configuration)
    for endpoint in configuration.endpoints:
        if is_in_clear(endpoint):
            raise EngineDenied(
                f"{endpoint} is not encrypted, and the password would be readable on the way: use its https:// address"
            )
    body = {"username": username, "password": password, **({"otp": otp} if otp else {})}
    transport = Transport(configuration)
    try:
        endpoint, answer = await _send(transport, "/server/login", body)
        told = answer.json() if answer.status in (200, 401, 403) else None
        told = told if isinstance(told, dict) else {}
        if answer.status == 200 and told.get("authenticated") is True:
            data = told.get("data")
            key = short(data.get("access_key", ""), 80) if isinstance(data, dict) else ""
            _write(cookies, configuration, transport.cookies(endpoint), key)
            return key
        raise _refusal(answer, told)
    finally:
        await transport.close()


async def logout(configuration: Configuration, cookies: Path) -> bool:
    """End the login and forget its cookie; False when there was none. Raises EngineError when the
    server cannot be told: the cookie is forgotten all the same."""
    _check_type(configuration)
    try:
        kept = read_cookies(cookies, configuration)
    finally:
        cookies.unlink(missing_ok=True)
    if not kept:
        return False
    transport = Transport(configuration, kept)
    try:
        _, answer = await _send(transport, "/server/logout", {})
        if answer.status >= 400:
            problem = read_problem(answer.status, answer.headers, answer.body)
            raise verdict(problem, About(answer.host, is_session=True))
    finally:
        await transport.close()
    return True


def read_cookies(file: Path, configuration: Configuration) -> dict[str, str]:
    """The cookies of a login at these endpoints; empty when nobody is logged in.

    Raises EngineDenied when others than the user can read or write the file.
    """
    kept = _read(file, configuration).get("cookies")
    return {str(name): str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}


def read_access_key(file: Path, configuration: Configuration) -> str:
    """The access key that a login at these endpoints stands for; "" when nobody is logged in, or it is not known.

    Raises EngineDenied as ``read_cookies`` does.
    """
    return short(_read(file, configuration).get("access_key", ""), 80)


def _read(file: Path, configuration: Configuration) -> dict[str, Any]:
    try:
        with open(file, "rb") as opened:
            status = os.fstat(opened.fileno())
            if status.st_mode & 0o077 or status.st_uid != os.getuid():
                raise EngineDenied(
                    f"{file}: others can read or change this login: end it in the web console, delete the file, log in anew"
                )
            record = json.loads(opened.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(record, dict) or record.get("endpoints") != sorted(configuration.endpoints):
        return {}
    return record


def _write(file: Path, configuration: Configuration, kept: Mapping[str, str], access_key: str) -> None:
    if not kept:
        raise EngineDenied(f"{configuration.endpoints[0]} let you in and set no cookie: is it a web console?")
    record = {
        "endpoints": sorted(configuration.endpoints),
        "cookies": dict(kept),
        "access_key": access_key,
    }
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(prefix=".login-", dir=file.parent)  # of mode 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as opened:
                json.dump(record, opened)
            os.replace(aside, file)
        except OSError:
            os.unlink(aside)
            raise
    except OSError as error:
        raise EngineDenied(f"{file}: the login cannot be kept: {error.strerror}") from None


async def _send(transport: Transport, path: str, body: Mapping[str, Any]) -> tuple[str, Answer]:
    """The answer of the first endpoint that can be reached. Raises EngineUnreachable."""
    wish = Wish("POST", path, body=json.dumps(body).encode(), is_signed=False)
    for _ in range(transport.endpoints - 1):
        endpoint = transport.endpoint
        try:
            return endpoint, await transport.send(wish, endpoint, timeout=_SECONDS, largest=_LARGEST)
        except Unanswered as error:
            if error.sent:
                raise
            transport.rotate(endpoint)
    return transport.endpoint, await transport.send(
        wish, transport.endpoint, timeout=_SECONDS, largest=_LARGEST
    )


def _refusal(answer: Answer, told: Mapping[str, Any]) -> Exception:
    """Why nobody was let in."""
    host = answer.host
    data = told.get("data")
    data = data if isinstance(data, dict) else {}
    problem = read_problem(answer.status, answer.headers, json.dumps(data).encode() if data else answer.body)
    if "totp-registration" in problem.kind:
        return Refused(
            f"{host}: this account must set up its second factor first, in the web console", problem
        )
    if "totp" in problem.kind or "totp" in problem.title.lower():
        return Refused(
            f"{host}: the code of the second factor is needed, or was wrong: give a fresh one", problem
        )
    if answer.status == 200 or (answer.status in (401, 403) and told):
        if problem.kind == "password-expired":
            return verdict(problem, About(host, is_session=True))
        said = f" ({problem.words})" if problem.title or problem.msg else ""
        return Refused(f"{host} knows no such user with this password{said}", problem)
    return verdict(problem, About(host, is_session=True))


def _check_type(configuration: Configuration) -> None:
    if not configuration.is_session:
        raise EngineDenied(
            f"{configuration.endpoints[0]} is asked with a key, not with a login: for one set "
            f"BACKEND_ENDPOINT_TYPE=session and BACKEND_ENDPOINT to the web console"
        )
