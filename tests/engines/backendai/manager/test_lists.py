"""Lists, filters and GraphQL as clients of sessions need them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.engines.backendai.manager import ADMIN, IMAGE, Manager
from tests.engines.backendai.manager.client import Client, within
from tests.engines.backendai.manager.creation import check, read

PAGE = """query Page($limit: Int!, $offset: Int!, $filter: String, $order: String) {
  compute_session_list(limit: $limit, offset: $offset, filter: $filter, order: $order) {
    total_count items { session_id name status }
  }
}"""


def fill(manager: Manager, count: int, prefix: str = "ab12cd34") -> None:
    """So many PENDING sessions, without a request each."""
    for number in range(count):
        body = {"name": f"{prefix}-{number}", "image": IMAGE, "config": {"resources": {"cpu": "1"}}}
        asked = read(body, manager.dialect, manager.images)
        check(asked, manager.dialect, manager.slots)
        manager.scheduler.enqueue(manager.store.add(asked, ADMIN))


async def page(
    client: Client, filter_text: str | None, order: str | None = "+created_at", **more: int
) -> Any:
    variables = {"limit": 100, "offset": 0, "filter": filter_text, "order": order} | more
    answer = await client.call("POST", "/admin/gql", {"query": PAGE, "variables": variables})
    assert answer.status == 200
    return answer.json


def names(answer: Any) -> list[str]:
    return [item["name"] for item in answer["data"]["compute_session_list"]["items"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name == "ab12cd34-3"', ["ab12cd34-3"]),
        ('name in ["ab12cd34-3", "ab12cd34-1", "none"]', ["ab12cd34-1", "ab12cd34-3"]),
        ('name like "ab12cd34-%" & status == "RUNNING"', ["ab12cd34-2"]),
        ('name like "ab12cd34_1"', ["ab12cd34-1"]),
        ('name like "ab12cd34\\\\_1"', []),
        ('status in ["RUNNING", "TERMINATED"]', ["ab12cd34-2", "ab12cd34-4"]),
        ('(name == "ab12cd34-0" | name == "ab12cd34-1") & status != "RUNNING"', ["ab12cd34-0", "ab12cd34-1"]),
        ('!(status == "PENDING") & name != "ab12cd34-2"', ["ab12cd34-4"]),
        ("terminated_at isnot null", ["ab12cd34-4"]),
        ('name ilike "AB12%" & terminated_at is null & status == "RUNNING"', ["ab12cd34-2"]),
        ('name contains "-4"', ["ab12cd34-4"]),
    ],
)
def test_a_filter_finds_what_it_says(text: str, expected: list[str]) -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            fill(manager, 5)
            await manager.move("ab12cd34-2", "RUNNING")
            await manager.move("ab12cd34-4", "TERMINATED")
            assert names(await page(client, text)) == expected
            assert names(await page(client, text, None)) == expected[::-1]

    within(main())


@pytest.mark.parametrize("text", ['nosuch == "x"', 'name ~ "x"', 'name == "x" &', 'status == "NOSUCH"'])
def test_a_filter_that_is_not_understood_is_an_error(text: str) -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            answer = await page(client, text)
            assert answer["data"] == {"compute_session_list": None}
            assert len(answer["errors"]) == 1

    within(main())


def test_a_list_sees_what_changed_since_the_last_one() -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            text = 'name like "ab12cd34-%" & status == "PENDING"'
            fill(manager, 2)
            assert names(await page(client, text)) == ["ab12cd34-0", "ab12cd34-1"]
            await manager.move("ab12cd34-0", "RUNNING")
            assert names(await page(client, text)) == ["ab12cd34-1"]
            fill(manager, 1, "other")
            fill(manager, 1, "ab12cd34-x")
            assert names(await page(client, text)) == ["ab12cd34-1", "ab12cd34-x-0"]

    within(main())


@pytest.mark.parametrize(
    ("version", "field"),
    [
        ("23.9.10", "requested_slots"),
        ("23.9.10", "priority"),
        ("25.5.2", "queue_position"),
        ("26.9.6", "queue_position"),
    ],
)
def test_a_field_that_a_version_lacks_is_an_error(version: str, field: str) -> None:
    async def main() -> None:
        async with Manager(version, auto=False) as manager, Client(manager) as client:
            query = f"query{{compute_session_list(limit:1,offset:0){{items{{{field}}}}}}}"
            answer = (await client.call("POST", "/admin/gql", {"query": query})).json
            assert answer["data"] is None
            assert answer["errors"][0]["message"] == f"Cannot query field '{field}' on type 'ComputeSession'."

    within(main())


def test_several_sessions_are_asked_for_in_one_query() -> None:
    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            fill(manager, 3)
            parts = "".join(
                f'a{n}:compute_session(id:"{one.id}"){{name}} ' for n, one in enumerate(manager.sessions)
            )
            answer = (await client.call("POST", "/admin/gql", {"query": f"query{{{parts}}}"})).json
            assert answer["data"] == {f"a{n}": {"name": f"ab12cd34-{n}"} for n in range(3)}

    within(main())


def test_nodes_tell_the_place_in_the_queue_and_turn_pages_by_cursor() -> None:
    query = """query Waiting($after: String) {
      compute_session_nodes(scope_id: "system:", first: 2, after: $after,
                            filter: "status == \\"PENDING\\"", order: "+created_at") {
        count pageInfo { hasNextPage endCursor } edges { node { name queue_position } }
      }
    }"""

    async def main() -> None:
        async with Manager(auto=False) as manager, Client(manager) as client:
            fill(manager, 4)
            await manager.move("ab12cd34-0", "RUNNING")
            seen: list[Any] = []
            after = None
            while True:
                sent = {"query": query, "variables": {"after": after}}
                found = (await client.call("POST", "/admin/gql", sent)).json["data"]["compute_session_nodes"]
                seen += [tuple(edge["node"].values()) for edge in found["edges"]]
                if not found["pageInfo"]["hasNextPage"]:
                    break
                after = found["pageInfo"]["endCursor"]
            assert found["count"] == 3
            assert seen == [("ab12cd34-1", 0), ("ab12cd34-2", 1), ("ab12cd34-3", 2)]

    within(main())


def test_ten_thousand_sessions_are_listed_in_a_second() -> None:
    async def main() -> float:
        async with Manager(auto=False, rate_window=1e9) as manager, Client(manager) as client:
            fill(manager, 10_000)
            began = time.perf_counter()
            found = []
            for offset in range(0, 10_000, 1000):
                text = 'name like "ab12cd34-%" & status in ["PENDING", "RUNNING"]'
                found += names(await page(client, text, limit=1000, offset=offset))
            assert found == [f"ab12cd34-{number}" for number in range(10_000)]
            return time.perf_counter() - began

    assert within(main()) < 1.0
