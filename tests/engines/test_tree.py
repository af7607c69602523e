"""Whose a process is, and that a signal reaches that process or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.conftest import wait_until
from tests.engines.conftest import is_alive
from tui_sweep.engines.local.tree import (
    Process,
    Subject,
    census,
    hold_of,
    look,
    mark_of,
    members,
    proportional,
    send,
)

MARK = "/out/000000.0"


def process(pid: int, parent: int = 1, group: int = 0, state: str = "S") -> Process:
    return Process(pid, parent, group or pid, 1, state, pid, 0)


def subject(pid: int = 10, by: int = 10, is_ours: bool = True, is_over: bool = False) -> Subject:
    return Subject("a", pid, by, MARK, "/held/a", is_ours, is_over)


def found(processes: list[Process], one: Subject, clues: dict[int, list[str]] | None = None) -> set[int]:
    told = members({p.pid: p for p in processes}, [one], lambda p: (clues or {}).get(p.pid, []))
    return {p.pid for p in told.get("a", [])}


def test_a_group_its_descendants_marks_and_holds_belong_to_a_case() -> None:
    everyone = [
        process(10), process(11, 10, 10), process(12, 11), process(13, 12), process(20), process(21), process(22),
    ]  # fmt: skip
    clues: dict[int, list[str]] = {20: [MARK], 21: ["/held/a"], 22: ["/out/000000.1", "/held/b"]}
    assert found(everyone, subject(), clues) == {10, 11, 12, 13, 20, 21}


def test_a_group_is_not_believed_when_its_leader_was_waited_for_and_nobody_told_us() -> None:
    assert found([process(10), process(11, 10, 10)], subject(by=9)) == set()  # 10 is another by now
    assert found([process(11, 1, 10)], subject(by=9)) == {11}


def test_zombies_do_not_count_but_lead_to_their_children() -> None:
    assert found([process(10, state="Z"), process(11, 10, 10)], subject()) == {11}


def test_a_group_number_that_was_given_out_again_is_not_believed() -> None:
    again = [process(10), process(11, 10, 10)]
    assert found(again, subject(is_over=True)) == set()
    assert found([process(11, 1, 10)], subject(is_over=True)) == {11}  # it kept the number from being reused


def test_a_group_that_was_not_watched_is_believed_only_with_its_leader() -> None:
    processes = [process(10), process(11, 1, 10)]
    assert found(processes, subject(by=9, is_ours=False)) == set()
    assert found(processes[1:], subject(is_ours=False), {11: [MARK]}) == {11}
    assert found(processes[1:], subject(is_ours=False)) == set()
    assert found(processes, subject(is_ours=False)) == {10, 11}


def test_this_process_is_never_part_of_a_case() -> None:
    me = process(os.getpid(), 10, 10)
    assert found([process(10), me], subject()) == {10}


def test_a_signal_reaches_only_the_process_that_was_looked_at() -> None:
    with subprocess.Popen(["sleep", "1000"]) as victim:
        seen = look(victim.pid)
        assert seen is not None
        assert not send(replace(seen, start=seen.start - 1), signal.SIGKILL)
        assert is_alive(victim.pid)
        assert send(seen, signal.SIGKILL)
        victim.wait()
        assert not send(seen, signal.SIGKILL)


def test_without_pidfds_the_same_is_done_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with subprocess.Popen(["sleep", "1000"]) as victim:
        seen = look(victim.pid)
        assert seen is not None
        assert not send(replace(seen, start=1), signal.SIGKILL)
        assert send(seen, signal.SIGKILL)


def test_marks_are_read_from_the_environment() -> None:
    env = {"XSWEEP_DIR": "no", "BIG": "x" * 100_000, "SWEEP_DIR": MARK}
    with subprocess.Popen(["sleep", "1000"], env=env, executable="/bin/sleep") as one:
        wait_until(lambda: mark_of(one.pid) == MARK)
        one.kill()
    with subprocess.Popen(["sleep", "1000"], env={"SWEEP_DIRX": "id"}, executable="/bin/sleep") as other:
        assert mark_of(other.pid) is None
        other.kill()
    assert mark_of(2**22) is None
    assert hold_of(2**22) is None


def test_hostile_process_names_are_read() -> None:
    name = "a) R (b\n"
    code = f"import ctypes, time; ctypes.CDLL(None).prctl(15, {name.encode()!r}); print(1, flush=True); time.sleep(99)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as odd:
        assert odd.stdout is not None
        odd.stdout.readline()
        seen = census()[odd.pid]
        assert (seen.parent, seen.is_alive, seen.is_stopped) == (os.getpid(), True, False)
        assert proportional(seen) > 0
        odd.kill()
