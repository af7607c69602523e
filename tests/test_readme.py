"""Every command of the README is run, in its order, by a shell in an empty folder of a fresh home.

A block is left out by the comment ``<!-- not run: REASON -->`` before it, and fails on purpose under
``<!-- exit CODE -->``. What the page shows as output must be in what the command printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import RunCli

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass
class Step:
    """A command of the page and what the page says of it."""

    command: str
    shown: list[str]
    exit_code: int


def steps(page: str) -> list[Step]:
    """The commands to run. Lines of a block: ``$ command``, its continuations after ``\\``, output."""
    found: list[Step] = []
    for block in BLOCK.finditer(page):
        note = block["note"] or ""
        if note.startswith("not run: "):
            continue
        assert not note or note.startswith("exit "), note
        assert block["kind"] == "console", f"this block is not run and does not say why:\n{block['text']}"
        for line in block["text"].splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], [], int(note[5:] or 0)))
            elif found[-1].command.endswith("\\"):
                found[-1].command += "\n" + line
            else:
                found[-1].shown.append(line)
    return found


def blurred(line: str) -> str:
    """A line without what differs from run to run: ids, durations, the order in which cases end."""
    line = re.sub(r"\b[a-z0-9]{8}\b", "ID", line)
    line = re.sub(r" +[0-9.]+s\b", " TIME", line)
    return re.sub(r"\[ *\d+/", "[N/", line)


def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for step in steps(README.read_text("utf-8")):
        result = subprocess.run(
            ["bash", "-c", step.command],
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = f"{step.command}\n{result.stdout}{result.stderr}"
        assert result.returncode == step.exit_code, said
        printed = [blurred(line) for line in (result.stdout + result.stderr).splitlines()]
        assert [line for line in map(blurred, step.shown) if line not in printed] == [], said


def test_every_command_has_help_with_an_example_and_is_on_the_page(run_cli: RunCli) -> None:
    page = README.read_text("utf-8")
    listing = run_cli("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    commands = re.findall(r"^  (\w+)  ", listing, re.MULTILINE)
    assert {"run", "plan", "demo"} <= set(commands)
    for command in commands:
        assert f"`{command}" in page, f"{command} is not in the README"
        assert f"sweep-tui {command}" in run_cli(command, "-h").stdout.partition("Example")[2], command
