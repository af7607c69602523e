"""Why a session waits: one sentence from the figures of quota, group and resource group."""

import asyncio
import json
from decimal import Decimal

import pytest

from tui_sweep.core.slots import Slots
from tui_sweep.engines.backendai.queue import Limits, Shares, capacity, read_shares, read_totals, said, why

CPU2 = Slots({"cpu": 2})
MANY = {"cpu": Decimal(100), "mem": Decimal(1 << 40)}


def amounts(**cpu):
    return {"cpu": Decimal(cpu["cpu"])}


def told(shares, *, limits=Limits(), running=3, asked=CPU2, group="default"):  # noqa: B008 (frozen)
    return why(asked, shares, limits, group=group, project="team", running=running)


def test_it_says_what_is_short_where_and_what_of_it_is_our_own():
    shares = Shares(mine=amounts(cpu=6), groups={"default": (amounts(cpu=7), amounts(cpu=1))})
    assert told(shares) == "short of cpu: asks 2, 1 free in default; your own 3 running sessions hold 6"


def test_it_says_when_none_of_it_is_ours():
    shares = Shares(groups={"default": (amounts(cpu=8), amounts(cpu=0))})
    assert told(shares, running=0) == "short of cpu: asks 2, 0 free in default; none of it is yours"


def test_our_own_limit_comes_before_capacity():
    shares = Shares(
        mine=amounts(cpu=3), mine_left=amounts(cpu=1), groups={"default": (amounts(cpu=8), amounts(cpu=0))}
    )
    assert told(shares, running=1) == (
        "over your own limit of cpu: asks 2, 1 left; your own 1 running session holds 3"
    )


def test_the_limit_of_the_project_is_named():
    shares = Shares(group_left=amounts(cpu=0), groups={"default": (amounts(cpu=0), amounts(cpu=8))})
    assert told(shares, running=0).startswith("over the limit of team of cpu: asks 2, 0 left")


def test_the_number_of_sessions_comes_first():
    limits = Limits(concurrent=3)
    assert told(Shares(), limits=limits) == "you may run 3 sessions at once, and 3 of yours hold slots"


def test_what_can_never_fit_is_said():
    shares = Shares(groups={"default": (amounts(cpu=1), amounts(cpu=0))})
    assert told(shares) == "can never start: asks cpu 2, default has 1 in all"
    assert told(shares, asked=Slots({"cuda.device": 1})) == "there is no cuda.device in default"


def test_with_room_it_says_what_is_left_to_wait_for():
    shares = Shares(groups={"default": (amounts(cpu=0), MANY)})
    assert "the scheduler has not come to it" in told(shares)


def test_without_figures_nothing_is_made_up():
    assert told(None) == "waits for capacity"


def test_a_resource_group_name_from_the_server_cannot_draw():
    shares = Shares(groups={"\x1b[2J": (amounts(cpu=7), amounts(cpu=1))})
    assert "\x1b" not in told(shares, group="\x1b[2J")


class Presets:
    """A client that knows one answer."""

    def __init__(self, answer):
        self.answer = answer

    async def check_presets(self, body):
        return self.answer


@pytest.mark.parametrize("words", [("occupied", "available"), ("using", "remaining")])
def test_amounts_of_all_versions_are_read_and_odd_ones_left_out(words):
    answer = {
        "keypair_using": {"cpu": "2", "mem": "268435456"},
        "keypair_remaining": {"cpu": "Infinity", "mem": "NaN"},
        "group_remaining": {"cpu": "x", "mem": None},
        "scaling_groups": {"default": {words[0]: {"cpu": "2"}, words[1]: {"cpu": "6"}}, "odd": 7},
    }
    shares = asyncio.run(read_shares(Presets(answer), "team", None, {}))
    assert shares.mine == {"cpu": 2, "mem": 268435456}
    assert (shares.mine_left, shares.group_left) == ({}, {})
    assert capacity(shares, "default") == {"cpu": {"total": "8", "used": "2"}}


class Nodes(Presets):
    def __init__(self, answer, *nodes):
        super().__init__(answer)
        self.nodes = nodes

    async def graphql(self, query, variables):
        offset, limit = variables["offset"], variables["limit"]
        items = list(self.nodes[offset : offset + limit])
        return {"agent_summary_list": {"total_count": len(self.nodes), "items": items}}


def node(cpu, group="default", status="ALIVE", *, schedulable=True):
    slots = json.dumps({"cpu": cpu})
    return {"status": status, "schedulable": schedulable, "scaling_group": group, "available_slots": slots}


def test_what_others_hold_is_told_by_the_nodes_for_a_group_tells_our_own_part_alone():
    answer = {"scaling_groups": {"default": {"using": {"cpu": "2"}, "remaining": {"cpu": "0"}}}}
    site = Nodes(answer, *[node("4")] * 150, node("8", group="other"), node("8", status="LOST"))

    async def main():
        return await read_shares(site, "team", None, await read_totals(site))

    shares = asyncio.run(main())
    assert shares.are_whole
    assert capacity(shares, "default") == {"cpu": {"total": "600", "used": "600"}}


def test_where_nodes_are_hidden_a_full_group_is_not_called_too_small():
    answer = {"scaling_groups": {"default": {"using": {"cpu": "0"}, "remaining": {"cpu": "0"}}}}
    shares = asyncio.run(read_shares(Presets(answer), "team", None, {}))
    assert not shares.are_whole
    assert told(shares, running=0) == "short of cpu: asks 2, 0 free in default; none of it is yours"


def test_servers_that_say_why_are_believed():
    data = {"scheduler": {"failed_predicates": [{"name": "concurrency", "msg": "You cannot run more\x07"}]}}
    assert said(data, "predicate-checks-failed") == "You cannot run more\\x07"
    assert said({"scheduler": {"msg": "no instances"}}, None) == "no instances"
    assert said({}, "scheduler-error") == "scheduler error"
    assert said({"scheduler": [1]}, None) is None


def test_servers_that_say_no_more_than_that_there_is_no_room_are_told_by_our_figures():
    data = {"scheduler": {"msg": "Could not find a contiguous resource region", "failed_predicates": []}}
    assert said(data, "no-available-instances") is None


def test_what_a_server_calls_ours_and_free_at_once_is_not_free():
    """Seen on 26.9.6 just after two sessions were scheduled: 2 of 4 cpus, where there are 2."""
    group = {"using": {"cpu": "2"}, "remaining": {"cpu": "2"}}
    site = Presets({"scaling_groups": {"default": group}})
    shares = asyncio.run(read_shares(site, "team", None, {"default": amounts(cpu=2)}))
    assert capacity(shares, "default") == {"cpu": {"total": "2", "used": "2"}}
    assert told(shares, running=2, asked=Slots({"cpu": 1})).startswith(
        "short of cpu: asks 1, 0 free in default"
    )
