"""IMAGE to interpreter, steps to commands, and what prepare refuses."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tui_sweep.core.errors import UsageError
from tui_sweep.core.slots import Slots
from tui_sweep.core.sweep import Sweep
from tui_sweep.engines import local
from tui_sweep.engines.local.runtimes import RUNTIMES, Commands, choose, plain_words


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with every interpreter."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in [*(runtime.programs[0] for runtime in RUNTIMES), "python3.11", "strange"]:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("image", "runtime", "program"),
    [
        ("lablup/python:3.6-ubuntu18.04", "python", "python3"),
        ("python", "python", "python3"),
        ("Python", "python", "python3"),
        ("cr.backend.ai:5000/stable/python-tensorflow:2.8-py38-cuda11.3", "python", "python3"),
        ("python@sha256:0123", "python", "python3"),
        ("registry/python:3@sha256:0123", "python", "python3"),
        ("python3", "python", "python3"),
        ("python3.11", "python", "python3.11"),
        ("bash", "bash", "bash"),
        ("sh", "sh", "sh"),
        ("lablup/nodejs:16", "node", "node"),
        ("lablup/r-base:4", "r", "Rscript"),
        ("r", "r", "Rscript"),
        ("julia:1.9", "julia", "julia"),
        ("lua", "lua", "lua"),
        ("php", "php", "php"),
        ("perl", "perl", "perl"),
        ("ruby", "ruby", "ruby"),
    ],
)
def test_the_last_word_of_an_image_names_the_runtime(
    programs: Path, image: str, runtime: str, program: str
) -> None:
    chosen = choose(image, {"PATH": f"/nowhere:{programs}"}, Path("/"))
    assert (chosen.runtime.name, chosen.interpreter, chosen.by_path) == (
        runtime,
        str(programs / program),
        False,
    )


def test_a_path_names_an_interpreter(programs: Path, tmp_path: Path) -> None:
    environ = {"PATH": "", "HOME": str(tmp_path)}
    for image in (str(programs / "python3.11"), "./bin/python3.11", "bin/python3.11", "~/bin/python3.11"):
        chosen = choose(image, environ, tmp_path)
        assert (chosen.interpreter, chosen.runtime.name, chosen.by_path) == (
            str(programs / "python3.11"),
            "python",
            True,
        )
    assert choose("./bin/strange", environ, tmp_path).runtime.name == "other"
    assert choose("./bin/Rscript", environ, tmp_path).runtime.name == "r"


def test_a_link_is_not_resolved(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "python3").symlink_to(sys.executable)
    assert choose("python", {"PATH": str(tmp_path / "venv")}, tmp_path).interpreter == str(
        tmp_path / "venv/python3"
    )


def test_a_relative_path_entry_means_where_we_were_started(programs: Path, tmp_path: Path) -> None:
    assert choose("ruby", {"PATH": "gone:bin"}, tmp_path).interpreter == str(programs / "ruby")


@pytest.mark.parametrize(
    "image", ["fortran", "ngc-pytorch", "", ":", "python9000", "[/oops]\x1b[2J", "a/b/c", "/", "~x"]
)
def test_what_is_not_known_is_a_usage_error(programs: Path, image: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(image, {"PATH": str(programs)}, Path("/"))
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_missing_runtime_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"node or nodejs is not installed.*PATH=/nowhere:"):
        choose("node", {"PATH": f"/nowhere:{tmp_path}"}, tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        choose("./gone", {}, tmp_path)
    (tmp_path / "data").touch()
    with pytest.raises(UsageError, match="is no program"):
        choose("./data", {}, tmp_path)


PLACE = {"runtime": "python", "interpreter": "/opt/my py/python3"}


def test_code_is_given_to_the_interpreter() -> None:
    commands = Commands(PLACE, code="print(1)", has_files=False)
    assert commands.steps("*", "*", "*").command == ("/opt/my py/python3", "-c", "print(1)")
    node = Commands({"runtime": "node", "interpreter": "/n"}, code="1", has_files=False)
    assert node.steps("*", "*", "*").command == ("/n", "-e", "1")


def test_stars_mean_something_only_with_files() -> None:
    steps = Commands(PLACE, code=None, has_files=False).steps("*", "*", "*")
    assert (steps.clean, steps.build, steps.command) == ("", "", ())
    steps = Commands(PLACE, code=None, has_files=True).steps("*", "*", "*")
    assert steps.clean == ""
    assert "make" in steps.build
    assert '"/opt/my py/python3" -m pip install' in steps.build
    assert steps.command[-1] == "/opt/my py/python3"
    steps = Commands({"runtime": "ruby", "interpreter": "/r"}, code=None, has_files=True).steps("*", "", "")
    assert (steps.build, steps.command) == ("", ())


def test_commands_go_to_sh_or_to_bash_when_that_is_the_runtime() -> None:
    assert Commands(PLACE, code=None, has_files=False).steps("", "", "a | b").command == (
        "/bin/sh",
        "-c",
        "a | b",
    )
    bash = Commands({"runtime": "bash", "interpreter": "/b/bash"}, code=None, has_files=False)
    assert bash.shell == "/b/bash"
    assert bash.steps("", "", "true").command == ("/b/bash", "-c", "true")


@pytest.mark.parametrize(
    "text", ["python train.py --lr=0.1", "true", "sleep 3", " a  b ", "./run.sh 1,2 x@y 5%"]
)
def test_plain_commands_need_no_shell(text: str) -> None:
    assert plain_words(text) == tuple(text.split())


@pytest.mark.parametrize(
    "text",
    ["", " ", "a;b", "a\nb", "echo $X", "echo *", "a 'b'", "X=1 a", "cd x", "exit 3", "exec a", ". a", "kill -9 1",
     "echo -e a", "true --help", "a > b", "a & b", "~/a", "a #b", "a\tb", "time a", "read x", "a \\b", "if a", "a [b]", "a ü", ":", "wait"],
)  # fmt: skip
def test_everything_else_does(text: str) -> None:
    assert plain_words(text) == ()


def sweep(**changes: Any) -> Sweep:
    return Sweep(**{"image": "sh", "engine": "local", "exec": "true", **changes})


def prepare(asked: Sweep) -> Any:
    return local.prepare(asked, environ=os.environ, cwd=Path("/"))


def test_prepare_settles_the_place_and_tells_that_the_image_is_not_used() -> None:
    prepared = local.prepare(
        sweep(image="lablup/sh:1"),
        environ={"PATH": os.environ["PATH"], "LC_ALL": "C", "SECRET": "x", "BACKEND_SECRET_KEY": "y"},
        cwd=Path("/tmp"),
    )
    where = shutil.which("sh")
    assert prepared.notices == [f"the image itself is not used on local: lablup/sh:1 means {where}"]
    assert prepared.place["environ"] == {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    assert (prepared.place["cwd"], prepared.place["interpreter"], prepared.place["runtime"]) == (
        "/tmp",
        where,
        "sh",
    )


def test_a_path_needs_no_notice() -> None:
    assert prepare(sweep(image="/bin/sh")).notices == []


@pytest.mark.parametrize(
    "options",
    [
        {"mounts": ("a",)},
        {"cluster_size": 2},
        {"cluster-size": "3"},
        {"bootstrap_script": "x"},
    ],
)
def test_options_that_change_what_the_program_sees_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"local|one node"):
        prepare(sweep(options=options))


def test_options_without_meaning_are_named_in_one_notice() -> None:
    options = {
        "tag": "x",
        "group": "g",
        "domain": None,
        "priority": 5,
        "preopen": (),
        "cluster_size": 1,
        "mounts": [],
    }
    *_, last = prepare(sweep(options=options)).notices
    assert last == "without meaning on local and left out: --tag, --group, --priority"


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ({"cpu": 100_000}, "cpu=100000"),
        ({"mem": 1 << 60}, "mem="),
        ({"cpu": 1, "cuda.shares": 1}, "cuda.shares=1"),
    ],
)
def test_a_request_that_can_never_fit_is_a_usage_error(slots: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match="this machine has") as caught:
        prepare(sweep(slots=Slots(slots)))
    assert caught.value.text is not None
    assert caught.value.text.startswith(text)
    assert caught.value.span is not None
    first, last = caught.value.span
    assert caught.value.text[first - 1] == "="
    assert last == len(caught.value.text)


def test_code_that_no_argument_can_hold_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="128 KiB"):
        prepare(sweep(code="x" * 131_072, exec="*"))


def test_an_unknown_interpreter_with_files_needs_an_exec(programs: Path) -> None:
    with pytest.raises(UsageError, match="executes by default"):
        prepare(sweep(image=str(programs / "strange"), files=("a",), exec="*"))
    prepare(sweep(image=str(programs / "strange"), files=("a",), exec="./a"))
