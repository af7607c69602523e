"""Frames: the real encoder's are read back, and nothing else is taken for one."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.engines.backendai.encoding import AWKS, Encoder
from tests.engines.backendai.shells import NOISE, Shell, log_of
from tui_sweep.engines.backendai.frames import Begin, Close, Decoder, End, Frame, Piece, frames


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[Encoder]:
    folder = tmp_path_factory.mktemp("encoders")
    return [Encoder(shell, folder / shell.name) for shell in AWKS]


def joined(found: list[Frame]) -> bytes:
    """The stream that frames without a gap make."""
    data = b""
    for frame in found:
        if isinstance(frame, Piece):
            piece = frame.data()
            assert piece is not None, frame
            told_twice = len(data) - frame.offset
            assert 0 <= told_twice < 3, frame
            assert data.endswith(piece[:told_twice])
            data += piece[told_twice:]
    return data


SOME = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
        st.sampled_from(
            [
                b"plain text\n" * 30,
                b"\n\n",
                b"\r 10%\r 20%",
                b"\x00",
                b"\xfe",
                b"\xff" * 3,
                b"\x10\x1e\x1f",
                b"\x1b[31mred\x1b[0m",
                "학습 ✓ 😀".encode() * 50,
                "é".encode("latin-1") + b" in Latin 1\n",
                b"x" * 5000,
                bytes(range(256)) * 5,
                b"\xed\xa0\x80",
                b"\xe2\x82",
                b".",
                b"!",
                b"A" * 1299 + "가".encode(),
            ]
        ),
    ),
    max_size=12,
).map(b"".join)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SOME)
@example(b"")
@example(b".\n!\n\n.")
@example(b"\n")
@example(bytes(range(256)) * 200)
@example("😀".encode() * 13_000)
@example(b"y\n" * 30_000)
@example(b"x" * 70_000)
@example(b"\xff\xfe" + "UTF-16 text\n".encode("utf-16-le") * 2000)
def test_any_bytes_come_back(encoders: list[Encoder], data: bytes) -> None:
    for encoder in encoders:
        writes = encoder.writes(data)
        log = b"".join(writes)
        found = list(frames(log.decode("utf-8")))
        assert joined(found) == data
        assert found[-1] == Close("out", len(data))
        # each write is one frame, and the kernel does not mix what is not above 4096 bytes
        assert max(map(len, writes)) <= 4096
        assert [len(list(frames(write.decode("utf-8")))) for write in writes] == [1] * len(writes)
        assert b"\r" not in log
        assert b"\x1b" not in log


def test_text_before_what_is_none_stays_text(encoders: list[Encoder]) -> None:
    for encoder in encoders:
        log = b"".join(encoder.writes(b"a line of text\n" * 300 + bytes(range(256)) * 30))
        assert log.count(b"a line of text") > 200


def test_text_stays_text(encoders: list[Encoder]) -> None:
    for encoder in encoders:
        assert encoder.writes("loss 0.1\n손실 ✓\n".encode(), "err") == [
            b"\x1eerr 0 20|loss 0.1\n" + "손실 ✓".encode() + b"\x1f\n",
            b"\x1eerr 20 end\x1f\n",
        ]
        assert encoder.writes(b"\r 10%")[0] == b"\x1eout 0 5:\x100d 10%\x1f\n"
        assert encoder.writes(b"a\0b\0")[0] == b"\x1eout 0 4:a\x1000b\x1000\x1f\n"
        many = encoder.writes(b"many lines\n" * 2000)
        assert len(many) == 7
        assert many[0].startswith(b"\x1eout 0 3608|many lines\x1dmany lines\x1d")
        assert all(write.count(b"\n") == 1 for write in many)
        latin = encoder.writes("déjà vu\n".encode("latin-1") * 9)[0]
        assert latin.startswith(b"\x1eout 0 72|d\x10e9j\x10e0 vu\n")


@pytest.fixture(scope="module")
def raw(encoders: list[Encoder]) -> bytes:
    """A log of two streams, one after the other, with a begin and an end; its text first, then what is none."""
    out = (
        "".join(f"line {number} of 손실 {number / 7}\n" for number in range(370)).encode() + b"\x00\xff" * 900
    )
    err = b"".join(b"\r%d%%" % number for number in range(100)) + bytes(range(256))
    return b"".join(
        [
            b"\x1esweep-tui begin 1 ab12cd34-0 5f0c\x1f\n",
            *encoders[0].writes(out),
            *encoders[0].writes(err, "err"),
            b"\x1esweep-tui end 3 exec 0\x1f\n",
        ]
    )


def test_begin_and_end_are_read(raw: bytes) -> None:
    found = list(frames(log_of(raw)))
    assert found[0] == Begin(1, "ab12cd34-0", "5f0c")
    assert found[-1] == End(3, "exec", 0)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_log_in_any_pieces_is_the_log(raw: bytes, data: st.DataObject) -> None:
    text = log_of(raw)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))
    decoder = Decoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += decoder.feed(text[start:end])
    assert found == list(frames(text))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_others_lines_between_any_two_reads_of_the_runner_are_taken_out(
    raw: bytes, data: st.DataObject
) -> None:
    # the container's runner hands on 4096 bytes at a time from where it began to read
    first = data.draw(st.integers(1, 4096))
    noise = {}
    for at in range(first, len(raw), 4096):
        if raw[at] & 0xC0 != 0x80 and data.draw(st.booleans()):
            noise[at] = data.draw(st.sampled_from(NOISE))
    assert stream(log_of(raw, noise)) == stream(log_of(raw))


def stream(text: str) -> tuple[dict[str, bytes], list[Frame]]:
    """The bytes of both streams, and the other frames."""
    data = {"out": b"", "err": b""}
    others: list[Frame] = []
    for frame in frames(text):
        if isinstance(frame, Piece):
            piece = frame.data()
            assert piece is not None, frame
            data[frame.stream] += piece[len(data[frame.stream]) - frame.offset :]
        else:
            others.append(frame)
    return data, others


def test_a_character_torn_by_others_costs_its_frame_alone(raw: bytes) -> None:
    at = raw.index("실".encode(), 9000) + 1
    found = [frame for frame in frames(log_of(raw, {at: NOISE[1]})) if isinstance(frame, Piece)]
    lost = [frame for frame in found if frame.data() is None]
    assert len(lost) == 1
    assert len(found) == len([frame for frame in frames(log_of(raw)) if isinstance(frame, Piece)])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_log_without_its_oldest_part_has_the_rest(raw: bytes, data: st.DataObject) -> None:
    log = log_of(raw).encode()
    cut = data.draw(st.integers(0, len(log)))
    whole = list(frames(log.decode()))
    found = list(frames(log[cut:].decode("utf-8", "replace")))
    assert found == whole[len(whole) - len(found) :]
    assert len(found) >= log[cut:].count(b"\x1e")


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=20),
            st.sampled_from(
                ["\x1e", "\x1f", "out 0 5|", "err 99999999999999999 5:", "\x10", "\x10zz", "=", "\ud800"]
            ),
            st.sampled_from(
                ["sweep-tui begin 1 a b", "sweep-tui end 0 exec 0", "\x1b[0m", "out 3 end", "\r\n", *NOISE]
            ),
        ),
        max_size=30,
    ).map("".join)
)
def test_garbage_is_passed_over(text: str) -> None:
    decoder = Decoder()
    for frame in [*frames(text), *decoder.feed(text), *decoder.feed(text)]:
        if isinstance(frame, Piece):
            assert 0 < frame.size <= 4096
            assert frame.offset < 10**15
            data = frame.data()
            assert data is None or len(data) == frame.size


@pytest.mark.parametrize(
    "span",
    [
        "out 0 5|hello",
        "out 0 5:hell",
        "out 0 5=aGVsbG8",
        "out 0 5=aGVs bG8=",
        "out 0 5:hell\x10",
        "out 0 5:hell\x100",
        "out 0 5:hell\x10GG",
        "out 0 5000:" + "x" * 5000,
        "out 0 0:",
        "out -1 5:hello",
        "out ٣ 5:hello",
        "in 0 5:hello",
        "sweep-tui end 0 exec",
        "sweep-tui end 9999 exec 0",
        "sweep-tui begin 1 a b c",
    ],
)
def test_what_is_not_quite_a_frame_has_no_data(span: str) -> None:
    found = list(frames(f"\x1e{span}\x1f\n"))
    assert [frame for frame in found if not isinstance(frame, Piece) or frame.data() is not None] == []


def test_ten_megabytes_take_less_than_a_second() -> None:
    rng = random.Random(4)
    lines = [f"epoch {n} loss {rng.random()} 손실\n" for n in range(100)]
    pieces = []
    offset = 0
    while offset < 10 << 20:
        text = "".join(rng.choices(lines, k=90))
        size = len(text.encode())
        pieces.append(f"\x1eout {offset} {size}|{text[:-1]}\x1f\r\n".replace("0 ", "0 "))
        offset += size
    text = "".join(pieces)
    start = time.process_time()
    assert sum(frame.size for frame in frames(text) if isinstance(frame, Piece) and frame.data()) == offset
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1eout 0 5:" * 1_000_000,
        "\x1e" + "a" * 10_000_000 + "\x1f",
        ("\x1eout 0 5:" + "[9] Nov 22 22:19:27 " * 800 + "\x1f") * 60,
        ("\x1eout 0 5:" + "a-kernel: " * 1600 + "\x1f") * 60,
        ("\x1eout 0 5:" + "\x1b[0" * 5000 + "\x1f") * 60,
        ("\x1eout 0 5:" + "[54] Nov 22 22:19:27 x\n" * 600 + "\x1f") * 60,
    ],
    ids=["marks", "long", "sshd", "kernel", "colours", "lines"],
)
def test_a_hostile_log_takes_seconds_at_most(hostile: str) -> None:
    start = time.process_time()
    assert not [frame for frame in frames(hostile) if isinstance(frame, Piece) and frame.data()]
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("shell", AWKS, ids=lambda shell: shell.name)
def test_a_read_that_was_marked_ends_the_stream(shell: Shell, tmp_path: Path) -> None:
    encoder = Encoder(shell, tmp_path / "encoder")
    (tmp_path / "encoder" / "open").unlink()
    for before in (b"all of it\n", b"", bytes(range(256)) * 4, b"text\n" * 400 + bytes(range(256)) * 40):
        log = b"".join(encoder.writes(before + b"mark" + b"what others write\n"))
        found = list(frames(log.decode()))
        kept = joined(found)
        assert before.startswith(kept)
        assert len(before) - len(kept) <= 2
        assert found[-1] == Close("out", len(before))
