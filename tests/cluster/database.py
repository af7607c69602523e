"""The manager's database: made once, kept as a pristine copy, and given out anew at each start.

So every start finds the same state, whatever happened before: no sessions, the same users and limits.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.accounts import ADMIN, IMAGE, INACTIVE
from tests.cluster.command import run
from tests.cluster.image import SHORT_NAME
from tests.cluster.settings import changes, render, rows
from tests.cluster.state import PORTS, Broken, State, say

NAME = "backend"
PRISTINE = "pristine"
_CONFIGURATION = f"""
listen_addresses = '127.0.0.1'
port = {PORTS["postgres"]}
unix_socket_directories = ''
max_connections = 200
# All of it can be made again: nothing waits for the disk.
fsync = off
synchronous_commit = off
full_page_writes = off
"""


def programs() -> Path:
    """The folder of the newest PostgreSQL's programs. Raises Broken when there is none."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    if not found:
        raise Broken("/usr/lib/postgresql has no server, though the package is installed")
    return max(found, key=lambda path: int(path.parent.name))


def make_folder(state: State) -> Path:
    """The folder of PostgreSQL's data, made when it is not there. Raises Broken."""
    folder = state.root / "postgres"
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    run(
        *("runuser", "--user=postgres", "--", str(programs() / "initdb"), f"--pgdata={folder}"),
        *("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        log=state.log("database"),
        raises=Broken,
        cwd=Path("/"),
    )
    with (folder / "postgresql.conf").open("a") as file:
        file.write(_CONFIGURATION)
    (folder / "complete").touch()
    return folder


def is_ready() -> bool:
    """Whether PostgreSQL answers."""
    asked = (str(programs() / "pg_isready"), "--quiet", *_server())
    return subprocess.run(asked, check=False).returncode == 0


def ask(sql: str, database: str = NAME) -> str:
    """The only field of the only row of an answer. Raises Broken."""
    asked = [str(programs() / "psql"), *_server(), "--quiet", "--no-align", "--tuples-only", "--no-psqlrc"]
    asked += ["--set=ON_ERROR_STOP=1", "--command", sql, database]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Broken(f"psql: {ended.stderr.strip()}")
    return ended.stdout.strip()


def provide(state: State, env: Mapping[str, str], image: str) -> None:
    """A fresh database of the manager's, from the pristine copy; makes that first when it is not there.

    ``image``: what dockerd calls the sessions' image, which the database knows by that name. The copy is of
    one image and one content of ours. Raises Broken.
    """
    render(state)
    done = state.root / "postgres" / "pristine.sha256"
    content = (image, state.release.fixtures, rows(state.release), changes(state.release))
    wanted = hashlib.sha256(repr(content).encode()).hexdigest()
    if not done.exists() or done.read_text() != wanted:
        done.unlink(missing_ok=True)
        _create(state)
        _fill(state, env)
        _create(state, PRISTINE, NAME)
        done.write_text(wanted)
    else:
        _create(state, NAME, PRISTINE)


def agents_alive() -> bool:
    """Whether the manager has heard of the agent."""
    return ask("SELECT count(*) FROM agents WHERE status = 'ALIVE'") == "1"


def _fill(state: State, env: Mapping[str, str]) -> None:
    """Schema, example users, rows of ours, and the image, by the manager's own commands."""
    say("schema and users")
    release, log, conf = state.release, state.log("database"), state.conf

    def manager(*command: str | Path) -> None:
        program = (str(state.bin / "backend.ai"), "mgr", "-f", "manager.toml")
        run(*program, *command, log=log, raises=Broken, env=env, cwd=conf)

    if not (state.root / "keys" / "manager.key_secret").exists():
        manager("generate-rpc-keypair", state.root / "keys", "manager")
    manager("schema", "oneshot", "-f", "alembic.ini")
    for filled in (*_merged_fixtures(state), conf / "rows.json"):
        manager("fixture", "populate", filled)
    if release.series >= 26:
        manager("permissions", "provision")
    manager("image", "rescan", *(("--local",) if release.registry_in_etcd else ("local",)))
    if release.registry_in_etcd:
        # It files every local image under the name of Docker's own registry; the tests want one name.
        ask(
            f"UPDATE images SET name = '{IMAGE}', registry = 'local'"
            f" WHERE is_local AND image || ':' || tag = '{SHORT_NAME}'"
        )
    ask(changes(release))
    # Its older commands log what fails, and end with 0.
    keys = f"'{ADMIN.access_key}', '{INACTIVE.access_key}'"
    if ask(f"SELECT count(*) FROM keypairs WHERE access_key IN ({keys})") != "2":
        raise Broken(f"the example users are not in the database: see {log}")
    if ask(f"SELECT count(*) FROM images WHERE name = '{IMAGE}'") == "0":
        raise Broken(f"the manager did not find the image {IMAGE}: see {log}")


def _merged_fixtures(state: State) -> list[Path]:
    """The release's example data as one file for each way of putting it in.

    Each run of the manager's command takes some seconds to begin.
    """
    merged: dict[str, dict[str, list[object]]] = {}
    for name in state.release.fixtures:
        tables = json.loads((state.root / "fixtures" / f"{name}.json").read_text())
        into = merged.setdefault(tables.pop("__mode", "insert"), {})
        for table, content in tables.items():
            if not table.startswith("__"):
                into.setdefault(table, []).extend(content)
    files = []
    for mode, tables in merged.items():
        files.append(state.conf / f"example-{mode}.json")
        files[-1].write_text(json.dumps({"__mode": mode} | tables))
    return files


def _create(state: State, name: str = NAME, template: str = "template0") -> None:
    log, bin_folder = state.log("database"), programs()
    run(bin_folder / "dropdb", *_server(), "--if-exists", "--force", name, log=log, raises=Broken)
    run(bin_folder / "createdb", *_server(), "--template", template, name, log=log, raises=Broken)


def _server() -> tuple[str, ...]:
    return ("--host=127.0.0.1", f"--port={PORTS['postgres']}", "--username=postgres")
