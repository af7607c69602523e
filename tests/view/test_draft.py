"""A sweep while it is typed: words, command line, and whose fault an error is."""

import shlex
from dataclasses import dataclass, field

import pytest

from tui_sweep.core.errors import EngineError, UsageError
from tui_sweep.core.slots import Slots
from tui_sweep.view.capacity import at_once, capacity, unfit
from tui_sweep.view.draft import Draft

FULL = Draft(
    image=" python ",
    command="python train.py --lr $lr",
    files="train.py 'my conf/'",
    ranges="lr=case:0.1, 0.01 \n\n  \nbs=range:3",
    env="A=1\nB=two words",
    resources="cpu=2   mem=512m",
    max_parallel="3",
    name="mnist",
    engine="local",
    options="--retries 2 --tag 'a b'",
)


def test_the_words_are_those_of_a_command_line():
    assert FULL.words == [
        *("-t", "mnist", "--engine", "local", "-r", "cpu=2", "-r", "mem=512m", "--max-parallel", "3"),
        *("-e", "A=1", "-e", "B=two words", "--range", "lr=case:0.1, 0.01 ", "--range", "bs=range:3"),
        *("--exec", "python train.py --lr $lr", "python", "train.py", "my conf/"),
        *("--retries", "2", "--tag", "a b"),
    ]


def test_the_command_line_is_what_a_shell_reads_back():
    line = Draft(image="python", code="print('a')\nprint(\"$x\")").command_line()
    assert shlex.split(line) == ["sweep-tui", "run", "-c", "print('a')\nprint(\"$x\")", "python"]
    assert shlex.split(FULL.command_line()) == ["sweep-tui", "run", *FULL.words]


def test_on_a_screen_secrets_are_masked_and_nothing_controls_the_terminal():
    draft = Draft(image="python", code="a\nb\x1b[2J", env="API_KEY=abc\nLR=1")
    shown = draft.command_line(masked=True)
    assert "abc" not in shown
    assert "LR=1" in shown
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert "abc" in draft.command_line()


def test_an_image_and_an_engine_alone_are_nothing_yet():
    assert Draft(image="python", engine="local", ranges=" \n").is_empty
    assert not Draft(ranges="x=range:2").is_empty


def test_a_missing_image_stays_a_word_so_that_no_file_takes_its_place():
    assert Draft(files="train.py").words == ["", "train.py"]


def test_a_file_that_looks_like_an_option_is_none():
    assert Draft(image="python", files="-x", options="--retries 1").words == [
        *("--retries", "1", "--", "python", "-x")
    ]


@pytest.mark.parametrize(("text", "first"), [("a 'b c", 2), ("'a' \"b", 4), ("don't", 3), ("a\\", 1)])
def test_an_open_quotation_is_told_where_it_opens(text, first):
    with pytest.raises(UsageError) as caught:
        _ = Draft(image="python", files=text).words
    assert caught.value.span == (first, len(text))
    assert Draft(files=text).field_of(caught.value) == "files"
    with pytest.raises(UsageError) as caught:
        _ = Draft(image="python", options=text).words
    assert Draft(options=text).field_of(caught.value) == "options"


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (UsageError("--range: range: stop is not a number", text="bs=range:3"), "ranges"),
        (UsageError("-e needs NAME=VALUE", text="A=1"), "env"),
        (UsageError("-r mem: a size such as 512m or 2g is needed", text="mem=512m"), "resources"),
        (UsageError("-r mem=512GiB: this machine has 23GiB in all", text="mem=512GiB"), "resources"),
        (UsageError("--max-parallel: a whole number of at least 1 is needed", text="3"), "max_parallel"),
        (UsageError("-t: a name is made of letters", text="mnist"), "name"),
        (UsageError("--exec: there is no variable lr here", text=FULL.command), "command"),
        (UsageError("nothing to run: give a program with -c"), "command"),
        (UsageError("-c and FILES exclude each other; drop one", text="train.py"), "files"),
        (UsageError("-c and --exec exclude each other; drop one"), "code"),
        (UsageError("FILES: No such file or directory", text="train.py"), "files"),
        (UsageError("IMAGE: a runtime is needed"), "image"),
        (UsageError("python: no runtime of this name on the local engine", text="python"), "image"),
        (UsageError("--foo: there is no such option", text="--retries"), "options"),
        (UsageError("--zip: V is no variable"), "options"),
        (UsageError("20,000,000 cases: a sweep has at most 10,000,000"), None),
        (EngineError("the cluster does not answer"), None),
    ],
)
def test_an_error_finds_its_field(error, field):
    assert FULL.field_of(error) == field


def test_a_range_that_was_typed_among_the_options_is_blamed_there():
    draft = Draft(image="python", options="--range x=foo")
    assert draft.field_of(UsageError("--range: an expression begins with", text="x=foo")) == "options"


@dataclass
class Told:
    reachable: bool = True
    server: str = "here"
    capacity: dict = field(default_factory=dict)


CPU = Told(capacity={"cpu": {"total": "8", "used": "2"}, "mem": {"total": str(2**34), "used": "0"}})


def test_capacity_is_drawn_from_what_the_engine_says():
    there = capacity("local", CPU)
    assert [(bar.slot, bar.used, bar.total, bar.fraction) for bar in there.bars] == [
        ("cpu", "2", "8", 0.25),
        ("mem", "0 B", "16 GiB", 0.0),
    ]
    assert there.trouble == ""
    assert capacity("x", Told(reachable=False)).trouble
    broken = {"a": {}, "b": {"total": "x", "used": "1"}, "c": {"total": "0", "used": "0"}}
    assert [bar.slot for bar in capacity("x", Told(capacity=broken)).bars] == ["c"]


def test_what_never_fits_is_told_and_what_fits_is_counted():
    there = capacity("local", CPU)
    error = unfit(Slots({"cpu": 9}), there)
    assert error.message == "-r cpu=9: local has 8 in all"
    assert error.text[slice(*error.span)] == "9"
    assert unfit(Slots({"cpu": 8, "fpga": 1}), there) is None
    assert at_once(Slots({"cpu": 3, "mem": 2**30}), there) == 2
    assert at_once(Slots({"fpga": 1}), there) is None
