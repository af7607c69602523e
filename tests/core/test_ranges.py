from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_sweep.core.errors import RangeError
from tui_sweep.core.ranges import Range, parse_range


def values(expr: str) -> list[str]:
    return list(parse_range(f"X={expr}"))


def refused(text: str) -> RangeError:
    with pytest.raises(RangeError) as caught:
        parse_range(text)
    error = caught.value
    assert error.text == text
    assert error.span is not None
    assert len(str(error)) < 200
    return error


def under_caret(text: str) -> str:
    error = refused(text)
    assert error.span is not None
    first, past = error.span
    assert 0 <= first < past <= len(text)
    return text[first:past]


# What the contract says in so many words


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("linspace:1,2,3", "1 1.5 2"),
        ("linspace:0,1,11", "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1"),
        ("linspace:0,1,4", "0 0.3333333333333333 0.6666666666666666 1"),
        ("linspace:5,7,1", "5"),
        ("linspace:-1,1,3", "-1 0 1"),
        ("range:0,1,0.25", "0 0.25 0.5 0.75"),
        ("range:0.3", "0"),
        ("range:1,0,-0.5", "1 0.5"),
        ("range:10,0,-3", "10 7 4 1"),
        ("logspace:-3,3,7", "0.001 0.01 0.1 1 10 100 1000"),
        ("logspace:2,9,1", "100"),
        ("geomspace:1,1000,4", "1 10 100 1000"),
        ("geomspace:2,32,5", "2 4 8 16 32"),
        ("geomspace:-1,-100,3", "-1 -10 -100"),
        ("geomspace:0.5,8,1", "0.5"),
        ("geomspace:1e-300,1e300,3", "1e-300 1 1e+300"),
    ],
)
def test_the_values_of_an_expression(expr, expected):
    assert " ".join(values(expr)) == expected


def test_case_items_are_the_strings_between_the_commas():
    assert values("case: a,,b ,c=d,$X,é") == [" a", "", "b ", "c=d", "$X", "é"]
    assert values("case:") == [""]


def test_a_number_below_1e16_has_no_trailing_zero_and_above_it_is_written_as_python_does():
    assert values("linspace:1e15,1e16,2") == ["1000000000000000", "1e+16"]


def test_integers_of_a_range_are_of_any_size_and_decimals_are_doubles():
    assert values("range:10000000000000000000000,10000000000000000000002") == [
        "10000000000000000000000",
        "10000000000000000000001",
    ]
    assert values("range:1e22,10000000000000000000002") == ["1e+22", "1e+22"]


@pytest.mark.parametrize("expr", ["linspace:-1e-400,1,2", "linspace:-0.0,1,2", "range:-0.0,1,1.0"])
def test_there_is_no_minus_zero(expr):
    assert values(expr)[0] == "0"


def test_numbers_may_have_blanks_signs_underscores_leading_zeros_and_digits_of_any_script():
    assert values("range: +1 , 4") == ["1", "2", "3"]
    assert values("range:007,010") == ["7", "8", "9"]
    assert values("linspace:1_000,2_000,3") == ["1000", "1500", "2000"]
    assert values("linspace:١,٣,٣") == ["1", "2", "3"]
    assert values("linspace:.5,1.,2") == ["0.5", "1"]


def test_a_range_of_1e30_values_is_lazy():
    r = parse_range(f"X=range:{10**30}")
    assert r.count == 10**30
    assert r[10**30 - 1] == str(10**30 - 1)
    with pytest.raises(OverflowError):
        len(r)


@pytest.mark.parametrize("expr", ["range:3", "linspace:0,1,3", "geomspace:1,2,3", "case:a,b,c"])
def test_an_index_outside_is_an_index_error(expr):
    r = parse_range(f"X={expr}")
    assert len(r) == 3
    for index in (-1, 3, 10**40):
        with pytest.raises(IndexError):
            r[index]


def test_an_index_may_come_from_numpy():
    r = parse_range(f"X=range:{10**18},{10**20}")
    assert r[np.int64(2**62)] == str(10**18 + 2**62)


# Errors


@pytest.mark.parametrize(
    ("text", "offence", "message"),
    [
        ("X", "X", "NAME=EXPR"),
        ("=case:a", "=", "no name"),
        ("X-Y=case:a", "X-Y", "ASCII letters"),
        ("X\n=case:a", "X\n", "ASCII letters"),
        ("1X=case:a", "1X", "ASCII letters"),
        ("é=case:a", "é", "ASCII letters"),
        ("X=Range:3", "Range", "begins with one of"),
        ("X= case:a", "case", "begins with one of"),
        ("X=", "=", "begins with one of"),
        ("X=:1", ":", "begins with one of"),
        ("X=case", "case", "begins with one of"),
        ("X=case:a,\0", "\0", "NUL"),
        ("X=range:", ":", "none was given"),
        ("X=range:1,2,3,4", "1,2,3,4", "needs one to three numbers"),
        ("X=range:0,5,0", "0", "step is zero"),
        ("X=range:5,1", "5,1", "no values"),
        ("X=range:0", "0", "no values"),
        ("X=range:1,5,-1", "1,5,-1", "no values"),
        ("X=range:a", "a", "stop is not a number"),
        ("X=range:1,,2", ",", "stop is empty"),
        ("X=range:1, x ,2", "x", "stop is not a number"),
        ("X=range:1__0", "1__0", "not a number"),
        ("X=range:_1", "_1", "not a number"),
        ("X=range:0x10", "0x10", "not a number"),
        ("X=linspace:1,2", "1,2", "linspace needs three numbers (start,stop,num); two were given"),
        ("X=linspace:NaN,1,2", "NaN", "not finite"),
        ("X=linspace:1,-Infinity,2", "-Infinity", "not finite"),
        ("X=linspace:1,2,0", "0", "num is below 1"),
        ("X=linspace:1,2,-3", "-3", "num is below 1"),
        ("X=linspace:1,2,3.0", "3.0", "num is not an integer"),
        ("X=linspace:1e400,1,2", "1e400", "largest double"),
        ("X=linspace:1,2e308,2", "2e308", "largest double"),
        ("X=range:0,1e309,1e308", "1e309", "largest double"),
        ("X=logspace:0,309,2", "309", "largest double"),
        ("X=logspace:1e300,0,2", "1e300", "power of ten"),
        ("X=geomspace:0,1,3", "0", "is zero"),
        ("X=geomspace:1,0.0,3", "0.0", "is zero"),
        ("X=geomspace:-1,1,3", "1", "different signs"),
        ("X=lines:", ":", "no file name"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(text, offence, message):
    assert under_caret(text) == offence
    assert message in str(refused(text))


def test_the_empty_text_is_an_error_too():
    assert refused("").span == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "X=linspace:1e999999999,1,2",
        "X=linspace:1e-999999999,1,2",
        "X=linspace:0,1,1e999999999",
        "X=linspace:1e99999999999999999999999999,1,2",
        "X=range:0,1,1e-999999999",
        "X=range:" + "9" * 10**7,
        "X=linspace:0,1," + "9" * 10**7,
        "X=linspace:0." + "9" * 10**7 + ",1,2",
        "X=linspace:1e" + "9" * 10**6 + ",1,2",
        "X=geomspace:1e999999999,1,2",
        "X=logspace:1e999999999,1,2",
        "X=logspace:-4301,1,2",
        "X=" + "1_" * 10**6,
        "X=range:" + "1_" * 10**6,
        "X=range:" + "," * 10**6,
    ],
    ids=lambda text: text[:30],
)
def test_a_hostile_number_is_refused(text):
    refused(text)


def test_the_longest_numbers_that_are_taken_can_be_written():
    r = parse_range("X=range:" + "9" * 4300)
    assert r[r.count - 1] == "9" * 4299 + "8"
    r = parse_range("X=range:-" + "9" * 4299 + "," + "9" * 4300)
    assert r[0] == "-" + "9" * 4299
    assert r[r.count - 1] == "9" * 4299 + "8"
    r = parse_range("X=linspace:1e-4300,1," + "9" * 4300)
    assert r[0] == "0"
    assert r[r.count - 1] == "1"
    assert not r.distinct


@settings(deadline=None)
@given(
    st.text(max_size=30),
    st.sampled_from(["X=range:", "X=linspace:", "X=geomspace:", "X=logspace:", "X=", ""]),
)
def test_any_text_is_read_or_refused_with_a_caret_inside_it(text, begin):
    try:
        r = parse_range(begin + text)
    except RangeError as error:
        shown, (first, past) = error.text, error.span
    else:
        shown, first, past = begin + text, 0, 0
        assert isinstance(r[0], str)
        assert isinstance(r[r.count - 1], str)
    assert shown == begin + text
    assert 0 <= first <= past <= len(shown)


# Lines of a file


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\nc d\n", ["a,b", "c d"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\n\r\nb\r\n", ["a", "", "b"]),
        (b"\n", [""]),
        (b"a\n\n", ["a", ""]),
        (b"a\rb\x0cc\xe2\x80\xa8d\n", ["a\rb\x0cc\u2028d"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
    ],
)
def test_lines_are_the_lines_of_the_file(tmp_path, content, expected):
    (tmp_path / "a, b.txt").write_bytes(content)
    assert values(f"lines:{tmp_path}/a, b.txt") == expected


def test_a_file_that_cannot_be_taken_is_an_error(tmp_path):
    path = tmp_path / "file"
    assert under_caret(f"X=lines:{path}") == str(path)
    assert "No such file" in str(refused(f"X=lines:{path}"))
    assert "directory" in str(refused(f"X=lines:{tmp_path}"))
    path.write_bytes(b"")
    assert "empty" in str(refused(f"X=lines:{path}"))
    path.write_bytes(b"a\nb\nabc\xff\n")
    assert "not UTF-8 (line 3, byte 4 of it)" in str(refused(f"X=lines:{path}"))
    path.write_bytes(b"a\nb\0\n")
    assert "line 2" in str(refused(f"X=lines:{path}"))
    path.write_bytes(b"\xef\xbb\xbf")
    assert "empty" in str(refused(f"X=lines:{path}"))


def test_a_file_without_end_is_refused():
    assert "larger than 256 MiB" in str(refused("X=lines:/dev/zero"))


def test_a_range_comes_back_from_its_record_when_its_file_is_gone(tmp_path):
    path = tmp_path / "file"
    path.write_text("a\n\nb\n")
    r = parse_range(f"X=lines:{path}")
    path.unlink()
    back = Range.restore(json.loads(json.dumps(r.record())))
    assert list(back) == ["a", "", "b"]
    assert (back.key, back.expr, back) == ("X", f"lines:{path}", r)


@pytest.mark.parametrize(
    "expr", ["case:a,,b", "range:3", "linspace:0,1,7", "logspace:0,1,3", "geomspace:1,3,4"]
)
def test_a_range_comes_back_from_its_record(expr):
    r = parse_range(f"X={expr}")
    record = json.loads(json.dumps(r.record()))
    assert record == {"key": "X", "expr": expr}
    assert Range.restore(record) == r
    assert list(Range.restore(record)) == list(r)


def test_numpy_is_left_out_of_the_start():
    code = "import sys, tui_sweep.core.plan; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
