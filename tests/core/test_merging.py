from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tui_sweep.core import merging
from tui_sweep.core.errors import UsageError
from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import Range, parse_range
from tui_sweep.core.sweep import Sweep


def shared(exec: str, *ranges: str, env: tuple[tuple[str, str], ...] = (), zips=()) -> Plan:  # noqa: A002
    found = tuple(parse_range(text) for text in ranges)
    return Plan(Sweep(image="python", engine="local", exec=exec, env=env, ranges=found, zips=zips))


def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many combinations each search looks at, from now on."""
    sizes: list[int] = []
    original = merging._Group.first_ones

    def first_ones(group):
        sizes.append(group._count)
        return original(group)

    monkeypatch.setattr(merging._Group, "first_ones", first_ones)
    return sizes


# What is merged


def test_equal_cases_collapse_to_the_first():
    p = shared("p $X", "X=case:a,b,a,c,b")
    assert [case.exec for case in p] == ["p a", "p b", "p c"]
    assert (p.count, p.merged) == (3, 2)
    assert [case.index for case in p] == [0, 1, 2]


def test_different_values_may_make_equal_cases():
    p = shared("$X$Y", "X=case:a,ab", "Y=case:c,bc")
    assert [case.exec for case in p] == ["ac", "abc", "abbc"]
    assert p[1].variables == {"X": "a", "Y": "bc"}
    assert p.merged == 1


def test_what_is_equal_in_one_template_may_differ_in_another():
    p = shared("$X$Y", "X=case:a,ab", "Y=case:c,bc", env=(("A", "$X"),))
    assert (p.count, p.merged) == (4, 0)


def test_a_separator_that_the_values_hold_too_separates_nothing():
    p = shared("${X}a${Y}", "X=case:,a", "Y=case:,a")
    assert [case.exec for case in p] == ["a", "aa", "aaa"]


def test_zipped_values_that_are_different_one_by_one_may_be_equal_together():
    p = shared("$X$Y", "X=case:a,ab", "Y=case:bc,c", zips=(("X", "Y"),))
    assert [case.variables for case in p] == [{"X": "a", "Y": "bc"}]


def test_a_repeated_value_that_can_be_read_back_tells_nothing_of_what_is_zipped_with_it():
    ranges = ("X=case:a,ab", "Y=case:z,z", "Z=case:c,bc")
    p = shared("$X$Z", *ranges, env=(("A", "$Y"),), zips=(("X", "Y"),))
    assert [case.exec for case in p] == ["ac", "abc", "abbc"]


def test_zipped_values_that_are_each_repeated_may_differ_together():
    p = shared("$X-$Y", "X=case:a,a,b,a", "Y=case:p,q,p,p", zips=(("X", "Y"),))
    assert [case.exec for case in p] == ["a-p", "a-q", "b-p"]


def test_merged_dimensions_on_both_sides_of_another_keep_the_products_order():
    p = shared("$X$Z $Y", "X=case:a,ab", "Y=range:2", "Z=case:c,bc")
    assert [case.exec for case in p] == ["ac 0", "abc 0", "ac 1", "abc 1", "abbc 0", "abbc 1"]


def test_any_number_of_single_values_may_lie_between_merged_ones():
    singles = [f"S{i}=case:s" for i in range(100)]
    names = " ".join(f"$S{i}" for i in range(100))
    p = shared(f"$X$Z {names}", "X=case:a,ab", *singles, "Z=case:c,bc")
    assert [case.exec.split()[0] for case in p] == ["ac", "abc", "abbc"]
    assert len(p[2].variables) == 102


def test_a_search_of_many_combinations_finds_what_a_naive_one_finds():
    p = shared("$X$Y", "X=range:400", "Y=range:300")  # Above LARGEST_EXACT.
    naive = dict.fromkeys(f"{x}{y}" for x in range(400) for y in range(300))
    assert [case.exec for case in p] == list(naive)
    assert p.merged == 400 * 300 - len(naive)


class Clashing(str):
    """A text whose hash is that of every other one."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 1


def test_equal_hashes_of_different_texts_merge_nothing():
    dims = shared("$X $Y", "X=case:a,b,a", "Y=range:30")._dimensions
    group = merging._Group(dims, [0, 1], set(), [(0, 1)])
    group._identity = lambda texts: (Clashing("".join(texts)),)
    assert group._first_by_hashes() == bytes([1] * 60 + [0] * 30)


# What is not searched


@pytest.mark.parametrize(
    ("template", "ranges"),
    [
        ("--lr $X --seed $Y", ("X=linspace:0,1,100000", "Y=range:1000000")),
        ("$X,$Y", ("X=range:1000000", "Y=range:1000000")),
        ("$X-$Y", ("X=range:1000000", "Y=range:1000000")),
        ("$X=$Y", ("X=case:a,b", "Y=range:100000000")),
        ("$X $Y $X$X$Y", ("X=range:1000000", "Y=range:100000000")),
        ("$X $Y$Z $Z", ("X=range:1000000", "Y=range:1000000", "Z=range:1000000")),
    ],
)
def test_combinations_that_can_be_read_back_are_not_searched(monkeypatch, template, ranges):
    sizes = searched(monkeypatch)
    p = shared(template, *ranges)
    assert p.merged == 0
    assert sizes == []


def test_a_variable_that_stands_alone_somewhere_settles_the_other_templates(monkeypatch):
    sizes = searched(monkeypatch)
    p = shared("$X$Y", "X=range:100000", "Y=range:100000", env=(("A", "$X"),))
    assert p.count == 10**10
    assert sizes == []


def test_a_zipped_variable_that_can_be_read_back_settles_the_others(monkeypatch):
    sizes = searched(monkeypatch)
    ranges = ("X=range:100000", "Y=range:100000", "Z=range:100000")
    p = shared("$X$Z", *ranges, env=(("A", "$Y"),), zips=(("X", "Y"),))
    assert p.count == 10**10
    assert sizes == []


def test_repeated_values_are_searched_alone_where_they_can_be_read_back(monkeypatch):
    sizes = searched(monkeypatch)
    p = shared("$X $Y", "X=range:100000000", "Y=case:a,b,a")
    assert (p.count, p.merged, sizes) == (200000000, 100000000, [3])
    assert [p[i].exec for i in (0, 1, 2, p.count - 1)] == ["0 a", "0 b", "1 a", "99999999 b"]


def test_what_would_take_too_long_to_search_is_refused():
    with pytest.raises(UsageError, match="searched for among 90,000,000 combinations of X, Y"):
        shared("$X$Y", "X=range:3000", "Y=range:30000")
    with pytest.raises(UsageError, match="more than 1e80"):
        shared("$X$Y", f"X=range:{10**40}", f"Y=range:{10**40}")


def test_what_lies_between_merged_dimensions_counts_in_what_is_searched():
    with pytest.raises(UsageError, match="40,000,000 combinations of X, Y, Z"):
        shared("$X$Z $Y", "X=case:a,ab", "Y=range:10000000", "Z=case:c,bc")


# Against a naive expansion

KINDS = ("--range", "--env-range", "--build-range", "--exec-range")
items = st.sampled_from(["", "a", "b", "ab", "0", "1", "10", "-1", " ", "a b"])
exprs = st.one_of(
    st.lists(items, min_size=1, max_size=3).map(lambda some: "case:" + ",".join(some)),
    st.sampled_from(["range:2", "range:3", "range:-1,1", "range:9,12", "linspace:1,1,3", "linspace:0,1,3"]),
    st.sampled_from(["linspace:1,1,2", "logspace:0,1,2", "geomspace:1,4,3", "range:0,1,0.5"]),
)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """Small sweeps over all kinds, whose every variable is used, and whose pieces like to collide."""
    kinds: dict[str, list[Range]] = {kind: [] for kind in KINDS}
    for i in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(KINDS))
        kinds[kind].append(parse_range(f"V{i}={draw(exprs)}"))
    zips = []
    for ranges in kinds.values():
        for one, two in itertools.combinations(ranges, 2):
            free = not any({one.key, two.key} & set(names) for names in zips)
            if free and one.count == two.count and draw(st.booleans()):
                zips.append((two.key, one.key))
    sees = {"env": "--env-range", "other": "--env-range", "build": "--build-range", "exec": "--exec-range"}
    sees["clean"] = "--range"
    texts = {}
    for slot, kind in sees.items():
        names = [r.key for r in kinds["--range"] + (kinds[kind] if kind != "--range" else [])]
        chosen = draw(st.lists(st.sampled_from(names), max_size=4)) if names else []
        texts[slot] = "".join(f"${{{n}}}" + draw(st.sampled_from(["", "", " ", "a", "-"])) for n in chosen)
    home = {"--range": "exec", "--env-range": "env", "--build-range": "build", "--exec-range": "exec"}
    for kind, ranges in kinds.items():
        for r in ranges:
            if not any(f"${{{r.key}}}" in texts[s] for s, its in sees.items() if kind in ("--range", its)):
                texts[home[kind]] += f"${{{r.key}}}"
    return Sweep(
        image="python",
        engine="local",
        env=(("A", texts["env"]), ("B", texts["other"])),
        clean=texts["clean"],
        build=texts["build"],
        exec=texts["exec"],
        zips=tuple(zips),
        **dict(
            zip(
                ("ranges", "env_ranges", "build_ranges", "exec_ranges"),
                map(tuple, kinds.values()),
                strict=True,
            )
        ),
    )


def naive(sweep: Sweep) -> tuple[int, list[tuple]]:
    """The cases by plain products and a dict, straight from the contract's words."""
    dimensions: list[list[Range]] = []
    for r in (*sweep.ranges, *sweep.env_ranges, *sweep.build_ranges, *sweep.exec_ranges):
        home = [d for d in dimensions if any(r.key in names and d[0].key in names for names in sweep.zips)]
        if home:
            home[0].append(r)
        else:
            dimensions.append([r])
    walks = [
        [dict(zip([r.key for r in d], texts, strict=True)) for texts in zip(*d, strict=True)]
        for d in dimensions
    ]
    cases: dict[tuple, tuple] = {}
    combinations = 0
    for steps in itertools.product(*walks):
        combinations += 1
        known = {key: text for step in steps for key, text in step.items()}

        def put(template: str, known: dict[str, str] = known) -> str:
            for key, text in known.items():
                template = template.replace(f"${{{key}}}", text)
            return template

        env = tuple((name, put(text)) for name, text in sweep.env)
        texts = tuple(put(text) if text else "*" for text in (sweep.clean, sweep.build, sweep.exec))
        cases.setdefault((env, texts), (known, dict(env), *texts))
    return combinations, list(cases.values())


def compare(sweep: Sweep) -> None:
    combinations, expected = naive(sweep)
    p = Plan(sweep)
    assert [(c.variables, c.env, c.clean, c.build, c.exec) for c in p] == expected
    assert [list(c.variables) for c in p] == [list(p.names)] * p.count
    assert [c.index for c in p] == list(range(p.count))
    assert p.count + p.merged == combinations


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(sweeps())
def test_a_plan_is_what_a_naive_expansion_is(sweep):
    compare(sweep)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(sweeps())
def test_a_plan_searched_by_hashes_is_what_a_naive_expansion_is(sweep):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "LARGEST_EXACT", 0)
        compare(sweep)


@settings(deadline=None)
@given(st.lists(exprs, min_size=2, max_size=4), st.permutations("ABCD"), st.sampled_from(["", " "]))
def test_interleaved_pairs_that_collide_keep_the_products_order(some, order, between):
    names = "ABCD"[: len(some)]
    assume(len(some) == 4)
    template = between.join(f"${{{name}}}" for name in order[:2])
    other = "".join(f"${{{name}}}" for name in order[2:])
    ranges = tuple(parse_range(f"{name}={expr}") for name, expr in zip(names, some, strict=True))
    compare(Sweep(image="python", engine="local", exec=template, env=(("A", other),), ranges=ranges))
