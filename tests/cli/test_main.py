"""However the command ends, what the user reads is a line or two, and never a traceback."""

import os
import subprocess
import sys

import pytest

HOSTILE = "--no[/such]\x1b]0;title\x07"


@pytest.mark.parametrize(
    ("words", "says", "shows"),
    [
        (["run", HOSTILE], r"--no[/such]\x1b]0;title\x07", "sweep-tui run -h"),
        (["run"], "Missing argument 'IMAGE'", "sweep-tui run -h"),
        (["export", "@", "--format", "xml"], "'xml' is not one of", "sweep-tui export -h"),
        (["frobnicate"], "frobnicate", "sweep-tui -h"),
    ],
)
def test_words_that_are_none_are_told_in_two_lines(run_cli, words, says, shows):
    done = run_cli(*words)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first.startswith("sweep-tui: ")
    assert says in first
    assert second == f"  {shows} tells what there is"


@pytest.mark.parametrize("words", [["config"], ["plan", "--range", "I=range:9999", "--exec", "$I", "sh"]])
def test_output_that_finds_no_room_is_told_in_a_line(tmp_path, words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tui_sweep", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
    assert done.stderr == "sweep-tui: the output cannot be written: No space left on device\n"
    assert done.returncode == 4


def test_ctrl_c_while_the_program_is_loaded_is_no_traceback(run_cli, tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    done = run_cli("ls", env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("place", "kept"), [("crashes", "The crash file is "), (None, "No crash file could")]
)
def test_our_own_fault_is_told_in_a_line_also_where_nothing_can_be_kept(run_cli, tmp_path, place, kept):
    (tmp_path / "broken").mkdir()
    (tmp_path / "crashes").mkdir()
    keeper = (
        "import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/proc']\n" if place is None else ""
    )
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        f"{keeper}import tui_sweep.config as c\ndef read_settings(**words): raise ZeroDivisionError('oops')\n"
        "c.read_settings = read_settings\n"
    )
    env = {"PYTHONPATH": str(tmp_path / "broken"), "TMPDIR": str(tmp_path / "crashes")}
    done = run_cli("ls", env=os.environ | env)
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert kept in done.stderr
