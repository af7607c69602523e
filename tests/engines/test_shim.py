"""The shim's text, and the files that it leaves."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tui_sweep.core.errors import EngineBusy, EngineDenied
from tui_sweep.engines.local import shim
from tui_sweep.engines.local.shim import Launch, Outcome, is_another, is_shim, read_claim, read_outcome
from tui_sweep.engines.local.spawner import UNFIT, Settings


@pytest.fixture
def lock(tmp_path: Path) -> int:
    return os.open(tmp_path / "hold", os.O_CREAT | os.O_RDWR)


def launch(folder: Path, *command: str, **changes: str) -> Launch:
    path = str(folder)
    values: dict[str, str] = {"clean": "", "build": "", "cwd": path, "shell": "/bin/sh", **changes}
    return Launch(
        "ab12cd34-0",
        path,
        f"{path}/stdout",
        f"{path}/stderr",
        f"{path}/exit",
        command=command,
        env={},
        base={b"PATH": os.environ["PATH"].encode()},
        **values,
    )  # type: ignore[arg-type, unused-ignore]


def spawn(launch: Launch, hold: int) -> int:
    """As the spawner starts it."""
    settings = Settings(shim.SHIM.encode(), dict(launch.base), shim.CAUGHT)
    pids = []

    async def ask(words: list[bytes], env: dict[bytes, bytes]) -> int:
        pid, wrong = settings.launch(words, env, hold, [])
        pids.append(pid)
        return wrong

    try:
        assert asyncio.run(shim.spawn(launch, ask))
    finally:
        os.close(settings.null)
    return pids[0]


def code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_claim_names_its_process_and_exit_its_code(tmp_path: Path, lock: int) -> None:
    pid = spawn(launch(tmp_path, "/bin/sh", "-c", "exit 3"), lock)
    assert code(pid) == 3
    claim = read_claim(str(tmp_path))
    assert claim is not None
    assert (claim.pid, claim.boot) == (pid, shim.boot_id())
    assert (tmp_path / "exit").read_text() == "3\n"


def test_of_many_starts_one_runs_and_the_others_touch_nothing(tmp_path: Path, lock: int) -> None:
    pids = [spawn(launch(tmp_path, "/bin/sh", "-c", "echo once"), lock) for _ in range(12)]
    assert sorted(code(pid) for pid in pids) == [0] + [shim.CLAIMED] * 11
    assert (tmp_path / "stdout").read_text() == "once\n"
    before = (tmp_path / "exit").stat().st_mtime_ns
    assert code(spawn(launch(tmp_path, "/bin/false"), lock)) == shim.CLAIMED
    assert (tmp_path / "exit").stat().st_mtime_ns == before


def test_an_inherited_environment_cannot_mislead_it(tmp_path: Path, lock: int) -> None:
    hostile = {
        b"IFS": b"0123456789/",
        b"CDPATH": b"/",
        b"_sweep_k": b"1",
        b"_sweep_t": b"9",
        b"ENV": b"/nowhere",
    }
    asked = launch(tmp_path, "/bin/sh", "-c", "pwd; echo $1$c", "x", "y")
    asked = Launch(
        **{
            **{name: getattr(asked, name) for name in asked.__slots__},
            "env": {**asked.env, **hostile, b"c": b"mine"},
        }
    )
    assert code(spawn(asked, lock)) == 0
    assert (tmp_path / "stdout").read_text() == f"{tmp_path}\nymine\n"


def test_steps_run_in_order_and_clean_may_fail(tmp_path: Path, lock: int) -> None:
    asked = launch(tmp_path, "/bin/sh", "-c", "echo exec", clean="echo clean; exit 4", build="echo build")
    assert code(spawn(asked, lock)) == 0
    assert (tmp_path / "stdout").read_text() == "clean\nbuild\nexec\n"


def test_a_failing_build_is_told_as_such(tmp_path: Path, lock: int) -> None:
    assert code(spawn(launch(tmp_path, "/bin/false", build="exit 2"), lock)) == 2
    assert (tmp_path / "exit").read_text() == "2 build\n"


@pytest.mark.parametrize("name", ["-n", "a b\n", "$(x)", "*", "한글"])
def test_odd_working_directories_are_entered(tmp_path: Path, lock: int, name: str) -> None:
    (tmp_path / name).mkdir()
    assert code(spawn(launch(tmp_path, "/bin/pwd", cwd=str(tmp_path / name)), lock)) == 0
    assert (tmp_path / "stdout").read_text() == f"{tmp_path / name}\n"


def test_output_that_cannot_be_opened_is_told(tmp_path: Path, lock: int) -> None:
    (tmp_path / "stderr").mkdir()
    assert code(spawn(launch(tmp_path, "/bin/true"), lock)) == 126
    outcome = read_outcome(str(tmp_path / "exit"))
    assert outcome is not None
    assert outcome.reason == "cannot open its output files"


def test_output_is_appended(tmp_path: Path, lock: int) -> None:
    (tmp_path / "stdout").write_text("before\n")
    assert code(spawn(launch(tmp_path, "/bin/echo", "after"), lock)) == 0
    assert (tmp_path / "stdout").read_text() == "before\nafter\n"


def test_a_missing_program_is_127(tmp_path: Path, lock: int) -> None:
    assert code(spawn(launch(tmp_path, "nothere"), lock)) == 127
    assert b"nothere" in (tmp_path / "stderr").read_bytes()


def test_the_limit_on_descriptors_is_given_back(tmp_path: Path, lock: int) -> None:
    assert code(spawn(launch(tmp_path, "/bin/sh", "-c", "ulimit -n", open_files="123"), lock)) == 0
    assert (tmp_path / "stdout").read_text() == "123\n"


def test_only_the_shim_of_that_attempt_is_one(tmp_path: Path, lock: int) -> None:
    pid = spawn(launch(tmp_path, "/bin/sleep", "1000"), lock)
    wait_until(lambda: read_claim(str(tmp_path)))
    assert is_shim(pid, str(tmp_path))
    assert not is_shim(pid, f"{tmp_path}x")
    assert not is_shim(os.getpid(), str(tmp_path))
    assert not is_shim(2**22, str(tmp_path))
    assert not is_another(pid, str(tmp_path))
    assert is_another(pid, f"{tmp_path}x")
    assert is_another(os.getpid(), str(tmp_path))
    os.killpg(pid, 9)
    wait_until(lambda: not is_shim(pid, str(tmp_path)))  # a zombie is not alive
    assert not is_another(pid, str(tmp_path))  # but nobody else has its number
    code(pid)


@pytest.mark.parametrize("text", ["", "3", "x\n", "-1\n", "\n", "\xff\n"])
def test_an_exit_file_that_is_not_complete_is_none(tmp_path: Path, text: str) -> None:
    assert read_outcome(str(tmp_path / "exit")) is None
    (tmp_path / "exit").write_text(text, encoding="latin-1")
    assert read_outcome(str(tmp_path / "exit")) is None


@pytest.mark.parametrize(
    ("code", "step", "reason"),
    [(0, "exec", None), (1, "exec", "exit 1"), (137, "exec", "SIGKILL"), (255, "exec", "exit 255"),
     (2, "build", "build: exit 2"), (139, "build", "build: SIGSEGV"), (143, "stopped", "SIGTERM")],
)  # fmt: skip
def test_reasons_are_short_causes(code: int, step: str, reason: str | None) -> None:
    assert Outcome(code, step, 0.0).reason == reason


@pytest.mark.parametrize("text", ["", "12", "x y\n", "12 a b\n", "\xff\xfe\n"])
def test_a_claim_that_was_never_written_names_no_process(tmp_path: Path, text: str) -> None:
    assert read_claim(str(tmp_path)) is None
    (tmp_path / "claim").write_text(text, encoding="latin-1")
    claim = read_claim(str(tmp_path))
    assert claim is not None
    assert claim.pid == 0


def test_errors_of_the_start_are_told_in_words(tmp_path: Path, lock: int) -> None:
    with pytest.raises(EngineDenied, match="exec with 195 KiB"):
        spawn(launch(tmp_path, "x" * 200_000), lock)
    with pytest.raises(EngineDenied, match="exec holds a character"):
        spawn(launch(tmp_path, "a\0b"), lock)
    with pytest.raises(EngineDenied, match="build holds a character"):
        spawn(launch(tmp_path, "x", build="\ud800"), lock)
    assert "variable BAD" in str(shim.refusal(replace(launch(tmp_path), env={b"BAD": b"\0"}), UNFIT))


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOSPC])
def test_a_machine_that_is_full_is_busy_and_not_a_refusal(tmp_path: Path, number: int) -> None:
    busy = shim.refusal(launch(tmp_path, "x"), number)
    assert isinstance(busy, EngineBusy)
    assert busy.retry_after > 0
    assert os.strerror(number) in str(busy)
    assert isinstance(shim.refusal(launch(tmp_path, "x"), errno.ENOENT), EngineDenied)


def test_the_text_is_of_builtins_only() -> None:
    assert subprocess.run(["/bin/sh", "-n"], input=shim.SHIM.encode(), check=True).returncode == 0
    words = {line.split()[0] for line in shim.SHIM.splitlines() if line.split()}
    assert not words & {"mkdir", "mv", "cat", "env", "sleep", "kill"}
