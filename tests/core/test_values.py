from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tui_sweep.core.errors import RangeError
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.values import counted


def values(expr: str) -> list[str]:
    return list(parse_range(f"X={expr}"))


def exact(text: str) -> Fraction:
    """The number that a decimal text says, by way of digits alone (not of Decimal)."""
    sign, whole, part, power = re.fullmatch(r"([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?", text).groups()
    return (
        int(f"{sign}1")
        * Fraction(int(whole + part or "0"), 10 ** len(part))
        * Fraction(10) ** int(power or 0)
    )


def shown(number: Fraction) -> str:
    text = repr(float(number))
    return {"-0.0": "0"}.get(text, text.removesuffix(".0"))


decimals = st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,8})?(e-?[0-9]{1,2})?", fullmatch=True)
kinds = st.sampled_from(["range", "linspace", "logspace", "geomspace"])


# Numbers against other ways to compute them


@settings(deadline=None)
@given(decimals, decimals, st.integers(2, 200), st.data())
def test_linspace_is_the_exact_fraction_rounded_once(start, stop, num, data):
    i = data.draw(st.integers(0, num - 1))
    number = exact(start) + (exact(stop) - exact(start)) * Fraction(i, num - 1)
    assert parse_range(f"X=linspace:{start},{stop},{num}")[i] == shown(number)


@settings(deadline=None)
@given(decimals, decimals, st.integers(1, 200))
def test_linspace_is_numpys_within_4_ulp_of_the_larger_end(start, stop, num):
    larger = max(abs(float(start)), abs(float(stop)))
    expected = np.linspace(float(start), float(stop), num)
    ours = [float(text) for text in values(f"linspace:{start},{stop},{num}")]
    assert np.all(np.abs(np.array(ours) - expected) <= 4 * math.ulp(larger))


@settings(deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-9, 9).filter(bool))
def test_a_range_of_integers_is_pythons(start, stop, step):
    expected = [str(i) for i in range(start, stop, step)]
    assume(expected)
    assert values(f"range:{start},{stop},{step}") == expected
    if step == 1:
        assert values(f"range:{start},{stop}") == expected


@settings(deadline=None)
@given(*[st.decimals(-30, 30, places=2)] * 2, st.decimals("-3", 3, places=3).filter(bool))
def test_a_range_of_decimals_stops_where_exact_arithmetic_says(start, stop, step):
    expected = []
    number = Fraction(start)
    while (number < stop) if step > 0 else (number > stop):
        expected.append(shown(number))
        number += Fraction(step)
        assume(len(expected) < 1000)
    if expected:
        assert values(f"range:{start:.2f},{stop:.2f},{step:.3f}") == expected
    else:
        with pytest.raises(RangeError, match="no values"):
            values(f"range:{start:.2f},{stop:.2f},{step:.3f}")


@settings(deadline=None)
@given(st.integers(-300, 300), st.decimals(-300, 300, places=3), st.integers(1, 60))
def test_logspace_is_numpys_to_1e12(start, stop, num):
    ours = np.array([float(text) for text in values(f"logspace:{start},{stop:f},{num}")])
    np.testing.assert_allclose(ours, np.logspace(start, float(stop), num), rtol=1e-12, atol=0)


sized = st.floats(1e-300, 1e300)


@settings(deadline=None)
@given(sized, sized, st.integers(1, 60), st.sampled_from([1, -1]))
def test_geomspace_is_numpys_to_1e12(start, stop, num, sign):
    start, stop = sign * start, sign * stop
    ours = np.array([float(text) for text in values(f"geomspace:{start!r},{stop!r},{num}")])
    np.testing.assert_allclose(ours, np.geomspace(start, stop, num), rtol=1e-12, atol=0)
    assert ours[0] == start
    if num > 1:
        assert ours[-1] == stop


@settings(deadline=None)
@given(st.integers(-323, 308), st.integers(-323, 308))
def test_powers_of_ten_are_exact(start, stop):
    step = 1 if start <= stop else -1
    powers = range(start, stop + step, step)
    texts = values(f"logspace:{start},{stop},{len(powers)}")
    assert [float(text) for text in texts] == [float(f"1e{i}") for i in powers]


# Distinct never lies, and neither does the alphabet


@settings(deadline=None)
@given(
    kinds,
    st.floats(-1e3, 1e3) | st.sampled_from([1e-320, 5e-324, 1e16, 1.7e308, -1.7e308]),
    st.integers(-40, 40) | st.floats(-100, 100),
    st.integers(1, 40),
)
def test_distinct_never_lies_and_values_hold_nothing_but_the_alphabet(kind, start, move, num):
    stop = start + move * math.ulp(start) if isinstance(move, int) else start + move
    third = repr((stop - start) / num) if kind == "range" else str(num)
    try:
        r = parse_range(f"X={kind}:{start!r},{stop!r},{third}")
    except RangeError:
        assume(False)
    assume(r.count < 1000)
    texts = list(r)
    assert not r.distinct or len(set(texts)) == len(texts)
    assert r.alphabet.issuperset("".join(texts))


@settings(deadline=None)
@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(-300, 300).filter(bool))
def test_integers_hold_nothing_but_their_alphabet(start, stop, step):
    assume(range(start, stop, step))
    r = parse_range(f"X=range:{start},{stop},{step}")
    assert r.alphabet.issuperset("".join(r))
    assert ("-" in r.alphabet) == any(text.startswith("-") for text in r)


@settings(deadline=None)
@given(st.lists(st.text("ab,", max_size=2), min_size=1))
def test_listed_values_are_distinct_when_none_comes_twice(items):
    r = parse_range("X=case:" + ",".join(items))
    assert r.distinct == (len(set(r)) == len(r))
    assert r.alphabet == set("".join(r))


@pytest.mark.parametrize(
    "expr",
    [
        "range:-5,5",
        f"range:{10**40}",
        "linspace:0,1,1000000",
        "logspace:-5,0,100000",
        "geomspace:-1,-9,10000",
        "case:",
    ],
)
def test_ordinary_ranges_are_known_to_be_distinct(expr):
    assert parse_range(f"X={expr}").distinct


@pytest.mark.parametrize(
    "expr", ["linspace:1,1,3", "logspace:2,2,2", "geomspace:3,3,2", "case:a,b,a", "case:,"]
)
def test_repeated_values_are_not_distinct(expr):
    assert not parse_range(f"X={expr}").distinct


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1_000_000, "1,000,000"), (10**15, "more than 1e15"), (10**9000, "more than 1e9000")],
    ids=["none", "million", "1e15", "1e9000"],
)
def test_a_count_is_written_for_a_person(count, text):
    assert counted(count) == text
