"""What an attempt's folder keeps of its session, and what a process that dies in the middle leaves of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_sweep.core.session import Report
from tui_sweep.core.states import Event
from tui_sweep.engines.backendai import sent
from tui_sweep.engines.backendai.sent import Sent

ID = "2f0c7d3e-0000-4000-8000-000000000001"
END = Report("s-1", Event.ERRED, 1700000000.5, status="TERMINATED", exit_code=3, reason="exit 3", session=ID)


def told(folder: Path) -> Report | None:
    kept = sent.read(folder)
    return None if kept is None else kept.report("s-1")


def test_nothing_is_kept_of_what_was_not_sent(tmp_path: Path) -> None:
    assert sent.read(tmp_path) is None
    assert sent.read(tmp_path / "absent") is None


def test_what_was_learned_last_counts(tmp_path: Path) -> None:
    sent.write(tmp_path, Sent())
    assert sent.read(tmp_path) == Sent(kind="batch")
    sent.write(tmp_path, Sent(ID))
    assert sent.read(tmp_path) == Sent(ID, kind="batch")
    sent.write_end(tmp_path, END)
    assert told(tmp_path) == END
    assert (tmp_path / "exit").read_text() == "3\n"


def test_a_first_word_is_kept_once(tmp_path: Path) -> None:
    assert sent.begin(tmp_path, Sent(kind="interactive"))
    assert not sent.begin(tmp_path, Sent())
    assert sent.read(tmp_path) == Sent(kind="interactive")
    with pytest.raises(FileNotFoundError):
        sent.begin(tmp_path / "absent", Sent())


def test_an_end_without_a_code_leaves_no_exit_file(tmp_path: Path) -> None:
    end = Report("s-1", Event.VANISHED, 1700000000.5, reason="agent lost", session=ID)
    sent.write_end(tmp_path, end)
    assert told(tmp_path) == end
    assert not (tmp_path / "exit").exists()


def test_half_of_a_line_takes_nothing_back_and_hides_nothing_after_it(tmp_path: Path) -> None:
    sent.write(tmp_path, Sent())
    sent.write(tmp_path, Sent(ID))
    whole = (tmp_path / "session").read_bytes()
    sent.write_end(tmp_path, END)
    end = (tmp_path / "session").read_bytes()[len(whole) :]
    for size in range(len(end)):
        (tmp_path / "session").write_bytes(whole + end[:size])
        assert sent.read(tmp_path) == Sent(ID, kind="batch")
        sent.write_end(tmp_path, END)
        assert told(tmp_path) == END


@pytest.mark.parametrize("damage", [b"", b"\n", b'\n{"id": "', b"\x00" * 40, b"[]", b"3", b'{"end": 3}'])
def test_a_file_that_tells_nothing_tells_that_it_was_sent(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "session").write_bytes(damage)
    assert sent.read(tmp_path) == Sent()


def test_an_interactive_session_is_known_as_one(tmp_path: Path) -> None:
    sent.write(tmp_path, Sent(ID, kind="interactive"))
    assert sent.read(tmp_path) == Sent(ID, kind="interactive")
