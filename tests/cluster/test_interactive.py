"""What is of interactive sessions alone; the rest is asked of both kinds in test_sweeps.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster import database
from tests.cluster.accounts import IMAGE
from tests.cluster.official import Official
from tests.cluster.release import Release
from tests.cluster.test_sweeps import Sweeper, kind, sweeper

__all__ = ["kind", "sweeper"]

pytestmark = pytest.mark.cluster


def test_a_program_that_asks_for_input_gets_the_end_of_it(sweeper: Callable[..., Sweeper], kind: str) -> None:
    """The container's own Python would have it wait for somebody who answers."""
    one = sweeper(kind=kind)
    assert one.run("-c", "input()", IMAGE).returncode == 1
    assert one.cases()[0]["exit_code"] == 1
    assert b"EOFError" in one.do("log", "@", "0").stderr


def test_output_is_there_while_the_case_runs_though_no_screen_shows_it(
    sweeper: Callable[..., Sweeper],
) -> None:
    one = sweeper(kind="interactive")
    one.detach("--exec", "sleep 3; echo begun; sleep 20; echo through", IMAGE)
    one.until(lambda cases: cases[0]["state"] == "running" and one.log(0) == b"begun\n")
    assert one.wait() == 0
    assert one.log(0) == b"begun\nthrough\n"


def test_a_kept_session_lives_on_after_its_case(sweeper: Callable[..., Sweeper], official: Official) -> None:
    one = sweeper(kind="interactive")
    assert one.run("--keep", "--exec", "exit 3", IMAGE).returncode == 1
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
