"""Changing sweeps from outside: cancel, retry, resume, rm, detach."""

import json
import os
import signal

import pytest

SLEEPERS = ["-r", "cpu=0.01", "-e", "X=$X", "--range", "X=range:3", "--exec", "sleep 600", "sh"]


@pytest.fixture
def detached(run_cli, shown, wait_until):
    """A detached sweep of three sleepers; its id. Cancelled at the end."""
    started = run_cli("run", "--detach", *SLEEPERS)
    assert started.returncode == 0, started.stderr
    wait_until(lambda: shown()[0]["counts"] == {"running": 3})
    yield started.stdout.strip()
    run_cli("cancel", started.stdout.strip(), "--all")
    run_cli("wait", started.stdout.strip())


def test_detach_prints_the_id_and_nothing_else_and_the_runner_goes_on(detached, shown):
    assert len(detached) == 8
    summary, cases = shown(detached)
    assert summary["runner"] is not None
    assert os.getsid(summary["runner"]) == summary["runner"]
    assert [case["state"] for case in cases] == ["running"] * 3


def test_one_case_is_cancelled_and_the_others_go_on(detached, run_cli, shown, wait_until):
    done = run_cli("cancel", detached, "1")
    assert done.returncode == 0
    assert "1 case cancelled" in done.stderr
    wait_until(lambda: shown()[0]["counts"] == {"running": 2, "cancelled": 1})
    case = shown()[1][1]
    assert (case["state"], case["reason"]) == ("cancelled", "cancelled by you")


def test_a_cancelled_case_can_be_run_again(detached, run_cli, shown, wait_until):
    run_cli("cancel", detached, "1")
    wait_until(lambda: shown()[1][1]["state"] == "cancelled")
    assert run_cli("retry", detached, "1").returncode == 0
    wait_until(lambda: (shown()[1][1]["state"], shown()[1][1]["attempt"]) == ("running", 1))


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_without_cases_it_is_a_usage_error(detached, run_cli, verb):
    assert run_cli(verb, detached).returncode == 2
    assert run_cli(verb, detached, "99").returncode == 2
    assert run_cli(verb, detached, "x").returncode == 2


def test_a_killed_runner_is_resumed_and_no_case_runs_twice(detached, run_cli, shown, wait_until):
    before = [case["started"] for case in shown()[1]]
    os.kill(shown()[0]["runner"], signal.SIGKILL)
    wait_until(lambda: shown()[0]["runner"] is None)
    done = run_cli("resume", detached)
    assert (done.returncode, done.stdout.strip()) == (0, detached)
    summary, cases = shown()
    assert summary["runner"] is not None
    assert [case["started"] for case in cases] == before
    assert [case["attempt"] for case in cases] == [0, 0, 0]


def test_who_resumes_or_asks_at_the_same_moment_is_no_error(detached, background, run_cli, shown, wait_until):
    os.kill(shown()[0]["runner"], signal.SIGKILL)
    wait_until(lambda: shown()[0]["runner"] is None)
    resuming = [background("resume", detached) for _ in range(4)]
    said = [process.communicate(timeout=60) for process in resuming]
    assert [process.returncode for process in resuming] == [0] * 4, said
    os.kill(shown()[0]["runner"], signal.SIGKILL)
    wait_until(lambda: shown()[0]["runner"] is None)
    asking = [background("cancel", detached, "--all") for _ in range(4)]
    said = [process.communicate(timeout=60)[1] for process in asking]
    assert [process.returncode for process in asking] == [0] * 4, said
    assert run_cli("wait", detached).returncode == 5
    assert shown()[0]["counts"] == {"cancelled": 3}


def test_resuming_what_runs_or_has_ended_says_so(detached, run_cli, shown, wait_until):
    done = run_cli("resume", detached)
    assert done.returncode == 0
    assert "is being run" in done.stderr
    run_cli("cancel", detached, "--all")
    run_cli("wait", detached)
    done = run_cli("resume", detached)
    assert done.returncode == 0
    assert "has ended" in done.stderr


def test_cancelling_an_orphaned_sweep_starts_a_runner_that_does_it(detached, run_cli, shown, wait_until):
    os.kill(shown()[0]["runner"], signal.SIGKILL)
    wait_until(lambda: shown()[0]["runner"] is None)
    assert run_cli("cancel", detached, "--all").returncode == 0
    assert run_cli("wait", detached).returncode == 5
    assert shown()[0]["counts"] == {"cancelled": 3}


def test_sigterm_to_the_runner_leaves_the_cases(detached, run_cli, shown, wait_until):
    os.kill(shown()[0]["runner"], signal.SIGTERM)
    wait_until(lambda: shown()[0]["runner"] is None)
    assert shown()[0]["counts"] == {"running": 3}
    assert run_cli("resume", detached).returncode == 0


def test_a_running_sweep_is_not_removed_and_an_ended_one_is_asked_for(detached, run_cli, state):
    done = run_cli("rm", "--yes", detached)
    assert done.returncode == 2
    assert "is being run" in done.stderr
    run_cli("cancel", detached, "--all")
    run_cli("wait", detached)
    assert run_cli("rm", detached).returncode == 130  # nobody answers the question
    assert (state / "sweeps" / detached).exists()
    assert run_cli("rm", "--yes", detached).returncode == 0
    assert list((state / "sweeps").iterdir()) == []


def test_retrying_the_failed_of_an_ended_sweep_runs_just_those(sweep, run_cli, shown, tmp_path):
    _, about, _, _ = sweep(
        "-e", "X=$X", "--range", "X=range:3", "--exec", 'test "$$X" != 1 || test -e repaired', "sh"
    )
    (tmp_path / "repaired").touch()
    done = run_cli("retry", about["id"], "--failed")
    assert done.returncode == 0
    assert "1 case to be run again" in done.stderr
    assert run_cli("wait", about["id"]).returncode == 0
    assert [(case["attempt"], case["state"]) for case in shown()[1]] == [
        (0, "done"),
        (1, "done"),
        (0, "done"),
    ]


def test_a_detached_run_that_cannot_start_gives_the_runners_error_and_leaves_nothing(run_cli, state):
    done = run_cli("run", "--detach", "-r", "cpu=100000", "--exec", "true", "sh")
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (state / "sweeps").exists() or not list((state / "sweeps").iterdir())


def test_a_resumed_case_runs_in_the_world_it_was_asked_in(run_cli, shown, wait_until, tmp_path):
    (tmp_path / "there").mkdir()
    program = "import os; print(os.getcwd(), os.environ.get('LANG'), os.environ.get('PYTHONPATH'))"
    blocker = "until test -e ../go; do sleep 0.05; done"
    started = run_cli(
        "run", "--detach", "--max-parallel", "1", "-e", "X=$X", "--range", "X=range:2",
        "--build", f'test "$$X" = 1 || {{ {blocker}; }}', "--exec", f'python3 -c "{program}"', "python",
        cwd=tmp_path / "there", env={"LANG": "ko_KR.UTF-8", "PYTHONPATH": "/somewhere"},
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    wait_until(lambda: shown()[0]["counts"].get("running") == 1)
    os.kill(shown()[0]["runner"], signal.SIGKILL)
    wait_until(lambda: shown()[0]["runner"] is None)
    (tmp_path / "go").touch()
    assert run_cli("resume", "@", env={"LANG": "C"}).returncode == 0
    assert run_cli("wait", "@").returncode == 0
    assert run_cli("log", "@", "1").stdout == f"{tmp_path}/there ko_KR.UTF-8 /somewhere\n"


def test_a_case_of_a_runner_that_was_killed_frees_its_slots_when_it_ends(
    run_cli, shown, wait_until, tmp_path
):
    cpus = len(os.sched_getaffinity(0))
    run_cli("run", "--detach", "-r", f"cpu={cpus}", "--exec", "until test -e go; do sleep 0.05; done", "sh")
    wait_until(lambda: shown()[0]["counts"] == {"running": 1})
    os.kill(shown()[0]["runner"], signal.SIGKILL)
    facts = json.loads(run_cli("engine", "--json").stdout)
    assert facts["capacity"]["cpu"]["used"] == str(cpus)
    (tmp_path / "go").touch()
    wait_until(lambda: json.loads(run_cli("engine", "--json").stdout)["capacity"]["cpu"]["used"] == "0")


def test_a_sweep_of_another_host_is_not_resumed_here(run_cli, shown, wait_until, state):
    started = run_cli("run", "--detach", "--exec", "sleep 600", "sh")
    wait_until(lambda: shown()[0]["counts"] == {"running": 1})
    run_cli("cancel", "@", "--all")
    run_cli("wait", "@")
    path = state / "sweeps" / started.stdout.strip() / "sweep.json"
    record = json.loads(path.read_text())
    record["place"]["host"] = "elsewhere"
    path.write_text(json.dumps(record))
    done = run_cli("retry", "@", "0")
    assert done.returncode == 3
    assert "elsewhere" in done.stderr
    assert shown()[0]["counts"] == {"cancelled": 1}
