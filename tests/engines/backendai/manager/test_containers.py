"""A container's log keeps what docker's keeps, and a stand-in runs as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp

from tests.engines.backendai.manager.containers import Container, Log

ROOT = Path(__file__).parents[4]


def test_a_log_drops_whole_fifths_of_what_it_keeps_and_ends_with_the_newest() -> None:
    log = Log(1000)
    lines = [f"{number:05}\r\n".encode() for number in range(1000)]
    for line in lines:
        log.write(line)
    kept = log.read()
    assert 800 <= len(kept) <= 1000
    assert b"".join(lines).endswith(kept)
    assert kept[:1].isdigit()


def test_a_line_longer_than_the_log_is_cut_between_characters() -> None:
    log = Log(1000)
    log.write("ü".encode() * 5000)
    kept = log.read()
    assert len(kept) <= 1000
    assert set(kept.decode()) == {"ü"}


def test_both_streams_of_a_command_reach_the_log_as_from_a_terminal() -> None:
    async def main() -> None:
        container = Container("26.9.6", {"WORD": "said"})
        try:
            code = await container.run(
                'echo "$WORD"; echo no >&2; printf "\\0\\377"; cat "$0" > copy; exit 5'
            )
            log = container.log.read()
            assert code == 5
            assert b"said\r\n" in log
            assert b"no\r\n" in log
            assert b"\0\xff" in log
            assert (container.home / "copy").exists()
        finally:
            home = container.home
            container.close()
        assert not home.exists()

    asyncio.run(main())


def test_a_command_too_long_for_exec_fails_without_a_word() -> None:
    async def main() -> None:
        container = Container("26.9.6", {})
        before = container.log.read()
        try:
            assert await container.run(": " + "x" * 200_000) == 126
            assert container.log.read() == before
        finally:
            container.close()

    asyncio.run(main())


def test_it_runs_as_a_process_and_prints_its_url() -> None:
    async def main() -> None:
        module = "tests.engines.backendai.manager"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "--version", "25.5.2"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        async with aiohttp.ClientSession() as http, http.get(f"{url}/") as response:
            assert await response.json() == {"version": "v8.20240915", "manager": "25.5.2"}
        process.send_signal(signal.SIGUSR1)
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 10))
        assert told == {"calls": {"GET /": 1}, "statuses": {}}
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0

    asyncio.run(main())
