"""Which program of an image runs a case."""

from __future__ import annotations

import pytest

from tui_sweep.engines.backendai import interpreters
from tui_sweep.engines.backendai.interpreters import Steps, interpreter, steps
from tui_sweep.engines.local import runtimes


def test_the_words_are_those_of_the_local_engine() -> None:
    assert {
        runtime.name: (runtime.programs, runtime.flag, runtime.main, runtime.also)
        for runtime in runtimes.RUNTIMES
    } == interpreters._INTERPRETERS
    assert interpreters._MAKE == runtimes._MAKE
    assert runtimes._SETUP.format("$0").rstrip() == interpreters._SETUP
    assert interpreters.SITE == runtimes.SITE


@pytest.mark.parametrize(
    ("image", "language"),
    [
        ("python", "python"),
        ("python3.11", "python"),
        ("lablup/python:3.6-ubuntu18.04", "python"),
        ("cr.backend.ai/stable/python-tensorflow:2.3-py38@sha256:0", "python"),
        ("stable/r-base:4.0", "r"),
        ("stable/nodejs:18", "node"),
        ("local/stable/bash", "bash"),
        ("alpine", "python"),
        ("ngc-pytorch:24.01", "python"),
        ("", "python"),
    ],
)
def test_an_image_names_its_language(image: str, language: str) -> None:
    assert interpreter(image).language == language


def test_commands_go_to_bash_where_that_is_the_runtime() -> None:
    assert interpreter("stable/bash:5").shell == "bash"
    assert interpreter("python").shell == "/bin/sh"


@pytest.mark.parametrize(
    ("clean", "build", "execute", "carried", "wanted"),
    [
        ("*", "*", "*", "nothing", Steps("", "", "", "nothing", False)),
        ("c", "b", "x", "nothing", Steps("c", "b", "x", "command", False)),
        ("*", "", "", "files", Steps("", "", "", "nothing", False)),
        ("*", "*", "x", "files", Steps("", interpreter("r").default_build, "x", "command", True)),
        ("*", "b", "*", "files", Steps("", "b", interpreter("r").default_exec, "main", False)),
        ("*", "*", "*", "code", Steps("", "", "", "code", False)),
    ],
)
def test_a_star_means_something_where_there_are_files(
    clean: str, build: str, execute: str, carried: str, wanted: Steps
) -> None:
    assert steps(interpreter("r"), clean, build, execute, carried=carried) == wanted
