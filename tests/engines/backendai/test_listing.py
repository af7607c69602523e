"""The paged list: what is believed of it, and what is no answer."""

import asyncio

import pytest

from tui_sweep.core.errors import EngineUnreachable
from tui_sweep.engines.backendai import listing

ROW = {"session_id": "8f2c", "name": "ab12cd34-0", "status": "RUNNING"}


class Server:
    """One that gives the same page to every question."""

    ahead = 0.0

    def __init__(self, page):
        self.page = page

    async def graphql(self, query, variables):
        return {"compute_session_list": self.page}


def named(page):
    return asyncio.run(listing.named(Server(page), ["ab12cd34-0"]))


def test_a_list_without_a_name_says_that_the_server_does_not_know_it():
    assert named({"total_count": 0, "items": []}) == []


def test_a_row_is_read_by_what_it_has():
    (item,) = named({"total_count": 1, "items": [ROW]})
    assert (item.id, item.name, item.status, item.info) == ("8f2c", "ab12cd34-0", "RUNNING", None)


@pytest.mark.parametrize(
    "page",
    [
        None,
        [],
        {},
        {"total_count": 0, "items": None},
        {"total_count": 0, "items": {}},
        {"total_count": None, "items": []},
        {"total_count": "1", "items": [ROW]},
        {"total_count": True, "items": [ROW]},
        {"total_count": 1, "items": [None]},
        {"total_count": 1, "items": [ROW | {"name": None}]},
        {"total_count": 2, "items": [ROW, {"name": "ab12cd34-1"}]},
    ],
)
def test_what_is_no_list_of_sessions_says_nothing_of_any(page):
    with pytest.raises(EngineUnreachable, match="list of sessions"):
        named(page)
