"""What the form's words would start: the parsing of `run`, without running."""

import os
import threading
import time

import pytest

from tui_sweep.cli.draft import FIRST, checker, preparer
from tui_sweep.config import read_settings
from tui_sweep.core.errors import UsageError


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return read_settings(environ=os.environ, cwd=tmp_path, options={})


@pytest.fixture
def check(settings):
    one = checker(settings)
    return lambda *words: one(words, lambda: False)


def test_a_good_command_line_gives_its_count_and_its_first_cases(check):
    told = check(
        "--exec", "echo $x $y", "--range", "x=case:a,b", "--range", "y=range:50", "-r", "cpu=2", "python"
    )
    assert told.error is None
    assert (told.count, told.merged, told.engine) == (100, 0, "local")
    assert told.sizes == (("x", 2), ("y", 50))
    assert len(told.rows) == FIRST
    assert told.rows[1] == {"x": "a", "y": "1"}
    assert told.slots.record() == {"cpu": "2"}


def test_equal_cases_are_counted(check):
    told = check("--exec", "echo $x", "--range", "x=case:a,a,b", "python")
    assert (told.count, told.merged) == (2, 1)


def test_secrets_are_masked(check):
    told = check("--exec", "echo", "-e", "API_KEY=$k", "--range", "k=case:abc,def", "python")
    assert "abc" not in repr(told)


@pytest.mark.parametrize(
    ("words", "said", "text"),
    [
        (["--exec", "echo $x", "--range", "x=range:a", "python"], "--range: range: stop is", "x=range:a"),
        (["--exec", "echo $y", "python"], "--exec: there is no variable y", "echo $y"),
        (["python"], "nothing to run", None),
        (["--exec", "true", ""], "IMAGE: ", None),
        (["--exec", "true", "-r", "mem=x", "python"], "-r mem: a size", "mem=x"),
        (["--exec", "true", "--max-parallel", "0", "python"], "--max-parallel: a whole", "0"),
        (["--exec", "true", "--engine", "nowhere", "python"], "--engine: there is none", "nowhere"),
        (["--exec", "true", "python", "nofile"], "FILES: No such file", "nofile"),
        (["--exec", "true", "python", "--foo"], "--foo: there is no such option", "--foo"),
        (["--exec", "true", "python", "--retries"], "--retries: ", None),
        (["--exec", "true", "python", "--type", "x"], "--type: ", None),
        (["--exec", "$x", "--range", "x=range:20000000", "python"], "20,000,000 cases: ", None),
        (
            ["--exec", "$x", "--range", "x=lines:/dev/stdin", "python"],
            "--range: lines: a regular",
            "x=lines:/dev/stdin",
        ),
        (
            ["--exec", "$x", "--range", "x=lines:nofile", "python"],
            "--range: lines: the file cannot",
            "x=lines:nofile",
        ),
    ],
)
def test_an_error_is_a_value_that_says_what_the_command_line_says(check, words, said, text):
    told = check(*words)
    assert isinstance(told.error, UsageError)
    assert told.error.message.startswith(said)
    assert told.error.text == text
    assert told.count is None


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_no_option_prints_anything_or_leaves(check, option, capsys):
    assert check("--exec", "true", "python", option).error is not None
    assert capsys.readouterr() == ("", "")


def test_with_an_error_the_ranges_that_can_be_read_are_told_all_the_same(check):
    assert check("--range", "x=range:3", "--range", "y=range:z", "python").sizes == (("x", 3),)


def test_nothing_is_created(check, home, tmp_path):
    before = sorted(home.rglob("*")), sorted(tmp_path.rglob("*"))
    check("--exec", "echo $x", "--range", "x=range:3", "python")
    assert (sorted(home.rglob("*")), sorted(tmp_path.rglob("*"))) == before


def test_a_million_cases_take_no_longer_than_ten(check):
    words = ["--exec", "echo $x $y", "--range", "x=range:1000", "--range", "y=range:1000", "python"]
    check(*words)
    began = time.perf_counter()
    assert check(*words).count == 1_000_000
    assert time.perf_counter() - began < 0.1  # 4 ms


MERGING = ["--exec", "echo $x$y", "--range", "x=range:3000", "--range", "y=range:3000", "python"]


def test_a_search_that_takes_long_is_given_up_with_a_sentence(check):
    began = time.perf_counter()
    told = check(*MERGING)
    assert time.perf_counter() - began < 10  # the whole search takes 40 s
    assert (told.count, told.error) == (None, None)
    assert told.sizes == (("x", 3000), ("y", 3000))
    assert "it is done at the start" in told.notices[0]


def test_a_search_ends_when_nobody_waits_for_it_any_more(settings):
    asked = threading.Event()
    stop = threading.Event()

    def stopped():
        asked.set()
        return stop.is_set()

    thread = threading.Thread(target=checker(settings), args=(MERGING, stopped))
    began = time.perf_counter()
    thread.start()
    assert asked.wait(10)
    stop.set()
    thread.join(10)
    assert time.perf_counter() - began < 1.4


def test_the_engine_adds_its_notices_and_its_errors(settings, check):
    prepare = preparer(settings, os.environ)
    words = ["--exec", "echo", "bash"]
    assert any("image itself is not used" in notice for notice in prepare(words, check(*words)).notices)
    words = ["--exec", "echo", "-r", "cpu=100000", "bash"]
    assert "this machine has" in str(prepare(words, check(*words)).error)
    words = ["--exec", "echo", "no-such-runtime"]
    assert prepare(words, check(*words)).error.text == "no-such-runtime"
