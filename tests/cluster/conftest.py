"""What tests of a real cluster get: which one is up, its own view of things, and nobody's left-overs."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator

import pytest

from tests.cluster.accounts import ADMIN, DOMAIN, ENDPOINT, GROUP, Account
from tests.cluster.official import ENDS, Official
from tests.cluster.release import RELEASES, Release
from tests.cluster.stack import Stack
from tests.cluster.state import state_of


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The cluster that is up. Without one the tests are skipped, except below `make test-cluster`.

    Waits for other tests of it to end: they list, and end, all sessions that there are.
    """
    wanted = os.environ.get("CLUSTER_VERSION")
    for version in [wanted] if wanted else RELEASES:
        stack = Stack(state_of(RELEASES[version]))
        if stack.is_up:
            with (stack.state.root / "tests.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield stack
            return
    if wanted:
        pytest.fail(f"Backend.AI {wanted} is not up")
    pytest.skip("no Backend.AI is up here: make cluster-up")


@pytest.fixture(scope="session")
def release(stack: Stack) -> Release:
    """The release that is up."""
    return stack.state.release


@pytest.fixture
def official(release: Release) -> Official:
    """What the manager says to its administrator, who sees the sessions of all users."""
    return Official(release)


def environ(account: Account = ADMIN) -> dict[str, str]:
    """The official client's variables for one of the accounts; ours reads the same."""
    return {
        "BACKEND_ENDPOINT": ENDPOINT,
        "BACKEND_ENDPOINT_TYPE": "api",
        "BACKEND_ACCESS_KEY": account.access_key,
        "BACKEND_SECRET_KEY": account.secret_key,
        "BACKEND_DOMAIN": DOMAIN,
        "BACKEND_GROUP": GROUP,
    }


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test begins with live sessions on the cluster, and none leaves any behind.

    Those that end by themselves get half a minute; the others are ended, and the test fails.
    """
    if "official" not in request.fixturenames:
        yield
        return
    official: Official = request.getfixturevalue("official")
    assert official.live() == []
    yield
    left = official.live()
    try:
        for session in left:
            official.wait(session.id, lambda session: session.status in (*ENDS, "TERMINATING"), 30)
        for session in left:
            official.wait(session.id, lambda session: not session.is_live)
        assert official.live() == []
    finally:
        for session in official.live():
            official.end(session.id)
        stack: Stack = request.getfixturevalue("stack")
        if not _is_free(stack):
            print(f"\n{request.node.name}: a container outlives its session; the agent is started anew")
            stack.renew_agent()


def _is_free(stack: Stack) -> bool:
    """Whether the containers of ended sessions go, as they do within seconds. Not so where an end has overtaken the
    start of its session on the way to the agent (23.9.10), or was lost by the agent (25.5.2): then the session is
    over for the server, and its container holds a cpu."""
    end = time.monotonic() + 20
    while stack.containers():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True
