from __future__ import annotations

import itertools
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_sweep.core.errors import UsageError
from tui_sweep.core.templates import Mention, parse_env, parse_template


def refused(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse_template("--exec", text)
    assert caught.value.text == text
    return caught.value


def test_a_template_is_cut_into_literals_and_mentions():
    template = parse_template("--exec", "p $X ${Y}$$$$Z$$$A")
    assert [p if isinstance(p, str) else (p.name,) for p in template.pieces] == [
        "p ", ("X",), " ", ("Y",), "$$Z$", ("A",),
    ]  # fmt: skip
    assert [template.text[slice(*mention.span)] for mention in template.mentions] == ["$X", "${Y}", "$A"]


def test_what_stands_before_the_template_is_not_a_part_of_it():
    template = parse_template("-e", "A$B=$X", start=4)
    assert template.pieces == (Mention("X", (4, 6)),)


def test_a_name_ends_at_the_first_character_that_is_not_ascii():
    assert parse_template("--exec", "$Xé").pieces == (Mention("X", (0, 2)), "é")


@pytest.mark.parametrize(
    ("text", "offence", "message"),
    [
        ("awk '{print $1}'", "$1", "does not start with a digit"),
        ("echo $", "$", "stands alone"),
        ("$(ls)", "$", "stands alone"),
        ("$é", "$", "stands alone"),
        ("a $$$ b", "$", "stands alone"),
        ("a ${", "${", "not closed"),
        ("a ${X b", "${X", "not closed"),
        ("a ${X-$Y}", "${X", "not closed"),
        ("a ${ X } b", "${ X }", "letters, digits and _"),
        ("${X:-1}", "${X:-1}", "letters, digits and _"),
        ("a\0", "\0", "NUL"),
    ],
)
def test_a_wrong_dollar_is_shown_where_it_stands(text, offence, message):
    error = refused(text)
    first, past = error.span
    assert text[first:past] == offence
    assert message in str(error)
    assert str(error).startswith("--exec: ")
    if "$" in offence:
        assert f"${offence}" in error.hint


@settings(deadline=None)
@given(st.text("$${}XYz_1 é\n", max_size=12), st.text("$x ", max_size=3))
def test_templates_are_those_of_string_template(text, value):
    names = {name: f"<{name}{value}>" for name in string.Template(text).get_identifiers()}
    try:
        expected = string.Template(text).substitute(names)
    except ValueError:
        refused(text)
        return
    pieces = parse_template("--exec", text).pieces
    assert "".join(p if isinstance(p, str) else names[p.name] for p in pieces) == expected
    assert all(not (isinstance(one, str) and isinstance(two, str)) for one, two in itertools.pairwise(pieces))
    assert "" not in pieces


def test_an_env_option_is_split_at_the_first_equals_sign():
    assert parse_env("A=b=c=$X") == ("A", "b=c=$X")
    assert parse_env("A=") == ("A", "")


@pytest.mark.parametrize(("text", "span"), [("A", (0, 1)), ("=v", (0, 1)), ("", (0, 0))])
def test_an_env_option_needs_a_name_and_an_equals_sign(text, span):
    with pytest.raises(UsageError) as caught:
        parse_env(text)
    assert (caught.value.text, caught.value.span) == (text, span)
