"""The local engine: the contract, and what is particular to processes of this machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines.conftest import is_alive
from tests.engines.contract import Bench, EngineContract, follow, run, start, until
from tui_sweep.core.errors import EngineDenied
from tui_sweep.core.slots import Slots
from tui_sweep.core.states import Event
from tui_sweep.engines import local
from tui_sweep.engines.local.orphans import Orphans

SUBMITTER = """
import asyncio, sys
from pathlib import Path
from tests.engines.contract import Bench, start
from tui_sweep.engines import local
from tui_sweep.engines.local.orphans import Orphans
bench = Bench(local, "sh", Path(sys.argv[1]))
async def main():
    async with bench.engine() as engine:
        for case, command in enumerate(sys.argv[2:]):
            await start(engine, bench.spec(command, case=case))
        print("submitted", flush=True)
        await asyncio.sleep(1000)
asyncio.run(main())
"""


class TestLocal(EngineContract):
    module = local


def submitter(bench: Bench, *commands: str) -> None:
    """Submit from another process, which is then killed."""
    with subprocess.Popen(
        [sys.executable, "-c", SUBMITTER, str(bench.root), *commands],
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"submitted\n"
        process.kill()


def test_a_submitter_that_is_killed_leaves_a_session_to_follow(bench: Bench) -> None:
    gate = bench.root / "gate"
    submitter(bench, f"while [ ! -e {gate} ]; do sleep 0.05; done; echo hello; exit 4", "exit 5")

    async def main() -> None:
        async with bench.engine() as engine:
            first, second = bench.spec(case=0), bench.spec(case=1)
            assert await engine.live() == [first.name]
            found = await engine.find([first, second])
            assert (found[first.name].event, found[second.name].exit_code) == (Event.STARTED, 5)
            gate.touch()
            assert (await follow(engine, first))[-1].exit_code == 4
            assert (await follow(engine, second))[-1].exit_code == 5
            assert first.sink.stdout.read_bytes() == b"hello\n"

    asyncio.run(main())


def test_an_adopted_session_is_cancelled_with_all_it_left(bench: Bench) -> None:
    submitter(bench, "setsid sleep 1000 & sleep 1000 & trap '' TERM; while :; do sleep 0.1; done")

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec()
            await engine.cancel(spec.name, grace=0.3)  # known from the ledger alone
            end = (await follow(engine, spec))[-1]
            assert (end.event, end.reason) == (Event.ERRED, "SIGKILL")

    asyncio.run(main())


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("KILL", 137), ("SEGV", 139), ("INT", 130)])
def test_a_signal_is_told_by_its_name(bench: Bench, name: str, code: int) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            (end,) = await run(engine, bench.spec(f"kill -{name} $$"))
            assert (end.event, end.exit_code, end.reason) == (Event.ERRED, code, f"SIG{name}")

    asyncio.run(main())
    assert bench.spec().sink.stderr.read_bytes() == b""  # no "Killed" of a shell


def test_a_long_output_without_a_newline_is_kept_whole(bench: Bench) -> None:
    text = "head -c 100000000 /dev/zero | tr '\\0' x"

    async def main() -> None:
        async with bench.engine() as engine:
            assert (await run(engine, bench.spec(text)))[0].exit_code == 0

    asyncio.run(main())
    with bench.spec().sink.stdout.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == hashlib.sha256(b"x" * 100_000_000).hexdigest()


def test_a_line_of_a_python_case_is_seen_while_it_runs(bench: Bench) -> None:
    bench.ask(image="python", code="print('a line')\nimport time\ntime.sleep(1000)")
    assert "PYTHONUNBUFFERED" not in os.environ

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec()
            began = time.monotonic()
            await start(engine, spec)
            await until(lambda: spec.sink.stdout.exists() and spec.sink.stdout.read_bytes() == b"a line\n")
            assert time.monotonic() - began < 1.0
            await engine.cancel(spec.name, grace=1)
            assert (await follow(engine, spec))[-1].reason == "SIGTERM"

    asyncio.run(main())


def test_stdin_is_empty(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            assert (await run(engine, bench.spec("read x || echo empty")))[0].exit_code == 0

    asyncio.run(main())
    assert bench.spec().sink.stdout.read_bytes() == b"empty\n"


def test_credentials_and_settings_stay_out_and_the_launching_shell_comes_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.environ |= {"VIRTUAL_ENV": "/venv", "LC_ALL": "C"}
    bench.environ.pop("LANG", None)
    setting = bench.setting()
    monkeypatch.setattr(bench, "setting", lambda: setting)
    hidden = {"BACKEND_SECRET_KEY": "s", "SORNA_X": "s", "SWEEP_TUI_STATE": "s", "LANG": "runner's"}
    for name, value in {**hidden, "MINE": "kept", "VIRTUAL_ENV": "runner's"}.items():
        monkeypatch.setenv(name, value)

    async def main() -> None:
        async with bench.engine() as engine:
            await run(engine, bench.spec("/usr/bin/env", env={"OMP_NUM_THREADS": "7"}))

    asyncio.run(main())
    sink = bench.spec().sink
    seen = dict(line.split("=", 1) for line in sink.stdout.read_text().splitlines() if "=" in line)
    assert not hidden.keys() & seen.keys()
    assert (seen["MINE"], seen["VIRTUAL_ENV"], seen["LC_ALL"]) == ("kept", "/venv", "C")
    assert (seen["OMP_NUM_THREADS"], seen["MKL_NUM_THREADS"]) == ("7", "1")
    assert seen["SWEEP_DIR"] == str(sink.folder)
    assert not [name for name in seen if name.startswith("_sweep")]


def test_a_variable_that_no_shell_could_have_arrives_all_the_same(bench: Bench) -> None:
    bench.ask(image="python", code="import os; print(os.environ['foo.bar'], os.environ['-x'])")

    async def main() -> None:
        async with bench.engine() as engine:
            await run(engine, bench.spec(env={"foo.bar": "1", "-x": "2"}))

    asyncio.run(main())
    assert bench.spec().sink.stdout.read_bytes() == b"1 2\n"


def test_cases_inherit_no_descriptor_but_their_own(bench: Bench, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "somebody's lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(fd, True)

    async def main() -> None:
        async with bench.engine() as engine:
            await run(engine, bench.spec("/bin/ls /proc/self/fd"))

    asyncio.run(main())
    os.close(fd)
    assert bench.spec().sink.stdout.read_text().split() == ["0", "1", "2", "3", "9"]  # 3 is ls's own


def test_an_argument_that_is_too_large_is_denied_in_words(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("true; # " + "x" * 200_000)
            with pytest.raises(EngineDenied, match=r"too large for Linux.*exec with 195 KiB"):
                await start(engine, spec)
            spec = bench.spec("true", env={"BIG": "x" * 200_000})
            with pytest.raises(EngineDenied, match="variable BIG"):
                await start(engine, spec)
            with pytest.raises(EngineDenied, match="variable NUL holds a character"):
                await start(engine, bench.spec("true", env={"NUL": "a\0b"}))
            assert (await engine.facts()).capacity["cpu"]["used"] == "0"
            assert (await run(engine, bench.spec("true")))[0].exit_code == 0

    asyncio.run(main())


def test_a_working_directory_that_is_gone_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = bench.setting()
    setting = replace(setting, place={**setting.place, "cwd": str(bench.root / "-gone dir")})
    monkeypatch.setattr(bench, "setting", lambda: setting)

    async def main() -> None:
        async with bench.engine() as engine:
            (end,) = await run(engine, bench.spec("true"))
            assert (end.event, end.exit_code) == (Event.ERRED, 126)
            assert end.reason == "cannot enter the working directory"

    asyncio.run(main())
    assert b"-gone dir" in bench.spec().sink.stderr.read_bytes()


def test_a_folder_that_cannot_be_written_is_told(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("true")
            spec.sink.folder.rmdir()
            with pytest.raises(EngineDenied, match="cannot write to"):
                await start(engine, spec)
            assert (await engine.facts()).capacity["cpu"]["used"] == "0"

    asyncio.run(main())


def snapshot(bench: Bench, **files: str) -> None:
    """FILES of the sweep, by name."""
    for name, text in files.items():
        path = bench.root / "files" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names = [
        str(p.relative_to(bench.root / "files")) for p in (bench.root / "files").rglob("*") if p.is_file()
    ]
    bench.ask(files=tuple(sorted(names)))


def test_each_case_works_in_a_copy_of_its_own_with_modes_and_links(bench: Bench) -> None:
    snapshot(bench, run_dot_sh="echo $1 >> mine; cat mine sub/data link; pwd", sub__data="data\n")
    files = bench.root / "files"
    (files / "run.sh").chmod(0o755)
    (files / "link").symlink_to("sub/data")
    files.chmod(0o555)

    async def main() -> None:
        async with bench.engine() as engine:
            await run(engine, *(bench.spec(f"sh run.sh {case}", case=case) for case in range(3)))

    asyncio.run(main())
    files.chmod(0o755)
    for case in range(3):
        work = bench.spec(case=case).sink.folder / "work"
        assert bench.spec(case=case).sink.stdout.read_text() == f"{case}\ndata\ndata\n{work}\n"
        assert stat.S_IMODE((work / "run.sh").stat().st_mode) == 0o755
        assert (work / "link").is_symlink()
    assert not (files / "mine").exists()


def test_a_snapshot_that_is_gone_is_denied(bench: Bench) -> None:
    bench.ask(files=("main.sh",))

    async def main() -> None:
        async with bench.engine() as engine:
            with pytest.raises(EngineDenied, match="snapshot of FILES is gone"):
                await start(engine, bench.spec())

    asyncio.run(main())


def test_a_failing_build_ends_the_case_with_its_code(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = replace(
                bench.spec("echo never"), clean="echo clean; false", build="echo build >&2; exit 2"
            )
            (end,) = await run(engine, spec)
            assert (end.event, end.exit_code, end.reason) == (Event.ERRED, 2, "build: exit 2")
            assert spec.sink.stdout.read_bytes() == b"clean\n"
            assert spec.sink.stderr.read_bytes() == b"build\n"
            assert (await engine.find([spec]))[spec.name].reason == "build: exit 2"

    asyncio.run(main())


def test_star_builds_with_make_as_if_no_make_had_started_the_runner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setenv("MAKEFLAGS", " -j2 --jobserver-auth=3,4")
    snapshot(bench, Makefile="all:\n\t@echo made > made\n", main_dot_sh="cat made")

    async def main() -> None:
        async with bench.engine() as engine:
            assert (await run(engine, bench.spec()))[0].exit_code == 0

    asyncio.run(main())
    assert bench.spec().sink.stdout.read_bytes() == b"made\n"


def test_star_without_a_main_file_fails_with_127_and_a_sentence(bench: Bench) -> None:
    snapshot(bench, other_dot_py="")
    bench.ask(image="python")

    async def main() -> None:
        async with bench.engine() as engine:
            (end,) = await run(engine, bench.spec())
            assert (end.exit_code, end.reason) == (127, "exit 127")

    asyncio.run(main())
    assert b"no main.py" in bench.spec().sink.stderr.read_bytes()


def test_star_without_files_runs_nothing(bench: Bench) -> None:
    (bench.root / "main.sh").write_text("echo wrong")

    async def main() -> None:
        async with bench.engine() as engine:
            assert (await run(engine, bench.spec()))[0].exit_code == 0

    asyncio.run(main())
    assert bench.spec().sink.stdout.read_bytes() == b""


def test_whole_cpus_are_pinned_and_told_to_thread_pools(bench: Bench) -> None:
    bench.ask(slots=Slots({"cpu": 1}))
    text = "grep Cpus_allowed_list /proc/self/status; echo $OMP_NUM_THREADS"

    async def main() -> None:
        async with bench.engine() as engine:
            await run(engine, bench.spec(text))

    asyncio.run(main())
    cpus, threads = bench.spec().sink.stdout.read_text().splitlines()
    assert int(cpus.split()[1]) in os.sched_getaffinity(0)
    assert threads == "1"


def test_a_request_that_does_not_fit_waits_with_a_sentence(bench: Bench) -> None:
    total = len(os.sched_getaffinity(0))
    bench.ask(slots=Slots({"cpu": total}))

    async def main() -> None:
        async with bench.engine() as engine:
            first, second = bench.spec("sleep 1000", case=3), bench.spec("true", case=4)
            await start(engine, first)
            refusal = engine.admit(second)
            assert refusal is not None
            assert refusal.reason == f"needs cpu {total}; 0 of {total} free; #3 holds {total}"
            waiting = asyncio.ensure_future(engine.room())
            await asyncio.sleep(0)
            assert not waiting.done()
            await engine.cancel(first.name, grace=5)
            await follow(engine, first)
            await asyncio.wait_for(waiting, 1)
            assert (await run(engine, second))[0].exit_code == 0

    asyncio.run(main())


def test_a_forged_claim_never_makes_us_kill(bench: Bench) -> None:
    spec = bench.spec("true")
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as victim:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (spec.sink.folder / "claim").write_text(f"{victim.pid} 1 {boot}\n")

        async def main() -> None:
            async with bench.engine() as engine:
                assert (await engine.find([spec]))[spec.name].event is Event.VANISHED
                await engine.submit(spec)
                end = await follow(engine, spec)
                assert end[-1].event is Event.VANISHED
                await engine.cancel(spec.name, grace=0)

        asyncio.run(main())
        assert is_alive(victim.pid)
        victim.kill()


def test_a_claim_of_another_boot_is_not_looked_for(bench: Bench) -> None:
    spec = bench.spec("true")
    (spec.sink.folder / "claim").write_text(f"{os.getpid()} 1 another-boot\n")

    async def main() -> None:
        async with bench.engine() as engine:
            assert (await follow(engine, spec))[-1].event is Event.VANISHED

    asyncio.run(main())


def test_signals_that_the_runner_ignores_are_at_their_defaults_in_cases(bench: Bench) -> None:
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def main() -> None:
        async with bench.engine() as engine:
            await run(engine, bench.spec("grep -E 'SigIgn|SigBlk' /proc/self/status"))

    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGHUP, old)
    values = [int(line.split()[1], 16) for line in bench.spec().sink.stdout.read_text().splitlines()]
    assert [value & 0x7FFFFFFF for value in values] == [0, 0]  # 32 and 33 are glibc's own


@pytest.mark.parametrize("missing", ["pidfd_open", "children"])
def test_an_older_kernel_does_as_well(bench: Bench, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    if missing == "pidfd_open":
        monkeypatch.delattr(os, "pidfd_open")
    else:
        monkeypatch.setattr(Orphans, "open", lambda self: None)
    bench.ask(grace=0.2)

    async def main() -> None:
        async with bench.engine() as engine:
            ended, left = bench.spec("exit 3"), bench.spec("setsid sleep 1000 &", case=1)
            running = bench.spec("sleep 1000", case=2)
            assert [end.exit_code for end in await run(engine, ended, left)] == [3, 0]
            await start(engine, running)
        async with bench.engine() as other:
            await other.cancel(running.name, grace=5)
            assert (await follow(other, running))[-1].reason == "SIGTERM"

    asyncio.run(main())


def test_two_submits_at_once_under_one_name_start_one(bench: Bench) -> None:
    snapshot(bench, main_dot_sh="echo once")

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec()
            assert engine.admit(spec) is None
            await asyncio.gather(*(engine.submit(spec) for _ in range(5)))
            assert (await follow(engine, spec))[-1].exit_code == 0
            assert (await engine.facts()).capacity["cpu"]["used"] == "0"

    asyncio.run(main())
    assert bench.spec().sink.stdout.read_bytes() == b"once\n"


def test_pipes_in_the_place_of_its_small_files_stop_nobody(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            text = "cd $SWEEP_DIR; rm claim; mkfifo claim exit; exit 3"
            assert (await run(engine, bench.spec(text)))[0].exit_code == 3

    asyncio.run(main())


def test_an_exit_code_that_could_not_be_written_is_known_from_the_process(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("mkdir $SWEEP_DIR/exit; exit 5")
            (end,) = await run(engine, spec)
            assert (end.event, end.exit_code) == (Event.ERRED, 5)

    asyncio.run(main())


def test_a_copy_of_a_running_sweep_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy = Bench(local, "sh", tmp_path / "copy", bench.sweep_id)

    async def main() -> None:
        async with bench.engine() as engine, copy.engine() as other:
            mine, its = bench.spec("sleep 1000"), copy.spec("sleep 1000")
            its = replace(its, name="another-name-0")  # names are the ledger's, ids are not
            await start(engine, mine)
            await start(other, its)
            await other.cancel(its.name, grace=1)
            await follow(other, its)
            assert (await engine.find([mine]))[mine.name].event is Event.STARTED
            assert await engine.live() == [mine.name]
            await engine.cancel(mine.name, grace=1)
            await follow(engine, mine)

    asyncio.run(main())
