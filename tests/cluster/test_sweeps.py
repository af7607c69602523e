"""Sweeps on the real cluster, by the command line that users have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.accounts import ADMIN, IMAGE, INACTIVE, MONITOR, ROOM, USER, USER2, Account
from tests.cluster.conftest import environ
from tests.cluster.official import Official, Room, Session
from tests.cluster.release import Release
from tests.cluster.stack import Stack

pytestmark = pytest.mark.cluster

SMALL = ("-r", "cpu=1", "-r", "mem=256m")
LIMIT = 240.0
"""Seconds after which a sweep that does not get on has failed."""


class Sweeper:
    """Runs `sweep-tui` with a state folder of its own, as one account."""

    def __init__(self, state: Path, account: Account, kind: str = "batch") -> None:
        self.state = state
        self.kind = kind
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("BACKEND_")}
        self.env |= {**environ(account), "SWEEP_TUI_STATE": str(state)}
        self.env.pop("PYTHONUNBUFFERED", None)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, account: Account | None = None) -> subprocess.Popen[bytes]:
        """The command at work."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tui_sweep", *words],
            env=self.env | (environ(account) if account else {}),
            cwd=self.state,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def do(self, *words: str, account: Account | None = None) -> subprocess.CompletedProcess[bytes]:
        """The command to its end; as another account where one is given."""
        process = self.start(*words, account=account)
        stdout, stderr = process.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """A sweep in the foreground to its end."""
        return self.do("run", "--headless", "--type", self.kind, *SMALL, *words)

    def detach(self, *words: str) -> None:
        """A sweep in the background; it holds the folder and has reached the cluster."""
        done = self.do("run", "--detach", "--type", self.kind, *SMALL, *words)
        assert done.returncode == 0, done.stderr

    def cases(self) -> list[dict[str, Any]]:
        """The cases of the latest sweep."""
        lines = self.do("show", "@", "--json").stdout.splitlines()
        return [json.loads(line) for line in lines[1:]]

    def states(self) -> list[str]:
        return [case["state"] for case in self.cases()]

    def until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait for what the cases show."""
        deadline = time.monotonic() + LIMIT
        while not condition(cases := self.cases()):
            assert time.monotonic() < deadline, cases
            time.sleep(0.3)
        return cases

    def wait(self) -> int:
        return self.do("wait", "@").returncode

    def log(self, case: int) -> bytes:
        return self.do("log", "@", str(case)).stdout

    def run_log(self) -> str:
        """What the runner of the only sweep noted."""
        (log,) = self.state.glob("sweeps/*/run.log")
        return log.read_text()

    def runner(self) -> int:
        """The process that runs the latest sweep."""
        pid = json.loads(self.do("ls", "--json").stdout.splitlines()[0])["runner"]
        assert isinstance(pid, int)
        return pid


@pytest.fixture
def sweeper(tmp_path: Path, official: Official) -> Iterator[Callable[[Account], Sweeper]]:
    """A way to run sweeps as an account; what still runs at the end is cancelled."""
    made: list[Sweeper] = []

    def make(account: Account = USER, kind: str = "batch") -> Sweeper:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Sweeper(folder, account, kind))
        return made[-1]

    yield make
    for one in made:
        for process in one.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for line in one.do("ls", "--json").stdout.splitlines():
            if json.loads(line)["runner"]:
                one.do("cancel", json.loads(line)["id"], "--all")
                one.do("wait", json.loads(line)["id"])


@pytest.fixture(params=["batch", "interactive"])
def kind(request: pytest.FixtureRequest) -> str:
    """What a case becomes on the cluster."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def agent(stack: Stack, official: Official) -> Iterator[None]:
    """An agent that a test stops: afterwards it is as at the beginning."""
    yield
    if not stack.state.release.finds_its_containers:
        stack.renew_agent()


def running(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda cases: sum(case["state"] == "running" for case in cases) == count


def test_the_four_cases_of_the_manual_print_their_lines(sweeper: Callable[..., Sweeper], kind: str) -> None:
    one = sweeper(kind=kind)
    done = one.run(
        "-c", 'import os; print("Hello world, {}".format(os.environ["CASENO"]))',
        "-e", "CASENO=$X", "--env-range=X=case:1,2,3,4", IMAGE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.log(case) for case in range(4)] == [b"Hello world, %d\n" % (case + 1) for case in range(4)]


def test_exit_codes_bytes_and_memory_come_back_as_they_were(
    sweeper: Callable[..., Sweeper], kind: str
) -> None:
    one = sweeper(kind=kind)
    commands = [
        "exit 3",
        r"printf 'a\000b\377\303(\r\033[2J한글 end'; printf 'e\000\200' >&2",
        "python3 -c 'x = bytearray(600 << 20)'",
        "kill -SEGV $$",
    ]
    done = one.run("--exec", 'eval "$$WORDS"', "-e", "WORDS=$W", *ranges(commands), IMAGE)
    assert done.returncode == 1
    cases = one.cases()
    assert [(case["state"], case["exit_code"]) for case in cases][:2] == [("failed", 3), ("done", 0)]
    assert cases[2]["reason"] == "out of memory (asked 256 MiB)"
    assert (cases[3]["reason"], cases[3]["exit_code"]) == ("SIGSEGV", 139)
    output = one.do("log", "@", "1")
    assert output.stdout == b"a\x00b\xff\xc3(\r\x1b[2J" + "한글 end".encode()
    assert output.stderr == b"e\x00\x80"


def ranges(values: list[str]) -> list[str]:
    """A range over texts that may hold commas: each is a word of its own, told apart by index."""
    assert not any("," in value for value in values)
    return ["--range", "W=case:" + ",".join(values)]


def test_files_travel_with_their_build_and_exec_steps(sweeper: Callable[..., Sweeper], kind: str) -> None:
    one = sweeper(kind=kind)
    (one.state / "sub").mkdir()
    (one.state / "Makefile").write_text("all:\n\techo unused\n")
    (one.state / "main.py").write_text("print(open('made').read(), open('sub/data').read(), end='')\n")
    (one.state / "sub" / "data").write_text("data\n")
    done = one.run(
        "--build", "echo built-$N > made; test $N != 2", "--exec", "python3 main.py", "--range", "N=case:1,2",
        IMAGE, "Makefile", "main.py", "sub/data",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    cases = one.cases()
    assert one.log(0) == b"built-1\n data\n"
    assert [(case["state"], case["reason"]) for case in cases] == [
        ("done", None),
        ("failed", "build: exit 1"),
    ]


def test_five_megabytes_of_output_arrive_whole(sweeper: Callable[..., Sweeper], kind: str) -> None:
    one = sweeper(kind=kind)
    program = "for number in range(500_000): print(f'{number:09d}')"
    assert one.run("-c", program, IMAGE).returncode == 0
    assert one.cases()[0]["reason"] is None
    printed = b"".join(b"%09d\n" % number for number in range(500_000))
    same = one.log(0) == printed  # a difference of megabytes would take pytest an hour to show
    assert same


def test_more_cases_than_there_is_room_wait_with_the_managers_own_figures(
    sweeper: Callable[..., Sweeper], official: Official
) -> None:
    one = sweeper()
    one.detach("--exec", "sleep 300", "--range", "N=range:4", "-e", "N=$N", IMAGE)
    one.until(running(ROOM))
    room = official.room()
    assert room["cpu"] == Room(total=ROOM, used=ROOM)
    why = f"short of cpu: asks 1, 0 free in default; your own {ROOM} running sessions hold {ROOM}"
    told = [
        f"{why}; place {place} in the queue" if official.release.tells_places else why for place in (1, 2)
    ]
    cases = one.until(
        lambda cases: sorted(case["reason"] or "" for case in cases if case["state"] == "pending") == told
    )
    waiting = [case for case in cases if case["state"] == "pending"]
    assert {session.name: session.status for session in official.live()} == {
        case["session"]: "PENDING" if case in waiting else "RUNNING" for case in cases
    }
    # another user's figures of what there is are the same, though none of it is hers
    for account in (USER, ADMIN):
        facts = json.loads(one.do("engine", "--json", account=account).stdout)
        shown = {slot: Room(int(of["total"]), int(of["used"])) for slot, of in facts["capacity"].items()}
        assert shown == room
    assert one.do("cancel", "@", "--all").returncode == 0
    assert one.wait() == 5


def test_cancelling_works_while_pending_starting_and_running(
    sweeper: Callable[..., Sweeper], release: Release, kind: str
) -> None:
    one = sweeper(kind=kind)
    one.detach("--exec", "sleep 300", "--range", "N=range:7", "-e", "N=$N", IMAGE)
    for word in ("starting", "pending", "running"):
        was = any(cancelled_while(one, word) for _ in range(3))
        assert was or (word == "starting" and not release.ends_starting)
    assert one.do("cancel", "@", "--all").returncode == 0
    assert one.wait() == 5
    assert one.states() == ["cancelled"] * 7


def cancelled_while(one: Sweeper, word: str) -> bool:
    """Cancels a case that is seen in this state; whether it had not left it when its end was asked for."""
    cases = one.until(lambda cases: any(case["state"] == word for case in cases))
    index = next(case["index"] for case in cases if case["state"] == word)
    assert one.do("cancel", "@", str(index)).returncode == 0
    case = one.until(lambda cases: cases[index]["state"] == "cancelled")[index]
    return (case["started"] is not None) == (word == "running")


@pytest.mark.parametrize(
    ("account", "said"), [(INACTIVE, "key"), (Account(USER.access_key, "wrong"), "secret")]
)
def test_a_key_that_opens_nothing_is_refused_before_anything_is_created(
    sweeper: Callable[..., Sweeper], account: Account, said: str
) -> None:
    done = sweeper(account).run("--exec", "true", IMAGE)
    assert done.returncode == 3
    assert said in done.stderr.decode().lower()
    assert account.secret_key not in done.stderr.decode()


def test_a_user_of_one_session_at_a_time_waits_and_gets_through(sweeper: Callable[..., Sweeper]) -> None:
    one = sweeper(USER2)
    done = one.run("--exec", "echo $$N", "-e", "N=$N", "--range", "N=range:3", IMAGE)
    assert done.returncode == 0, done.stdout
    assert [one.log(case) for case in range(3)] == [b"0\n", b"1\n", b"2\n"]


def test_what_is_over_the_quota_waits_until_there_is_room_for_it(
    sweeper: Callable[..., Sweeper], release: Release
) -> None:
    user2 = Official(release, USER2)
    others = [user2.create("running-already")]
    user2.wait(others[0], lambda session: session.status == "RUNNING")
    others += [user2.create(f"waiting-already-{number}") for number in range(2)]
    one = sweeper(USER2)
    one.detach("--exec", "echo through", IMAGE)
    if release.refuses_pending:
        (case,) = one.until(lambda cases: "takes no more sessions" in (cases[0]["reason"] or ""))
        assert case["state"] == "waiting"
    else:
        one.until(lambda cases: cases[0]["state"] == "pending")
    for other in reversed(others):
        user2.end(other)
    assert one.wait() == 0
    assert one.log(0) == b"through\n"


def test_a_rate_limit_slows_a_sweep_down_and_ends_it_truly(
    sweeper: Callable[..., Sweeper], stack: Stack, release: Release
) -> None:
    one, another = sweeper(MONITOR), Official(release, MONITOR)
    stack.forget_requests()
    one.detach("--exec", "echo through", IMAGE)
    # another program of the same user asks until nobody may ask any more
    while another.send("POST", "/admin/gql", {"query": "{ keypair { rate_limit } }"}).status != 429:
        pass
    one.until(lambda _: "has had all requests" in one.run_log())
    assert one.states() != ["done"]
    deadline = time.monotonic() + LIMIT
    while one.states() != ["done"] and time.monotonic() < deadline:
        stack.forget_requests()  # as if a quarter of an hour had passed
        time.sleep(3)
    assert one.states() == ["done"]
    assert one.log(0) == b"through\n"


def test_a_runner_killed_in_the_middle_is_gone_on_from_and_runs_nothing_twice(
    sweeper: Callable[..., Sweeper], official: Official, kind: str
) -> None:
    one = sweeper(kind=kind)
    one.detach(
        "--exec", "echo begun; sleep 20; echo through $$N", "-e", "N=$N", "--range", "N=range:3", IMAGE
    )
    one.until(running(ROOM))
    os.kill(one.runner(), signal.SIGKILL)
    assert one.do("resume", "@").returncode == 0
    assert one.wait() == 0
    sessions = [case["session"] for case in one.cases()]
    assert sorted(session.name for session in official.sessions() if session.name in sessions) == sessions
    assert [one.log(case) for case in range(3)] == [b"begun\nthrough %d\n" % case for case in range(3)]


def test_a_manager_that_is_restarted_in_the_middle_costs_no_case(
    sweeper: Callable[..., Sweeper], stack: Stack, release: Release, kind: str
) -> None:
    one = sweeper(kind=kind)
    one.detach("--exec", "echo begun; sleep 20; echo through", "--range", "N=range:3", "-e", "N=$N", IMAGE)
    wait_until_begun(one, release, ROOM)
    stack.stop_manager()
    stack.start_manager()
    assert one.wait() == 0
    assert [one.log(case) for case in range(3)] == [b"begun\nthrough\n"] * 3


def test_sessions_of_an_agent_that_stops_end_in_a_true_state(
    agent: None, sweeper: Callable[..., Sweeper], stack: Stack, release: Release
) -> None:
    one = sweeper()
    one.detach("--exec", "echo begun; sleep 20; echo through", "--range", "N=range:2", "-e", "N=$N", IMAGE)
    wait_until_begun(one, release, 2)
    stack.stop_agent()
    stack.start_agent()
    code = one.wait()
    ends = {case["state"] for case in one.cases()}
    assert ends <= {"done", "lost" if release.tells_of_its_agent else "failed"}
    assert code == {"lost": 6, "failed": 1, "done": 0}[max(ends)]
    for case in one.cases():
        whole = one.log(case["index"]) == b"begun\nthrough\n"
        assert whole if case["state"] == "done" else case["exit_code"] is None
        assert case["state"] != "failed" or "its container may have been killed" in case["reason"]


def wait_until_begun(one: Sweeper, release: Release, count: int) -> None:
    """Return when so many cases have printed their first line, by the manager's own word.

    A session is called RUNNING a moment before its command is started, by the manager before 26: whoever stops it
    then loses the session (seen on 25.5.2: CANCELLED, ``CancelledError()``).
    """
    user = Official(release, USER)
    names = {case["session"] for case in one.until(running(count))}

    def begun() -> list[Session]:
        return [one for one in user.live() if one.name in names and user.has_printed(one, "begun")]

    deadline = time.monotonic() + LIMIT
    while len(begun()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.3)
