"""Logs into files: each byte once, whatever happens in between, and what is missing is said."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines.backendai.shells import NOISE, terminal
from tui_sweep.engines.backendai import receive
from tui_sweep.engines.backendai.frames import Decoder, End, Frame
from tui_sweep.engines.backendai.receive import Receiver
from tui_sweep.store.output import Output

BEGIN = "\x1esweep-tui begin 1 ab12cd34-0 run1\x1f\n"
END = "\x1esweep-tui end 0 exec 0\x1f\n"


def piece(stream: str, offset: int, line: str) -> str:
    return f"\x1e{stream} {offset} {len(line.encode()) + 1}|{line}\x1f\n"


LINES = [f"line {number} {'x' * (number % 40)}" for number in range(60)]
"""Of stdout; stderr has every third of them."""


def streams() -> tuple[str, bytes, bytes]:
    """A whole log with what it says."""
    log, out, err = BEGIN, b"", b""
    for number, line in enumerate(LINES):
        log += piece("out", len(out), line)
        out += line.encode() + b"\n"
        if number % 3 == 0:
            log += piece("err", len(err), line)
            err += line.encode() + b"\n"
    log += f"\x1eerr {len(err)} end\x1f\n\x1eout {len(out)} end\x1f\n" + END
    return terminal(NOISE[0] + log + NOISE[2]), out, err


LOG, OUT, ERR = streams()


@pytest.fixture
def sink(tmp_path: Path) -> Output:
    return Output(tmp_path / "000000.0")


def test_a_log_that_grows_is_written_once(sink: Output) -> None:
    receiver = Receiver(sink)
    assert receiver.take("").new == 0
    assert (sink.stdout.read_bytes(), sink.stderr.read_bytes()) == (b"", b"")
    new = 0
    for end in range(0, len(LOG) + 1, 97):
        new += receiver.take(LOG[:end]).new
    last = receiver.take(LOG)
    assert sink.stdout.read_bytes() == OUT
    assert sink.stderr.read_bytes() == ERR
    assert last.ended == End(0, "exec", 0)
    assert new + last.new == len(OUT) + len(ERR) == receiver.seen
    assert (last.missing, last.began, last.noise) == (0, True, "")
    assert receiver.log_bytes == len(LOG)
    again = receiver.take(LOG)
    assert (again.new, again.ended) == (0, last.ended)


def test_of_a_log_after_which_none_comes_only_the_output_is_kept(sink: Output) -> None:
    assert Receiver(sink).take(LOG, last=True).ended == End(0, "exec", 0)
    assert (sink.stdout.read_bytes(), sink.stderr.read_bytes()) == (OUT, ERR)
    assert sorted(path.name for path in sink.folder.iterdir()) == ["stderr", "stdout"]
    again = Receiver(sink).take(LOG, last=True)
    assert (again.new, again.missing, again.ended) == (0, 0, End(0, "exec", 0))


def test_a_gap_is_said_at_its_place_and_counted(sink: Output) -> None:
    receiver = Receiver(sink)
    cut = LOG.index("\x1eout", 2000)
    receiver.take(LOG[: LOG.index("\x1eout", 900)])
    had = sink.stdout.read_bytes()
    late = receiver.take(LOG[cut + 3 :])
    text = sink.stdout.read_bytes()
    assert text.startswith(had + b"[sweep-tui: ")
    said, _, rest = text[len(had) :].partition(b"\n")
    missing = len(OUT) - len(had) - len(rest)
    assert said.decode() == (
        f"[sweep-tui: {missing} bytes of output missing here: the server keeps only the last 10 MB]"
    )
    assert OUT.endswith(rest)
    gaps = json.loads((sink.folder / "gaps").read_text())
    assert late.missing == sum(entry[3] for stream in ("out", "err") for entry in gaps[stream])
    assert late.missing > missing > 0
    assert receiver.seen == len(OUT) + len(ERR)


def test_a_gap_in_a_line_begins_a_line(sink: Output) -> None:
    receiver = Receiver(sink)
    receiver.take("\x1eout 0 3:abc\x1f\n\x1eout 41003 4|xyz\x1f\n")
    assert sink.stdout.read_bytes() == (
        b"abc\n[sweep-tui: 41 kB of output missing here: the server keeps only the last 10 MB]\nxyz\n"
    )
    again = Receiver(sink)
    again.take("")
    assert again.seen == 41007


def test_what_is_missing_at_the_end_is_counted(sink: Output) -> None:
    received = Receiver(sink).take("\x1eout 0 3:abc\x1f\n\x1eout 1500003 end\x1f\n\x1eerr 0 end\x1f\n" + END)
    assert received.missing == 1_500_000
    assert sink.stdout.read_text().endswith(
        "abc\n[sweep-tui: 1.5 MB of output missing here: the server keeps only the last 10 MB]\n"
    )


def test_a_damaged_frame_is_a_gap(sink: Output) -> None:
    damaged = LOG.replace("line 20 ", "line 20", 1)
    received = Receiver(sink).take(damaged)
    assert received.missing == len(LINES[20]) + 1
    assert b"missing here" in sink.stdout.read_bytes()
    assert sink.stderr.read_bytes() == ERR


def test_a_log_without_frames_gives_its_last_lines(sink: Output) -> None:
    text = terminal("".join(f"noise {number}\n" for number in range(100)) + "sh: 1: Syntax error\n")
    received = Receiver(sink).take(text)
    assert not received.began
    assert received.ended is None
    assert len(received.noise.splitlines()) == 20
    assert received.noise.splitlines()[-1] == "sh: 1: Syntax error"
    assert Receiver(sink).take("").noise == ""


def test_a_log_that_has_nothing_new_costs_no_look_at_the_files_until_it_is_the_last(sink: Output) -> None:
    receiver = Receiver(sink)
    first = receiver.take(BEGIN + piece("out", 0, "one"))
    assert first.new == 4
    shutil.rmtree(sink.folder)
    assert receiver.take(BEGIN + piece("out", 0, "one")) == replace(first, new=0)
    assert not sink.folder.exists()
    assert receiver.take(BEGIN + piece("out", 0, "one"), last=True).new == 4
    assert sink.stdout.read_text() == "one\n"


def test_a_session_that_starts_anew_is_told_and_written_from_its_first_byte(sink: Output) -> None:
    receiver = Receiver(sink)
    first = BEGIN + piece("out", 0, "first run") + piece("out", 10, "more")
    receiver.take(first)
    again = BEGIN.replace("run1", "run2") + piece("out", 0, "second run")
    for text in (again, again, first + again):
        received = receiver.take(text)
        assert received.missing == 0
    assert Receiver(sink).take(again + piece("out", 11, "its end")).new == 8
    assert sink.stdout.read_text() == (
        "first run\nmore\n"
        "[sweep-tui: the session was started anew by the server; its output begins again here]\n"
        "second run\nits end\n"
    )
    assert sink.stderr.read_bytes() == b""


def test_a_command_that_a_server_started_twice_is_told_by_the_start_that_ended(sink: Output) -> None:
    again = BEGIN.replace("run1", "run2") + piece("out", 0, "a second start, cut off")
    received = Receiver(sink).take(LOG + terminal(again))
    assert received.ended == End(0, "exec", 0)
    assert (sink.stdout.read_bytes(), sink.stderr.read_bytes()) == (OUT, ERR)


def check(sink: Output, seen_out: int) -> None:
    """The file is stdout up to there, but for gaps, each said once and rightly."""
    noted: dict[str, Any] = {}
    if (sink.folder / "gaps").exists():
        noted = json.loads((sink.folder / "gaps").read_text())
    text = sink.stdout.read_bytes()
    at = offset = 0
    for start, line, resumes, missing in noted.get("out", []):
        part = text[at:start]
        assert part == OUT[offset : offset + len(part)]
        assert resumes == offset + len(part) + missing
        assert text[start : start + len(line)] == line.encode()
        at, offset = start + len(line), resumes
    assert text[at:] == OUT[offset:seen_out]


WINDOWS = st.lists(st.tuples(st.integers(1, 1500), st.integers(100, 4000), st.booleans()), max_size=20)
"""How far a log has grown, how much of it the server has, whether another process goes on after that."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_windows_on_a_log_leave_each_byte_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    sink = Output(tmp_path_factory.mktemp("attempt") / "000000.0")
    receiver = Receiver(sink)
    end = 0
    for step, kept, other in data.draw(WINDOWS):
        end = min(len(LOG), end + step)
        receiver.take(LOG[max(0, end - kept) : end])
        if other:
            receiver = Receiver(sink)
    received = receiver.take(LOG[-300:])
    assert received.ended == End(0, "exec", 0)
    assert receiver.seen == len(OUT) + len(ERR)
    check(sink, len(OUT))


def taken_until_killed(sink: Output, logs: list[str], lines: int) -> bool:
    """Take logs in a process of its own that is killed at that line of the receiver; whether it was."""
    pid = os.fork()
    if pid == 0:
        left = lines

        def trace(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename != receive.__file__:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            receiver = Receiver(sink)
            for log in logs:
                receiver.take(log)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_a_process_killed_at_any_line_is_gone_on_from(tmp_path: Path) -> None:
    text = BEGIN + piece("out", 0, LINES[0]) + piece("err", 0, LINES[0])
    first = len(LINES[0]) + 1
    later = len("\n".join(LINES[:4])) + 1
    gap = (
        text
        + piece("out", later, LINES[4])
        + f"\x1eerr 5000 end\x1f\n\x1eout {later + len(LINES[4]) + 1} end\x1f\n"
        + END
    )
    whole = (
        f"{LINES[0]}\n[sweep-tui: {later - first} bytes of output missing here: the server keeps only the last "
        f"10 MB]\n{LINES[4]}\n"
    )
    killed, lines = True, 0
    while killed:
        lines += 7
        sink = Output(tmp_path / str(lines))
        killed = taken_until_killed(sink, [text, gap], lines)
        received = Receiver(sink).take(gap)
        assert received.ended == End(0, "exec", 0)
        assert sink.stdout.read_text() == whole, lines
        assert sink.stderr.read_text().count("missing here") == 1
        assert received.missing == later - first + 5000 - first
    assert lines > 100


@pytest.mark.parametrize("torn", range(0, 90, 7))
def test_a_gap_line_that_was_torn_is_completed(sink: Output, torn: int) -> None:
    text = "\x1eout 0 3:abc\x1f\n\x1eout 500 4|xyz\x1f\n"
    Receiver(sink).take(text)
    whole = sink.stdout.read_bytes()
    with open(sink.stdout, "r+b") as file:
        file.truncate(3 + torn)
    assert Receiver(sink).take(text).missing == 497
    assert sink.stdout.read_bytes() == whole


def test_a_full_disk_loses_nothing(sink: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(sink)
    receiver.take(LOG[:700])
    import resource

    size = sink.stdout.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 11, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            receiver.take(LOG)
        with pytest.raises(OSError, match="File too large"):
            receiver.take(LOG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert receiver.take(LOG).missing == 0
    assert (sink.stdout.read_bytes(), sink.stderr.read_bytes()) == (OUT, ERR)


@pytest.mark.parametrize("noted", ["", "[]", "{", '{"out": [[1]], "run": 3}', '{"out": 5}', "\x00"])
def test_a_damaged_sidecar_is_no_end(sink: Output, noted: str) -> None:
    Receiver(sink).take(LOG[:700])
    (sink.folder / "gaps").write_text(noted)
    assert Receiver(sink).take(LOG).missing == 0
    assert sink.stdout.read_bytes() == OUT


def live(text: str) -> list[Frame]:
    return Decoder().feed(text)


def test_what_comes_live_is_written_in_order_and_ends_the_case(sink: Output) -> None:
    receiver = Receiver(sink)
    decoder = Decoder()
    for at in range(0, len(LOG), 61):
        assert receiver.stream(decoder.feed(LOG[at : at + 61]))
    assert (sink.stdout.read_bytes(), sink.stderr.read_bytes()) == (OUT, ERR)
    assert receiver.final is not None
    assert receiver.final.ended == End(0, "exec", 0)


def test_what_comes_live_behind_a_gap_waits_for_the_log(sink: Output) -> None:
    receiver = Receiver(sink)
    assert receiver.stream(live(BEGIN + piece("out", 0, "one")))
    assert not receiver.stream(live(piece("out", 10, "three")))
    assert sink.stdout.read_bytes() == b"one\n"
    receiver.take(BEGIN + piece("out", 0, "one") + piece("out", 4, "two..") + piece("out", 10, "three"))
    assert receiver.stream(live(piece("out", 16, "four")))
    assert sink.stdout.read_bytes() == b"one\ntwo..\nthree\nfour\n"


def test_an_end_that_comes_live_without_all_before_it_is_not_believed(sink: Output) -> None:
    receiver = Receiver(sink)
    ending = "\x1eout 8 end\x1f\n\x1eerr 0 end\x1f\n" + END
    assert not receiver.stream(live(BEGIN + piece("out", 0, "one") + ending))
    assert receiver.final is None
    receiver.take(BEGIN + piece("out", 0, "one") + piece("out", 4, "two") + ending)
    assert receiver.final is not None
    assert sink.stdout.read_bytes() == b"one\ntwo\n"


def test_what_comes_live_of_a_second_start_without_its_beginning_waits_for_the_log(sink: Output) -> None:
    receiver = Receiver(sink)
    assert receiver.stream(live(BEGIN + piece("out", 0, "one")))
    receiver.start_anew()
    rest = piece("out", 0, "one") + "\x1eout 4 end\x1f\n\x1eerr 0 end\x1f\n" + END
    assert not receiver.stream(live(rest))
    assert receiver.final is None
    assert receiver.take(BEGIN + piece("out", 0, "one")).new == 0  # the log of the former container
    assert not receiver.stream(live(rest))
    receiver.take(BEGIN.replace("run1", "run2") + rest)
    assert receiver.final is not None
    assert sink.stdout.read_text() == (
        "one\n[sweep-tui: the session was started anew by the server; its output begins again here]\none\n"
    )


def test_what_comes_live_without_its_beginning_may_be_of_another_start(sink: Output) -> None:
    """26 loses what is printed before it is listened to: the frame that names the start, too."""
    receiver = Receiver(sink)
    assert not receiver.stream(live(piece("out", 0, "one")))
    assert sink.stdout.read_bytes() == b""
