"""Selection against the same thing said case by case."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_sweep.core.cases import NO_CODE, CaseTable
from tui_sweep.core.errors import UsageError
from tui_sweep.core.plan import Plan
from tui_sweep.core.ranges import parse_range
from tui_sweep.core.states import State
from tui_sweep.core.sweep import Sweep
from tui_sweep.view import durations
from tui_sweep.view.columns import number
from tui_sweep.view.mask import Mask
from tui_sweep.view.select import VIEWS, Selection, Sort

NOW = 1000.0
WHY = "not sent yet: max-parallel 2"
REASONS = [None, "exit 1", "out of memory (asked 256 MiB)", "cancelled by you", "straße ÄÖ"]


def some_sweep(ranges=("lr=case:0.1,0.03,1e-3", "bs=range:64,257,64", "name=case:vit,ResNet,,a b"), **asked):
    parsed = tuple(parse_range(text) for text in ranges)
    return Sweep(
        image="python",
        engine="local",
        ranges=parsed,
        exec=asked.pop("exec", " ".join(f"${one.key}" for one in parsed)),
        **asked,
    )


def selected(sweep=None, states=(), **more):
    """A selection over a table whose first cases are in these states."""
    sweep = sweep or some_sweep()
    plan = Plan(sweep)
    table = CaseTable(plan.count)
    table.state[: len(states)] = states
    return Selection(table, plan, Mask(sweep), why=lambda: WHY, **more), table, plan


def shown(selection):
    selection.refresh(NOW)
    assert len(selection) == len(list(selection))
    assert selection.cases().tolist() == list(selection)
    return list(selection)


def filtered(selection, text):
    selection.filter(text)
    return shown(selection)


# Random sweeps, states, filters and orders, against a loop over cases


@st.composite
def worlds(draw):
    """A small sweep with states, reasons and times that need not make sense together."""
    values = st.sampled_from(["1", "2", "10", "1e1", "a", "B", "ß", "x1", "", "0.5", "-3"])
    names = ["p", "q", "r"][: draw(st.integers(1, 3))]
    ranges = [f"{n}=case:{','.join(draw(st.lists(values, min_size=1, max_size=4)))}" for n in names]
    sweep = some_sweep(ranges, exec=draw(st.sampled_from([" ".join, "".join]))([f"${n}" for n in names]))
    plan = Plan(sweep)
    table = CaseTable(plan.count)
    times = st.sampled_from([math.nan, 5.0, 7.0, 900.0])
    for case in range(plan.count):
        table.state[case] = draw(st.sampled_from(list(State)))
        table._set_reason(case, draw(st.sampled_from(REASONS)))
        table.exit_code[case] = draw(st.sampled_from([NO_CODE, 0, 1, 137]))
        for column in (table.queued, table.submitted, table.started, table.ended):
            column[case] = draw(times)
    return sweep, plan, table


TERMS = st.sampled_from(
    [
        "p=1",
        "p!=10",
        "p=10",
        "p<2",
        "p>=1",
        "p>0.7",
        "p<=-3",
        "x",
        "ss",
        "exit",
        "MAX-par",
        "1",
        "state:done",
        "state:wait,fail",
        "state:c",
        "#1",
        "#1-3",
        "#2-",
        "!x",
        "!p=1",
        "!state:run",
        "!#0",
    ]
)


def holds(term, case, plan, table):
    if term.startswith("!"):
        return not holds(term[1:], case, plan, table)
    variables = plan[case].variables
    if term.startswith("#"):
        first, dash, last = term[1:].partition("-")
        return int(first) <= case <= (int(last) if last else math.inf if dash else int(first))
    if term.startswith("state:"):
        word = State(table.state[case]).word
        return any(word.startswith(start) for start in term[6:].split(","))
    for sign in ("!=", "<=", ">=", "=", "<", ">"):
        if sign in term:
            value, wanted = variables[term[0]], term[len(sign) + 1 :]
            texts = set(plan.variables[0].range)
            if sign in ("=", "!="):
                same = value == wanted if wanted in texts else number(value) == number(wanted)
                return same == (sign == "=")
            a, b = number(value), number(wanted)
            return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[sign]
    reason = table.reason(case)
    if reason is None and table.state[case] == State.WAITING:
        reason = WHY
    return any(term.casefold() in text.casefold() for text in (*variables.values(), reason or ""))


def key(sort, case, plan, table):
    """What a case is sorted by; None: it has nothing."""
    if sort.key == "index":
        return case
    if sort.key == "state":
        return int(table.state[case])
    if sort.key == "exit":
        return None if table.exit_code[case] == NO_CODE else int(table.exit_code[case])
    if isinstance(sort.key, int):
        name = plan.names[sort.key]
        texts = list(plan.variables[sort.key].range)
        numeric = not any(math.isnan(number(text)) for text in texts)
        value = plan[case].variables[name]
        return number(value) if numeric else value
    queued, submitted, started, ended = (
        float(column[case]) for column in (table.queued, table.submitted, table.started, table.ended)
    )
    known = lambda *times: next((t for t in times if not math.isnan(t)), math.nan)  # noqa: E731
    if sort.key == "waited":
        seconds = known(started, ended, NOW) - known(queued, submitted)
    else:
        seconds = known(ended, NOW) - started
    return None if math.isnan(seconds) else max(seconds, 0.0)


@given(
    worlds(),
    st.lists(TERMS, max_size=3),
    st.sampled_from(list(VIEWS)),
    st.sampled_from(["index", "state", "waited", "ran", "exit", 0]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_selection_is_what_a_loop_would_choose(world, terms, view, sorted_by, reverse):
    sweep, plan, table = world
    selection = Selection(table, plan, Mask(sweep), why=lambda: WHY)
    selection.filter(" ".join(terms))
    selection.show(view)
    selection.sort_by(Sort(sorted_by, reverse=reverse))
    chosen = [
        case
        for case in range(plan.count)
        if table.state[case] in VIEWS[view] and all(holds(term, case, plan, table) for term in terms)
    ]
    keys = {case: key(selection.sort, case, plan, table) for case in chosen}
    known = sorted((c for c in chosen if keys[c] is not None), key=lambda c: keys[c], reverse=reverse)
    expected = known + [c for c in chosen if keys[c] is None]
    assert shown(selection) == expected
    assert [selection.place(case) for case in expected] == list(range(len(expected)))
    assert all(selection.place(case) is None for case in set(range(plan.count)) - set(expected))
    assert selection.hidden == plan.count - len(expected)


# What the filter language says


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("lr=0.10", "lr=0.1"),
        ("lr=0.001", "lr=1e-3"),
        ("VIT", "name=vit"),
        ("name=VIT", "#999"),
        ("state:ok", "state:done"),
        ("STATE:Fail", "state:failed"),
        ("!!vit", "vit"),
        ("", "#0-"),
    ],
)
def test_two_ways_to_say_the_same(text, same):
    states = [State.DONE, State.FAILED, State.RUNNING]
    selection, _, _ = selected(states=states, words={"ok": State.DONE})
    assert filtered(selection, text) == filtered(selection, same)


@pytest.mark.parametrize(("text", "value"), [('name="a b"', "a b"), ('"name=a b"', "a b"), ("name=", "")])
def test_a_value_may_have_blanks_or_be_empty(text, value):
    selection, _, plan = selected()
    assert filtered(selection, text) == [case.index for case in plan if case.variables["name"] == value]


@pytest.mark.parametrize(
    ("text", "offence", "said"),
    [
        ("LR=0.1", "LR=0.1", "there is no variable LR"),
        ("vit foo=1", "foo=1", "there is no variable foo"),
        ("vit lr<abc", "lr<abc", "lr< needs a number"),
        ("lr>nan", "lr>nan", "needs a number"),
        ("state:zzz", "state:zzz", "no state is called zzz"),
        ("x state:", "state:", "the name of a state is missing"),
        ("state:done,", "state:done,", "missing"),
        ("#", "#", "# is no case"),
        ("a #x1", "#x1", "#x1 is no case"),
        ("#9-3", "#9-3", "holds no case"),
        ("vit !", "!", "nothing stands after"),
        ("vit !foo=1", "foo=1", "no variable foo"),
    ],
)
def test_a_wrong_filter_is_told_and_changes_nothing(text, offence, said):
    selection, _, _ = selected()
    before = filtered(selection, "vit")
    with pytest.raises(UsageError, match=said) as caught:
        selection.filter(text)
    assert caught.value.text == text
    assert text[slice(*caught.value.span)] == offence
    assert selection.text == "vit"
    assert shown(selection) == before


def test_a_secret_is_neither_found_nor_sorted_by():
    sweep = some_sweep(["API_KEY=case:zz,aa,mm", "n=range:2"])
    selection, _, _ = selected(sweep)
    assert filtered(selection, "zz") == []
    assert filtered(selection, "API_KEY=zz") == []
    assert filtered(selection, "****") == list(range(6))
    selection.filter("")
    selection.sort_by(Sort(0))
    assert shown(selection) == list(range(6))
    assert selection.columns[0].text(1) == "****"


def test_a_word_is_found_in_the_reason_a_case_waits_for_without_having_one():
    selection, table, _ = selected(states=[State.DONE, State.HELD])
    table._set_reason(3, "queued behind #7")
    assert filtered(selection, "parallel") == [2, *range(4, 48)]
    assert filtered(selection, "BEHIND") == [3]


def test_reasons_are_told_by_number():
    table = CaseTable(3)
    table._set_reason(1, "exit 1")
    table._set_reason(2, "exit 1")
    numbers, texts = table.reasons
    assert [texts[n] for n in numbers.tolist()] == [None, "exit 1", "exit 1"]


@given(worlds())
@settings(max_examples=50, deadline=None)
def test_times_of_many_cases_are_those_of_each(world):
    _, plan, table = world
    cases = np.arange(plan.count)
    for each, many in ((durations.waited, durations.all_waited), (durations.ran, durations.all_ran)):
        expected = [each(table.row(case), NOW) for case in range(plan.count)]
        found = [None if math.isnan(x) else x for x in many(table, cases, NOW).tolist()]
        assert found == expected


# When it is chosen again


def test_nothing_is_chosen_again_until_something_it_depends_on_changes():
    selection, table, _ = selected(states=[State.RUNNING] * 4)
    assert selection.refresh(NOW) is False
    assert selection.order is None
    selection.show("live")
    assert selection.refresh(NOW) is True
    assert selection.order.dtype == np.int32
    order = selection.order
    assert selection.refresh(NOW) is False
    table.state[1] = State.DONE
    assert selection.refresh(NOW) is False, "the table did not say so"
    table.revision += 1
    assert selection.refresh(NOW) is True
    assert list(selection) == [0, 2, 3]
    table.revision += 1
    order = selection.order
    assert selection.refresh(NOW) is False
    assert order is selection.order or np.array_equal(order, selection.order)


def test_what_does_not_depend_on_states_is_not_chosen_again():
    selection, table, _ = selected()
    selection.filter("lr=0.1 #3-")
    selection.sort_by(Sort(2, reverse=True))
    selection.refresh(NOW)
    order = selection.order
    table.revision += 1
    assert selection.refresh(NOW) is False
    assert selection.order is order


def test_a_new_reason_to_wait_is_chosen_by_though_no_case_changed():
    why = ["not sent yet: max-parallel 2"]
    sweep = some_sweep()
    selection = Selection(CaseTable(48), Plan(sweep), Mask(sweep), why=lambda: why[0])
    assert len(filtered(selection, "held")) == 0
    why[0] = "held: nothing new is sent"
    assert len(shown(selection)) == 48


def test_all_by_index_costs_no_array_and_rows_outside_do_not_exist():
    selection, _, _ = selected()
    selection.sort_by(Sort("index", reverse=True))
    assert shown(selection) == list(range(47, -1, -1))
    selection.sort_by(Sort())
    selection.refresh(NOW)
    assert selection.order is None
    assert (selection[0], selection[47], selection.place(5)) == (0, 47, 5)
    for row in (-1, 48):
        with pytest.raises(IndexError):
            selection[row]


def test_seeking_a_state_goes_around_the_end():
    selection, _, _ = selected(states=[State.FAILED, State.DONE, State.LOST, State.DONE, State.FAILED])
    wanted = VIEWS["failed"]
    assert [selection.seek(wanted, row, 1) for row in range(5)] == [2, 2, 4, 4, 0]
    assert [selection.seek(wanted, row, -1) for row in range(5)] == [4, 0, 0, 2, 2]
    assert selection.seek([State.TIMEOUT], 0, 1) is None


def test_every_case_is_in_one_view_beside_all():
    others = [states for view, states in VIEWS.items() if view != "all"]
    assert sorted(state for states in others for state in states) == sorted(State)


def test_what_is_shown_is_described():
    selection, _, _ = selected(states=[State.FAILED])
    assert selection.describe() == ["view: all", "filter: none", "sort: #"]
    selection.filter(" vit ")
    selection.show("failed")
    selection.sort_by(Sort(1, reverse=True))
    selection.refresh(NOW)
    assert selection.describe() == ["view: failed (1 of 48)", "filter: vit", "sort: bs desc"]


@pytest.mark.parametrize(
    ("text", "view", "said"),
    [
        ("bs=512", "all", "No case matches `bs=512`. 48 hidden. esc clears."),
        ("", "live", "No case is live. 48 hidden. v shows others."),
        ("vit", "live", "No case matches `vit` and is live. 48 hidden. esc clears."),
    ],
)
def test_nothing_is_said_in_words(text, view, said):
    selection, _, _ = selected()
    selection.filter(text)
    selection.show(view)
    selection.refresh(NOW)
    assert selection.nothing == said


@pytest.mark.parametrize("text", ["vit", "lr<0.5 !vit", "state:done", "#5-900000"])
def test_a_million_cases_are_filtered_without_a_loop_over_them(text):
    sweep = some_sweep(["lr=linspace:0,1,100", "seed=range:1000", "name=case:vit,b,c,d,e,f,g,h,i,j"])
    plan = Plan(sweep)
    # whatever asks the plan for a case fails: it would be asked a million times
    lazy = SimpleNamespace(names=plan.names, variables=plan.variables, position=plan.position)
    table = CaseTable(plan.count)
    table.state[:1000] = State.DONE
    selection = Selection(table, lazy, Mask(sweep))
    selection.filter(text)
    assert selection.refresh(NOW)
    assert 0 < len(selection) < 1_000_000
