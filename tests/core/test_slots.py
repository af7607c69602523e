from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_sweep.core.errors import UsageError
from tui_sweep.core.slots import Slots, format_size, parse_size, parse_slots

amounts = st.decimals(0, 10**12, places=3)
slots = st.dictionaries(st.sampled_from(["cpu", "mem", "cuda.device", "cuda.shares"]), amounts).map(Slots)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256", 256 << 20),
        ("256m", 256 << 20),
        ("1.5g", 3 << 29),
        ("1G", 1 << 30),
        ("2GiB", 2 << 30),
        ("64 KB", 64 << 10),
        (".5k", 512),
        ("100b", 100),
        (" 1t ", 1 << 40),
    ],
)
def test_a_size_is_in_bytes_and_counts_in_mebibytes_without_a_letter(text, size):
    assert parse_size(text) == size


def test_another_unit_may_be_the_default():
    assert parse_size("2", unit="g") == 2 << 30


@pytest.mark.parametrize(
    "text", ["", "m", "0", "-1g", "1x", "1e3", "1,5g", "0.1b", "nan", "inf", "1 2", "١g"]
)
def test_what_is_no_size_above_zero_is_refused(text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (256 << 20, "256 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 50, "5120 TiB"),
    ],
)
def test_a_size_is_written_for_a_person(size, text):
    assert format_size(size) == text


def test_an_absent_amount_is_zero_and_a_zero_is_not_kept():
    some = Slots({"cpu": 2, "cuda.device": 0})
    assert some["mem"] == 0
    assert (list(some), len(some), "cuda.device" in some) == (["cpu"], 1, False)
    assert some == Slots({"cpu": "2.0"})
    assert hash(some) == hash(Slots({"cpu": "2.0"}))


@settings(deadline=None)
@given(slots, slots)
def test_what_is_taken_can_be_given_back(one, two):
    assert (one + two) - two == one
    assert one + two == two + one


@settings(deadline=None)
@given(slots, slots)
def test_slots_fit_when_none_is_short(one, two):
    assert one.fits(one + two)
    assert one.fits(two) == (one.short_of(two) == [])
    assert one.fits(two) == all(one[name] <= two[name] for name in one)


@settings(deadline=None)
@given(slots)
def test_slots_come_back_from_their_record(some):
    assert Slots(json.loads(json.dumps(some.record()))) == some


def test_amounts_are_shown_in_their_own_units():
    some = Slots({"cpu": "1.50", "mem": 256 << 20, "cuda.device": 1000})
    assert [some.shown(name) for name in ("cpu", "mem", "cuda.device", "cuda.shares")] == [
        "1.5",
        "256 MiB",
        "1000",
        "0",
    ]
    assert some.record() == {"cpu": "1.5", "cuda.device": "1000", "mem": "268435456"}


def test_options_give_slots_and_a_cpu_where_none_is_asked_for():
    assert parse_slots([]).record() == {"cpu": "1"}
    assert parse_slots(["mem=512", "cuda.device=1"]).record() == {
        "cpu": "1",
        "cuda.device": "1",
        "mem": str(512 << 20),
    }
    assert parse_slots(["cpu=1", "cpu=0.5", "mem=1.5g"]) == Slots({"cpu": Decimal("0.5"), "mem": 3 << 29})
    assert "cuda.device" not in parse_slots(["cuda.device=0"])


@pytest.mark.parametrize(
    ("option", "offence", "message"),
    [
        ("cpu", "cpu", "-r needs NAME=AMOUNT"),
        ("=1", "=", "no name"),
        ("cpu=x", "x", "a number is needed"),
        ("cpu=", "", "a number is needed"),
        ("cpu=0", "0", "above zero"),
        ("cpu=-1", "-1", "above zero"),
        ("cpu=nan", "nan", "above zero"),
        ("cpu=Infinity", "Infinity", "above zero"),
        ("mem=lots", "lots", "a size such as"),
        ("mem=0", "0", "a size such as"),
        ("cuda.device=-1", "-1", "above zero"),
        ("cpu=1e999999999", "1e999999999", "no engine has such an amount"),
        ("cpu=1e-999999999", "1e-999999999", "no engine has such an amount"),
        ("mem=" + "9" * 5000 + "g", "9" * 5000 + "g", "no engine has such an amount"),
    ],
    ids=lambda text: text[:20],
)
def test_a_wrong_amount_is_shown_where_it_stands(option, offence, message):
    with pytest.raises(UsageError) as caught:
        parse_slots([option])
    error = caught.value
    assert error.text == option
    assert option[slice(*error.span)] == offence
    assert error.span[0] < error.span[1]
    assert message in str(error)
