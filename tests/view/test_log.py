"""LogView against a naive model, and what hostile output becomes."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_sweep.store import lines as lines_module
from tui_sweep.store.lines import BLOCK, PART
from tui_sweep.view import log as log_module
from tui_sweep.view.log import LogView, Mode
from tui_sweep.view.logline import LogLine
from tui_sweep.view.order import Ordering
from tui_sweep.view.search import Pattern
from tui_sweep.view.sgr import readable, without_sequences

GIB = 1 << 30


class Attempt:
    """An attempt's folder that a test writes as a case and a runner do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sizes = [0, 0]
        self.samples: list[tuple[int, int]] = []
        for name in ("stdout", "stderr", "timeline"):
            (folder / name).touch()

    def write(self, stream: str, content: bytes) -> None:
        with open(self.folder / stream, "ab") as file:
            file.write(content)

    def sample(self, at: float | None = None) -> None:
        sizes = tuple(os.stat(self.folder / name).st_size for name in ("stdout", "stderr"))
        self.samples.append((sizes[0], sizes[1]))
        with open(self.folder / "timeline", "ab") as file:
            file.write(b"%.3f %d %d\n" % (len(self.samples) if at is None else at, *sizes))

    def naive(self) -> list[tuple[str, bytes]]:
        """Every line with its stream, in sampled order, the slow way."""
        rest = {name: (self.folder / name).read_bytes() for name in ("stdout", "stderr")}
        read = {"stdout": 0, "stderr": 0}
        order: list[tuple[str, bytes]] = []
        for sample in [*self.samples, (1 << 62, 1 << 62)]:
            for name, size in zip(("stdout", "stderr"), sample, strict=True):
                new = rest[name][: max(0, size - read[name])]
                whole = new[: new.rfind(b"\n") + 1] if size < 1 << 62 else new
                lines = whole.split(b"\n")
                order += [(name, line) for line in (lines if lines[-1] else lines[:-1])]
                read[name] += len(whole)
                rest[name] = rest[name][len(whole) :]
        return order


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


def indexed(folder: Path) -> LogView:
    view = LogView(folder)
    while view.grow():
        pass
    return view


def texts(lines: list[LogLine]) -> list[tuple[str, str]]:
    return [(line.stream, line.text) for line in lines]


piece = st.tuples(
    st.sampled_from(["stdout", "stderr", "sample"]),
    st.lists(st.sampled_from(["a", "bc\n", "\n", "d\ne\n", "f"]), min_size=1, max_size=4).map("".join),
)
history = st.lists(piece, max_size=40)


@settings(max_examples=80, deadline=None)
@given(history, st.sampled_from([1, 3, 1 << 20]), st.data())
def test_lines_come_in_the_order_of_a_naive_model(
    pieces: list[tuple[str, str]], step: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        grow = lines_module.LineIndex.grow
        patch.setattr(lines_module.LineIndex, "grow", lambda self: grow(self, step))
        attempt = Attempt(Path(folder))
        view = LogView(Path(folder))
        for what, text in pieces:
            attempt.sample() if what == "sample" else attempt.write(what, text.encode())
            while view.grow():
                assert len(view.window(0, 1000)) == view.count, "what is counted can be read while it grows"
            expected = [(stream, line.decode()) for stream, line in attempt.naive()]
            assert view.complete
            assert view.count == len(expected)
            first, count = data.draw(st.integers(0, len(expected))), data.draw(st.integers(0, 9))
            window = view.window(first, count)
            assert texts(window) == expected[first : first + count]
            assert [view.place(line) for line in window] == [line.number for line in window]
            assert texts(view.tail(count)) == (expected[-count:] if count else [])
        assert texts(view.window(0, 10_000)) == texts(indexed(Path(folder)).window(0, 10_000))


@settings(max_examples=40, deadline=None)
@given(history)
def test_each_stream_alone_is_its_file_in_order(pieces: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        attempt = Attempt(Path(folder))
        for what, text in pieces:
            attempt.sample() if what == "sample" else attempt.write(what, text.encode())
        view = indexed(Path(folder))
        both = view.window(0, 10_000)
        modes: tuple[Mode, Mode] = ("stdout", "stderr")
        for mode in modes:
            view.mode = mode
            alone = view.window(0, 10_000)
            assert texts(alone) == [one for one in texts(both) if one[0] == mode]
            assert [line.number for line in alone] == list(range(view.count))
            assert texts(view.tail(3)) == texts(alone[-3:])
            following = [sum(one.stream == mode for one in both[:at]) for at in range(len(both))]
            assert [view.place(line) for line in both] == following


def test_an_attempt_that_has_no_folder_yet_has_no_lines(tmp_path: Path) -> None:
    view = LogView(tmp_path / "nothing")
    assert view.behind() == 0
    assert not view.grow()
    assert (view.count, view.window(0, 9), view.tail(9), view.complete) == (0, [], [], True)
    assert list(view.search(Pattern("x"), 0)) == []


def test_a_look_at_files_that_did_not_change_is_three_stats_and_no_new_version(attempt: Attempt) -> None:
    attempt.write("stdout", b"one\n")
    attempt.sample()
    view = indexed(attempt.folder)
    version = view.version
    assert view.behind() == 0
    view.grow()
    assert view.version == version
    attempt.write("stdout", b"two")
    assert view.behind() == 3
    view.grow()
    assert view.version > version


def test_a_line_has_the_time_of_the_sample_that_saw_it_complete(attempt: Attempt) -> None:
    attempt.write("stdout", b"one\ntw")
    attempt.sample(100.0)
    attempt.write("stdout", b"o\n")
    attempt.write("stderr", b"oops\n")
    attempt.sample(101.5)
    attempt.write("stdout", b"three\nfou")
    view = indexed(attempt.folder)
    times = [("one", 100.0), ("two", 101.5), ("oops", 101.5), ("three", None), ("fou", None)]
    assert [(line.text, line.at) for line in view.window(0, 9)] == times
    assert [(line.text, line.at) for line in view.tail(9)] == times


def test_the_tail_of_a_gigabyte_is_there_before_anything_is_indexed(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(attempt.folder / "stdout", "wb") as file:
        file.seek(GIB)
        file.write(b"".join(b"\nline %d" % number for number in range(100)) + b"\n")
    attempt.write("stderr", b"warned\n")
    attempt.sample(5.0)
    view = LogView(attempt.folder)
    read = [0]

    def pread(fd: int, count: int, offset: int, real=os.pread) -> bytes:
        block = real(fd, count, offset)
        read[0] += len(block)
        return block

    monkeypatch.setattr(os, "pread", pread)
    tail = view.tail(3)
    assert texts(tail) == [("stdout", "line 98"), ("stdout", "line 99"), ("stderr", "warned")]
    assert [line.at for line in tail] == [5.0] * 3
    assert read[0] < 2 * BLOCK
    assert not view.complete
    assert view.count == 0
    assert view.grow()
    assert 0 < view.progress < 1
    assert texts(view.window(0, 2)) == [], "no line has ended yet"
    while view.grow():
        pass
    assert view.complete
    assert view.progress == 1
    assert view.place(tail[0]) == view.count - 3


def test_a_stream_that_its_case_cut_is_told_and_shown_as_it_is_now(attempt: Attempt) -> None:
    attempt.write("stdout", b"one\n")
    attempt.write("stderr", b"gone 1\ngone 2\n")
    attempt.sample()
    view = indexed(attempt.folder)
    assert view.shrunk == ()
    (attempt.folder / "stderr").write_bytes(b"kept\n")
    view.grow()
    assert (view.shrunk, view.cuts) == (("stderr",), 1)
    assert texts(view.window(0, 9)) == [("stdout", "one"), ("stderr", "kept")]
    attempt.sample()
    attempt.write("stdout", b"two\n")
    attempt.sample()
    expected = [("stdout", "one"), ("stderr", "kept"), ("stdout", "two")]
    view.grow()
    later = indexed(attempt.folder)
    for one in (view, later):
        assert texts(one.window(0, 9)) == expected
        assert texts(one.tail(9)) == expected
        assert one.shrunk == ("stderr",)


def test_a_folder_that_is_removed_leaves_no_lines_and_no_error(attempt: Attempt) -> None:
    attempt.write("stdout", b"one\n")
    attempt.sample()
    view = indexed(attempt.folder)
    for file in attempt.folder.iterdir():
        file.unlink()
    assert view.window(0, 9) == []
    view.grow()
    assert view.count == 0


def test_a_hundred_thousand_samples_in_which_one_stream_grows_keep_no_boundary() -> None:
    import numpy as np

    ordering = Ordering()
    sizes = np.arange(100_000, dtype=np.int64) * 100
    ordering.add(sizes, np.full(100_000, 7, np.int64))
    assert len(ordering._ahead[0]) == 1, "the one at which stderr had grown before"


# --- search ---------------------------------------------------------------------------------------


def found(view: LogView, text: str, start: int, *, forward: bool = True) -> int | None:
    return next((one for one in view.search(Pattern(text), start, forward=forward) if one is not None), None)


@settings(max_examples=60, deadline=None)
@given(history, st.sampled_from(["a", "bc", "d", "E", "zz"]), st.booleans(), st.data())
def test_search_finds_the_nearest_line(
    pieces: list[tuple[str, str]], text: str, forward: bool, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "_SEARCHED", 3)
        attempt = Attempt(Path(folder))
        for what, written in pieces:
            attempt.sample() if what == "sample" else attempt.write(what, written.encode())
        view = indexed(Path(folder))
        view.mode = data.draw(st.sampled_from(["both", "stdout", "stderr"]))
        lines = [line.text for line in view.window(0, 10_000)]
        start = data.draw(st.integers(0, max(0, len(lines) - 1)))
        order = range(start, len(lines)) if forward else range(start, -1, -1)
        wanted = next((at for at in order if at < len(lines) and text in lines[at]), None)
        assert found(view, text, start, forward=forward) == wanted


@pytest.mark.parametrize(
    ("pattern", "finds"),
    [("error", True), ("Error", False), ("ERROR", True), ("error: b", True), ("[red]", True), ("r.r", False)],
)
def test_search_is_for_words_with_smart_case_through_colours(
    attempt: Attempt, pattern: str, finds: bool
) -> None:
    attempt.write("stdout", b"nothing\n\x1b[1;31mERROR\x1b[0m: bad [red]\n")
    view = indexed(attempt.folder)
    assert (found(view, pattern, 0) == 1) is finds


def test_search_does_not_stop_at_what_a_progress_bar_has_overwritten(attempt: Attempt) -> None:
    attempt.write("stdout", b"\r10%\r20%\rdone\nthe 10% line\n")
    view = indexed(attempt.folder)
    assert found(view, "10%", 0) == 1


def test_search_stops_at_a_long_line_that_holds_it_where_nobody_sees(attempt: Attempt) -> None:
    attempt.write("stdout", b"x\n" + b"-" * 2_000_000 + b"needle" + b"-" * 2_000_000 + b"\n")
    view = indexed(attempt.folder)
    assert found(view, "needle", 0) == 1


def test_search_can_be_given_up_between_pieces(attempt: Attempt) -> None:
    attempt.write("stdout", b"line\n" * 1_000_000 + b"needle\n")
    search = indexed(attempt.folder).search(Pattern("needle"), 0)
    assert next(search) is None
    assert [one for one in search if one is not None] == [1_000_000]


def test_nothing_is_found_for_nothing(attempt: Attempt) -> None:
    attempt.write("stdout", b"line\n")
    view = indexed(attempt.folder)
    assert found(view, "", 0) is None
    assert Pattern("").spans("line") == []
    assert Pattern("İ").spans("xİx") == [(1, 2)]


# --- what a line becomes ----------------------------------------------------------------------------


def shown(attempt: Attempt, raw: bytes) -> LogLine:
    attempt.write("stdout", raw)
    (line,) = indexed(attempt.folder).window(0, 9)
    return line


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;aGFoYQ==\x1b\\after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("before\x1b]0;never ends", "before"),
        ("\x1b]0;cut \x1b[31mred", "red"),
        ("\x1bP1$r0m\x1b\\after", "after"),
        ("\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\after", "after"),
        ("a\x1b[2Jb\x1b[10;10Hc\x1b[?1049hd\x1b[3Ae", "abcde"),
        ("a\x1bcb\x1b7c\x1b(0d", "abcd"),
        ("\x1b[>4;2mx\x1b[?25lx", "xx"),
        ("ends in \x1b[12", "ends in "),
        ("ends in \x1b", "ends in \\x1b"),
        ("\x1b[12\x01m", "\\x1b[12\\x01m"),
        ("\x9b31mred \x9d0;title\x9c", "\\x9b31mred \\x9d0;title\\x9c"),
        ("nul\x00bell\x07del\x7f", "nul\\x00bell\\x07del\\x7f"),
        ("a\u202eb\u2066c\u200bd\u200de\ufefff", "a\\u202eb\\u2066c\\u200bd\\u200de\\ufefff"),
        ("soft\u00adhyphen\u3164filler\U000e0041tag", "soft\\xadhyphen\\u3164filler\\U000e0041tag"),
        ("heart \u2764\ufe0f", "heart \u2764"),
        ("[red]not markup[/]", "[red]not markup[/]"),
        ("tab\tstays", "tab\tstays"),
        ("10%\b\b\b20%", "20%"),
        ("abc\b\b", "abc"),
        ("\b\bx", "x"),
        ("a\x1b[1mb\b\x1b[0mc", "ac"),
        ("日本\u0301 한국 🎉", "日本\u0301 한국 🎉"),
    ],
)
def test_only_text_and_colours_survive(raw: str, text: str) -> None:
    assert readable(raw)[0] == text


@pytest.mark.parametrize(
    ("sequence", "style"),
    [
        ("31", "red"),
        ("1;31", "bold red"),
        ("0;1;31", "bold red"),
        ("", ""),
        ("97;104", "bright_white on bright_blue"),
        ("38;5;123", "color(123)"),
        ("48;5;7", "on color(7)"),
        ("38;2;1;2;3;1", "bold rgb(1,2,3)"),
        ("38:2::1:2:3", "rgb(1,2,3)"),
        ("38:5:9;48:2:1:2:3", "color(9) on rgb(1,2,3)"),
        ("4:3", "underline"),
        ("4;4:0", ""),
        ("58;5;1;31", "red"),
        ("1;2;22;3;23;7;9;27", "strike"),
        ("31;39;41;49", ""),
        ("5;8", ""),
        ("38;2;1;2", ""),
        ("38;5;999", ""),
        ("38", ""),
        ("107;37", "white on bright_white"),
        ("9" * 5000, ""),
        ("38;9;31", "red"),
        ("::;:", ""),
    ],
)
def test_sgr_becomes_a_style(sequence: str, style: str) -> None:
    assert readable(f"\x1b[{sequence}mx")[1] == ([(0, 1, style)] if style else [])


def test_a_style_ends_with_its_line(attempt: Attempt) -> None:
    attempt.write("stdout", b"\x1b[31mred\nplain\n")
    red, plain = indexed(attempt.folder).window(0, 2)
    assert (red.spans, plain.spans) == (((0, 3, "red"),), ())


def test_spans_count_characters_as_they_are_shown() -> None:
    assert readable("a\x01\x1b[32mb\x02\x1b[32mc\x1b[0md") == ("a\\x01b\\x02cd", [(5, 11, "green")])


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[]m;0137\x07\\P\b\t"))))
def test_whatever_is_printed_becomes_one_harmless_line(raw: str) -> None:
    text, spans = readable(raw.replace("\n", "").replace("\r", ""))
    kinds = {character: unicodedata.category(character) for character in text}
    harm = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert [one for one, kind in kinds.items() if kind in harm and one != "\t"] == []
    assert all(0 <= start < end <= len(text) for start, end, _ in spans)
    assert "\x1b[" not in without_sequences("\x1b[31m" + raw.replace("\x1b", ""))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\r 10%\r 20%\r 30%\n", " 30%"),
        (b"\r 10%\r\x1b[K\r   \n", " 10%"),
        (b"windows\r\n", "windows"),
        (b"\r\r\r\n", ""),
        (b"\x1b[32m 1%\r\x1b[33m 2%\n", " 2%"),
    ],
)
def test_of_a_progress_bar_the_last_state_is_shown(attempt: Attempt, raw: bytes, text: str) -> None:
    assert shown(attempt, raw).text == text


def test_of_a_progress_bar_of_ten_megabytes_the_last_state_is_shown(attempt: Attempt) -> None:
    line = shown(attempt, b"".join(b"\rstep %8d" % number for number in range(700_000)))
    assert (line.text, line.left_out) == ("step   699999", 0)


def test_a_progress_bar_whose_last_state_is_long_shows_the_end_of_it(attempt: Attempt) -> None:
    line = shown(attempt, b"first\rsecond" + b"x" * 100_000 + b"end\n")
    assert line.text == "x" * (PART - 3) + "end"
    assert (line.cut_at, line.left_out) == (0, 100_015 - PART)


def test_of_a_long_line_both_ends_are_shown_and_how_much_is_left_out(attempt: Attempt) -> None:
    euro = "€".encode()
    line = shown(attempt, b"\x1b[31m" + euro * 4_000_000 + b"\x1b[32mend\n")
    assert set(line.text) == {"€", "e", "n", "d"}, "no character is cut in two"
    assert line.left_out > 11_000_000
    assert line.spans[0] == (0, line.cut_at, "red")
    assert line.spans[-1][2] == "green"


def test_invalid_utf_8_is_replaced_and_nothing_is_lost(attempt: Attempt) -> None:
    assert shown(attempt, b"a\xff\xfeb\xc3\n").text == "a��b�"
