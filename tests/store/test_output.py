"""Sizes of a growing output, and when they were so."""

import os

import pytest

from tui_sweep.core.errors import JournalError
from tui_sweep.store.output import Output, Sample, read_timeline, tail
from tui_sweep.view.log import LogView
from tui_sweep.view.outputs import OutputReader


def test_a_sample_is_kept_only_when_something_changed(tmp_path):
    output = Output(tmp_path)
    assert output.sample(1.0) == 0
    output.stdout.write_bytes(b"abc")
    assert output.sample(2.0) == 3
    assert output.sample(3.0) == 3
    output.stderr.write_bytes(b"!")
    assert output.sample(4.0) == 4
    assert list(read_timeline(output.timeline)) == [Sample(2.0, 3, 0), Sample(4.0, 3, 1)]


def test_silence_leaves_no_timeline(tmp_path):
    output = Output(tmp_path)
    output.sample(1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_stream_is_seen_as_a_size_that_shrinks(tmp_path):
    output = Output(tmp_path)
    output.stderr.write_bytes(b"long ago")
    output.sample(1.0)
    output.stderr.write_bytes(b"x")
    output.sample(2.0)
    assert [sample.stderr for sample in read_timeline(output.timeline)] == [8, 1]


def test_a_resumed_timeline_continues_where_the_last_runner_stopped(tmp_path):
    output = Output(tmp_path)
    output.stdout.write_bytes(b"abc")
    output.sample(1.0)
    again = Output(tmp_path)
    again.resume()
    again.sample(2.0)
    assert list(read_timeline(output.timeline)) == [Sample(1.0, 3, 0)]


def test_a_line_that_is_half_written_is_left_out(tmp_path):
    (tmp_path / "timeline").write_bytes(b"1.000 3 0\n2.000 5")
    assert list(read_timeline(tmp_path / "timeline")) == [Sample(1.0, 3, 0)]


def test_a_line_that_was_torn_by_a_full_disk_is_left_out_and_the_next_ones_are_not(tmp_path):
    torn = b"1.000 3 0\n2.02.500 5 1\n2.5\n\xff a b\n3.000 5 1\n"
    (tmp_path / "timeline").write_bytes(torn)
    assert list(read_timeline(tmp_path / "timeline")) == [Sample(1.0, 3, 0), Sample(3.0, 5, 1)]
    Output(tmp_path).resume()


def test_a_pipe_that_a_case_put_in_place_of_a_file_stops_nobody(tmp_path):
    output = Output(tmp_path)
    for path in (output.stdout, output.stderr, output.timeline):
        os.mkfifo(path)
    assert tail(output.stdout, 10) == b""
    assert list(read_timeline(output.timeline)) == []
    with pytest.raises(JournalError, match="cannot be read"):
        list(OutputReader(tmp_path).new())
    view = LogView(tmp_path)
    view.grow()
    assert view.count == 0
    output.resume()
    output._sizes = (1, 1)  # a sample that has something to say
    assert output.sample(1.0) == 0
