"""The runner's lock: one holder, told to all who ask, gone with the process."""

import os
import signal
import subprocess
import sys

from tui_sweep.store.lock import Lock, holder

HOLD = """
import sys
from pathlib import Path
from tui_sweep.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.read()
"""


def other(path):
    """Another process that tries to take the lock, and keeps it until its stdin ends."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip() == "True"


def test_a_lock_nobody_took_has_no_holder(tmp_path):
    assert holder(tmp_path / "lock") is None
    (tmp_path / "lock").touch()
    assert holder(tmp_path / "lock") is None


def test_the_holder_is_told_by_its_pid_however_often_one_asks(tmp_path):
    process, taken = other(tmp_path / "lock")
    assert taken
    assert [holder(tmp_path / "lock") for _ in range(3)] == [process.pid] * 3
    process.communicate("")


def test_asking_does_not_take_the_lock_away_from_who_wants_it(tmp_path):
    (tmp_path / "lock").touch()
    holder(tmp_path / "lock")
    process, taken = other(tmp_path / "lock")
    assert taken
    process.communicate("")


def test_a_second_process_does_not_get_it(tmp_path):
    lock = Lock(tmp_path / "lock")
    assert lock.take()
    process, taken = other(tmp_path / "lock")
    assert not taken
    process.communicate("")
    lock.release()


def test_it_falls_with_kill_9(tmp_path):
    process, _ = other(tmp_path / "lock")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stdin.close()
    assert holder(tmp_path / "lock") is None
    assert Lock(tmp_path / "lock").take()
