"""The processes of cases: one look at /proc, whose they are, and signals that cannot go astray."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tui_sweep.engines.local.keeper import HOLD_FD

PAGE = os.sysconf("SC_PAGE_SIZE")

_MARK = b"SWEEP_DIR="
"""The variable that marks a case's processes. Its value is the attempt's folder without links in it: two
copies of a sweep's folder have the same ids, but not this."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process as /proc/PID/stat told it."""

    pid: int
    parent: int
    group: int
    session: int
    state: str
    start: int
    """Clock ticks after boot; with the pid it names a process for good."""
    rss: int
    """Bytes, shared pages included."""

    @property
    def is_alive(self) -> bool:
        """A zombie holds nothing but its number."""
        return self.state not in "ZXx"

    @property
    def is_stopped(self) -> bool:
        return self.state in "Tt"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of one case whose processes are wanted."""

    name: str
    pid: int
    """Of the process that was started for it, and of its group; 0 when not known."""
    by: int
    """That process has started by then: a later ``Process.start`` is another's."""
    folder: str
    """The attempt's, without links in it."""
    hold: str
    """Where its inherited locked descriptor points to."""
    is_ours: bool
    """We started it and have watched it ever since."""
    is_over: bool
    """That process has ended and its number is free again."""


def look(pid: int) -> Process | None:
    """One process, or None when it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        told = os.read(fd, 2048)
    except OSError:
        return None
    finally:
        os.close(fd)
    # the name stands in parentheses and may hold anything, parentheses and spaces too
    field = told[told.rindex(b")") + 2 :].split(b" ", 22)
    # a program whose first thread has ended looks like a zombie while its others run
    state = "S" if field[0] == b"Z" and int(field[17]) > 1 else field[0].decode()
    return Process(
        pid,
        int(field[1]),
        int(field[2]),
        int(field[3]),
        state,
        int(field[19]),
        int(field[21]) * PAGE,
    )


def started(pid: int, by: int) -> Process | None:
    """The process of this pid that had started by so many clock ticks after boot; None when it is gone,
    or another has its pid."""
    process = look(pid)
    return process if process is not None and process.start <= by else None


def census() -> dict[int, Process]:
    """All processes, by pid. About 10 µs each: hundreds take milliseconds, so from a thread."""
    try:
        entries = os.listdir("/proc")
    except OSError:
        return {}
    found = (look(int(entry)) for entry in entries if entry[0].isdecimal())
    return {process.pid: process for process in found if process is not None}


def mark_of(pid: int) -> str | None:
    """The mark in a process's environment; None without one, or when it may not be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            told = b"\0" + b"".join(iter(lambda: file.read(1 << 17), b""))
    except OSError:
        return None
    at = told.find(b"\0" + _MARK)
    if at < 0:
        return None
    first = at + 1 + len(_MARK)
    end = told.find(b"\0", first)
    return os.fsdecode(told[first : end if end >= 0 else len(told)])


def hold_of(pid: int) -> str | None:
    """The file behind a process's inherited locked descriptor, or None."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{HOLD_FD}").removesuffix(" (deleted)")
    except OSError:
        return None


def clues(process: Process) -> Iterable[str]:
    """What a process itself tells of whose it is, when its group does not: the folder that marks it,
    the file of the hold it has inherited. Two reads, about 20 µs."""
    for found in (mark_of(process.pid), hold_of(process.pid)):
        if found is not None:
            yield found


def members(
    processes: Mapping[int, Process],
    subjects: Iterable[Subject],
    clues_of: Callable[[Process], Iterable[str]] = clues,
) -> dict[str, list[Process]]:
    """The living processes of each subject, by its name: of its group, with its mark or its hold,
    and whatever descends from one of these."""
    groups: dict[int, str] = {}
    owners: dict[str, str] = {}
    for subject in subjects:
        if subject.pid and _has_group(subject, processes):
            groups[subject.pid] = subject.name
        owners[subject.folder] = owners[subject.hold] = subject.name
    owner: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
        name = groups.get(process.group)
        if name is None and process.is_alive:
            name = next((owners[clue] for clue in clues_of(process) if clue in owners), None)
        if name is not None:
            owner[process.pid] = name
    pending = list(owner)
    while pending:
        pid = pending.pop()
        for child in children.get(pid, ()):
            if child not in owner:
                owner[child] = owner[pid]
                pending.append(child)
    owner.pop(os.getpid(), None)
    found: dict[str, list[Process]] = {}
    for pid, name in owner.items():
        if processes[pid].is_alive:
            found.setdefault(name, []).append(processes[pid])
    return found


def _has_group(subject: Subject, processes: Mapping[int, Process]) -> bool:
    """Whether processes whose group is ``subject.pid`` are the subject's.

    A group's number is not given out again while it has a process. So ours is ours until another process
    of that very pid shows up after its end (which the keeper sees before we are told); one that we
    were not there to watch is believed only while its leader is there (a daemon may have got the number
    since, and its leader may have left).
    """
    leader = processes.get(subject.pid)
    if leader is None:
        return subject.is_ours
    return leader.start <= subject.by and not (subject.is_ours and subject.is_over)


def send(process: Process, number: signal.Signals) -> bool:
    """Signal this very process; False when it is gone, or not ours to signal."""
    try:
        if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
            return _send_by_number(process, number)
        fd = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not _is_still(process):
            return False
        signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _send_by_number(process: Process, number: signal.Signals) -> bool:
    """Where there are no pidfds: it could end, and its number be reused, between look and signal."""
    if not _is_still(process):
        return False
    os.kill(process.pid, number)
    return True


def _is_still(process: Process) -> bool:
    now = look(process.pid)
    return now is not None and now.start == process.start


def proportional(process: Process) -> int:
    """Its share of memory in bytes: private pages, and shared ones divided by who shares them.

    Costs a walk over its page tables: 10 ms for a GiB. Where it may not be read, the RSS.
    """
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:
        return process.rss
    return 0
