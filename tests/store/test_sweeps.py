"""Folders of sweeps: whole or not there, found by whatever a user calls them."""

import json
import os
import stat

import pytest

from tui_sweep.core.errors import JournalError, UsageError
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.slots import Slots
from tui_sweep.core.sweep import Halt, Sweep
from tui_sweep.store import sweeps
from tui_sweep.store.layout import StateDir, is_id, new_id


def make(state, name=None, **asked):
    sweep = Sweep(image="python", engine="local", name=name, exec="true", **asked)
    return sweeps.create(state, sweep, {"cwd": "/"}, cases=1, merged=0, snapshot=lambda folder: None)


def test_ids_are_eight_of_letters_and_digits_and_differ():
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_id(one) and one[0].isalpha() for one in ids)


def test_a_sweep_comes_back_as_it_was_asked_for(tmp_path):
    asked = Sweep(
        image="lablup/python:3.6",
        engine="local",
        name="mnist",
        code=None,
        files=("main.py",),
        env=(("LR", "$LR"), ("TEXT", "ünï\n\x1b[31m")),
        exec="python main.py",
        env_ranges=(parse_range("LR=linspace:0,1,5"),),
        zips=(("A", "B"),),
        slots=Slots({"cpu": "0.5", "mem": 1 << 28}),
        max_parallel=3,
        timeout=30.0,
        halt=Halt("soon", 3, percent=True),
        options={"tag": "x"},
    )
    folder = sweeps.create(
        StateDir(tmp_path), asked, {"cwd": "/x"}, cases=5, merged=2, snapshot=lambda folder: None
    )
    record = sweeps.load(folder)
    assert record.sweep.record() == asked.record()
    assert record.sweep.digest == asked.digest
    assert (record.cases, record.merged, record.place) == (5, 2, {"cwd": "/x"})


def test_nobody_else_may_look_into_a_sweep(tmp_path):
    folder = make(StateDir(tmp_path / "state"))
    assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(folder.sweep_json).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "state" / "sweeps").st_mode) == 0o700


def test_a_snapshot_that_fails_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "half").write_text("x")
        raise UsageError("gone")

    sweep = Sweep(image="python", engine="local", files=("a",))
    with pytest.raises(UsageError):
        sweeps.create(StateDir(tmp_path), sweep, {}, cases=1, merged=0, snapshot=fail)
    assert list((tmp_path / "sweeps").iterdir()) == []


def test_a_state_directory_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(JournalError, match="--state-dir") as caught:
        make(StateDir(tmp_path / "file"))
    assert caught.value.exit_code == 4


def test_a_sweep_is_found_by_id_prefix_name_or_at(tmp_path):
    state = StateDir(tmp_path)
    first, second = make(state, "mnist"), make(state, "cifar")
    assert sweeps.find(state, first.id) == first
    assert sweeps.find(state, "cifar") == second
    assert sweeps.find(state, "@") == second
    shortest = next(n for n in range(1, 9) if first.id[:n] != second.id[:n])
    assert sweeps.find(state, first.id[:shortest]) == first


def test_two_sweeps_of_one_name_are_an_error_that_lists_the_ids(tmp_path):
    state = StateDir(tmp_path)
    both = [make(state, "mnist"), make(state, "mnist")]
    with pytest.raises(UsageError) as caught:
        sweeps.find(state, "mnist")
    assert all(folder.id in str(caught.value) for folder in both)


@pytest.mark.parametrize("called", ["nothing", "", "..", "/", "\x1b[31m", "a" * 300])
def test_what_is_no_sweep_is_a_usage_error(tmp_path, called):
    state = StateDir(tmp_path)
    make(state)
    with pytest.raises(UsageError):
        sweeps.find(state, called)


def test_without_any_sweep_the_error_says_how_to_start_one(tmp_path):
    with pytest.raises(UsageError, match="sweep-tui run"):
        sweeps.find(StateDir(tmp_path), "@")


def test_a_broken_sweep_does_not_hide_the_others(tmp_path):
    state = StateDir(tmp_path)
    good, bad = make(state), make(state)
    bad.database.write_bytes(b"")
    (state.sweeps / "a0000000").mkdir()
    assert [folder for folder, _ in sweeps.newest_first(state)] == [good]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"v": 99}', "\0"])
def test_a_sweep_json_that_is_none_is_an_error_that_names_it(tmp_path, content):
    folder = make(StateDir(tmp_path))
    folder.sweep_json.write_text(content)
    with pytest.raises(JournalError, match=r"sweep\.json"):
        sweeps.load(folder)


def test_removing_leaves_nothing(tmp_path):
    state = StateDir(tmp_path)
    folder = make(state)
    sweeps.remove(folder)
    assert list(state.sweeps.iterdir()) == []


def test_the_values_of_a_file_range_are_kept_with_the_sweep(tmp_path):
    (tmp_path / "values.txt").write_text("a,b\nc\n")
    values = parse_range(f"V=lines:{tmp_path}/values.txt")
    made = make(StateDir(tmp_path), env=(("V", "$V"),), env_ranges=(values,))
    (tmp_path / "values.txt").unlink()
    kept = sweeps.load(made).sweep.env_ranges[0]
    assert [kept[0], kept[1]] == ["a,b", "c"]
    assert json.loads(made.sweep_json.read_text())["v"] == 1
