"""How a case is started, and the two files that it leaves: who runs it, how it ended."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tui_sweep.core.errors import EngineBusy, EngineDenied
from tui_sweep.engines.local import keeper
from tui_sweep.engines.local.claims import Claim, Outcome, boot_id, lives, read_claim, read_outcome
from tui_sweep.engines.local.keeper import UNFIT, UNWRITABLE, Settings
from tui_sweep.engines.local.launch import CAUGHT, Call, Launch, refusal, spawn
from tui_sweep.engines.local.tree import look


@pytest.fixture
def lock(tmp_path: Path) -> int:
    return os.open(tmp_path / "hold", os.O_CREAT | os.O_RDWR)


def launch(folder: Path, *command: str, **changes: str) -> Launch:
    path = str(folder)
    values: dict[str, str] = {"clean": "", "build": "", "cwd": path, "shell": "/bin/sh", **changes}
    return Launch(
        "ab12cd34-0", path, command=command, env={}, base={b"PATH": os.environ["PATH"].encode()}, **values
    )


def started(launch: Launch, hold: int) -> int | None:
    """The pid of a case, started as the keeper does; None when somebody else has it."""
    before = os.getcwd()
    settings = Settings(dict(launch.base), CAUGHT, boot_id(), 0)
    pids = []

    async def ask(call: Call) -> int:
        pid, wrong, _ = settings.launch(*call, hold, [])
        pids.append(pid)
        return wrong

    try:
        return pids[0] if asyncio.run(spawn(launch, ask)) else None
    finally:
        os.chdir(before)
        os.close(settings.null)


def code(pid: int | None, folder: Path) -> int:
    """What a case ended with, kept as the keeper does."""
    assert pid is not None
    _, status = os.waitpid(pid, 0)
    ended = os.waitstatus_to_exitcode(status)
    keeper.keep(os.fsencode(folder), ended if ended >= 0 else 128 - ended)
    return ended


def test_a_claim_names_its_process_and_exit_its_code(tmp_path: Path, lock: int) -> None:
    pid = started(launch(tmp_path, "/bin/sh", "-c", "exit 3"), lock)
    assert pid is not None
    process = look(pid)
    assert process is not None
    claim = read_claim(str(tmp_path))
    assert claim is not None
    assert (claim.pid, claim.boot) == (pid, boot_id())
    assert process.start <= claim.by < process.start + 1000
    assert code(pid, tmp_path) == 3
    assert (tmp_path / "exit").read_text() == "3\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exit", "hold", "stderr", "stdout"]
    ended = read_claim(str(tmp_path))
    assert ended is not None
    assert ended.pid == 0


def test_of_many_starts_one_runs_and_the_others_touch_nothing(tmp_path: Path, lock: int) -> None:
    pids = [started(launch(tmp_path, "/bin/sh", "-c", "echo once"), lock) for _ in range(12)]
    assert pids[1:] == [None] * 11
    assert code(pids[0], tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == "once\n"
    before = [(path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()]
    assert started(launch(tmp_path, "/bin/false"), lock) is None
    assert [(path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()] == before


def test_an_inherited_environment_cannot_mislead_it(tmp_path: Path, lock: int) -> None:
    hostile = {b"IFS": b"0123456789/", b"CDPATH": b"/", b"_sweep_b": b"1", b"_sweep_c": b"9", b"ENV": b"/x"}
    asked = launch(tmp_path, "/bin/sh", "-c", "pwd; echo $1$c", "x", "y", clean="true", build="true")
    asked = replace(asked, env={**hostile, b"c": b"mine"})
    assert code(started(asked, lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == f"{tmp_path}\nymine\n"


def test_steps_run_in_order_and_clean_may_fail(tmp_path: Path, lock: int) -> None:
    asked = launch(tmp_path, "/bin/sh", "-c", "echo exec", clean="echo clean; exit 4", build="echo build")
    assert code(started(asked, lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == "clean\nbuild\nexec\n"


@pytest.mark.parametrize("how", ["exit 2", "kill -KILL $$"])
def test_a_failing_build_is_told_as_such(tmp_path: Path, lock: int, how: str) -> None:
    ended = code(started(launch(tmp_path, "/bin/false", build=how), lock), tmp_path)
    assert ended == (2 if how == "exit 2" else 137)
    assert (tmp_path / "exit").read_text() == f"{ended} build\n"
    assert (tmp_path / "stderr").read_bytes() == b""  # no "Killed" of a shell


def test_the_exec_takes_the_place_of_the_steps(tmp_path: Path, lock: int) -> None:
    pid = started(launch(tmp_path, "/bin/sh", "-c", "echo $$", build="true"), lock)
    assert code(pid, tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == f"{pid}\n"


def test_without_an_exec_it_ends_well(tmp_path: Path, lock: int) -> None:
    assert code(started(launch(tmp_path), lock), tmp_path) == 0
    (tmp_path / "more").mkdir()
    assert code(started(launch(tmp_path / "more", build="true"), lock), tmp_path / "more") == 0


@pytest.mark.parametrize("name", ["-n", "a b\n", "$(x)", "*", "한글"])
def test_odd_working_directories_are_entered(tmp_path: Path, lock: int, name: str) -> None:
    (tmp_path / name).mkdir()
    asked = launch(tmp_path, "/bin/pwd", cwd=str(tmp_path / name))
    assert code(started(asked, lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == f"{tmp_path / name}\n"


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path, lock: int) -> None:
    assert code(started(launch(tmp_path, "/bin/true", cwd="/no/where"), lock), tmp_path) == 126
    assert b"/no/where: No such file" in (tmp_path / "stderr").read_bytes()
    outcome = read_outcome(str(tmp_path / "exit"))
    assert outcome is not None
    assert outcome.reason == "cannot enter the working directory"


@pytest.mark.parametrize("there", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_output_that_cannot_be_opened_is_told(tmp_path: Path, lock: int, there: object) -> None:
    assert callable(there)
    there(tmp_path / "stderr")
    assert code(started(launch(tmp_path, "/bin/true"), lock), tmp_path) == 126
    outcome = read_outcome(str(tmp_path / "exit"))
    assert outcome is not None
    assert outcome.reason == "cannot open its output files"


def test_output_is_appended(tmp_path: Path, lock: int) -> None:
    (tmp_path / "stdout").write_text("before\n")
    assert code(started(launch(tmp_path, "/bin/echo", "after"), lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == "before\nafter\n"


def test_its_streams_block_as_those_of_a_shell_do(tmp_path: Path, lock: int) -> None:
    text = "import os; print([os.get_blocking(fd) for fd in range(3)])"
    assert code(started(launch(tmp_path, "python3", "-c", text), lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == "[True, True, True]\n"


@pytest.mark.parametrize("word", ["nothere", "/no/such/program", "./nothere"])
def test_a_missing_program_is_127(tmp_path: Path, lock: int, word: str) -> None:
    assert code(started(launch(tmp_path, word), lock), tmp_path) == 127
    assert word.encode() in (tmp_path / "stderr").read_bytes()


def test_a_program_that_may_not_be_executed_is_126(tmp_path: Path, lock: int) -> None:
    (tmp_path / "data").write_text("x")
    assert code(started(launch(tmp_path, "./data"), lock), tmp_path) == 126
    assert b"./data: Permission denied" in (tmp_path / "stderr").read_bytes()


def test_a_program_that_is_being_written_is_126(tmp_path: Path, lock: int) -> None:
    with open(tmp_path / "busy", "wb") as file:
        file.write(Path("/bin/true").read_bytes())
        file.flush()
        os.chmod(file.name, 0o755)
        assert code(started(launch(tmp_path, "./busy"), lock), tmp_path) == 126
    assert b"./busy: Text file busy" in (tmp_path / "stderr").read_bytes()


def test_a_text_that_names_no_interpreter_is_one_of_the_shell(tmp_path: Path, lock: int) -> None:
    (tmp_path / "text").write_text("echo $1")
    (tmp_path / "text").chmod(0o755)
    assert code(started(launch(tmp_path, "./text", "mine"), lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == "mine\n"


def test_a_builtin_without_a_program_is_one_of_the_shell(tmp_path: Path, lock: int) -> None:
    assert code(started(launch(tmp_path, "ulimit", "-n"), lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text().strip().isdecimal()


def test_words_are_looked_for_where_the_case_would(tmp_path: Path, lock: int) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "true").write_text("#!/bin/sh\necho mine")
    (tmp_path / "bin" / "true").chmod(0o755)
    asked = replace(launch(tmp_path, "true"), env={b"PATH": b"bin:/bin"})  # below its own directory
    assert code(started(asked, lock), tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == "mine\n"


def test_it_may_make_itself_the_leader_of_its_group_and_is_one(tmp_path: Path, lock: int) -> None:
    text = "import os; os.setpgrp(); assert os.getpgid(0) == os.getpid()"
    assert code(started(launch(tmp_path, "python3", "-c", text), lock), tmp_path) == 0


def test_a_case_has_its_cpus_from_its_first_moment(tmp_path: Path, lock: int) -> None:
    settings, before = Settings({}, [], boot_id(), 0), os.sched_getaffinity(0)
    words = [b"/bin/grep", b"Cpus_allowed_list", b"/proc/self/status"]
    for number, cpu in enumerate(sorted(before) * 10):
        folder = tmp_path / str(number)
        folder.mkdir()
        pid, _, _ = settings.launch(os.fsencode(folder), b"/proc", words, {}, lock, [cpu])
        assert os.sched_getaffinity(0) == before
        assert code(pid, folder) == 0
        assert (folder / "stdout").read_text().split()[1] == str(cpu)
    os.close(settings.null)


def test_the_limit_on_descriptors_is_given_to_the_cases(tmp_path: Path) -> None:
    text = f"""
import os
from tui_sweep.engines.local.keeper import Settings
settings = Settings({{}}, [], "boot", 123)
here = os.open({str(tmp_path / "hold")!r}, os.O_CREAT | os.O_RDWR)
pid, _, _ = settings.launch({os.fsencode(tmp_path)!r}, b"/", [b"/bin/sh", b"-c", b"ulimit -n"], {{}}, here, [])
os.waitpid(pid, 0)
"""
    subprocess.run(["python3", "-c", text], check=True, cwd=Path(keeper.__file__).parents[3])
    assert (tmp_path / "stdout").read_text() == "123\n"


def test_a_claim_is_believed_of_the_very_process_it_names(tmp_path: Path, lock: int) -> None:
    pid = started(launch(tmp_path, "/bin/sleep", "1000"), lock)
    assert pid is not None
    claim = read_claim(str(tmp_path))
    assert claim is not None
    process = look(pid)
    assert process is not None
    assert lives(claim)
    assert not lives(replace(claim, by=process.start - 1))
    assert not lives(replace(claim, boot="another"))
    assert not lives(replace(claim, pid=2**22))
    assert not lives(Claim(0, 0, "", 0.0))
    os.killpg(pid, signal.SIGKILL)
    wait_until(lambda: not lives(claim))  # a zombie is not alive
    assert look(pid) is not None
    code(pid, tmp_path)


def test_what_a_case_wrote_into_its_exit_file_does_not_count(tmp_path: Path, lock: int) -> None:
    asked = launch(tmp_path, "/bin/sh", "-c", "echo 0 and more than that >exit; exit 3")
    assert code(started(asked, lock), tmp_path) == 3
    assert (tmp_path / "exit").read_text() == "3\n"


@pytest.mark.parametrize("claim", [True, False], ids=["claim", "no claim"])
@pytest.mark.parametrize("there", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_in_the_place_of_an_exit_file_stops_nobody(
    tmp_path: Path, there: object, claim: bool
) -> None:
    assert callable(there)
    there(tmp_path / "exit")
    if claim:
        (tmp_path / "claim").write_text("1 2 boot\n")
    keeper.keep(os.fsencode(tmp_path), 3)
    outcome = read_outcome(str(tmp_path / "exit"))
    assert (outcome is not None) == (there is os.mkfifo)


@pytest.mark.parametrize("name", ["claim", "exit"])
@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_file_that_a_case_made_a_link_leads_nowhere(tmp_path: Path, name: str, link: object) -> None:
    assert callable(link)
    (tmp_path / "precious").write_text("0\n")
    link(tmp_path / "precious", tmp_path / name)
    assert keeper.keep(os.fsencode(tmp_path), 3)
    assert (tmp_path / "precious").read_text() == "0\n"
    assert (tmp_path / "exit").read_text() == "3\n"
    assert not (tmp_path / "exit").is_symlink()


def test_a_claim_that_cannot_be_opened_does_not_become_the_exit_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "claim")
    assert keeper.keep(os.fsencode(tmp_path), 3)
    assert (tmp_path / "exit").read_text() == "3\n"


def test_an_exit_file_that_leads_to_a_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "claim").write_text("1 2 boot\n")
    (tmp_path / "exit").symlink_to("/")
    assert keeper.keep(os.fsencode(tmp_path), 3)
    assert (tmp_path / "exit").read_text() == "3\n"


def test_a_keeper_killed_while_it_writes_an_end_leaves_no_claim_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claim").write_text("1234 99999 boot".ljust(79) + "\n")

    def killed(fd: int, size: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "ftruncate", killed)
    with pytest.raises(KeyboardInterrupt):
        keeper.keep(os.fsencode(tmp_path), 137)
    claim = read_claim(str(tmp_path))
    assert claim is not None
    assert claim.pid == 0


def test_an_attempt_that_has_ended_is_not_started_again(tmp_path: Path, lock: int) -> None:
    assert code(started(launch(tmp_path, "/bin/echo", "once"), lock), tmp_path) == 0
    assert started(launch(tmp_path, "/bin/echo", "twice"), lock) is None
    assert (tmp_path / "stdout").read_text() == "once\n"
    assert not (tmp_path / "claim").exists()


@pytest.mark.parametrize("text", ["", "3", "x\n", "-1\n", "\n", "\xff\n"])
def test_an_exit_file_that_is_not_complete_is_none(tmp_path: Path, text: str) -> None:
    assert read_outcome(str(tmp_path / "exit")) is None
    (tmp_path / "exit").write_text(text, encoding="latin-1")
    assert read_outcome(str(tmp_path / "exit")) is None


@pytest.mark.parametrize(
    ("code", "step", "reason"),
    [(0, "exec", None), (1, "exec", "exit 1"), (137, "exec", "SIGKILL"), (255, "exec", "exit 255"),
     (2, "build", "build: exit 2"), (139, "build", "build: SIGSEGV")],
)  # fmt: skip
def test_reasons_are_short_causes(code: int, step: str, reason: str | None) -> None:
    assert Outcome(code, step, 0.0).reason == reason


@pytest.mark.parametrize("text", ["", "12", "12 3\n", "x 3 y\n", "12 3 a b\n", " " * 79, "\xff\xfe\n"])
def test_a_claim_that_was_never_written_names_no_process(tmp_path: Path, text: str) -> None:
    assert read_claim(str(tmp_path)) is None
    (tmp_path / "claim").write_text(text, encoding="latin-1")
    claim = read_claim(str(tmp_path))
    assert claim is not None
    assert claim.pid == 0


def test_errors_of_the_start_are_told_in_words_and_leave_no_claim(tmp_path: Path, lock: int) -> None:
    with pytest.raises(EngineDenied, match="exec with 195 KiB"):
        started(launch(tmp_path, "x" * 200_000), lock)
    with pytest.raises(EngineDenied, match="exec holds a character"):
        started(launch(tmp_path, "a\0b"), lock)
    with pytest.raises(EngineDenied, match="build holds a character"):
        started(launch(tmp_path, "x", build="\ud800"), lock)
    assert "variable BAD" in str(refusal(replace(launch(tmp_path), env={b"BAD": b"\0"}), UNFIT))
    assert "is the disk full" in str(refusal(launch(tmp_path), UNWRITABLE))
    assert read_claim(str(tmp_path)) is None


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOSPC])
def test_a_machine_that_is_full_is_busy_and_not_a_refusal(tmp_path: Path, number: int) -> None:
    busy = refusal(launch(tmp_path, "x"), number)
    assert isinstance(busy, EngineBusy)
    assert busy.retry_after > 0
    assert os.strerror(number) in str(busy)
    assert isinstance(refusal(launch(tmp_path, "x"), errno.ENOENT), EngineDenied)


def test_the_text_of_the_steps_is_of_builtins_only() -> None:
    assert subprocess.run(["/bin/sh", "-n"], input=keeper.STEPS.encode(), check=True).returncode == 0
    words = {line.split()[0] for line in keeper.STEPS.splitlines() if line.split()}
    assert not words & {"mkdir", "mv", "cat", "env", "sleep", "kill"}
