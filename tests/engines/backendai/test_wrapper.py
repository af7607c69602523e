"""The startup command, under the shells and tools that images have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.engines.backendai.shells import NOTHING, SHELLS, Box, Shell, everywhere, finish
from tui_sweep.core.errors import EngineDenied
from tui_sweep.engines.backendai import carry, create, wrapper
from tui_sweep.engines.backendai.frames import Begin, Decoder, End, Frame, Piece


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)
def test_this_shell_and_its_tools_are_tried(shell: Shell, tmp_path: Path) -> None:
    if shell.missing:
        pytest.skip(shell.missing)
    assert Box(shell, tmp_path / "box").run(execute="echo ran").out == b"ran\n"


@pytest.fixture
def boxes(tmp_path: Path) -> list[Box]:
    """All of them, for what takes long because it waits."""
    return [Box(shell, tmp_path / shell.name) for shell in SHELLS if not shell.missing]


@pytest.fixture
def dash(tmp_path: Path) -> Box:
    return Box(SHELLS[0], tmp_path / "box")


def code(text: str) -> carry.Load:
    return carry.pack(None, text)


ODDITIES = {
    "QUOTES": """it's "quoted" `echo no` $(echo no) $HOME \\ \\n %s %d""",
    "LINES": "one\ntwo\n\n",
    "CONTROLS": "\x01\x1b[31m\r\x7f\x1e\x1f",
    "KOREAN": "학습률 0.1 ✓ 😀",
    "NOT_UTF8": "caf\udce9 \udcff",
    "SPACES": "  both ends  ",
    "EMPTY": "",
    "NEWLINE": "\n",
    "LONG": "x" * 5000,
    "with.dot": "odd\nname's",
    "UID": "readonly in bash",
}

SURROUNDINGS = """
import json, os, signal, sys
fds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
       if os.path.exists(f"/proc/self/fd/{fd}")}
try:
    os.close(os.open("/dev/tty", os.O_RDWR)); tty = True
except OSError:
    tty = False
json.dump({
    "argv": sys.argv, "stdin": sys.stdin.read(), "cwd": os.getcwd(), "tty": tty, "fds": fds,
    "leader": os.getpgid(0) == os.getsid(0),
    "signals": {name: signal.getsignal(getattr(signal, name)) in (signal.SIG_DFL, signal.default_int_handler)
                for name in ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGCHLD")},
    "env": {name: value.encode("utf-8", "surrogateescape").hex() for name, value in os.environ.items()},
}, sys.stdout)
"""


def test_a_program_sees_its_variables_an_empty_stdin_and_nothing_of_the_wrapper(boxes: list[Box]) -> None:
    wanted = {**ODDITIES, "LR": "0.1", "PATH": f"/opt/nothing:{boxes[0].path}"}
    for box, case in everywhere(boxes, load=code(SURROUNDINGS), env=wanted):
        assert (case.code, case.err, case.stderr) == (0, b"", b""), box.shell.name
        seen = json.loads(case.out)
        assert seen["argv"] == ["-c"]
        assert seen["stdin"] == ""
        assert not seen["tty"]
        assert seen["cwd"] == str(box.work)
        assert seen["leader"]
        assert all(seen["signals"].values()), seen["signals"]
        assert sorted(seen["fds"]) == ["0", "1", "2"]
        assert seen["fds"]["0"] == "/dev/null"
        env = {
            name: bytes.fromhex(value).decode("utf-8", "surrogateescape")
            for name, value in seen["env"].items()
        }
        assert {name: env.get(name) for name in wanted} == wanted, box.shell.name
        assert not [name for name in env if name.startswith(("_sweep", "SWEEP_LOAD"))]


def test_every_byte_comes_back_apart_and_in_order(boxes: list[Box]) -> None:
    text = (
        "import os, sys\n"
        "for i in range(40):\n"
        "    os.write(1, bytes(range(256)) + b'out %d\\n' % i); os.write(2, b'err %d\\r\\x1b[0m' % i)\n"
        "os.write(1, '끝 ✓ 😀'.encode() + b'\\xf0\\x9f')\n"
    )
    wanted = (
        b"".join(bytes(range(256)) + b"out %d\n" % i for i in range(40)) + "끝 ✓ 😀".encode() + b"\xf0\x9f"
    )
    for box, case in everywhere(boxes, load=code(text)):
        assert case.out == wanted, box.shell.name
        assert case.err == b"".join(b"err %d\r\x1b[0m" % i for i in range(40))
        assert case.totals == {"out": len(case.out), "err": len(case.err)}
        assert case.begin is not None
        assert case.begin.name == "ab12cd34-0"
        assert case.end == End(0, "exec", 0)


def test_a_program_that_prints_a_lot_is_whole(boxes: list[Box]) -> None:
    line = "epoch 17 손실 0.123 the quick brown fox\n".encode()
    for box in boxes:
        count = (5_000_000 if box.shell.name == "dash-mawk" else 500_000) // len(line)
        said = box.run(execute=f"yes '{line.decode().rstrip()}' | head -n {count}; printf %s end >&2")
        assert said.out == line * count, box.shell.name
        assert said.err == b"end"
        # many lines at once travel on one: a server's log adds 80 bytes to each
        assert len(said.raw) + 80 * said.raw.count(b"\n") < 1.5 * len(said.out) + 20_000


def test_text_is_readable_in_the_log(dash: Box) -> None:
    said = dash.run(
        execute="echo '손실: 0.1 ✓'; printf 'no newline'; sleep .3; printf '\\r100%%\\n'; echo bad >&2"
    )
    shown = said.raw.decode().replace("\x1e", "").replace("\x1f", "").replace("\x10", "")
    assert "out 0 16|손실: 0.1 ✓\n" in shown or "손실: 0.1 ✓\nno newline" in shown  # read together
    assert "0d100%" in shown
    assert "err 0 4|bad\n" in shown


STEPS: list[tuple[dict[str, str], End, bytes]] = [
    ({"execute": "exit 77"}, End(77, "exec", 0), b""),
    ({"execute": "kill -9 $$"}, End(137, "exec", 0), b""),
    ({"build": "echo building; exit 2", "execute": "echo never"}, End(2, "build", 0), b"building\n"),
    ({"clean": "echo cleaning; exit 9", "build": "echo b"}, End(0, "exec", 0), b"cleaning\nb\n"),
    ({"execute": "./there-is-no-such-program 2>&1 | grep -c found; exit 3"}, End(3, "exec", 0), b"1\n"),
]


def test_the_code_and_the_step_are_told(boxes: list[Box]) -> None:
    begun = [(box, box.begin(**steps), end, out) for box in boxes for steps, end, out in STEPS]
    for box, process, end, out in begun:
        case = finish(process)
        assert (case.end, case.code, case.out, case.stderr) == (end, end.code, out, b""), box.shell.name


def test_a_line_is_in_the_log_at_once(boxes: list[Box]) -> None:
    begun = []
    for box in boxes:
        execute = "printf begun; until [ -e go ]; do sleep .02; done; echo on"
        begun.append(box.begin(execute=execute))
    for box, process in zip(boxes, begun, strict=True):
        assert process.stdout is not None
        decoder = Decoder()
        seen: list[Frame] = []
        raw = b""
        while not any(isinstance(frame, Piece) for frame in seen):
            chunk = os.read(process.stdout.fileno(), 65536)
            assert chunk, "it ended without a line"
            raw += chunk
            seen += decoder.feed(chunk.decode())
        assert isinstance(seen[0], Begin)
        (box.work / "go").touch()
        case = finish(process, raw)
        assert case.out == b"begunon\n", box.shell.name
        assert case.raw.endswith(b"\x1esweep-tui end 0 exec 0\x1f\n")


def test_what_a_program_leaves_behind_does_not_hold_the_end(boxes: list[Box]) -> None:
    execute = "(while :; do echo left; sleep .02; done) & echo $! >pid; echo main; exit 4"
    begun = [box.begin(execute=execute) for box in boxes]
    for box, process in zip(boxes, begun, strict=True):
        case = finish(process)
        left = int((box.work / "pid").read_text())
        os.killpg(os.getpgid(left), signal.SIGKILL)
        assert case.end == End(4, "exec", 0), box.shell.name
        assert case.out.replace(b"left\n", b"") == b"main\n"
        assert case.totals["out"] == len(case.out)


def test_a_signal_to_the_wrapper_ends_the_program_and_is_told(boxes: list[Box]) -> None:
    text = (
        "import signal, sys, time\n"
        "def stop(number, frame): print('saved', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); print('ready', flush=True); time.sleep(60)\n"
    )
    begun = [box.begin(load=code(text)) for box in boxes]
    seen = []
    for process in begun:
        assert process.stdout is not None
        raw = b""
        while b"ready" not in raw:
            raw += os.read(process.stdout.fileno(), 4096)
        process.send_signal(signal.SIGTERM)
        seen.append(raw)
    for process, raw in zip(begun, seen, strict=True):
        case = finish(process, raw)
        assert process.returncode == -signal.SIGTERM
        # what it says after that may be lost: the server takes the container away, and the encoder with it
        assert case.out in (b"ready\n", b"ready\nsaved\n")
        assert case.end == End(143, "stopped", 0)


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/\n", "memory.events"),
        ("0::/docker/ab\n", "docker/ab/memory.events"),
        ("9:name=systemd:/\n4:cpu,memory:/docker/ab\n0::/\n", "memory/memory.oom_control"),
    ],
)
def test_a_process_killed_for_memory_is_told(dash: Box, groups: str, file: str) -> None:
    counters = dash.cgroup / file
    counters.parent.mkdir(parents=True, exist_ok=True)
    counters.write_text("low 0\noom_kill 3\n")
    dash.cgroups.write_text(groups)
    case = dash.run(execute=f"echo 'oom_kill 5' >{counters}; kill -9 $$")
    assert case.end == End(137, "exec", 2)
    assert case.end.oom


@pytest.mark.privileged
def test_the_kernels_own_count_is_read(dash: Box) -> None:
    groups = Path("/proc/self/cgroup").read_text()
    mine = next((line for line in groups.splitlines() if ":memory:" in line), None)
    root = Path("/sys/fs/cgroup/memory")
    if mine is None or not os.access(root, os.W_OK):
        pytest.skip("no cgroup v1 memory controller that may be written")
    folder = root / f"sweep-tui-test-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "memory.limit_in_bytes").write_text(str(48 << 20))
        dash.cgroups.write_text(f"4:memory:/{folder.name}\n")
        command = dash.command(cgroup="/sys/fs/cgroup", load=code("x = bytearray(400 << 20); print('never')"))
        enter = f"echo $$ >{folder}/cgroup.procs; "
        case = finish(dash.start(enter + command))
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), what="the group to be empty")
        folder.rmdir()
    assert case.end == End(137, "exec", 1)
    assert case.out == b""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub dir").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "sub dir" / "학습.txt").write_text("text")
    (folder / "tool").write_bytes(b"#!/bin/sh\necho tool runs\n")
    (folder / "tool").chmod(0o751)
    (folder / "link").symlink_to("sub dir/학습.txt")
    (folder / "main.py").write_text("import sys; print('main', sys.argv)")
    return folder


def test_files_arrive_with_modes_links_and_empty_folders(boxes: list[Box], files: Path) -> None:
    execute = "./tool; ls -ld empty tool | cut -c1-10; cat link; readlink link; env | grep -c SWEEP_LOAD"
    for box, case in everywhere(boxes, load=carry.pack(files), execute=execute):
        assert case.err == b"", box.shell.name
        assert case.out.decode().splitlines() == [
            "tool runs",
            "drwxr-xr-x",
            "-rwxr-x--x",
            "textsub dir/학습.txt",
            "0",
        ]


def test_the_defaults_of_build_and_exec_are_those_of_the_runtime(dash: Box, files: Path) -> None:
    (files / "Makefile").write_text("all:\n\t@echo made\n")
    case = dash.run(load=carry.pack(files))
    assert case.out == b"made\nmain ['main.py']\n"
    (files / "Makefile").write_text("all:\n\t@exit 3\n")
    case = dash.run(load=carry.pack(files))
    assert case.end == End(2, "build", 0)
    case = dash.run(load=carry.pack(files), image="ruby", build="")
    assert case.end == End(127, "exec", 0)
    assert case.err == b"sweep-tui: this image has none of: ruby\n"


def test_a_python_project_is_built_into_the_case(dash: Box, files: Path, tmp_path: Path) -> None:
    (files / "setup.py").write_text("")
    fake = tmp_path / "box" / "bin" / "python3"
    fake.unlink()
    fake.write_text('#!/bin/sh\necho "$PYTHONPATH: $*"\n')
    fake.chmod(0o755)
    case = dash.run(load=carry.pack(files), env={"PYTHONPATH": "/mine"})
    assert case.out.decode().splitlines() == [
        "/mine: -m pip install --quiet --disable-pip-version-check --target .site .",
        "/mine: main.py",
    ]
    case = dash.run(load=carry.pack(files))
    assert f"{dash.work}/.site: main.py\n" in case.out.decode()


def test_a_long_program_text_is_carried(boxes: list[Box]) -> None:
    load = carry.pack(None, f"# {'장' * 30_000}\nprint('ran')\n\n")
    assert load.environ
    for box, case in everywhere(boxes, load=load):
        assert (case.out, case.end) == (b"ran\n", End(0, "exec", 0)), box.shell.name


def test_commands_may_hold_anything(boxes: list[Box]) -> None:
    build = """printf '%s\\n' "it's" '$HOME' "a\\\\b" # 주석\n\nprintf '\\t%s' "`echo x`" """
    execute = "cat <<'END'\n$(no) `no` 'quotes' \\ \x07\rEND\nEND\n"
    for box, case in everywhere(boxes, build=build, execute=execute):
        assert case.err == b"", box.shell.name
        assert case.out == b"it's\n$HOME\na\\b\n\tx" + b"$(no) `no` 'quotes' \\ \x07\rEND\n"


def test_an_image_without_a_tool_says_which(dash: Box, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for tool in ("awk", "base64", "dd", "mkdir", "rm", "sleep", "tr"):
        (few / tool).symlink_to(f"/usr/bin/{tool}")
    dash.path = str(few)
    process = subprocess.Popen(
        ["/bin/sh", "-c", dash.command(execute="echo no")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": str(few), "TMPDIR": str(tmp_path)},
    )
    case = finish(process)
    assert case.end == End(126, "start", 0)
    assert case.err == b"sweep-tui: this image has no mkfifo, which is needed\n"


@pytest.mark.parametrize("damage", ["cut", "absent"])
def test_files_that_did_not_arrive_end_the_case(boxes: list[Box], files: Path, damage: str) -> None:
    load = carry.pack(files)
    text = load.environ["SWEEP_LOAD_0"]
    environ = {"SWEEP_LOAD_0": text[: len(text) // 2 // 4 * 4]} if damage == "cut" else {}
    begun = [box.start(box.command(load=load, execute="echo no"), environ) for box in boxes]
    for box, process in zip(boxes, begun, strict=True):
        case = finish(process)
        assert case.end == End(126, "load", 0), box.shell.name
        assert case.err.startswith(f"sweep-tui: the files cannot be unpacked in {box.work}: ".encode())
        assert case.out == b""


def test_the_command_begins_with_what_runs() -> None:
    text = wrapper.startup(
        name="ab12cd34-7",
        image="python",
        env={"LR": "0.1"},
        clean="",
        build="make",
        execute="./train --lr $LR",
        load=NOTHING,
    )
    assert text.splitlines()[:4] == [
        "# sweep-tui: session ab12cd34-7, one case of a sweep. This runs in it:",
        "_sweep_clean=''",
        "_sweep_build='make'",
        "_sweep_exec='./train --lr $LR'",
    ]
    assert "export LR='0.1'" in text.splitlines()[:10]
    assert len(text) < 10_000
    assert "\0" not in text


def test_a_command_that_is_too_long_is_refused() -> None:
    with pytest.raises(EngineDenied, match=r"ab12cd34-7: its commands and variables take 1\d\d,\d{3} bytes"):
        wrapper.startup(
            name="ab12cd34-7",
            image="python",
            env={},
            clean="",
            build="",
            execute="# " + "x" * 100_000,
            load=NOTHING,
        )


@pytest.mark.parametrize(
    "startup",
    [
        None,
        wrapper.startup(
            name="s-7", image="sh", env={"A": "가\n'"}, clean="", build="", execute="x", load=NOTHING
        ),
        f"echo '\n{wrapper.SHARED}\n\udcff'\n{wrapper.SHARED}\n\U0001f600",
        "none of ours",
    ],
    ids=["none", "ours", "the line twice", "without the line"],
)
def test_the_body_in_json_says_the_same(startup: str | None) -> None:
    body = {"name": "s-7", "config": {"environ": {"X": "가"}}}
    if startup is not None:
        body["startupCommand"] = startup
    for _ in range(2):
        assert json.loads(create.encoded(body)) == body


def test_the_body_has_the_plain_variables_and_the_load() -> None:
    load = carry.Load("files", {"SWEEP_LOAD_0": "AAAA"}, 4)
    plain = {"LR": "0.1", "PYTHONUNBUFFERED": "1", "LONG": "x" * 5000, "MIXED": "a b=c $x 'q' \"q\""}
    assert wrapper.environ({**ODDITIES, **plain}, load) == {
        **plain,
        "QUOTES": ODDITIES["QUOTES"],
        "SWEEP_LOAD_0": "AAAA",
    }


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_the_steps_run_where_sh_is_any_shell(dash: Box, shell: str, tmp_path: Path) -> None:
    other = next(item for item in SHELLS if item.words[0] == shell)
    if other.missing:
        pytest.skip(other.missing)
    sh = tmp_path / "sh"
    sh.write_text(
        f'#!{sys.executable}\nimport os, sys\nos.execvp("{shell}", [{", ".join(map(repr, other.words))}, *sys.argv[1:]])\n'
    )
    sh.chmod(0o755)
    command = dash.command(build="echo b; echo e >&2", execute="echo x; exit 5").replace("/bin/sh", str(sh))
    case = finish(dash.start(command))
    assert (case.out, case.err, case.end) == (b"b\nx\n", b"e\n", End(5, "exec", 0))


def test_a_command_that_is_started_twice_in_a_container_runs_once_and_both_starts_end_alike(
    boxes: list[Box],
) -> None:
    for box in boxes:
        command = box.command(execute="echo ran >> runs; while [ ! -e go ]; do sleep 0.05; done; exit 7")
        first = box.start(command)
        wait_until(lambda box=box: (box.work / "runs").exists(), 20, "the first start runs")
        second = box.start_again(command)
        (box.work / "go").touch()
        case = finish(first)
        assert (case.code, case.end) == (7, End(7, "exec", 0))
        assert finish(second).raw == b""
        assert second.returncode == 7
        assert (box.work / "runs").read_text() == "ran\n"


def test_a_start_after_the_end_in_the_same_container_prints_nothing_and_has_its_code(dash: Box) -> None:
    command = dash.command(execute="echo ran >> runs; exit 3")
    assert finish(dash.start(command)).code == 3
    again = finish(dash.start_again(command))
    assert (again.raw, again.code) == (b"", 3)
    assert (dash.work / "runs").read_text() == "ran\n"


def test_another_container_starts_the_same_command_anew(dash: Box) -> None:
    command = dash.command(execute="echo ran >> runs")
    assert finish(dash.start(command)).code == finish(dash.start(command)).code == 0
    assert (dash.work / "runs").read_text() == "ran\nran\n"


def test_a_program_is_not_told_that_somebody_may_answer_its_questions(dash: Box) -> None:
    command = dash.command(execute="echo ${_BACKEND_BATCH_MODE-unset}")
    assert finish(dash.start(command, {"_BACKEND_BATCH_MODE": "1"})).out == b"unset\n"
