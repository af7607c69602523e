"""Sizes of a growing output, and when they were so."""

from tui_sweep.store.output import Output, Sample, read_timeline


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
