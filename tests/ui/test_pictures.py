"""Pictures of every screen from frozen values, cell by cell: `make pictures` makes them anew after a look."""

import pytest

from tests.folders import EPOCH, make_folder
from tests.ui.home_window import NOW, Window, make, tell
from tui_sweep.config import read_settings
from tui_sweep.store.layout import StateDir
from tui_sweep.ui.app import Outside, SweepApp
from tui_sweep.view.follow import Follower

SIZES = [(80, 24), (120, 40), (200, 60)]
STATES = [
    "done",
    "done",
    "failed",
    "done",
    "running",
    "failed",
    "cancelled",
    "starting",
    "pending",
    "held",
    "timeout",
    "lost",
    "running",
    "waiting",
    "waiting",
    "waiting",
    "waiting",
    "waiting",
]
LOG = (
    b"".join(b"epoch %d/30 loss %.3f acc %.3f\n" % (i, 1 / (i + 1), 1 - 1 / (i + 2)) for i in range(30))
    + "끝 🎉 \x1b[32mgreen\x1b[0m [/oops]\n".encode()
)


class Alive(Follower):
    """A sweep that seems to have a runner."""

    runner = 4711


@pytest.fixture
def app(tmp_path):
    """The board of a sweep with a case in every state."""
    dispatch = {
        "holding": False,
        "halted": False,
        "max_parallel": 4,
        "refusal": "needs cpu 1; 0 of 2 free; #4 and #12 hold 2",
    }
    folder = make_folder(
        tmp_path,
        STATES,
        variables={"LR": "case:0.1,0.03,0.01", "BS": "case:64,128,256", "TAG": "case:데이터,b"},
        outputs={4: LOG, 2: b"epoch 1\nRuntimeError: CUDA out of memory\n", 12: b"50%\r100%"},
        facts={"dispatch": dispatch},
        max_parallel=4,
        name="mnist-lr",
    )
    outside = Outside(
        lambda folder: None, find=Follower, start_sweep=lambda words: "", clock=lambda: EPOCH + 300
    )
    return SweepApp(outside, sweep=Alive(folder))


@pytest.mark.parametrize("size", SIZES)
def test_board(snap_compare, app, size):
    assert snap_compare(app, terminal_size=size, press=["j"] * 4)


@pytest.mark.parametrize("size", [(80, 24)])
def test_log_zoomed(snap_compare, app, size):
    assert snap_compare(app, terminal_size=size, press=[*["j"] * 4, "2", "z"])


def test_queue_zoomed(snap_compare, app):
    assert snap_compare(app, terminal_size=(80, 24), press=["3"])


def test_small(snap_compare, app):
    assert snap_compare(app, terminal_size=(50, 12))


def test_tiny(snap_compare, app):
    assert snap_compare(app, terminal_size=(20, 5))


@pytest.mark.parametrize("size", SIZES)
def test_question(snap_compare, app, size):
    assert snap_compare(app, terminal_size=size, press=["asterisk", "x"])


@pytest.mark.parametrize("size", SIZES)
def test_leaving(snap_compare, app, size):
    assert snap_compare(app, terminal_size=size, press=["q"])


@pytest.mark.parametrize("size", SIZES)
def test_help(snap_compare, app, size):
    assert snap_compare(app, terminal_size=size, press=["question_mark"])


def test_typing_a_filter(snap_compare, app):
    assert snap_compare(app, terminal_size=(80, 24), press=["slash", *"BS>64 state:run"])


def test_nothing_matches_the_filter(snap_compare, app):
    assert snap_compare(app, terminal_size=(80, 24), press=["slash", *"LR=7", "enter"])


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """Home with three sweeps whose ids and ages are fixed, and the facts of an engine that is half full."""
    ids = iter(["a1111111", "b2222222", "c3333333"])
    monkeypatch.setattr("tui_sweep.store.sweeps.new_id", lambda: next(ids))
    state = StateDir(tmp_path)
    for age, (name, counts) in enumerate(
        [
            ("mnist-lr", {"done": 3, "failed": 1}),
            ("데이터", {"done": 1, "running": 2, "waiting": 1}),
            (None, {"waiting": 4}),
        ]
    ):
        folder = make(state, name, counts=counts)
        about = {"id": folder.id, "name": name, "engine": "local", "cases": 4, "merged": 0}
        tell(folder, sweep={**about, "started": NOW - 4000 * (3 - age)})
    settings = read_settings(environ={"SWEEP_TUI_STATE": str(tmp_path)}, cwd=tmp_path, options={})
    return Window(state, settings)


@pytest.mark.parametrize("size", SIZES)
def test_home(snap_compare, at_home, size):
    assert snap_compare(at_home, terminal_size=size)
