"""Slots shared by runners that know nothing of each other but a folder."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import wait_until
from tests.engines.contract import Bench, Folder, follow, start, until
from tui_sweep.core.errors import EngineDenied
from tui_sweep.core.session import SessionSpec
from tui_sweep.core.slots import Slots
from tui_sweep.engines import local
from tui_sweep.engines.local import place
from tui_sweep.engines.local.capacity import Capacity
from tui_sweep.engines.local.ledger import Ledger, file_name
from tui_sweep.engines.local.locks import is_locked
from tui_sweep.engines.local.turns import Hold, Ticket, may_pass, used, why_not

EIGHT = Capacity(Slots({"cpu": 8, "mem": 1 << 30}), tuple(range(8)), ("0", "1"))


def spec(name: str, cpu: str | int = 1, case: int = 0, **slots: int) -> SessionSpec:
    folder = Folder(Path("/nowhere") / name)
    names = {key.replace("_", "."): amount for key, amount in slots.items()}
    return SessionSpec(name, case, 0, {}, "*", "*", "*", Slots({"cpu": cpu, **names}), folder)


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def joined(where: Path, sweep: str, capacity: Capacity = EIGHT) -> Ledger:
    ledger = Ledger(sweep, capacity, lambda: where)
    ledger.open()
    return ledger


@pytest.fixture
def two(where: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """Two runners' views of one ledger."""
    one, other = joined(where, "aaaa"), joined(where, "bbbb")
    yield one, other
    one.close()
    other.close()


Two = tuple[Ledger, Ledger]


def reason(ledger: Ledger, asked: SessionSpec) -> str:
    refusal = ledger.take(asked)
    assert refusal is not None
    return refusal.reason


def test_what_one_takes_the_other_has_not(two: Two) -> None:
    one, other = two
    assert one.take(spec("aaaa-3", 5, case=3)) is None
    assert one.take(spec("aaaa-7", 2, case=7)) is None
    assert other.take(spec("bbbb-0", 1)) is None
    assert reason(one, spec("aaaa-8", 2)) == "needs cpu 2; 0 of 8 free; #3 and #7 hold 7; sweep bbbb holds 1"
    other.release("bbbb-0")
    assert one.take(spec("aaaa-8", 1)) is None


def test_cpus_are_handed_out_by_number_and_fractions_float(two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 3))
    other.take(spec("bbbb-0", "0.5"))
    other.take(spec("bbbb-1", 2))
    numbers = [hold.cpus for hold in one.holds()]
    assert sorted(numbers, key=len) == [(), (3, 4), (0, 1, 2)]
    assert one.taken()["cpu"] == Slots({"cpu": "5.5"})["cpu"]


def test_gpus_are_handed_out_by_name(where: Path) -> None:
    capacity = Capacity(Slots({"cpu": 8, "cuda.device": 2}), tuple(range(8)), ("0", "1"))
    ledger = joined(where, "aaaa", capacity)
    for case, gpu in ((0, "0"), (1, "1")):
        assert ledger.take(spec(f"aaaa-{case}", cuda_device=1)) is None
        hold = ledger.hold(f"aaaa-{case}")
        assert hold is not None
        assert hold.gpus == (gpu,)
    assert reason(ledger, spec("aaaa-2", cuda_device=1)).startswith("needs cuda.device 1; 0 of 2 free")
    ledger.close()


def test_a_hold_without_a_process_is_stale(where: Path, two: Two) -> None:
    one, _ = two
    (where / "held" / "cccc-0").write_bytes(
        Hold("cccc-0", "cccc", 0, "", Slots({"cpu": 8}), (), (), 1).record()
    )
    (where / "tickets" / "1-1-cccc").write_bytes(Ticket("cccc", Slots({"cpu": 8}), 1).record())
    assert one.holds() == []
    assert one.tickets() == []
    assert list((where / "held").iterdir()) == list((where / "tickets").iterdir()) == []
    assert one.take(spec("aaaa-0", 8)) is None


def test_files_that_hold_anything_are_survived(where: Path, two: Two) -> None:
    one, _ = two
    texts = [b"", b"[]", b'{"slots": {"cpu": "x"}}', b"\xff\0", b'{"name": 1}', b"[" * 100_000]
    for number, text in enumerate(texts):
        for folder in ("held", "tickets"):
            path = where / folder / f"{number}"
            path.write_bytes(text)
            fd = os.open(path, os.O_RDWR)
            one._fds[f"test-{folder}-{number}"] = fd
            fcntl.flock(fd, fcntl.LOCK_EX)
    assert len(one.holds()) == len(one.tickets()) == len(texts)
    assert one.take(spec("aaaa-0", 1)) is None


def test_an_older_ticket_is_not_overtaken_when_that_would_delay_it(two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 6))
    assert other.take(spec("bbbb-0", 8)) is not None  # waits for all
    why = reason(one, spec("aaaa-1", 1))
    assert why == "needs cpu 1; 2 of 8 free; sweep bbbb waits for it since earlier"
    one.release("aaaa-0")
    assert one.take(spec("aaaa-1", 1)) is not None
    assert other.take(spec("bbbb-0", 8)) is None


def test_a_younger_request_passes_where_the_oldest_loses_nothing(two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 6))
    assert other.take(spec("bbbb-0", 5)) is not None
    assert one.take(spec("aaaa-1", 2)) is None  # 5 + 2 still fit when #0 has ended
    one.release("aaaa-0")
    assert other.take(spec("bbbb-0", 5)) is None


def test_two_sweeps_take_turns(two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 8))
    order = []
    running, number = (one, "aaaa-0"), 0
    assert other.take(spec("bbbb-0", 8)) is not None
    assert one.take(spec("aaaa-1", 8)) is not None
    for _ in range(6):
        running[0].release(running[1])
        for ledger, sweep in ((one, "aaaa"), (other, "bbbb")):
            number += 1
            name = f"{sweep}-{number}"
            if ledger.take(spec(name, 8)) is None:
                running = ledger, name
                order.append(sweep)
                assert ledger.take(spec(f"{sweep}-next", 8)) is not None
    assert order == ["bbbb", "aaaa"] * 3


def test_a_ticket_ends_with_its_runner(two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 6))
    assert other.take(spec("bbbb-0", 8)) is not None
    assert other.is_queued()
    other.close()
    assert one.take(spec("aaaa-1", 1)) is None


def test_a_stopped_runner_inside_a_decision_stops_nobody(where: Path, two: Two) -> None:
    one, _ = two
    script = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'r+b'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('has it', flush=True); time.sleep(1000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(where / "mutex")], stdout=subprocess.PIPE
    ) as stopped:
        assert stopped.stdout is not None
        stopped.stdout.readline()
        began = time.monotonic()
        assert "just now" in reason(one, spec("aaaa-0"))
        assert time.monotonic() - began < 0.5
        stopped.kill()
    assert one.take(spec("aaaa-0")) is None


def test_a_place_that_was_taken_away_is_made_again_with_our_holds(where: Path, two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 6))
    shutil.rmtree(where)  # logind: the last login of the user ended
    third = joined(where, "cccc")
    assert third.take(spec("cccc-0", 8)) is None  # nobody has looked yet
    third.release("cccc-0")
    assert one.take(spec("aaaa-1", 1)) is None
    assert is_locked(one.path("aaaa-0"))
    assert reason(third, spec("cccc-1", 2)) == "needs cpu 2; 1 of 8 free; sweep aaaa holds 7"
    assert other.take(spec("bbbb-0", 1)) is None
    one.release("aaaa-0")
    assert third.take(spec("cccc-1", 2)) is None
    third.close()


def test_names_that_are_no_file_names_are_hashed() -> None:
    assert file_name("ab12cd34-0.1") == "ab12cd34-0.1"
    for name in ("../x", "a/b", "", ".", "..", ".hidden", "x" * 300, "ü\udcff"):
        assert file_name(name).startswith("h-")


def test_a_place_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(EngineDenied, match="not a folder of yours"):
        place.make(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(EngineDenied, match="cannot keep the ledger"):
        place.make(tmp_path / "file")
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    place.make(tmp_path / "open")
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o700


def test_a_runtime_directory_that_is_missing_is_passed_over(tmp_path: Path) -> None:
    assert place.place({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "sweep-tui"
    for wrong in (str(tmp_path / "gone"), "relative", ""):
        assert place.place({"XDG_RUNTIME_DIR": wrong}) == place.place({})


def test_without_a_runtime_directory_the_ledger_is_in_memory_where_all_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_is_ours", lambda folder, uid: False)
    name = f"sweep-tui-{os.getuid()}"
    (tmp_path / "closed").mkdir(mode=0o755)
    for no_memory in ("gone", "closed", "."):  # missing, not for everybody, not a file system of its own
        monkeypatch.setattr(place, "_MEMORY", tmp_path / no_memory)
        assert place.place({}) == Path("/tmp") / name
    if os.path.ismount("/dev/shm"):
        monkeypatch.setattr(place, "_MEMORY", Path("/dev/shm"))
        assert place.place({}) == Path("/dev/shm") / name


HOLDS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 20)), max_size=8)


@given(holds=HOLDS, request=st.integers(1, 8), oldest=st.integers(1, 8), since=st.integers(0, 20))
def test_the_oldest_could_always_start_when_what_was_before_it_has_ended(
    holds: list[tuple[int, int]], request: int, oldest: int, since: int
) -> None:
    listed = [Hold(str(i), "s", i, "", Slots({"cpu": n}), (), (), at) for i, (n, at) in enumerate(holds)]
    ticket = Ticket("t", Slots({"cpu": oldest}), since)
    later = [hold for hold in listed if hold.since > since]
    if may_pass(Slots({"cpu": request}), ticket, listed, EIGHT):
        assert used(later, EIGHT)["cpu"] + request + oldest <= 8


def test_a_pinned_hold_counts_by_its_cpus() -> None:
    outside = Hold("x", "s", 0, "", Slots({"cpu": 2}), (8, 9), (), 1)
    half = Hold("y", "s", 0, "", Slots({"cpu": 2}), (7, 8), (), 1)
    assert used([outside, half], EIGHT)["cpu"] == 1


def test_many_holders_are_summed_up_in_words() -> None:
    holds = [Hold(str(i), "s", i, "", Slots({"cpu": 1}), (i,), (), 1) for i in range(8)]
    assert why_not(Slots({"cpu": 1}), "s", holds, EIGHT.slots, used(holds, EIGHT), None) == (
        "needs cpu 1; 0 of 8 free; #0, #1 and 6 more hold 8"
    )
    memory = Slots({"mem": 1 << 30, "cpu": 1})
    hold = Hold("x", "s", 3, "", Slots({"mem": 256 << 20}), (), (), 1)
    assert (
        why_not(memory, "s", [hold], EIGHT.slots, used([hold], EIGHT), None)
        == "needs mem 1 GiB; 768 MiB of 1 GiB free; #3 holds 256 MiB"
    )


COMPETITOR = """
import asyncio, sys, time
from pathlib import Path
from tests.engines.contract import Bench, follow, start
from tui_sweep.core.slots import Slots
from tui_sweep.engines import local
root, sweep, cpu, count, text = sys.argv[1:]
bench = Bench(local, "sh", Path(root), sweep).ask(slots=Slots({"cpu": cpu}), grace=1.0)
async def one(engine, spec):
    async for _ in engine.follow(spec): pass
async def main():
    async with bench.engine() as engine:
        print("open", flush=True); sys.stdin.readline()
        async with asyncio.TaskGroup() as group:
            for case in range(int(count)):
                spec = bench.spec(text, case=case)
                while engine.admit(spec) is not None:
                    await engine.room()
                await engine.submit(spec)
                group.create_task(one(engine, spec))
asyncio.run(main())
"""


def competitor(root: Path, sweep: str, cpu: int | str, count: int, text: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMPETITOR, str(root), sweep, str(cpu), str(count), text],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    return process


def go(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()


def test_two_runners_never_hold_more_than_there_is_and_both_come_forward(tmp_path: Path) -> None:
    total = len(os.sched_getaffinity(0))
    text = f"echo $SWEEP_ID + >> {tmp_path}/log; sleep 0.03; echo $SWEEP_ID - >> {tmp_path}/log"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        competitor(tmp_path / "a", "aaaaaaaa", 1, 20, text) as one,
        competitor(tmp_path / "b", "bbbbbbbb", 1, 20, text) as other,
    ):
        go(one, other)
        assert one.wait(40) == other.wait(40) == 0
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    now = most = 0
    for _, sign in lines:
        now += 1 if sign == "+" else -1
        most = max(most, now)
    assert most <= total
    starts = [sweep for sweep, sign in lines if sign == "+"]
    assert len(starts) == 40
    first_of_b, last_of_a = starts.index("bbbbbbbb"), 39 - starts[::-1].index("aaaaaaaa")
    assert first_of_b < 15  # they took turns: neither waited for the other to be done
    assert last_of_a > 25 or starts.index("aaaaaaaa") > 5


def test_a_large_request_is_not_starved_by_small_ones(tmp_path: Path) -> None:
    total = len(os.sched_getaffinity(0))
    for name in "ab":
        (tmp_path / name).mkdir()
    small = f"echo small >> {tmp_path}/log; sleep 0.05"
    with (
        competitor(tmp_path / "a", "aaaaaaaa", "0.5", 80, small) as one,
        competitor(tmp_path / "b", "bbbbbbbb", total, 1, f"echo large >> {tmp_path}/log") as other,
    ):
        go(one)
        wait_until((tmp_path / "log").exists)
        go(other)
        assert one.wait(40) == other.wait(40) == 0
    lines = (tmp_path / "log").read_text().split()
    assert lines.index("large") < 40


def test_slots_are_freed_by_the_death_of_the_case_and_not_of_the_runner(bench: Bench, tmp_path: Path) -> None:
    total = len(os.sched_getaffinity(0))
    gate = tmp_path / "gate"
    (tmp_path / "a").mkdir()
    with competitor(
        tmp_path / "a",
        "aaaaaaaa",
        total,
        1,
        f"echo > {tmp_path}/on; while [ ! -e {gate} ]; do sleep 0.02; done",
    ) as one:
        go(one)
        wait_until((tmp_path / "on").exists)
        one.send_signal(signal.SIGKILL)
    bench.ask(slots=Slots({"cpu": total}))

    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("true")
            refusal = engine.admit(spec)
            assert refusal is not None
            assert refusal.reason.endswith(f"sweep aaaaaaaa holds {total}")
            gate.touch()
            async with asyncio.timeout(5):
                await engine.room()
            await start(engine, spec)
            await follow(engine, spec)

    asyncio.run(main())


def test_a_ticket_that_nobody_uses_lapses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["tui_sweep.engines.local.engine"], "_TICK", 0.05)
    monkeypatch.setattr(sys.modules["tui_sweep.engines.local.ledger"], "RETRY_AFTER", -0.9)
    total = len(os.sched_getaffinity(0))
    bench.ask(slots=Slots({"cpu": total}))

    async def main() -> None:
        async with bench.engine() as engine:
            first = bench.spec("sleep 1000")
            await start(engine, first)
            assert engine.admit(bench.spec("true", case=1)) is not None
            waiting = (await engine.facts()).waiting
            assert [one["session"] for one in waiting] == ["ab12cd34"]
            async with asyncio.timeout(5):
                while (await engine.facts()).waiting:
                    await asyncio.sleep(0.01)
            await engine.cancel(first.name, grace=1)
            await follow(engine, first)

    asyncio.run(main())


def test_survey_tells_what_all_sweeps_hold(bench: Bench) -> None:
    async def main() -> None:
        before = await local.survey(environ=os.environ)
        assert before.capacity["cpu"]["used"] == "0"
        bench.ask(slots=Slots({"cpu": 1}))
        async with bench.engine() as engine:
            spec = bench.spec("sleep 1000")
            await start(engine, spec)
            assert (await local.survey(environ=os.environ)).capacity["cpu"]["used"] == "1"
            assert (await engine.facts()).capacity["cpu"]["used"] == "1"
            await engine.cancel(spec.name, grace=1)
            await follow(engine, spec)
            assert (await local.survey(environ=os.environ)).capacity["cpu"]["used"] == "0"

    asyncio.run(main())


def test_a_hold_says_whose_it_is(bench: Bench) -> None:
    async def main() -> None:
        async with bench.engine() as engine:
            spec = bench.spec("sleep 1000", case=5, attempt=2)
            await start(engine, spec)
            held = Path(os.environ["XDG_RUNTIME_DIR"]) / "sweep-tui" / "held" / spec.name
            record = json.loads(held.read_bytes())
            assert (record["sweep"], record["case"], record["folder"]) == (
                "ab12cd34",
                5,
                str(spec.sink.folder),
            )
            await engine.cancel(spec.name, grace=1)
            await follow(engine, spec)
            await until(lambda: not held.exists())

    asyncio.run(main())


def test_files_of_ended_holds_serve_the_next_ones_and_none_is_left(where: Path, two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 1))
    inode = (where / "held" / "aaaa-0").stat().st_ino
    one.release("aaaa-0")
    assert os.listdir(where / "held") == []
    one.take(spec("aaaa-1", 1))
    assert (where / "held" / "aaaa-1").stat().st_ino == inode
    assert json.loads((where / "held" / "aaaa-1").read_bytes())["name"] == "aaaa-1"
    assert [hold.name for hold in other.holds()] == ["aaaa-1"]
    one.release("aaaa-1")
    one.close()
    assert os.listdir(where / "spare") == []


def test_a_file_that_is_still_locked_is_not_used_again(where: Path, two: Two) -> None:
    one, _ = two
    one.take(spec("aaaa-0", 1))
    kept = os.dup(one.fd("aaaa-0") or -1)
    one.release("aaaa-0")
    assert os.listdir(where / "spare") == []
    one.take(spec("aaaa-1", 1))
    assert (where / "held" / "aaaa-1").stat().st_ino != os.fstat(kept).st_ino
    os.close(kept)


def test_spares_that_are_gone_or_were_left_are_no_trouble(where: Path, two: Two) -> None:
    one, other = two
    one.take(spec("aaaa-0", 1))
    one.release("aaaa-0")
    (where / "spare" / "somebody's").touch()
    other.close()
    other.open()
    assert os.listdir(where / "spare") == []
    assert one.take(spec("aaaa-1", 1)) is None
