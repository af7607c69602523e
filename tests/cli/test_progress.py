"""The last line of a headless run on a terminal."""

import unicodedata

import pytest

from tests.folders import EPOCH, make_folder
from tests.terminal import Terminal
from tui_sweep.cli.progress import Progress
from tui_sweep.core.cases import CaseTable
from tui_sweep.core.states import Event
from tui_sweep.store.sweeps import load

WAITS = 'until test -e go$$X; do sleep 0.05; done; echo "end of $$X"'


@pytest.fixture
def progress(tmp_path, monkeypatch):
    """The line of a sweep of ten that began at EPOCH; ``ascii_only`` as given."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    folder = make_folder(tmp_path, ["waiting"] * 10)

    def make(**how):
        monkeypatch.setattr("time.time", lambda: EPOCH)
        return Progress(folder, load(folder), **how)

    return make


def test_it_says_what_is_done_gone_and_left(progress):
    line, table = progress(), CaseTable(10)
    for index in range(3):
        at = EPOCH + 10 * index
        for event, late in ((Event.LAUNCH, 0), (Event.STARTED, 0), (Event.SUCCEEDED, 10)):
            table.move(index, event, at + late, exit_code=0 if late else None)
            line.changed(table, index, at + late)
    table.move(3, Event.LAUNCH, EPOCH + 30)
    table.move(3, Event.STARTED, EPOCH + 32)
    line.changed(table, 3, EPOCH + 32)
    assert line.bar(EPOCH + 33) == (
        "[⣿⣿⣿⣿⣿⣿..............] 3/10  waiting 6  running 1  done 3  33s gone  ~1:07 left"
    )
    assert "left" not in line.bar(EPOCH + 200)


def test_it_takes_ascii_where_that_is_all_there_is(progress, monkeypatch):
    assert progress(ascii_only=True).bar(EPOCH + 1).isascii()
    monkeypatch.setenv("LC_ALL", "C")
    assert progress().bar(EPOCH + 1).isascii()


def test_nothing_on_it_takes_two_cells_in_a_cjk_terminal(progress):
    line, table = progress(), CaseTable(10)
    for event in (Event.LAUNCH, Event.STARTED, Event.SUCCEEDED):
        table.move(0, event, EPOCH, exit_code=0)
        line.changed(table, 0, EPOCH)
    assert {unicodedata.east_asian_width(character) for character in line.bar(EPOCH + 1)} <= {"N", "Na"}


def test_it_stays_below_the_lines_and_goes_with_the_run(tmp_path):
    options = ("--range", "X=case:a,b,c", "-e", "X=$X", "-r", "cpu=0.1", "--exec", WAITS)
    with_terminal = Terminal("run", "--headless", *options, "sh", cwd=tmp_path)
    try:
        with_terminal.see("] 0/3", "running 3", "gone")
        (tmp_path / "gob").touch()
        with_terminal.see("#1 done", "end of b", "] 1/3", "running 2")
        for name in "ac":
            (tmp_path / f"go{name}").touch()
        with_terminal.see("3 done in", gone=["] 2/3", "] 3/3"])
        assert with_terminal.end() == 0
        assert with_terminal.raw.rfind(b"\x1b[?25h") > with_terminal.raw.rfind(b"\x1b[?25l")  # the cursor
    finally:
        with_terminal.close()
