"""The event-stream format, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_sweep.engines.backendai.eventstream import LONGEST, EventStream

STREAM = (
    "\ufeff: ping\r\n\r\n"
    'event: session_started\r\ndata: {"sessionName":"가나"}\r\n\r\n'
    "data: one\ndata:  two\ndata\n\n"
    "event: empty\n\n"
    "id: 7\rretry: 5\revent: old\rdata: mac\r\r"
    "data: lost"
).encode()
EVENTS = [("session_started", '{"sessionName":"가나"}'), ("message", "one\n two\n"), ("old", "mac")]


def events(*chunks: bytes, unread: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    stream = EventStream(unread)
    return [event for chunk in chunks for event in stream.feed(chunk)]


def test_a_whole_stream_is_read():
    assert events(STREAM) == EVENTS


def test_every_byte_may_come_alone():
    assert events(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_a_stream_may_be_cut_anywhere(cuts):
    edges = [0, *cuts, len(STREAM)]
    assert events(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


def test_a_line_end_that_is_cut_in_two_ends_one_line():
    assert events(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [("message", "a\nb")]
    assert events(b"data: a\r", b"", b"\n\n") == [("message", "a")]
    assert events(b"event: e\r", b"", b"\ndata: a\n\n") == [("e", "a")]


def test_events_as_managers_write_them_are_read_among_others():
    assert events(
        b": hello\n\n",
        b"event: a\ndata: 1\n\nevent: b\r\ndata:  2\r\n\r\nevent: \xff\ndata: \n\r\n",
        b"event: \ndata: 3\n\nevent: c\ndata: 4\n\nevent: d\r\n",
        b"data: 5\r\n\r\nevent: e\ndata: 6\n\n",
    ) == [("a", "1"), ("b", " 2"), ("\ufffd", ""), ("message", "3"), ("c", "4"), ("d", "5"), ("e", "6")]


UNREAD = b"".join(
    b"event: %b\ndata: %d\n\n" % (name, number)
    for number, name in enumerate(
        (b"kernel_up", b"a", b"kernel_", b"a+b", b"kernel", b"kernel_x", b"aab", b"a+")
    )
)


@given(st.lists(st.integers(0, len(UNREAD)), max_size=20).map(sorted))
def test_what_nobody_reads_is_passed_over_wherever_the_stream_is_cut(cuts):
    edges = [0, *cuts, len(UNREAD)]
    chunks = [UNREAD[a:b] for a, b in pairwise(edges)]
    assert events(*chunks, unread=("kernel_", "a+")) == [("a", "1"), ("kernel", "4"), ("aab", "6")]
    assert len(events(*chunks)) == 8


def test_what_is_no_utf8_is_shown_as_such():
    assert events(b"data: \xff\xfe\n\n") == [("message", "��")]


@pytest.mark.parametrize(
    "chunks",
    [[b"data: " + b"x" * LONGEST + b"\n\n"], [b"x" * 65536] * 17, [b"data: " + b"x" * 1000 + b"\n"] * 1100],
    ids=["an event", "a line without end", "an event without end"],
)
def test_what_never_ends_is_given_up(chunks):
    with pytest.raises(ValueError, match="too long"):
        events(*chunks)


def test_comments_without_end_take_no_room():
    stream = EventStream()
    for _ in range(2000):
        assert stream.feed(b": " + b"x" * 1000 + b"\n") == []
    assert stream.feed(b"data: a\n\n") == [("message", "a")]
