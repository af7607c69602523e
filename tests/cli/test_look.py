"""Looking at sweeps: ls, show, log, wait, export, engine, config."""

import csv
import io
import json
import os
import re
import signal

import pytest

ONE = ["-e", "X=$X", "--range", "X=case:a,b,c", "--exec", 'test "$$X" != b', "-r", "cpu=0.1", "sh"]


def test_ls_is_a_line_a_sweep_the_newest_first(sweep, run_cli):
    _, first, _, _ = sweep("-t", "one", "--exec", "true", "sh")
    _, second, _, _ = sweep(*ONE)
    lines = [json.loads(line) for line in run_cli("ls", "--json").stdout.splitlines()]
    assert [line["id"] for line in lines] == [second["id"], first["id"]]
    assert lines[0]["counts"] == {"done": 2, "failed": 1}
    assert set(lines[0]) == {
        "v", "id", "name", "engine", "cases", "counts", "runner", "started", "ended", "dir",
    }  # fmt: skip
    assert lines[0]["runner"] is None
    assert lines[0]["ended"] > lines[0]["started"]
    text = run_cli("ls").stdout.splitlines()
    assert "one" in text[1]
    assert "no runner" in text[1]


def test_ls_without_a_sweep_says_how_to_start_one(run_cli):
    done = run_cli("ls")
    assert done.returncode == 0
    assert "sweep-tui run" in done.stderr


def test_show_gives_the_sweep_then_its_cases(sweep, shown):
    _, about, _, _ = sweep(*ONE)
    summary, cases = shown(about["id"])
    assert summary["cases"] == 3
    assert [(case["index"], case["state"], case["exit_code"]) for case in cases] == [
        (0, "done", 0),
        (1, "failed", 1),
        (2, "done", 0),
    ]
    assert set(cases[0]) == {
        "v", "index", "attempt", "state", "session", "status", "reason", "exit_code", "variables",
        "submitted", "started", "ended", "output_bytes",
    }  # fmt: skip
    assert cases[1]["variables"] == {"X": "b"}
    assert cases[1]["session"] == f"{about['id']}-1"
    assert cases[1]["submitted"] <= cases[1]["started"] <= cases[1]["ended"]


def test_show_chooses_by_state_limit_and_offset(sweep, shown):
    sweep(*ONE)
    assert [case["index"] for case in shown("@", "--state", "done")[1]] == [0, 2]
    assert [case["index"] for case in shown("@", "--state", "done,failed", "--offset", "1")[1]] == [1, 2]
    assert [case["index"] for case in shown("@", "--limit", "1", "--offset", "1")[1]] == [1]


def test_show_of_an_unknown_state_lists_them(sweep, run_cli):
    sweep(*ONE)
    done = run_cli("show", "@", "--state", "broken")
    assert done.returncode == 2
    assert "timeout" in done.stderr


def test_secrets_in_variables_are_masked(sweep, run_cli):
    sweep(
        "-e", "API_TOKEN=$T", "--range", "T=case:hush1,hush2", "-e", "MY_KEY=$K", "--range", "K=case:hush3",
        "--exec", "true", "sh",
    )  # fmt: skip
    for command in (
        ["show", "@"],
        ["show", "@", "--json"],
        ["export", "@"],
        ["export", "@", "--format", "joblog"],
    ):
        out = run_cli(*command).stdout
        assert out
        assert "hush" not in out


@pytest.mark.parametrize("command", [["show"], ["log"], ["wait"], ["export"], ["rm"], ["resume"], ["cancel"]])
def test_a_sweep_that_is_none_is_a_usage_error(run_cli, command):
    extra = ["0"] if command[0] in ("log", "cancel") else []
    done = run_cli(*command, "nothing", *extra)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_log_of_a_case_or_attempt_that_is_none_says_which_there_are(sweep, run_cli):
    sweep(*ONE)
    assert "0 to 2" in run_cli("log", "@", "3").stderr
    done = run_cli("log", "@", "0", "--attempt", "5")
    assert done.returncode == 2
    assert "its latest is 0" in done.stderr


def test_log_keeps_the_order_of_the_streams_as_sampled(background, run_cli, wait_until, folder, tmp_path):
    command = "echo one; until test -e go; do sleep 0.02; done; echo two >&2; sleep 0.5; echo three"
    process = background("run", "--headless", "--exec", command, "sh")
    wait_until(lambda: _timeline(folder).count(b"\n") == 1)
    (tmp_path / "go").touch()
    process.communicate(timeout=30)
    import subprocess
    import sys

    both = subprocess.run(
        [sys.executable, "-m", "tui_sweep", "log", "@", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
    )  # fmt: skip
    assert both.stdout == b"one\ntwo\nthree\n"


def _timeline(folder):
    try:
        return (folder() / "out" / "000" / "000000.0" / "timeline").read_bytes()
    except (OSError, ValueError):
        return b""


def test_log_follows_until_the_case_has_ended(background, wait_until, folder, tmp_path):
    command = "echo one; until test -e go; do sleep 0.02; done; echo two"
    sweeping = background("run", "--headless", "--exec", command, "sh")
    wait_until(lambda: _timeline(folder))
    following = background("log", "@", "0", "-f")
    assert following.stdout.readline() == "one\n"
    (tmp_path / "go").touch()
    assert following.stdout.read() == "two\n"
    assert following.wait(timeout=30) == 0
    sweeping.communicate(timeout=30)


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 7", 1), ("exit $$((SWEEP_CASE))", 1)])
def test_wait_tells_how_a_sweep_ended(run_cli, command, code):
    started = run_cli("run", "--detach", "-e", "X=$X", "--range", "X=range:2", "--exec", command, "sh")
    assert started.returncode == 0
    assert run_cli("wait", started.stdout.strip()).returncode == code


def test_wait_of_an_orphaned_sweep_says_so_and_exits_6(run_cli, shown, wait_until, tmp_path):
    started = run_cli("run", "--detach", "--exec", "until test -e go; do sleep 0.05; done", "sh")
    assert started.returncode == 0, started.stderr
    wait_until(lambda: shown()[0]["counts"] == {"running": 1})
    os.kill(shown()[0]["runner"], signal.SIGKILL)
    wait_until(lambda: shown()[0]["runner"] is None)
    done = run_cli("wait", "@")
    assert done.returncode == 6
    assert "resume" in done.stderr
    (tmp_path / "go").touch()
    assert run_cli("resume", "@").returncode == 0
    assert run_cli("wait", "@").returncode == 0


def test_ctrl_c_ends_only_the_waiting(run_cli, background, shown, wait_until):
    run_cli("run", "--detach", "--exec", "sleep 600", "sh")
    waiting = background("wait", "@")
    wait_until(lambda: shown()[0]["counts"] == {"running": 1})
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert shown()[0]["counts"] == {"running": 1}
    assert run_cli("cancel", "@", "--all").returncode == 0
    assert run_cli("wait", "@").returncode == 5


def test_export_as_csv_json_and_joblog(sweep, run_cli):
    sweep(*ONE)
    rows = list(csv.DictReader(io.StringIO(run_cli("export", "@", "--format", "csv").stdout)))
    assert [(row["index"], row["state"], row["exit_code"], row["X"]) for row in rows] == [
        ("0", "done", "0", "a"),
        ("1", "failed", "1", "b"),
        ("2", "done", "0", "c"),
    ]
    objects = [json.loads(line) for line in run_cli("export", "@", "--format", "json").stdout.splitlines()]
    assert [one["variables"]["X"] for one in objects] == ["a", "b", "c"]
    head, *lines = run_cli("export", "@", "--format", "joblog").stdout.splitlines()
    assert head.split("\t") == [
        "Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command",
    ]  # fmt: skip
    assert [line.split("\t")[6] for line in lines] == ["0", "1", "0"]
    assert all(len(line.split("\t")) == 9 for line in lines)


@pytest.mark.parametrize("words", [["ls"], ["show", "@"], ["wait", "abcdefgh"]])
def test_a_state_directory_that_cannot_be_read_is_an_error_in_a_line(run_cli, state, words):
    state.mkdir(parents=True)
    (state / "sweeps").symlink_to("sweeps")
    done = run_cli(*words)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"sweep-tui: {state}/sweeps: cannot be read: Too many levels of symbolic links\n"


def test_an_output_that_cannot_be_read_is_an_error_in_a_line(sweep, run_cli, folder):
    sweep("--exec", "echo hello", "sh")
    stdout = folder() / "out/000/000000.0/stdout"
    stdout.unlink()
    stdout.symlink_to("stdout")
    done = run_cli("log", "@", "0")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"sweep-tui: {stdout}: cannot be read: Too many levels of symbolic links\n"


def test_engine_tells_capacity_and_who_waits(run_cli):
    done = run_cli("engine", "--json")
    assert done.returncode == 0
    facts = json.loads(done.stdout)
    assert set(facts) == {"v", "engine", "endpoint", "server", "reachable", "capacity", "limits", "waiting"}
    assert facts["engine"] == "local"
    assert facts["reachable"] is True
    assert int(facts["capacity"]["cpu"]["total"]) >= 1
    assert facts["capacity"]["cpu"]["used"] == "0"
    assert int(facts["capacity"]["mem"]["total"]) > 1 << 28
    assert "cpu" in run_cli("engine").stdout


def test_engine_tells_a_person_who_waits_how_long_and_for_what(background, run_cli, wait_until, tmp_path):
    total = json.loads(run_cli("engine", "--json").stdout)["capacity"]["cpu"]["total"]
    command = "until test -e go; do sleep 0.02; done; echo $A"
    options = ["-r", f"cpu={total}", "--range", "A=range:2", "--exec", command, "sh"]
    process = background("run", "--headless", "--json", *options)
    sweep_id = json.loads(process.stdout.readline())["id"]
    wait_until(lambda: json.loads(run_cli("engine", "--json").stdout)["waiting"])
    told = run_cli("engine").stdout
    assert re.search(rf"^  {sweep_id} waits \d\.\ds: needs cpu {total}$", told, re.MULTILINE), told
    (tmp_path / "go").touch()
    process.communicate(timeout=30)


def test_config_tells_where_each_setting_came_from_and_no_secret(run_cli, home, tmp_path):
    (home / "config" / "sweep-tui").mkdir(parents=True)
    (home / "config" / "sweep-tui" / "config.toml").write_text('group = "from-toml"\ndomain = "from-toml"\n')
    (tmp_path / ".env").write_text("BACKEND_DOMAIN=from-dotenv\nBACKEND_SECRET_KEY=hush\n")
    done = run_cli("config", env={"BACKEND_ENDPOINT": "http://127.0.0.1:1"})
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "config.toml" in lines["group"]
    assert ".env" in lines["domain"]
    assert "from-dotenv" in lines["domain"]
    assert "environment: BACKEND_ENDPOINT" in lines["endpoint"]
    assert "hush" not in done.stdout
    assert "set, not shown" in lines["secret_key"]


@pytest.mark.parametrize("text", ["not toml [", 'nonsense = "x"', "group = [1]"])
def test_a_wrong_config_is_a_usage_error_that_names_the_file(run_cli, tmp_path, text):
    (tmp_path / "c.toml").write_text(text)
    done = run_cli("--config", str(tmp_path / "c.toml"), "ls")
    assert done.returncode == 2
    assert "c.toml" in done.stderr
    assert "Traceback" not in done.stderr
