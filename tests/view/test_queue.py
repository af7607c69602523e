"""The queue as a value: bars, who waits, what frees next."""

from tests.folders import EPOCH, make_folder
from tui_sweep.core.slots import Slots
from tui_sweep.view.follow import Follower
from tui_sweep.view.queue import queue


def test_capacity_is_shown_per_slot_with_units(tmp_path):
    seen = queue(Follower(make_folder(tmp_path, ["running"])), EPOCH + 100)
    assert [(bar.slot, bar.used, bar.total, bar.fraction) for bar in seen.bars] == [
        ("cpu", "2", "2", 1.0),
        ("mem", "512 MiB", "24 GiB", 536870912 / 25769803776),
    ]


def test_the_first_that_waits_says_why(tmp_path):
    refusal = {"dispatch": {"refusal": "needs cpu 1; 0 of 2 free; #0 holds 2"}}
    folder = make_folder(tmp_path, ["running", "waiting", "waiting"], facts=refusal, slots=Slots({"cpu": 1}))
    seen = queue(Follower(folder), EPOCH + 100)
    assert seen.waiting == 2
    assert [one.case for one in seen.first] == [1, 2]
    assert seen.sentence == "#1: not sent yet: needs cpu 1; 0 of 2 free; #0 holds 2"
    assert seen.needs == "cpu 1"


def test_limits_and_notes_of_the_engine_are_told_and_made_harmless(tmp_path):
    engine = {
        "limits": {"sessions at once": 3, "cpu": "8"},
        "notes": ["live\x1b[2J"],
        "trouble": "/out cannot be written: No space left on device",
    }
    seen = queue(Follower(make_folder(tmp_path, ["running"], facts={"engine": engine})), EPOCH + 100)
    assert seen.limits == "sessions at once 3, cpu 8"
    assert seen.notes[1:] == ("/out cannot be written: No space left on device",)
    assert "\x1b" not in seen.notes[0]


def test_nothing_waits_is_said(tmp_path):
    seen = queue(Follower(make_folder(tmp_path, ["running", "done"])), EPOCH + 100)
    assert (seen.waiting, seen.sentence) == (0, "Nothing waits.")


def test_what_frees_next_is_what_ran_longest_and_nothing_is_foretold_from_too_few(tmp_path):
    folder = make_folder(tmp_path, ["done", "done", "running", "running", "waiting"])
    seen = queue(Follower(folder), EPOCH + 100)
    assert [(one.case, one.ran, one.left) for one in seen.next] == [(2, 88.0, None), (3, 87.0, None)]


def test_the_typical_time_foretells_the_end(tmp_path):
    folder = make_folder(tmp_path, ["done", "done", "done", "running"])
    seen = queue(Follower(folder), EPOCH + 18)
    assert seen.typical == 10.0
    assert [(one.case, one.ran, one.left) for one in seen.next] == [(3, 5.0, 5.0)]


def test_figures_that_are_none_are_left_out(tmp_path):
    engine = {
        "reachable": False,
        "error": "no answer",
        "capacity": {"cpu": {"total": "NaN?", "used": "x"}, "mem": {}},
    }
    seen = queue(Follower(make_folder(tmp_path, ["running"], facts={"engine": engine})), EPOCH)
    assert seen.bars == ()
    assert not seen.reachable
    assert seen.server == "no answer"


def test_a_million_waiting_cases_are_not_looked_at(tmp_path):
    folder = make_folder(tmp_path, ["waiting"] * 200_000)
    assert [one.case for one in queue(Follower(folder), EPOCH, limit=3).first] == [0, 1, 2]
