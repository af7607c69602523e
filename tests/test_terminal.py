"""The real program in a real pseudo-terminal: launch, watch, cancel, rerun, detach, come back, finish."""

import json
import os
import signal
import subprocess

import pytest

from tests.terminal import Terminal

WAITS = 'echo "line of $$X"; until test -e go$$X; do sleep 0.05; done; echo "end of $$X"'


@pytest.fixture
def terminal(tmp_path):
    """Opens terminals; closes them at the end."""
    opened = []

    def open_one(*args, **more):
        one = Terminal(*args, cwd=tmp_path, **more)
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def run(terminal):
    """A sweep of three cases that wait for their file, on its board."""
    return terminal(
        "run", "-t", "lr", "-r", "cpu=0.1", "-e", "X=$X", "--range", "X=case:a,b,c", "--exec", WAITS, "sh"
    )


@pytest.fixture(autouse=True)
def nothing_left(run_cli):
    """Cancels what a test left running."""
    yield
    for line in run_cli("ls", "--json").stdout.splitlines():
        run_cli("cancel", json.loads(line)["id"], "--all")
        run_cli("wait", json.loads(line)["id"])


def test_the_life_of_a_sweep_on_its_board(run, terminal, tmp_path, run_cli):
    run.see("run 3", "line of a", "log #0 X=a")  # a line appears while its case runs
    run.type("j")
    run.see("log #1 X=b", "line of b")
    run.type("x")
    run.see("cancel 1 case?", "#1", "X=b")
    run.type("n")  # No is there for those who did not mean it
    run.see("run 3", gone=["cancel 1 case?"])
    run.type("x")
    run.see("cancel 1 case?")
    run.type("y")
    run.see("⊘ canc", "cancelled by you")
    run.type("r")
    run.see("log #1 X=b attempt 2", "run 3")
    run.type("q")
    run.see("leave sweep-tui?", "detach", "sweep-tui open lr")
    run.type("d")
    assert run.end() == 0
    assert run.is_restored()

    (tmp_path / "goa").touch()
    again = terminal("open", "lr")
    again.see("ok", "end of a")
    (tmp_path / "gob").touch()
    (tmp_path / "goc").touch()
    again.see("[ended]")
    again.type("q")
    assert again.end() == 0
    assert run_cli("wait", "lr").returncode == 0


def test_two_boards_show_the_same_sweep(run, terminal):
    run.see("run 3")
    other = terminal("open", "@", size=(120, 40))
    other.see("run 3", "queue")
    other.type("x")
    other.see("cancel 1 case?")
    other.type("y")
    run.see("⊘ canc")


def test_home_opens_a_sweep_starts_another_and_leaves(terminal, run_cli):
    run_cli("run", "-t", "earlier", "--exec", "echo once", "sh")
    home = terminal()
    home.see("earlier", "new sweep", "sweep-tui run")
    home.type("\r")
    home.see("once", "[ended]")
    home.type("\x1b")
    home.see("new sweep", gone=["[ended]"])
    home.type("n")
    home.see("esc sweeps")
    home.type("echo said $x")
    home.see("--exec 'echo said $x'")
    for _ in ("Code", "Files", "Ranges"):
        home.type("\t")
        home.rest()
    home.type("x=range:")
    home.see("x=range:", "^")
    home.type("3")
    home.see("3 cases = x 3", "--range x=range:3")
    home.type("\x12")
    home.see("said 0", "3 cases", "[ended]", timeout=40)
    home.type("\x1b")
    home.see("new sweep", "earlier")
    home.type("q")
    assert home.end() == 0
    assert home.is_restored()


def test_leaving_with_a_failed_case_passes_the_exit_code(terminal):
    one = terminal("run", "--exec", "exit 3", "sh")
    one.see("[ended]", "FAIL", "exit 3")
    one.type("q")
    assert one.end() == 1
    assert one.is_restored()


def test_cancelling_everything_asks_again_and_leaves_the_board_open(run):
    run.see("run 3")
    run.type("q")
    run.see("leave sweep-tui?")
    run.type("c")
    run.see("cancel all 3 cases", "#0", "#2")
    run.type("y")
    run.see("[ended]")
    run.type("q")
    assert run.end() == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal_and_the_sweep_goes_on(run, run_cli, number):
    run.see("run 3")
    os.kill(run.process.pid, number)
    assert run.end() == 128 + number
    assert run.is_restored()
    summary = json.loads(run_cli("ls", "--json").stdout)
    assert summary["counts"] == {"running": 3}
    assert summary["runner"] is not None


def test_kill_9_of_the_screen_leaves_the_sweep_alone(run, run_cli, terminal):
    run.see("run 3")
    run.process.kill()
    run.end()
    assert json.loads(run_cli("ls", "--json").stdout)["runner"] is not None
    terminal("open").see("run 3")


def test_a_board_works_on_a_sweep_whose_runner_is_gone(run, run_cli, wait_until):
    run.see("run 3", "[live]")
    os.kill(json.loads(run_cli("ls", "--json").stdout)["runner"], signal.SIGKILL)
    run.see("[NO RUNNER]")
    run.type("x")
    run.see("cancel 1 case?")
    run.type("y")
    run.see("[live]", "⊘ canc")


def test_resizing_is_harmless_down_to_almost_nothing(run):
    run.see("run 3")
    for size in [(120, 40), (200, 60), (60, 15), (40, 8), (20, 5), (80, 24)]:
        run.resize(*size)
        run.see("#0" if size[0] >= 80 else "run", timeout=20)
    run.see("run 3", "line of a", "queue")


def test_ctrl_z_suspends_the_screen_and_not_the_sweep(run, tmp_path, wait_until, run_cli):
    run.see("run 3")
    run.type("\x1a")
    wait_until(lambda: (run.pump(), _state(run.process.pid) == "T")[1])
    (tmp_path / "goa").touch()
    wait_until(lambda: json.loads(run_cli("ls", "--json").stdout)["counts"].get("done") == 1)
    os.kill(run.process.pid, signal.SIGCONT)
    run.see("end of a")


def _state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_without_colours_nothing_is_coloured(terminal):
    one = terminal("run", "--exec", "exit 3", "sh", env={"NO_COLOR": "1"})
    one.see("[ended]")
    assert b"\x1b[31m" not in one.raw
    assert b";31" not in one.raw


@pytest.mark.parametrize("words", [["run", "--ascii"], ["--ascii", "run"]])
def test_ascii_alone_on_wish(terminal, words):
    one = terminal(*words, "--exec", "exit 3", "sh")
    text = one.see("[ended]", "x FAIL")
    assert text.isascii()


def test_home_is_of_ascii_alone_on_wish(terminal, run_cli):
    run_cli("run", "--exec", "exit 3", "sh")
    text = terminal("--ascii").see("x1", "new sweep", "Nothing to run")
    assert text.isascii()


def test_a_sweep_whose_record_is_damaged_is_no_crash_of_the_screen(terminal, run_cli, home):
    run_cli("run", "--exec", "true", "sh")
    (record,) = home.glob("state/sweep-tui/sweeps/*/sweep.json")
    record.write_text("{}")
    one = terminal("open")
    assert one.end() == 4
    assert "sweep.json: is damaged" in " ".join(one.text().split())
    home_screen = terminal()
    home_screen.see("new sweep", "1")
    home_screen.type("\r")
    home_screen.see("is damaged")
    shown = run_cli("show", "@")
    assert (shown.returncode, shown.stdout) == (4, "")


def test_without_a_terminal_open_says_what_to_do(run_cli):
    run_cli("run", "--exec", "true", "sh")
    done = run_cli("open", "@")
    assert done.returncode == 2
    assert "sweep-tui show" in done.stderr


def test_a_dumb_terminal_gets_lines(terminal):
    one = terminal("run", "--exec", "echo hello", "sh", env={"TERM": "dumb"})
    assert one.end() == 0
    assert "1 done" in one.text()


def test_hostile_output_does_nothing_to_the_terminal(terminal):
    program = (
        r"printf '\033]0;owned\007\033[2J\033[?1049l\033[31mred\033[0m [/oops] \033]52;c;aGk=\007\n';"
        r" printf '\033[5;5HX\033P+q\033\\\377\000\n'; sleep 0.5"
    )
    one = terminal("run", "--exec", program.replace("$", "$$"), "sh")
    one.see("[ended]", "red [/oops]")
    assert b"owned" not in one.raw
    assert b"\x1b]52" not in one.raw
    assert b"\x1bP+q" not in one.raw
    assert one.raw.count(b"\x1b[?1049l") == 0
    one.type("q")
    assert one.end() == 0


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (20, 5)])
def test_wide_letters_keep_the_columns_straight(terminal, size):
    one = terminal(
        "run", "-e", "X=$X", "--range", "X=case:데이터,ascii,🎉🎉", "--exec", 'echo "한글 $$X 🎉"', "-r", "cpu=0.1",
        "sh", size=size,
    )  # fmt: skip
    one.see("[ended]" if size[0] > 40 else "ok")
    assert one.process.poll() is None


def test_the_real_program_can_be_driven_by_tmux_too(tmp_path):
    """One look with another emulator than ours; tmux may be missing."""
    if subprocess.run(["which", "tmux"], capture_output=True, check=False).returncode != 0:
        pytest.skip("tmux is not installed")
    socket = f"sweep-tui-{os.getpid()}"
    command = f"{os.sys.executable} -m tui_sweep run --exec 'echo seen by tmux; sleep 600' sh"
    tmux = ["tmux", "-L", socket, "-f", "/dev/null"]
    environment = [
        item
        for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
        for item in ("-e", f"{name}={os.environ[name]}")
    ]
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", "80", "-y", "24", *environment, command], check=True, cwd=tmp_path
    )
    try:
        from tests.conftest import wait_until

        def screen():
            return subprocess.run(
                [*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True
            ).stdout

        wait_until(lambda: "seen by tmux" in screen(), 20, "the line in tmux")
        subprocess.run([*tmux, "send-keys", "x"], check=True)
        wait_until(lambda: "cancel 1 case?" in screen(), 20, "the question")
        subprocess.run([*tmux, "send-keys", "y"], check=True)
        wait_until(lambda: "cancelled by you" in screen(), 20, "the end")
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
