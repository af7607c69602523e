"""The spool: whole files in their order."""

import os

import pytest

from tui_sweep.core.errors import JournalError
from tui_sweep.store import commands


def test_commands_come_in_the_order_they_were_dropped_in(tmp_path):
    names = [commands.drop(tmp_path, verb) for verb in ("hold", "release", "cancel")]
    assert commands.waiting(tmp_path) == names
    assert [commands.read(tmp_path, name).verb for name in names] == ["hold", "release", "cancel"]


def test_a_file_that_is_still_being_written_is_not_there(tmp_path):
    (tmp_path / ".00000000000000000001-1-abc.json").write_text("{")
    assert commands.waiting(tmp_path) == []


def test_arguments_travel_with_the_command(tmp_path):
    name = commands.drop(tmp_path, "cancel", cases=[1, 2], force=True)
    command = commands.read(tmp_path, name)
    assert command.arguments["cases"] == [1, 2]
    assert command.arguments["force"] is True
    assert command.arguments["by"] == os.getpid()


def test_a_command_that_is_gone_or_no_command_says_why(tmp_path):
    assert "not a command" in commands.read(tmp_path, "missing.json")
    (tmp_path / "x.json").write_text('{"verb": "rm -rf", "at": 1}')
    assert "unknown verb" in commands.read(tmp_path, "x.json")


def test_removing_twice_is_fine(tmp_path):
    name = commands.drop(tmp_path, "hold")
    commands.remove(tmp_path, name)
    commands.remove(tmp_path, name)
    assert commands.waiting(tmp_path) == []


def test_a_folder_that_takes_no_command_says_so(tmp_path):
    with pytest.raises(JournalError, match="nothing can be asked of the runner"):
        commands.drop(tmp_path / "missing", "hold")
