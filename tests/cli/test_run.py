"""``sweep-tui run`` without a screen, on this machine: real processes, real exit codes."""

import hashlib
import json
import os
import signal
import socket
import stat
import sys

import pytest

EXAMPLE = [
    "-c", 'import os; print("Hello world, {}".format(os.environ["CASENO"]))',
    "-r", "cpu=1", "-r", "mem=256m", "-e", "CASENO=$X", "--env-range=X=case:1,2,3,4",
    "lablup/python:3.6-ubuntu18.04",
]  # fmt: skip


def words(cases, index):
    """The states that a case went through, by attempt."""
    return [(event["attempt"], event["state"]) for event in cases if event["index"] == index]


def test_the_example_of_the_manual_word_for_word(sweep, run_cli):
    done, _, cases, end = sweep(*EXAMPLE)
    assert done.returncode == 0
    assert end["counts"] == {"done": 4}
    assert end["exit_code"] == 0
    for index in range(4):
        assert words(cases, index)[-1] == (0, "done")
        log = run_cli("log", "@", str(index))
        assert (log.stdout, log.stderr) == (f"Hello world, {index + 1}\n", "")


def test_no_more_cases_run_than_the_machine_has_room_for_and_the_others_say_why(sweep, shown, wait_until):
    cpus = len(os.sched_getaffinity(0))
    done, _, cases, _ = sweep(
        "-r", f"cpu={cpus}", "--range", "X=range:3", "-e", "X=$X", "--exec", "true", "sh"
    )
    assert done.returncode == 0
    running = peak = 0
    for event in cases:
        running += (event["state"] == "running") - (event["state"] == "done")
        peak = max(peak, running)
    assert peak == 1


def test_events_are_json_lines_in_the_order_they_happened(sweep):
    done, about, cases, end = sweep(
        "-t", "mnist", "-e", "X=$X", "--range", "X=case:a", "--exec", "true", "sh"
    )
    assert set(about) == {"id", "name", "cases", "merged", "engine", "dir", "at"}
    assert (about["name"], about["cases"], about["merged"], about["engine"]) == ("mnist", 1, 0, "local")
    assert os.path.isdir(about["dir"])
    assert [event["state"] for event in cases] == ["submitting", "running", "done"]
    for event in cases:
        assert set(event) == {"index", "attempt", "state", "session", "status", "reason", "exit_code", "at"}
        assert event["session"] == f"mnist-{about['id']}-0"
    assert cases[-1]["exit_code"] == 0
    assert set(end) == {"counts", "exit_code", "seconds"}
    assert done.stderr.count("\n") <= 2


@pytest.mark.parametrize(
    ("command", "code", "state", "case_code", "reason"),
    [
        ("exit 0", 0, "done", 0, None),
        ("exit 3", 1, "failed", 3, "exit 3"),
        ("kill -9 $$$$", 1, "failed", 137, "SIGKILL"),
        ("kill -TERM $$$$", 1, "failed", 143, "SIGTERM"),
        ("no-such-program-anywhere", 1, "failed", 127, None),
    ],
)
def test_the_exit_code_of_a_case_is_read_and_tells(sweep, command, code, state, case_code, reason):
    done, _, cases, end = sweep("--exec", command, "sh")
    assert done.returncode == end["exit_code"] == code
    assert (cases[-1]["state"], cases[-1]["exit_code"]) == (state, case_code)
    if reason is not None:
        assert cases[-1]["reason"] == reason


def test_a_failing_build_ends_the_case_with_its_code_and_exec_does_not_run(sweep, run_cli):
    done, _, cases, _ = sweep("--build", "echo building; exit 4", "--exec", "echo never", "sh")
    assert done.returncode == 1
    assert (cases[-1]["state"], cases[-1]["exit_code"]) == ("failed", 4)
    assert run_cli("log", "@", "0").stdout == "building\n"


def test_the_case_sees_its_surroundings_and_no_credentials(sweep, run_cli):
    program = (
        "import os, json; print(json.dumps({k: v for k, v in os.environ.items()"
        " if k.startswith(('SWEEP', 'BACKEND', 'PYTHONUNB', 'MINE'))}))"
    )
    _, about, _, _ = sweep(
        "-c", program, "-e", "MINE=$V", "--range", "V=case:x", "--engine", "local", "python",
        env={"BACKEND_SECRET_KEY": "hush", "BACKEND_ACCESS_KEY": "AK"},
    )  # fmt: skip
    seen = json.loads(run_cli("log", "@", "0").stdout)
    assert seen == {
        "SWEEP_ID": about["id"],
        "SWEEP_CASE": "0",
        "SWEEP_ATTEMPT": "0",
        "SWEEP_DIR": f"{about['dir']}/out/000/000000.0",
        "PYTHONUNBUFFERED": "1",
        "MINE": "x",
    }
    for path, _, names in os.walk(about["dir"]):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                assert b"hush" not in file.read(), name


def test_the_program_runs_where_sweep_tui_was_started(sweep, run_cli, tmp_path):
    (tmp_path / "deep er").mkdir()
    sweep("--exec", "pwd; cat", "sh", cwd=tmp_path / "deep er")
    assert run_cli("log", "@", "0").stdout == f"{tmp_path}/deep er\n"


def test_files_are_snapshotted_and_each_case_works_in_its_own_copy(sweep, run_cli, tmp_path):
    (tmp_path / "main.py").write_text("import sys; open('made', 'x').close(); print(open('data.txt').read())")
    (tmp_path / "data.txt").write_text("42")
    done, about, _, _ = sweep(
        "-e", "X=$X", "--range", "X=range:2", "python", "main.py", "data.txt", cwd=tmp_path
    )
    assert done.returncode == 0
    assert run_cli("log", "@", "1").stdout == "42\n"
    assert sorted(os.listdir(f"{about['dir']}/out/000/000001.0/work")) == ["data.txt", "made", "main.py"]
    assert sorted(os.listdir(f"{about['dir']}/files")) == ["data.txt", "main.py"]
    assert not (tmp_path / "made").exists()


def test_the_default_build_is_make_and_the_default_exec_is_main(sweep, run_cli, tmp_path):
    (tmp_path / "Makefile").write_text("all:\n\techo built > result\n")
    (tmp_path / "main.py").write_text("print(open('result').read(), end='')")
    done, *_ = sweep("python", "Makefile", "main.py")
    assert done.returncode == 0
    assert run_cli("log", "@", "0", "--stdout").stdout.endswith("built\n")


@pytest.mark.parametrize("jobs", [1, 2])
def test_max_parallel_is_obeyed(sweep, jobs):
    _, _, cases, _ = sweep(
        "-r", "cpu=0.01", "--max-parallel", str(jobs), "-e", "X=$X", "--range", "X=range:8",
        "--exec", "sleep 0.05", "sh",
    )  # fmt: skip
    live = peak = 0
    for event in cases:
        live += (event["state"] == "submitting") - (event["state"] == "done")
        peak = max(peak, live)
    assert peak == jobs


def test_retries_are_further_attempts_with_folders_of_their_own(sweep, run_cli):
    done, about, cases, _ = sweep(
        "--retries", "2", "--retry-delay", "0.05", "--exec",
        'echo try $$SWEEP_ATTEMPT; test "$$SWEEP_ATTEMPT" = 2', "sh",
    )  # fmt: skip
    assert done.returncode == 0
    assert [(e["attempt"], e["state"]) for e in cases if e["state"] in ("failed", "done")] == [
        (0, "failed"),
        (1, "failed"),
        (2, "done"),
    ]
    assert run_cli("log", "@", "0").stdout == "try 2\n"
    assert run_cli("log", "@", "0", "--attempt", "1").stdout == "try 1\n"
    assert cases[-1]["session"].endswith(f"{about['id']}-0.2")


def test_a_case_over_its_time_ends_as_timeout_with_its_whole_tree(sweep, tmp_path):
    done, _, cases, _ = sweep(
        "--timeout", "0.3s", "--grace", "0.2", "--exec",
        "trap '' TERM; (trap '' TERM; sleep 60 & echo $$! > child; wait) & wait", "sh",
    )  # fmt: skip
    assert done.returncode == 1
    assert cases[-1]["state"] == "timeout"
    assert cases[-1]["reason"] == "over --timeout 0.3 s"
    assert not os.path.exists(f"/proc/{(tmp_path / 'child').read_text().strip()}")


def test_a_case_that_waits_too_long_for_its_turn_ends_as_timeout(sweep):
    cpus = len(os.sched_getaffinity(0))
    done, _, cases, end = sweep(
        "-r", f"cpu={cpus}", "--max-wait", "0.3s", "-e", "X=$X", "--range", "X=range:2",
        "--exec", "sleep 1", "sh",
    )  # fmt: skip
    assert done.returncode == 1
    assert end["counts"] == {"done": 1, "timeout": 1}
    assert cases[-1]["reason"] or any("--max-wait" in (event["reason"] or "") for event in cases)


def test_memory_is_limited_for_the_whole_tree(sweep):
    program = (
        "import time\nblocks = []\n"
        "for _ in range(64):\n    blocks.append(bytearray(16 << 20)); time.sleep(0.04)\n"
    )
    done, _, cases, _ = sweep("-r", "mem=256m", "-c", program, "python")
    assert done.returncode == 1
    assert (cases[-1]["state"], cases[-1]["reason"]) == ("failed", "out of memory (asked 256 MiB)")


def test_halt_cancels_what_has_not_begun(sweep):
    done, _, cases, end = sweep(
        "--max-parallel", "1", "--halt", "soon,fail=1", "-e", "X=$X", "--range", "X=range:4",
        "--exec", "exit 1", "sh",
    )  # fmt: skip
    assert done.returncode == 1
    assert end["counts"] == {"failed": 1, "cancelled": 3}
    assert [event["reason"] for event in cases if event["state"] == "cancelled"] == ["halted"] * 3


def test_output_is_kept_byte_for_byte(sweep, run_cli):
    program = (
        "import os, sys; os.write(1, bytes(range(256)) * 3); os.write(2, b'\\xff\\x00\\x1b[31m no newline')"
    )
    sweep("-c", program, "python")
    log = run_cli("log", "@", "0", text=False)
    assert log.stdout == bytes(range(256)) * 3
    assert log.stderr == b"\xff\x00\x1b[31m no newline"
    assert run_cli("log", "@", "0", "--stdout", text=False).stderr == b""
    assert run_cli("log", "@", "0", "--stderr", text=False).stdout == b""


@pytest.mark.slow
def test_100_mb_without_a_newline_are_kept_byte_for_byte(sweep, folder):
    program = "import sys; [sys.stdout.buffer.write(bytes([65 + i % 26]) * (1 << 20)) for i in range(100)]"
    done, *_ = sweep("-c", program, "python")
    assert done.returncode == 0
    digest = hashlib.sha256()
    for i in range(100):
        digest.update(bytes([65 + i % 26]) * (1 << 20))
    path = folder() / "out" / "000" / "000000.0" / "stdout"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest.hexdigest()


def test_names_and_values_full_of_nonsense_are_kept_and_shown_harmlessly(sweep, run_cli):
    hostile = "[red]\x1b]0;title\x07[/oops]\n'\"\\ ü 데이터"
    done, *_ = sweep(
        "-e", "X=$X", "--range", f"X=case:{hostile}", "-c", "import os; print(os.environ['X'])", "python"
    )
    assert done.returncode == 0
    assert run_cli("log", "@", "0").stdout == hostile + "\n"
    for command in (["show", "@"], ["ls"]):
        out = run_cli(*command).stdout
        assert "\x1b" not in out
        assert "\x07" not in out


def test_a_line_a_running_case_prints_is_in_its_log_within_a_second(background, run_cli, folder, wait_until):
    process = background("run", "--headless", "-c", "print('alive'); import time; time.sleep(600)", "python")
    path = wait_until(lambda: next((p for p in _attempts(folder) if (p / "stdout").exists()), None))
    wait_until(lambda: (path / "stdout").read_bytes() == b"alive\n", timeout=1.0 + 2.0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def _attempts(folder):
    try:
        return list((folder() / "out" / "000").iterdir())
    except (OSError, ValueError):
        return []


def test_ctrl_c_cancels_and_waits_and_exits_130(background, shown, folder, wait_until):
    process = background(
        "run", "--headless", "-e", "X=$X", "--range", "X=range:9", "--exec", "sleep 600", "sh"
    )
    wait_until(lambda: _attempts(folder))
    wait_until(lambda: shown()[0]["counts"].get("running", 0) > 0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert shown()[0]["counts"] == {"cancelled": 9}


def test_a_second_ctrl_c_leaves_the_sessions_and_resume_takes_them_over(
    background, run_cli, shown, folder, wait_until, tmp_path
):
    command = "trap '' TERM; until test -e go; do sleep 0.05; done; echo went on"
    process = background("run", "--headless", "--grace", "600", "--exec", command, "sh")
    wait_until(lambda: _attempts(folder))
    wait_until(lambda: shown()[0]["counts"] == {"running": 1})
    process.send_signal(signal.SIGINT)
    wait_until(lambda: shown()[0]["counts"] == {"cancelling": 1})
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert shown()[0]["runner"] is None
    (tmp_path / "go").touch()
    assert run_cli("resume", "@").returncode == 0
    assert run_cli("wait", "@").returncode == 5  # it was to be cancelled, and the runner still does it
    assert shown()[0]["counts"] == {"cancelled": 1}


def test_a_sweep_of_many_cases_is_not_started_without_yes(run_cli, state):
    many = ["-e", "X=$X", "--range", "X=range:1001", "--exec", "true", "sh"]
    done = run_cli("run", "--headless", *many)
    assert done.returncode == 2
    assert "1,001" in done.stderr
    assert not list((state / "sweeps").iterdir() if (state / "sweeps").exists() else [])


def test_a_sweep_of_far_too_many_is_refused_whatever_is_said(run_cli):
    done = run_cli(
        "run", "--yes", "-e", "X=$X$Y", "--range", "X=range:10000", "--range", "Y=range:1001",
        "--exec", "true", "sh",
    )  # fmt: skip
    assert done.returncode == 2
    assert "10,000,000" in done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--exec", "true", "no-such-runtime"], "no-such-runtime"),
        (["-r", "cpu=100000", "--exec", "true", "sh"], "100000"),
        (["-r", "mem=100000t", "--exec", "true", "sh"], "mem"),
        (["-r", "cuda.shares=1", "--exec", "true", "sh"], "cuda.shares"),
        (["-v", "data:/data", "--exec", "true", "sh"], "--mount is"),
        (["--cluster-size", "2", "--exec", "true", "sh"], "cluster"),
        (["--engine", "nowhere", "--exec", "true", "sh"], "nowhere"),
    ],
)
def test_what_can_never_run_is_refused_before_anything_is_created(run_cli, state, options, expected):
    done = run_cli("run", "--headless", *options)
    assert done.returncode == 2
    assert expected in done.stderr
    assert not (state / "sweeps").exists() or list((state / "sweeps").iterdir()) == []


def test_a_missing_runtime_says_what_where_and_what_to_do(run_cli, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("sh", "env"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    done = run_cli("run", "--headless", "-c", "1", "node", env={"PATH": str(tmp_path / "bin")})
    assert done.returncode == 2
    told = f"sweep-tui: node or nodejs is not installed: no such program on PATH={tmp_path / 'bin'}"
    assert done.stderr.splitlines()[0] == told


def test_options_without_meaning_here_are_named_in_one_notice(run_cli):
    done = run_cli("run", "--headless", "--tag", "t", "-g", "grp", "--exec", "true", "sh")
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if "tag" in line]
    assert "group" in line


def test_a_state_directory_that_cannot_be_written_is_exit_4(run_cli, tmp_path):
    (tmp_path / "file").write_text("x")
    done = run_cli("run", "--headless", "--state-dir", str(tmp_path / "file"), "--exec", "true", "sh")
    assert done.returncode == 4
    assert "--state-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_folder_is_private_and_laid_out_as_documented(sweep):
    _, about, _, _ = sweep("--exec", "echo x; echo y >&2", "sh")
    assert stat.S_IMODE(os.stat(about["dir"]).st_mode) == 0o700
    there = set(os.listdir(about["dir"]))
    assert {"sweep.json", "sweep.db", "commands", "files", "lock", "out"} <= there
    attempt = f"{about['dir']}/out/000/000000.0"
    assert {"stdout", "stderr", "timeline", "exit"} <= set(os.listdir(attempt))
    with open(f"{attempt}/exit") as file:
        assert file.read() == "0\n"


def test_a_line_without_a_screen_shows_no_secret_and_no_more_of_an_output_than_is_read(run_cli):
    done = run_cli(
        "run", "--headless", "-e", "API_KEY=$V", "--range", "V=case:hush", "--exec",
        "head -c 100000 /dev/zero | tr '\\0' x", "sh",
    )  # fmt: skip
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("[1/1]")]
    assert "V=****" in line
    assert "hush" not in done.stdout + done.stderr
    assert line.endswith("xxx")
    assert len(line) < 500


def test_without_json_each_ended_case_is_a_line_and_failures_show_their_last_lines(run_cli):
    done = run_cli(
        "run", "-e", "X=$X", "--range", "X=range:2",
        "-c", "import os, sys; print('said', os.environ['X']); print('why', file=sys.stderr); "
        "sys.exit(int(os.environ['X']))", "python",
    )  # fmt: skip
    assert done.returncode == 1
    assert "said 0" in done.stdout
    assert "exit 1" in done.stdout
    assert "    why" in done.stdout
    assert "1 done, 1 failed" in done.stdout


def test_a_reader_that_goes_away_does_not_stop_the_sweep(run_cli, shown, tmp_path):
    import subprocess

    command = (
        f"{sys.executable} -m tui_sweep run -e 'X=$X' --range X=range:50 --exec true -r cpu=0.01 sh | true"
    )
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, timeout=60)
    summary, _ = shown()
    assert summary["counts"] == {"done": 50}


@pytest.mark.parametrize("manner", [["--headless"], ["--headless", "--json"], ["--detach"]])
def test_keys_configured_choose_the_cluster_and_its_silence_is_told(run_cli, state, manner):
    keys = {"BACKEND_ACCESS_KEY": "AK", "BACKEND_SECRET_KEY": "SK-not-shown"}
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        done = run_cli("run", *manner, "--exec", "true", "sh", env={**keys, "BACKEND_ENDPOINT": endpoint})
    assert done.returncode == 3
    assert done.stdout == ""
    assert list((state / "sweeps").iterdir()) == []
    assert endpoint.removeprefix("http://") in done.stderr
    assert "SK-not-shown" not in done.stderr
