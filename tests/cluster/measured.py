"""``measured.py DESCRIPTOR COMMAND…`` runs a command, and tells on the descriptor what each of its processes took.

A JSON line for each that has ended and that no other one waited for, also of those that the command left behind:
they become this process's children (prctl(2), PR_SET_CHILD_SUBREAPER). Ends when none is left.
A process of its own, and a small one: a child's peak is never told below that of its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    descriptor, *command = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    with open(int(descriptor), "w", buffering=1) as told:
        first = subprocess.Popen(command)
        while True:
            try:
                pid, status, usage = os.wait4(-1, 0)
            except ChildProcessError:
                break
            record = {
                "is_first": pid == first.pid,
                "code": os.waitstatus_to_exitcode(status),
                "cpu": usage.ru_utime + usage.ru_stime,
                "memory": usage.ru_maxrss * 1024,
            }
            told.write(json.dumps(record) + "\n")
        first.returncode = 0  # it was waited for above


if __name__ == "__main__":
    main()
