"""Settings: which of several places wins, named profiles, and how an engine comes to know them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tui_sweep.config import KNOWN, Settings, config_path, read_settings
from tui_sweep.core.errors import UsageError

PROFILES = """
group = "all"
access_key = "AKTOP"

[profiles.lab]
endpoint = "https://lab.example.com"
access_key = "AKLAB"
secret_key = "hush-lab"

[profiles.far]
endpoint = ["https://a.example.com", "https://b.example.com"]
skip_sslcert_validation = true
read_timeout = 2.5
vfolder_mounts = ["data", "models:/m"]
"""


@pytest.fixture
def toml() -> Path:
    """The user's config.toml, with the profiles above."""
    path = config_path()
    path.parent.mkdir(parents=True)
    path.write_text(PROFILES)
    return path


def settings(tmp_path: Path, environ: Mapping[str, str] | None = None, **options: str) -> Settings:
    return read_settings(environ=environ or {}, cwd=tmp_path, options=options)


def test_environment_wins_over_dotenv_wins_over_the_file_wins_over_the_default(tmp_path, toml):
    (tmp_path / ".env").write_text("BACKEND_GROUP=dotenv\nBACKEND_ACCESS_KEY=AKDOT\n")
    found = settings(tmp_path, {"BACKEND_GROUP": "environment"})
    assert found["group"] == "environment"
    assert found["access_key"] == "AKDOT"
    assert found["domain"] == "default"
    assert settings(tmp_path, state_dir="here").by_name["state_dir"].origin == "option"


@pytest.mark.parametrize("known", [known for known in KNOWN if known.variable.startswith("BACKEND_")])
def test_each_variable_has_its_older_name_which_the_newer_one_overrules(tmp_path, known):
    older = known.variable.replace("BACKEND_", "SORNA_")
    found = settings(tmp_path, {older: "old"})
    assert found[known.name] == "old"
    assert found.by_name[known.name].origin == f"environment: {older}"
    assert settings(tmp_path, {older: "old", known.variable: "new"})[known.name] == "new"


def test_every_official_variable_is_known():
    official = (
        *("ENDPOINT", "ENDPOINT_TYPE", "ACCESS_KEY", "SECRET_KEY", "DOMAIN", "GROUP"),
        *("SKIP_SSLCERT_VALIDATION", "CONNECTION_TIMEOUT", "READ_TIMEOUT", "VFOLDER_MOUNTS"),
    )
    assert {f"BACKEND_{name}" for name in official} == {
        known.variable for known in KNOWN if known.variable.startswith("BACKEND_")
    }


def test_an_older_name_in_the_environment_wins_over_a_newer_one_in_dotenv(tmp_path):
    (tmp_path / ".env").write_text("BACKEND_GROUP=dotenv\n")
    assert settings(tmp_path, {"SORNA_GROUP": "environment"})["group"] == "environment"


def test_a_profile_wins_over_the_top_of_the_file_and_leaves_the_rest(tmp_path, toml):
    found = settings(tmp_path, {"SWEEP_TUI_PROFILE": "lab"})
    assert (found["endpoint"], found["access_key"]) == ("https://lab.example.com", "AKLAB")
    assert found["group"] == "all"
    assert found.by_name["access_key"].origin == f"{toml}: profile lab"
    assert found.by_name["secret_key"].shown == "set, not shown"
    assert settings(tmp_path)["access_key"] == "AKTOP"


def test_the_environment_wins_over_a_profile(tmp_path, toml):
    found = settings(tmp_path, {"SWEEP_TUI_PROFILE": "lab", "BACKEND_ACCESS_KEY": "AKENV"})
    assert found["access_key"] == "AKENV"


def test_a_profile_is_chosen_in_the_file_and_another_in_the_environment(tmp_path, toml):
    toml.write_text('profile = "lab"\n' + PROFILES)
    assert settings(tmp_path)["access_key"] == "AKLAB"
    assert "a.example.com" in settings(tmp_path, {"SWEEP_TUI_PROFILE": "far"})["endpoint"]


def test_lists_and_truths_of_the_file_become_the_texts_of_the_variables(tmp_path, toml):
    found = settings(tmp_path, {"SWEEP_TUI_PROFILE": "far"})
    assert found["endpoint"] == "https://a.example.com,https://b.example.com"
    assert found["vfolder_mounts"] == "data,models:/m"
    assert found["skip_sslcert_validation"] == "yes"
    assert found["read_timeout"] == "2.5"


def test_a_profile_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path, toml):
    with pytest.raises(UsageError, match=r"SWEEP_TUI_PROFILE: there is no profile 'lap'.*lab, far"):
        settings(tmp_path, {"SWEEP_TUI_PROFILE": "lap"})


def test_a_profile_without_a_file_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(UsageError, match=r"config.toml \(which is not there\): none"):
        settings(tmp_path, {"SWEEP_TUI_PROFILE": "lab"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[profiles.lab]\nacces_key = "x"\n', "profile lab: there is no setting 'acces_key'"),
        ('[profiles.lab]\nprofile = "far"\n', "there is no setting 'profile'"),
        ('profiles = "lab"\n', r"\[profiles.NAME\]"),
        ('[profiles]\nlab = "x"\n', r"\[profiles.NAME\]"),
        ("group = true\n", "group must be a text"),
        ("endpoint = [1]\n", "endpoint must be a text"),
        ("skip_sslcert_validation = [true]\n", "must be a text"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_it(tmp_path, toml, text, said):
    toml.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        settings(tmp_path)
    assert str(toml) in str(caught.value)


def test_keys_or_a_login_choose_the_cluster(tmp_path):
    assert settings(tmp_path).engine == "local"
    assert settings(tmp_path, {"BACKEND_ACCESS_KEY": "AK"}).engine == "backendai"
    assert settings(tmp_path, {"BACKEND_ENDPOINT_TYPE": "session"}).engine == "backendai"
    assert settings(tmp_path, {"BACKEND_ACCESS_KEY": "AK", "SWEEP_TUI_ENGINE": "local"}).engine == "local"


def test_what_is_in_force_for_a_cluster_is_told_by_the_official_names_alone(tmp_path, toml):
    found = settings(tmp_path, {"SWEEP_TUI_PROFILE": "lab", "SORNA_DOMAIN": "old"}).backend
    assert found["BACKEND_SECRET_KEY"] == "hush-lab"
    assert found["BACKEND_DOMAIN"] == "old"
    assert found["BACKEND_GROUP"] == "all"
    assert all(name.startswith("BACKEND_") for name in found)


def test_config_shows_the_profile_and_never_a_secret(run_cli, toml):
    done = run_cli("config", env={"SWEEP_TUI_PROFILE": "lab"})
    assert done.returncode == 0, done.stderr
    assert "AKLAB" in done.stdout
    assert "profile lab" in done.stdout
    assert "hush" not in done.stdout + done.stderr


def test_keys_of_a_cluster_reach_no_case_and_no_file(run_cli, toml, tmp_path):
    done = run_cli(
        *("run", "--engine", "local", "--headless", "--exec", "env >own", "sh"),
        env={"SWEEP_TUI_PROFILE": "lab", "SWEEP_TUI_STATE": str(tmp_path / "state")},
    )
    assert done.returncode == 0, done.stderr
    assert "SWEEP_CASE=0" in (tmp_path / "own").read_text()
    assert "AKLAB" not in (tmp_path / "own").read_text()
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert any(path.name == "sweep.json" for path in kept)
    assert not [path for path in kept if b"hush" in path.read_bytes()]
    assert "hush" not in done.stdout + done.stderr


def test_a_detached_runner_inherits_what_is_in_force(run_cli, toml, tmp_path):
    release = tmp_path / "go"
    os.mkfifo(release)
    state = {"SWEEP_TUI_PROFILE": "lab", "SWEEP_TUI_STATE": str(tmp_path / "state")}
    done = run_cli("run", "--engine", "local", "--detach", "--exec", f"read x <{release}", "sh", env=state)
    assert done.returncode == 0, done.stderr
    try:
        line = json.loads(run_cli("ls", "--json", env=state).stdout.splitlines()[0])
        runner = Path(f"/proc/{line['runner']}")
        inherited = (runner / "environ").read_bytes().split(b"\0")
        assert b"BACKEND_SECRET_KEY=hush-lab" in inherited
        assert b"BACKEND_ENDPOINT=https://lab.example.com" in inherited
        assert b"hush" not in (runner / "cmdline").read_bytes()
    finally:
        release.write_text("\n")
        assert run_cli("wait", "@", env=state).returncode == 0
