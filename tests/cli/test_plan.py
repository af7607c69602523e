"""``sweep-tui plan``: what is printed, what is refused and how, and that nothing is created."""

import itertools
import json

import pytest

CASES = ["-e", "X=$X", "--env-range", "X=range:5", "-c", "pass", "python"]


def lines(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_line_a_case_with_all_that_it_becomes(run_cli):
    done = run_cli(
        "plan", "--json", "-e", "CASENO=$X", "--env-range", "X=case:1,2", "-c", "print(1)", "python"
    )
    assert [json.loads(line) for line in lines(done)] == [
        {"v": 1, "index": i, "variables": {"X": x}, "env": {"CASENO": x}, "build": "*", "exec": "*"}
        for i, x in enumerate("12")
    ]


def test_a_name_used_in_several_kinds_tells_its_kind(run_cli):
    options = ["-e", "A=$X", "--env-range", "X=case:1", "--exec", "e $X", "--exec-range", "X=case:2"]
    (line,) = lines(run_cli("plan", "--json", *options, "python"))
    assert json.loads(line)["variables"] == {"env.X": "1", "exec.X": "2"}


def test_count_prints_the_number_alone(run_cli):
    assert lines(run_cli("plan", "--count", *CASES)) == ["5"]


def test_limit_and_offset_page(run_cli):
    done = run_cli("plan", "--json", "--limit", "2", "--offset", "3", *CASES)
    assert [json.loads(line)["index"] for line in lines(done)] == [3, 4]
    assert lines(run_cli("plan", "--json", "--offset", "99", *CASES)) == []


def test_all_cases_are_printed_when_piped(run_cli):
    many = ["-e", "X=$X", "--env-range", "X=range:100", "-c", "pass", "python"]
    assert len(lines(run_cli("plan", *many))) == 100
    assert len(lines(run_cli("plan", "--limit", "0", *many))) == 100


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_value_is_told_whole_whatever_the_terminal_can_write(run_cli, encoding):
    words = ["plan", "-e", "X=$X", "--env-range", "X=case:日本,a\udcffb", "-c", "pass", "python"]
    done = run_cli(*words, "--json", env={"PYTHONIOENCODING": encoding})
    assert [json.loads(line)["env"]["X"] for line in lines(done)] == ["日本", "a\udcffb"]
    done = run_cli(*words, env={"PYTHONIOENCODING": encoding}, text=False)
    assert done.returncode == 0
    first, second = done.stdout.decode(encoding).splitlines()
    assert first.startswith("#0  X=日本" if encoding == "utf-8" else r"#0  X=\u65e5\u672c")
    assert second.startswith(r"#1  X=a\udcffb")


def test_nothing_is_created(run_cli, home):
    lines(run_cli("plan", *CASES))
    assert [path.name for path in home.iterdir()] == ["run"]


def test_control_characters_in_values_do_not_reach_the_terminal(run_cli):
    done = run_cli("plan", "-e", "X=$X", "--env-range", "X=case:\x1b[31mred\nline", "-c", "pass", "python")
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert "\\x1b[31mred\\nline" in done.stdout


RANGE = ["-e", "X=$X", "-c", "pass"]
REFUSED = {
    "unbound": (["--exec", "p $Y"], "Y", "$Y"),
    "twice in a kind": ([*RANGE, "--env-range", "X=range:2", "--env-range", "X=range:3"], "X", "X"),
    "in --range and a kind": ([*RANGE, "--range", "X=range:2", "--env-range", "X=range:3"], "X", "X"),
    "unused": (["--exec", "p", "--exec-range", "X=range:2"], "X", "X"),
    "zero cases": ([*RANGE, "--env-range", "X=range:5,1"], "X=range:5,1", None),
    "bad number": ([*RANGE, "--env-range", "X=linspace:a,1,3"], "number", "a"),
    "num below 1": ([*RANGE, "--env-range", "X=linspace:0,1,0"], "X=linspace:0,1,0", "0"),
    "infinite": ([*RANGE, "--env-range", "X=linspace:0,inf,3"], "inf", "inf"),
    "nan": ([*RANGE, "--env-range", "X=linspace:nan,1,3"], "nan", "nan"),
    "max-parallel 0": (["--exec", "p", "--max-parallel", "0"], "--max-parallel", "0"),
    "max-parallel -1": (["--exec", "p", "--max-parallel", "-1"], "--max-parallel", "-1"),
    "max-parallel x": (["--exec", "p", "--max-parallel", "x"], "--max-parallel", "x"),
    "name": (["--exec", "p", "-t", "-bad-"], "-t", "-bad-"),
    "name too long": (["--exec", "p", "-t", "n" * 60], "64", None),
    "-e without =": (["--exec", "p", "-e", "A"], "-e", "A"),
    "-e without a name": (["--exec", "p", "-e", "=v"], "-e", "="),
    "-r without =": (["--exec", "p", "-r", "cpu"], "-r", "cpu"),
    "-r without a number": (["--exec", "p", "-r", "cpu=many"], "-r", "many"),
    "-r mem empty": (["--exec", "p", "-r", "mem="], "-r", None),
    "two numbers": ([*RANGE, "--env-range", "X=linspace:0,1"], "three numbers", None),
    "unknown kind": ([*RANGE, "--env-range", "X=list:1"], "X=list:1", None),
    "no =": ([*RANGE, "--env-range", "X"], "X", None),
    "lone dollar": (["--exec", "awk '{print $1}'"], "$1", "$1"),
    "missing lines file": ([*RANGE, "--env-range", "X=lines:/nowhere"], "/nowhere", None),
    "zip lengths": (
        ["--exec", "$A $B", "--exec-range", "A=range:2", "--exec-range", "B=range:3", "--zip", "A,B"],
        "A,B",
        None,
    ),
    "timeout": (["--exec", "p", "--timeout", "soon"], "--timeout", "soon"),
    "halt": (["--exec", "p", "--halt", "later"], "--halt", "later"),
    "halt too much": (["--exec", "p", "--halt", "soon,fail=101%"], "--halt", "soon,fail=101%"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_run_is_a_usage_error_with_a_caret(run_cli, home, case):
    options, words, offence = REFUSED[case]
    done = run_cli("plan", *options, "python")
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    message, *shown = done.stderr.splitlines()
    assert message.startswith("sweep-tui: ")
    carets = [(above, line) for above, line in itertools.pairwise(shown) if set(line.strip()) == {"^"}]
    assert len(carets) == 1, done.stderr
    text, line = carets[0]
    marked = text[line.index("^") : line.rindex("^") + 1]
    if offence is not None:
        assert marked == offence
    assert [path.name for path in home.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nothing to run"),
        (["-c", "pass", "--exec", "x"], "exclude each other"),
        (["-c", "pass", "--build", "x"], "exclude each other"),
        (["--clean", "x", "--exec", "y"], "--clean needs FILES"),
        (["--terminal", "-c", "pass"], "--terminal"),
    ],
)
def test_exactly_one_thing_is_run(run_cli, options, words):
    done = run_cli("plan", *options, "python")
    assert done.returncode == 2
    assert words in done.stderr


def test_files_are_checked_before_anything_else(run_cli, tmp_path):
    (tmp_path / "main.py").write_text("x")
    assert run_cli("plan", "--count", "python", "main.py").stdout == "1\n"
    for files, words in [
        (["missing.py"], "No such file"),
        (["/etc/passwd"], "outside of --basedir"),
        (["main.py", "-c", "pass"], "exclude each other"),
    ]:
        done = run_cli("plan", "python", *files)
        assert done.returncode == 2
        assert words in done.stderr


def test_a_code_that_looks_like_a_template_gets_a_hint(run_cli):
    done = run_cli("plan", "-c", "print('$X')", "--range", "X=range:3", "python")
    assert done.returncode == 2
    assert "-e" in done.stderr


def test_equal_cases_are_merged_to_the_first(run_cli):
    done = run_cli("plan", "--count", "-e", "X=$X", "--env-range", "X=case:a,b,a,a", "-c", "pass", "python")
    assert done.stdout == "2\n"


@pytest.mark.parametrize("form", [[], ["--json"], ["--limit", "1"]])
def test_how_many_were_merged_is_told_beside_the_cases(run_cli, form):
    done = run_cli("plan", *form, "-e", "X=$X", "--env-range", "X=case:a,b,a,a", "-c", "pass", "python")
    assert "equal" not in done.stdout
    assert done.stderr == "sweep-tui: 2 of 4 cases are equal to an earlier one and were merged\n"


def test_the_options_of_the_reference_are_understood(run_cli):
    done = run_cli(
        "plan", "--count", "--rm", "--no-reuse", "-q", "-s", "--tag", "t", "-d", "dom", "-g", "grp",
        "--sgroup", "sg", "-v", "data:/data", "-m", "x", "--cluster-size", "2", "--cluster-mode", "multi-node",
        "--resource-opts", "shmem=64m", "--arch", "x86_64", "--preopen", "1,2", "--assign-agent", "a,b",
        "--type", "interactive", "--priority", "5", "--starts-at", "now", "--max-wait", "0",
        "--callback-url", "http://127.0.0.1/", "--network", "n", "--bootstrap-script", "b.sh",
        "--client-token", "name", "-r", "cpu=1", "-r", "mem=256m", "-e", "A=1", "-c", "pass", "img",
    )  # fmt: skip
    assert done.stdout == "1\n", done.stderr
