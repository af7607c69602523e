from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.slots import Slots
from tui_sweep.core.sweep import Halt, Sweep

FULL = Sweep(
    image="lablup/python:3.6",
    engine="backendai",
    name="night",
    files=("train.py", "data/a b.csv"),
    env=(("LR", "$lr"), ("A", "1"), ("LR", "$lr$x")),
    clean="rm -rf $x",
    build="make $b",
    exec="python train.py --seed $s",
    ranges=(parse_range("lr=logspace:-4,-1,4"), parse_range("x=case:a,,é")),
    env_ranges=(parse_range("e=range:3"),),
    build_ranges=(parse_range("b=linspace:0,1,3"),),
    exec_ranges=(parse_range("s=range:0,1,0.25"), parse_range("t=geomspace:1,8,4")),
    zips=(("s", "t"),),
    slots=Slots({"cpu": 2, "mem": 1 << 30, "cuda.shares": "0.5"}),
    max_parallel=3,
    retries=2,
    retry_delay=0.5,
    timeout=90.0,
    max_wait=3600.0,
    halt=Halt("soon", 10, percent=True),
    keep=True,
    grace=3.0,
    type="interactive",
    options={"tag": "x", "mount": ["a", "b"], "priority": 3},
)


def through_json(sweep: Sweep) -> Sweep:
    return Sweep.restore(json.loads(json.dumps(sweep.record())))


@pytest.mark.parametrize(
    "sweep", [FULL, Sweep(image="python", engine="local", code="print(1)")], ids=["full", "plain"]
)
def test_a_sweep_comes_back_from_its_record(sweep):
    back = through_json(sweep)
    assert back == sweep
    assert back.digest == sweep.digest
    assert back.record() == sweep.record()


def test_every_field_is_in_the_record_and_no_default_hides_one():
    assert set(FULL.record()) == {field.name for field in dataclasses.fields(Sweep)}
    plain = Sweep(image="python", engine="local").record()
    same = {name for name, value in FULL.record().items() if value == plain[name]}
    assert same == {"code"}  # It excludes files, build and exec.


def test_the_plan_of_a_restored_sweep_is_the_same_without_the_files_it_was_read_from(tmp_path):
    path = tmp_path / "lines"
    path.write_text("a,b\n\nc\n")
    sweep = Sweep(image="python", engine="local", exec="$X", exec_ranges=(parse_range(f"X=lines:{path}"),))
    path.write_text("other\n")
    assert [case.exec for case in Plan(through_json(sweep))] == ["a,b", "", "c"]


@settings(deadline=None)
@given(st.text(), st.text(), st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_any_text_survives_the_record(code, value, options):
    sweep = Sweep(image="python", engine="local", code=code, env=(("A", value),), options=options)
    assert through_json(sweep) == sweep


def test_bytes_of_a_command_line_that_are_no_text_survive_the_record():
    sweep = Sweep(image="python", engine="local", code=os.fsdecode(b"print('\xff')"))
    assert through_json(sweep) == sweep
    assert len(sweep.digest) == 64


def test_the_digest_is_the_same_in_every_process_and_in_any_order_of_options():
    code = (
        "import sys, json; from tui_sweep.core.sweep import Sweep;"
        "print(Sweep.restore(json.load(sys.stdin)).digest)"
    )
    record = json.dumps(dict(reversed(FULL.record().items())))
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=record,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == FULL.digest
    turned = dataclasses.replace(FULL, options=dict(reversed(FULL.options.items())))
    assert turned.digest == FULL.digest


@pytest.mark.parametrize(
    "change",
    [
        {"exec": "x"},
        {"env": ()},
        {"slots": Slots()},
        {"ranges": ()},
        {"retries": 3},
        {"halt": Halt()},
        {"zips": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_tells_sweeps_apart(change):
    assert dataclasses.replace(FULL, **change).digest != FULL.digest
