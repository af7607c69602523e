"""The demo: real training runs of a small network, so that the first sweep one sees is a sweep.

``train.py`` needs numpy, which sweep-tui brings along; so the cases run on the interpreter that runs
sweep-tui, on this machine. 24 of them take a minute or two on two cores.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

DEMO = (
    "--engine=local",
    "--name=spirals",
    "--resources=cpu=1",
    "--resources=mem=512m",
    "--env=LR=$LR",
    "--env=WIDTH=$WIDTH",
    "--env=SEED=$SEED",
    # The product of rate and width decides: 0.07 × 256 overshoots at every step and ends without
    # bound within ten of them; its neighbours keep a margin of 1.5 and more (tests/demo).
    "--env-range=LR=case:0.003,0.01,0.02,0.07",
    "--env-range=WIDTH=case:16,64,256",
    "--env-range=SEED=range:2",
)
"""What the demo asks of ``sweep-tui run``, but for what depends on this machine."""


def arguments() -> list[str]:
    """The arguments of ``sweep-tui run`` that are the demo: options, IMAGE and FILES."""
    script = Path(__file__).with_name("train.py")
    command = f"{shlex.quote(sys.executable)} {script.name}"
    return [
        *DEMO,
        f"--basedir={script.parent}",
        f"--exec={command.replace('$', '$$')}",  # it is a template, and a path may hold a $
        sys.executable,
        str(script),
    ]
