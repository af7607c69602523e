"""A command that must end well: its output goes to a log, and its last words into the error."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

LAST_LINES = 12


def run(
    *command: str | Path,
    log: Path,
    raises: type[Exception],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 600,
) -> None:
    """Runs a command to its end. Raises ``raises`` with the end of its output when it fails or takes too long."""
    with log.open("ab") as out:
        out.write(f"$ {' '.join(map(str, command))}\n".encode())
        out.flush()
        began = out.tell()
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise raises(f"{Path(command[0]).name} took longer than {timeout:g} s: see {log}") from None
        except OSError as error:
            raise raises(f"{command[0]}: {error.strerror}") from None
    if ended.returncode:
        named = " ".join([Path(command[0]).name, *map(str, command[1:4])])
        raise raises(f"{named} … failed with {ended.returncode}; {last_words(log, began)}")


def last_words(log: Path, begin: int = 0) -> str:
    """The end of a log, indented, with its name before it."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()
    said = "\n".join(f"    {line[:300]}" for line in lines[-LAST_LINES:])
    return f"the end of {log}:\n{said}"
