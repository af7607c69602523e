"""Routes of files in a session's folder, which stands for /home/work."""

from __future__ import annotations

import json
import stat
from pathlib import Path, PurePosixPath

from aiohttp import BodyPartReader, web

from tests.engines.backendai.manager import problems
from tests.engines.backendai.manager.calls import Call, nothing, reply
from tests.engines.backendai.manager.sessions import Session

MOST_FILES = 20
FILE_BYTES = 1024 * 1024
"""A file of so many bytes is too large."""

WORK = PurePosixPath("/home/work")
OUTSIDE = "PermissionError('Not allowed to upload files outside /home/work')"


def _home(session: Session) -> Path:
    if session.container is None:
        raise problems.internal()
    return session.container.home


def _target(call: Call, home: Path, name: str) -> Path | None:
    """Where a file of this name goes, below ``home``; None for a place on the agent's own disk.

    Raises Problem where that version refuses: 25.5.2 takes names below /home/work only, which the name
    of an ordinary upload never is; 23.9.10 looks at nothing.
    """
    path = PurePosixPath(name)
    if call.manager.dialect.is_26 or not path.is_absolute():
        if call.manager.dialect.api.startswith("v8"):
            raise problems.agent_failed(OUTSIDE)
        path = WORK / path
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    if parts[:2] == ["home", "work"] and (name[:1] != "/" or call.manager.dialect.api >= "v8"):
        return home.joinpath(*parts[2:])
    if call.manager.dialect.api >= "v8":
        raise problems.agent_failed(OUTSIDE)
    return None


async def upload(call: Call) -> web.Response:
    home = _home(call.session())
    reader = await call.request.multipart()
    count = 0
    contents: list[tuple[str, bytes]] = []
    async for part in reader:
        if count == MOST_FILES:
            raise problems.invalid("Too many files")
        count += 1
        if not isinstance(part, BodyPartReader):
            continue
        content = bytearray()
        while chunk := await part.read_chunk(FILE_BYTES):
            content += chunk
            if len(content) >= FILE_BYTES:
                raise problems.invalid("Too large file")
        contents.append((part.filename or "", bytes(content)))
    for name, data in contents:
        target = _target(call, home, name)
        if target is None:
            call.manager.escaped.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return nothing()


async def _parameter(call: Call, name: str, default: str | None, *, body: bool) -> str:
    """A parameter from the query, or from the body where that version reads it there."""
    given = call.query.get(name)
    if body and given is None:
        try:
            given = json.loads(await call.request.read()).get(name)
        except ValueError as error:
            raise problems.invalid(str(error)) from error
    if given is None:
        given = default
    if given is None:
        if call.manager.dialect.is_26:
            raise problems.schema(
                "DownloadSingleRequest", name, "missing", "Field required", "input_value={}, input_type=dict"
            )
        raise problems.invalid("Input validation error", data={name: "is required"})
    return given


async def listing(call: Call) -> web.Response:
    dialect = call.manager.dialect
    if dialect.is_26:
        path = call.query.get("path", ".")
    else:
        try:
            path = json.loads(await call.request.read()).get("path", ".")
        except ValueError as error:
            raise problems.invalid(str(error)) from error
    folder = _home(call.session()) / path
    if not folder.is_dir():
        name = f"{WORK}/{path}"
        errors = (
            'Traceback (most recent call last):\n  File "<string>", line 8, in <module>\n'
            f"FileNotFoundError: [Errno 2] No such file or directory: '{name}'\n"
        )
        return reply({"files": "", "errors": errors, "abspath": path})
    rows = []
    for entry in folder.iterdir():
        found = entry.lstat()
        rows.append(
            {
                "mode": stat.filemode(found.st_mode),
                "size": found.st_size,
                "ctime": found.st_ctime,
                "mtime": found.st_mtime,
                "atime": found.st_atime,
                "filename": entry.name,
            }
        )
    return reply({"files": json.dumps(rows) + "\n", "errors": "", "abspath": path})


async def download_single(call: Call) -> web.Response:
    name = await _parameter(call, "file", None, body=not call.manager.dialect.is_26)
    try:
        data = (_home(call.session()) / name).read_bytes()
    except OSError as error:
        if call.manager.dialect.is_26:
            raise problems.internal() from error
        raise problems.agent_failed(f"RuntimeError('Could not download the archive to: {name}')") from error
    return web.Response(body=data, headers={"Content-Type": "application/octet-stream"})
