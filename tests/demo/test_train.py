"""The demo's script does what the demo promises: it learns, and one corner of its grid diverges."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tui_sweep import demo

SCRIPT = Path(demo.__file__).with_name("train.py")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def values(name: str) -> list[str]:
    """The values of one variable of the demo."""
    option = next(option for option in demo.DEMO if option.startswith(f"--env-range={name}="))
    kind, _, text = option.partition(f"{name}=")[2].partition(":")
    return text.split(",") if kind == "case" else [str(value) for value in range(int(text))]


def train(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=os.environ | ONE_THREAD | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_demo_is_24_cases() -> None:
    assert len(values("LR")) * len(values("WIDTH")) * len(values("SEED")) == 24


def test_it_learns_and_prints_a_line_an_epoch() -> None:
    result = train(LR="0.07", WIDTH="64", SEED="0", EPOCHS="3", POINTS="20000")
    assert (result.returncode, result.stderr) == (0, "")
    head, *epochs, last = result.stdout.splitlines()
    assert "lr 0.07, width 64, seed 0" in head
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert all(re.fullmatch(r"epoch \d/3 loss \d\.\d{3} acc \d\.\d{3}", line) for line in epochs)
    match = re.fullmatch(r"done loss (\S+) acc (\S+) val_acc (\S+) \(\S+ s\)", last)
    assert match, last
    assert float(match[1]) < 0.3
    assert float(match[3]) > 0.9


def test_equal_settings_give_equal_numbers() -> None:
    runs = [train(WIDTH="16", EPOCHS="2", POINTS="4000").stdout.splitlines()[:-1] for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0] != train(WIDTH="16", EPOCHS="2", POINTS="4000", SEED="1").stdout.splitlines()[:-1]


def test_exactly_one_corner_of_the_grid_diverges() -> None:
    diverging = set()
    for rate in values("LR")[-2:]:
        for width in values("WIDTH"):
            for seed in values("SEED"):
                result = train(LR=rate, WIDTH=width, SEED=seed, EPOCHS="1", POINTS="10000")
                if result.returncode:
                    diverging.add((rate, width))
                    assert result.returncode == 1
                    assert re.search(r"^diverged in epoch 1: the loss is \S+\n", result.stderr)
                    assert "done" not in result.stdout
    assert diverging == {(values("LR")[-1], values("WIDTH")[-1])}


def test_a_loss_that_rises_is_told_on_stderr() -> None:
    result = train(LR="0.1", WIDTH="64", SEED="0", EPOCHS="6", POINTS="400")
    assert result.returncode == 0
    assert re.search(r"^warning: epoch \d: the loss rose from \S+ to \S+$", result.stderr, re.MULTILINE)


def test_what_a_path_holds_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/my $envs/bin/python3")
    arguments = demo.arguments()
    assert "--exec='/my $$envs/bin/python3' train.py" in arguments
    assert arguments[-2:] == ["/my $envs/bin/python3", str(SCRIPT)]
