from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tui_sweep.core.errors import UsageError
from tui_sweep.core.plan import Case, Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.sweep import Sweep
from tui_sweep.core.templates import parse_env

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "run-vectors.json").read_text())["vectors"]
# Those of --max-parallel are about the command line alone: tests/cli/ has them.
EXPANSIONS = [vector for vector in VECTORS if "max_parallel" not in vector["input"]]
KNOWN_KEYS = {"env", "env_range", "build", "build_range", "exec", "exec_range", "exec_first"}


def plan(
    *,
    env=(),
    clean="*",
    build="*",
    code=None,
    zips=(),
    ranges=(),
    env_range=(),
    build_range=(),
    exec_range=(),
    **commands,
) -> Plan:
    def parsed(texts):
        return tuple(parse_range(text) for text in texts)

    return Plan(
        Sweep(
            image="python",
            engine="local",
            env=tuple(parse_env(text) for text in env),
            clean=clean,
            build=build,
            exec=commands.get("exec", "*"),
            code=code,
            ranges=parsed(ranges),
            env_ranges=parsed(env_range),
            build_ranges=parsed(build_range),
            exec_ranges=parsed(exec_range),
            zips=tuple(tuple(text.split(",")) for text in zips),
        )
    )


def refused(**options) -> UsageError:
    with pytest.raises(UsageError) as caught:
        plan(**options)
    return caught.value


def offence(error: UsageError) -> str:
    assert error.text is not None
    assert error.span is not None
    return error.text[slice(*error.span)]


# What was observed of the reference, and what the contract makes of it


def test_no_vector_is_forgotten():
    assert (len(VECTORS), len(EXPANSIONS)) == (80, 77)
    assert {key for vector in EXPANSIONS for key in vector["input"]} <= KNOWN_KEYS


@pytest.mark.parametrize("vector", EXPANSIONS, ids=lambda vector: vector["id"])
def test_a_vector_expands_as_the_contract_says(vector):
    options = {key: value for key, value in vector["input"].items() if key != "exec_first"}
    expected = vector["contract"]
    if "exit_code" in expected:
        error = refused(**options)
        assert error.exit_code == expected["exit_code"]
        assert offence(error)
        return
    cases = list(plan(**options))
    assert [{"env": case.env, "build": case.build, "exec": case.exec} for case in cases] == expected["cases"]
    assert [list(case.env) for case in cases] == [list(case["env"]) for case in expected["cases"]]
    assert [case.index for case in cases] == list(range(len(cases)))


# Cases and their order


def test_a_case_holds_its_values_and_all_four_texts():
    p = plan(
        ranges=["R=case:r,s"],
        env=["A=$E-$R", "B=x"],
        env_range=["E=range:2"],
        clean="rm $R",
        build="make $R $B",
        build_range=["B=case:b"],
        exec="run $X",
        exec_range=["X=case:1,2"],
    )
    assert (len(p), p.count, p.merged, p.names) == (8, 8, 0, ("R", "E", "B", "X"))
    assert p[3] == Case(
        3, {"R": "r", "E": "1", "B": "b", "X": "2"}, {"A": "1-r", "B": "x"}, "rm r", "make r b", "run 2"
    )


def test_shared_variables_are_slowest_then_env_build_and_exec():
    p = plan(
        ranges=["R=range:2"],
        env=["A=$E"],
        env_range=["E=range:2"],
        build="$B",
        build_range=["B=range:2"],
        exec="$X $R",
        exec_range=["X=range:2"],
    )
    assert p.names == ("R", "E", "B", "X")
    assert ["".join(case.variables.values()) for case in p] == [f"{i:04b}" for i in range(16)]


def test_within_a_kind_the_first_option_is_slowest():
    p = plan(exec="$X $Y", exec_range=["Y=range:2", "X=range:2"])
    assert [case.exec for case in p] == ["0 0", "1 0", "0 1", "1 1"]


def test_a_name_of_several_kinds_is_told_apart_by_its_column():
    p = plan(env=["A=$X$Y"], env_range=["X=case:1", "Y=case:2"], exec="$X", exec_range=["X=case:3"])
    assert p.names == ("env.X", "Y", "exec.X")
    assert p[0].variables == {"env.X": "1", "Y": "2", "exec.X": "3"}


def test_an_empty_command_is_the_default_and_a_star_is_never_a_template():
    p = plan(clean="", build="", exec="*", env=["A=*"])
    assert list(p) == [Case(0, {}, {"A": "*"}, "*", "*", "*")]


def test_of_a_repeated_env_name_the_last_template_counts_at_the_place_of_the_first():
    p = plan(env=["A=1", "B=2", "A=3"])
    assert list(p[0].env.items()) == [("A", "3"), ("B", "2")]


@pytest.mark.parametrize("index", [-1, 4, 10**30])
def test_an_index_outside_is_an_index_error(index):
    with pytest.raises(IndexError):
        plan(exec="$X", exec_range=["X=range:4"])[index]


# Zips


def test_zipped_variables_walk_together_at_the_first_ones_place():
    p = plan(exec="$A $B $C", exec_range=["A=range:2", "B=case:x,y", "C=case:p,q"], zips=["C,A"])
    assert p.names == ("A", "C", "B")
    assert [case.exec for case in p] == ["0 x p", "0 y p", "1 x q", "1 y q"]


def test_zips_of_a_name_that_several_kinds_have_take_the_kind_that_has_all():
    p = plan(
        env=["A=$X$Y"], env_range=["X=range:2", "Y=range:2"], exec="$X", exec_range=["X=case:a"], zips=["X,Y"]
    )
    assert [case.env["A"] for case in p] == ["00", "11"]


def test_several_zips_are_dimensions_of_their_own():
    p = plan(
        exec="$A$B$C$D",
        exec_range=[f"{name}=range:3" for name in "ABCD"],
        zips=["A,C", "D,B"],
    )
    assert [case.exec for case in p] == [f"{a}{b}{a}{b}" for a in range(3) for b in range(3)]


two = {"exec": "$X $Y", "exec_range": ["X=range:2", "Y=range:2"]}


@pytest.mark.parametrize(
    ("options", "wrong", "message"),
    [
        ({**two, "zips": ["X,Z"]}, "Z", "no variable Z"),
        ({**two, "zips": ["X,"]}, None, "a name is missing"),
        ({**two, "zips": ["X"]}, "X", "two variables or more"),
        ({**two, "zips": ["X,X"]}, "X", "named twice"),
        ({**two, "zips": ["X,Y", "Y,X"]}, "Y", "in a --zip already"),
        (
            {**two, "exec_range": ["X=range:2", "Y=range:3"], "zips": ["X,Y"]},
            "Y",
            "different lengths, 2 and 3",
        ),
        ({**two, "exec_range": ["X=case:a,b", "Y=case:a,a,b"], "zips": ["X,Y"]}, "Y", "different lengths"),
        (
            {**two, "ranges": ["X=range:2"], "exec_range": ["Y=range:2"], "zips": ["X,Y"]},
            "Y",
            "different kinds",
        ),
        (
            {
                **two,
                "env": ["A=$X $Y"],
                "env_range": ["X=range:2", "Y=range:2"],
                "zips": ["X,Y"],
            },
            "X",
            "in --env-range and in --exec-range",
        ),
    ],
)
def test_a_zip_that_cannot_be_is_shown(options, wrong, message):
    error = refused(**options)
    assert str(error).startswith("--zip: ")
    assert message in str(error)
    assert error.text in options["zips"]
    assert wrong is None or offence(error) == wrong


# Errors


@pytest.mark.parametrize(
    ("options", "wrong", "message", "hint"),
    [
        ({"env": ["CASENO=$Y"]}, "$Y", "-e: there is no variable Y", "write $$Y for a literal $Y"),
        ({"exec": "echo ${HOME}"}, "${HOME}", "--exec: there is no variable HOME", "$${HOME}"),
        ({"build": "a $1"}, "$1", "--build: ", "$$1"),
        ({"clean": "a $"}, "$", "--clean: a '$' stands alone", "$$"),
        (
            {"exec": "$X", "exec_range": ["X=case:a"], "env": ["A=$X"]},
            "$X",
            "-e: there is no variable X",
            "X is a variable of --exec-range",
        ),
        (
            {"clean": "$X", "exec": "$X", "exec_range": ["X=case:a"]},
            "$X",
            "--clean: ",
            "which --clean does not see",
        ),
        ({"env": ["A=$Y", "A=1"]}, "$Y", "-e: there is no variable Y", "$$Y"),
        ({"env": ["A=\0"]}, "\0", "NUL", None),
        ({"env": ["A\0=a"]}, "\0", "NUL", None),
        ({"exec": "\0"}, "\0", "NUL", None),
        ({"exec": "$X", "exec_range": ["X=case:a", "X=case:b"]}, "X", "--exec-range: X is given twice", None),
        ({"exec": "$X", "ranges": ["X=case:a", "X=case:b"]}, "X", "--range: X is given twice", None),
        (
            {"exec": "$X", "ranges": ["X=case:a"], "exec_range": ["X=case:b"]},
            "X",
            "by --range and by --exec-range",
            "another name",
        ),
        ({"exec": "p", "ranges": ["X=case:a"]}, "X", "no template uses the variable X", "write $X"),
        ({"exec": "$$X", "exec_range": ["X=case:a"]}, "X", "--exec does not use the variable X", "in --exec"),
        ({"env": ["A=1"], "env_range": ["X=case:a"]}, "X", "-e does not use the variable X", "in -e"),
        ({"code": "print($X)", "ranges": ["X=case:a"]}, "X", "no template uses", "by -e X=$X"),
        (
            {"code": "print($X)", "exec_range": ["X=case:a"]},
            "X",
            "--exec-range",
            "-e X=$X and give it with --range",
        ),
        (
            {"env": ["A=$X", "A=1"], "ranges": ["X=case:a"]},
            "X",
            "no template uses",
            "replaced by a later -e of the same name",
        ),
        (
            {"exec": "$X", "exec_range": ["X=range:2", "Y=range:2"], "zips": ["X,Y"]},
            "Y",
            "--exec does not use the variable Y",
            None,
        ),
    ],
)
def test_what_cannot_be_planned_is_shown_where_it_stands(options, wrong, message, hint):
    error = refused(**options)
    assert offence(error) == wrong
    assert message in str(error)
    assert hint is None or hint in (error.hint or "")


def test_an_env_option_without_a_name_is_refused_however_it_came():
    with pytest.raises(UsageError, match="no name") as caught:
        Plan(Sweep(image="python", engine="local", env=(("", "v"),)))
    assert caught.value.text == "=v"


def test_the_text_of_an_env_error_is_the_option_as_written():
    assert refused(env=["CASENO=a $Y"]).text == "CASENO=a $Y"


# Cost


def peak_of_plan(points: int) -> tuple[Plan, int]:
    tracemalloc.start()
    try:
        p = plan(exec="$X $Y $Z", exec_range=[f"{name}=linspace:0,1,{points}" for name in "XYZ"])
        list(zip(range(8), p, strict=False))
        assert p[p.count - 1].exec == "1 1 1"
        return p, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_plan_of_a_million_cases_takes_no_more_memory_than_one_of_eight():
    small, small_peak = peak_of_plan(2)
    large, large_peak = peak_of_plan(100)
    assert (len(small), len(large)) == (8, 1_000_000)
    assert large[999_999].variables == {"X": "1", "Y": "1", "Z": "1"}
    assert large_peak - small_peak < 5_000_000


def test_a_plan_may_be_longer_than_any_list():
    p = plan(exec="$X", exec_range=[f"X=range:{10**30}"], env=["A=$Y"], env_range=[f"Y=range:{10**10}"])
    assert p
    assert p.count == 10**40
    assert p[10**40 - 1].variables == {"Y": str(10**10 - 1), "X": str(10**30 - 1)}
    with pytest.raises(OverflowError):
        len(p)


# Many cases at once


MANY = [
    plan(ranges=["a=case:x,y,z", "b=range:4", "c=linspace:0,1,5"], exec="$a $b $c"),
    plan(ranges=["a=case:x,y,z", "b=range:3", "c=range:2"], exec="$a $b $c", zips=["a,b"]),
    plan(ranges=["s=range:2", "a=case:1,11,1", "b=case:1,11", "c=range:3"], exec="$s $a$b $c"),
    plan(ranges=["a=case:1,1,11", "s=range:2", "b=case:1,11"], exec="$a$b $s"),
    plan(ranges=["a=case:x,x", "b=range:3"], exec="$a $b"),
    plan(ranges=["a=case:p,q", "b=case:1,2", "c=case:u,v"], zips=["a,c"], exec="$a$c $b"),
]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("some", MANY, ids=range(len(MANY)))
def test_the_positions_of_many_cases_are_those_of_each(some, dtype):
    indices = np.random.default_rng(3).permutation(np.arange(some.count, dtype=dtype))
    positions = some.positions(indices)
    assert all(column.dtype in (dtype, np.int64) for column in positions)
    for k, index in enumerate(indices.tolist()):
        texts = [
            variable.range[int(column[k])] for variable, column in zip(some.variables, positions, strict=True)
        ]
        assert dict(zip(some.names, texts, strict=True)) == some[index].variables == some.values(index)


@pytest.mark.parametrize("some", MANY, ids=range(len(MANY)))
def test_a_variable_varies_when_two_cases_differ_in_it(some):
    seen = {name: {case.variables[name] for case in some} for name in some.names}
    assert some.varying == tuple(name for name in some.names if len(seen[name]) > 1)


def test_what_varies_in_a_merged_plan_is_seen_in_the_cases_that_were_kept():
    assert plan(ranges=["a=case:1,1", "b=case:5,5,6"], exec="$a$b").varying == ("b",)


def test_positions_in_a_plan_that_is_longer_than_any_integer_of_numpy():
    some = plan(ranges=["a=range:1" + "0" * 30, "b=range:3", "c=range:1" + "0" * 30], exec="$a $b $c")
    indices = np.array([0, 5, 2**62])
    assert [column.tolist() for column in some.positions(indices)] == [[0] * 3, [0] * 3, indices.tolist()]


def test_positions_of_no_cases():
    assert [len(column) for column in MANY[0].positions(np.array([], np.int64))] == [0, 0, 0]
