"""What one line of the grid says, read from real folders."""

import pytest

from tests.folders import EPOCH, make_folder
from tui_sweep.core.states import Event, State
from tui_sweep.view import row as rows_module
from tui_sweep.view.follow import Follower
from tui_sweep.view.row import Rows, elapsed

WORDS = (
    *("waiting", "held", "submitting", "pending", "starting", "running", "cancelling"),
    *("done", "failed", "timeout", "lost", "cancelled"),
)


@pytest.fixture
def follower(tmp_path):
    """One case in each state, in the order of WORDS; two variables, one of which varies."""
    folder = make_folder(
        tmp_path,
        WORDS,
        variables={"X": "range:12", "Y": "case:same"},
        outputs={case: f"first\nline {case}\n".encode() for case in range(12)},
    )
    found = Follower(folder)
    yield found
    found.close()


def row(follower, word, now=EPOCH + 100):
    return Rows(follower).row(WORDS.index(word), now)


def say(follower, word, stdout, stderr=b""):
    """Replace what an attempt has written."""
    case = WORDS.index(word)
    folder = follower.folder.attempt(case, 0)
    (folder / "stdout").write_bytes(stdout)
    (folder / "stderr").write_bytes(stderr)
    follower.table.grew(case, len(stdout) + len(stderr))


def test_a_row_tells_the_state_the_code_and_the_variables_that_vary(follower):
    one = row(follower, "failed")
    assert (one.index, one.state, one.exit_code, one.values) == (8, State.FAILED, 1, ("8",))
    assert row(follower, "running").exit_code is None
    assert [row(follower, word).is_final for word in ("running", "done")] == [False, True]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("waiting", "not sent yet"),
        ("held", "held by you"),
        ("running", "line 5"),
        ("cancelling", "cancelled by you  line 6"),
        ("done", "line 7"),
        ("failed", "exit 1  line 8"),
        ("timeout", "over --timeout 30 s  line 9"),
        ("cancelled", "cancelled by you  line 11"),
        ("starting", ""),
    ],
)
def test_the_text_is_the_reason_and_the_last_line(follower, word, text):
    assert row(follower, word).text == text


def test_what_the_engine_says_of_a_case_that_has_not_started_is_shown(follower):
    follower.table.tell(4, status="PULLING")
    assert row(follower, "starting").text == "pulling"
    follower.table.tell(4, reason="pulling image 41%")
    assert row(follower, "starting").text == "pulling image 41%"


def test_a_failed_case_shows_its_stderr_others_only_if_that_is_all_there_is(follower):
    for word in ("failed", "running", "done"):
        say(follower, word, b"out\n", b"err\n")
    assert row(follower, "failed").text == "exit 1  err"
    assert row(follower, "running").text == "out"
    for word in ("failed", "running", "done"):
        say(follower, word, b"\n", b"more err\n")
    assert [row(follower, word).text for word in ("running", "done")] == ["more err"] * 2
    say(follower, "failed", b"printed\n")
    assert row(follower, "failed").text == "exit 1  printed"


def test_hostile_output_is_one_plain_line(follower):
    say(
        follower, "running", b"ok\n\x1b]0;title\x07\x1b[2J[/oops] \xff\x00\t\x85 10%\r[/oops] 20%\x1b[31m\n\n"
    )
    assert row(follower, "running").text == "[/oops] 20%"
    say(follower, "running", b"a" * (10 << 20))
    assert row(follower, "running").text == "a" * len(row(follower, "running").text)
    assert 100 < len(row(follower, "running").text) <= rows_module.LONGEST


def test_an_output_is_read_again_only_when_it_grew(follower, monkeypatch):
    read = []
    tail = rows_module.tail
    monkeypatch.setattr(
        rows_module, "tail", lambda path, size: read.append(path.rpartition("/")[2]) or tail(path, size)
    )
    rows = Rows(follower)
    for now in (EPOCH, EPOCH + 1):
        assert rows.row(5, now).text == "line 5"
    assert read == ["stdout"]
    follower.table.tell(5, reason="something else changed")
    assert rows.row(5, EPOCH).text == "line 5"
    assert read == ["stdout"]
    say(follower, "running", b"line 5\nmore\n")
    assert rows.row(5, EPOCH).text == "more"
    assert read == ["stdout", "stdout"]


def test_only_so_many_last_lines_are_kept(follower, monkeypatch):
    monkeypatch.setattr(rows_module, "_REMEMBERED", 3)
    rows = Rows(follower)
    for case in range(5, 12):
        rows.row(case, EPOCH)
    assert len(rows._lines) == 3


def test_a_case_without_output_files_says_nothing(follower):
    (follower.folder.attempt(7, 0) / "stdout").unlink()
    assert row(follower, "done").text == ""


def test_times_of_a_case_stop_where_it_stands(follower):
    # case 5 was sent at +5 and ran from +15; case 7 from +17 to +27
    assert (row(follower, "running").waited, row(follower, "running").ran) == (10, 85)
    assert (row(follower, "done").waited, row(follower, "done").ran) == (10, 10)
    assert (row(follower, "pending").waited, row(follower, "pending").ran) == (97, None)
    assert (row(follower, "waiting").waited, row(follower, "waiting").ran) == (None, None)
    follower.table.queued[0] = EPOCH + 40
    assert row(follower, "waiting").waited == 60
    follower.table.queued[5] = EPOCH + 1
    assert row(follower, "running").waited == 14


def test_a_clock_that_was_set_back_makes_no_negative_times(follower):
    assert row(follower, "running", now=EPOCH).ran == 0
    assert row(follower, "pending", now=EPOCH - 50).waited == 0


def test_times_are_short_and_do_not_flicker(follower):
    one = row(follower, "running", now=EPOCH + 17.25)
    assert (one.wait, one.run) == ("10s", "2s")
    follower.table.ended[7] = EPOCH + 17.25
    assert row(follower, "done").run == "0.2s"
    assert row(follower, "waiting").run == ""
    assert elapsed(291, moving=True) == elapsed(291, moving=False) == "4:51"
    assert elapsed(None, moving=True) == ""


def test_secrets_are_masked(tmp_path):
    follower = Follower(make_folder(tmp_path, ["waiting"] * 2, variables={"API_KEY": "case:s1,s2"}))
    assert Rows(follower).row(1, EPOCH).values == ("****",)


def test_values_are_plain_and_bounded(tmp_path):
    expr = "case:\x1b[31mred,[/oops]," + "x" * 5000
    follower = Follower(make_folder(tmp_path, ["waiting"] * 3, variables={"X": expr}))
    values = [Rows(follower).row(case, EPOCH).values[0] for case in range(3)]
    assert values[:2] == ["\\x1b[31mred", "[/oops]"]
    assert len(values[2]) == rows_module.LONGEST


def test_a_case_that_the_engine_took_back_is_marked(follower):
    case = WORDS.index("running")
    reason = "sent back to waiting by the server (preempted)"
    follower.table.move(case, Event.ACCEPTED, EPOCH + 50, reason=reason)
    one = row(follower, "running")
    assert (one.state, one.sent_back, one.text) == (State.PENDING, True, reason)
    assert not row(follower, "pending").sent_back
