"""Interactive sessions on the real cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.cluster import database
from tests.cluster.accounts import IMAGE, ROOM
from tests.cluster.official import Official
from tests.cluster.release import Release
from tests.cluster.stack import Stack
from tests.cluster.test_sweeps import Sweeper, ranges, running, sweeper

__all__ = ["sweeper"]

pytestmark = pytest.mark.cluster

INTERACTIVE = ("--type", "interactive")


def test_the_four_cases_of_the_manual_print_their_lines(sweeper: Callable[..., Sweeper]) -> None:
    one = sweeper()
    done = one.run(
        *INTERACTIVE,
        "-c", 'import os; print("Hello world, {}".format(os.environ["CASENO"]))',
        "-e", "CASENO=$X", "--env-range=X=case:1,2,3,4", IMAGE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.log(case) for case in range(4)] == [b"Hello world, %d\n" % (case + 1) for case in range(4)]


def test_exit_codes_bytes_and_memory_come_back_as_they_were(sweeper: Callable[..., Sweeper]) -> None:
    one = sweeper()
    commands = [
        "exit 3",
        r"printf 'a\000b\377\303(\r\033[2J한글 end'; printf 'e\000\200' >&2",
        "python3 -c 'x = bytearray(600 << 20)'",
        "python3 -c 'input()'",
    ]
    done = one.run(*INTERACTIVE, "--exec", 'eval "$$WORDS"', "-e", "WORDS=$W", *ranges(commands), IMAGE)
    assert done.returncode == 1
    cases = one.cases()
    assert [(case["state"], case["exit_code"]) for case in cases][:2] == [("failed", 3), ("done", 0)]
    assert cases[2]["reason"] == "out of memory (asked 256 MiB)"
    assert (cases[3]["state"], cases[3]["exit_code"]) == ("failed", 1)
    output = one.do("log", "@", "1")
    assert output.stdout == b"a\x00b\xff\xc3(\r\x1b[2J" + "한글 end".encode()
    assert output.stderr == b"e\x00\x80"
    assert b"EOFError" in one.do("log", "@", "3").stderr


def test_five_megabytes_of_output_arrive_whole(sweeper: Callable[..., Sweeper]) -> None:
    one = sweeper()
    program = "for number in range(500_000): print(f'{number:09d}')"
    assert one.run(*INTERACTIVE, "-c", program, IMAGE).returncode == 0
    same = one.log(0) == b"".join(b"%09d\n" % number for number in range(500_000))
    assert same


def test_files_travel_and_output_is_there_while_the_case_runs(sweeper: Callable[..., Sweeper]) -> None:
    one = sweeper()
    (one.state / "main.py").write_text(
        "import time\nprint('begun', open('made').read(), end='')\ntime.sleep(40)\nprint('through')\n"
    )
    one.detach(*INTERACTIVE, "--build", "echo built > made", "--exec", "python3 main.py", IMAGE, "main.py")
    one.until(lambda cases: cases[0]["state"] == "running" and one.log(0) == b"begun built\n")
    assert one.wait() == 0
    assert one.log(0) == b"begun built\nthrough\n"


def test_cancelling_works_while_pending_and_running(sweeper: Callable[..., Sweeper]) -> None:
    one = sweeper()
    one.detach(*INTERACTIVE, "--exec", "sleep 300", "--range", "N=range:3", "-e", "N=$N", IMAGE)
    one.until(running(ROOM))
    assert one.do("cancel", "@", "--all").returncode == 0
    assert one.wait() == 5
    assert one.states() == ["cancelled"] * 3


def test_a_runner_killed_in_the_middle_is_gone_on_from(sweeper: Callable[..., Sweeper]) -> None:
    one = sweeper()
    script = "echo begun >> began; cat began; sleep 25; echo through $$N"
    one.detach(*INTERACTIVE, "--exec", script, "-e", "N=$N", "--range", "N=range:3", IMAGE)
    one.until(lambda cases: running(ROOM)(cases) and one.log(0) == b"begun\n")
    os.kill(one.runner(), signal.SIGKILL)
    assert one.do("resume", "@").returncode == 0
    assert one.wait() == 0
    assert [one.log(case) for case in range(3)] == [b"begun\nthrough %d\n" % case for case in range(3)]


def test_a_manager_that_is_restarted_in_the_middle_costs_no_case(
    sweeper: Callable[..., Sweeper], stack: Stack
) -> None:
    one = sweeper()
    one.detach(*INTERACTIVE, "--exec", "sleep 15; echo through", "--range", "N=range:3", "-e", "N=$N", IMAGE)
    one.until(running(ROOM))
    stack.stop_manager()
    stack.start_manager()
    assert one.wait() == 0
    assert [one.log(case) for case in range(3)] == [b"through\n"] * 3


def test_a_kept_session_lives_on_after_its_case(sweeper: Callable[..., Sweeper], official: Official) -> None:
    one = sweeper()
    assert one.run(*INTERACTIVE, "--keep", "--exec", "exit 3", IMAGE).returncode == 1
    assert one.cases()[0]["exit_code"] == 3
    (kept,) = official.live()
    assert kept.status == "RUNNING"
    official.destroy(kept)
    official.wait(kept.id, lambda session: not session.is_live)


def test_where_no_batch_sessions_are_taken_interactive_ones_are_made(
    sweeper: Callable[..., Sweeper], release: Release
) -> None:
    one = sweeper()
    taken = database.ask("select scheduler_opts -> 'allowed_session_types' from scaling_groups").strip()
    allow('["interactive"]')
    try:
        done = one.run("--exec", "exit 3", IMAGE)
    finally:
        allow(taken)
    assert done.returncode == 1, done.stdout + done.stderr
    (case,) = one.cases()
    assert case["exit_code"] == 3
    kind = database.ask(f"select session_type from sessions where name = '{case['session']}'").strip().lower()
    assert kind == ("interactive" if release.refuses_types else "batch")


def allow(kinds: str) -> None:
    """Let the resource group take sessions of these types: a JSON list."""
    changed = f"""jsonb_set(scheduler_opts, '{{allowed_session_types}}', '{kinds}')"""
    database.ask(f"update scaling_groups set scheduler_opts = {changed}")
