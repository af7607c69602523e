"""Each option of `backend.ai run` that makes sense reaches the server: the body that it received is read."""

import asyncio
import os
import platform
from pathlib import Path

import pytest

from tests.engines.backendai.manager import IMAGE
from tests.engines.backendai.serving import served
from tests.engines.contract import Bench, start
from tui_sweep.cli.options import asked
from tui_sweep.cli.run import run_command
from tui_sweep.config import read_settings
from tui_sweep.core.errors import EngineDenied, UsageError
from tui_sweep.engines import backendai

NETWORK = "7b1f5f0e-0000-4000-8000-000000000001"


def sweep_of(words, cwd):
    """The sweep that a command line asks for."""
    with run_command.make_context("run", [*words, "--exec", "true", IMAGE]) as context:
        settings = read_settings(environ=os.environ, cwd=cwd, options={})
        return asked(context.params, settings).sweep


@pytest.fixture(scope="module")
def managers():
    with served() as late, served(version="25.5.2") as middle, served(version="23.9.10") as early:
        yield {"26.9.6": late, "25.5.2": middle, "23.9.10": early}


@pytest.fixture
def received(managers, tmp_path, monkeypatch):
    """Run one case with these words; the body that the server received."""

    def run(*words, version="26.9.6", accepted=True):
        manager = managers[version]
        for name, value in manager.environ().items():
            monkeypatch.setenv(name, value)
        bench = Bench(backendai, IMAGE, tmp_path)
        bench.environ = dict(os.environ)
        bench.sweep = sweep_of(words, tmp_path)

        async def main():
            async with bench.engine() as engine:
                spec = bench.spec("true")
                if accepted:
                    await start(engine, spec)
                else:
                    with pytest.raises(EngineDenied):
                        await start(engine, spec)
                await engine.cancel(spec.name, grace=0)

        asyncio.run(main())
        return manager.do(lambda m: m.received[-1])

    return run


@pytest.mark.parametrize(
    ("words", "where", "value"),
    [
        (["-r", "cpu=2", "-r", "mem=512"], "config.resources", {"cpu": "2", "mem": "512m"}),
        (["-r", "cpu=1", "-r", "mem=1.5g"], "config.resources", {"cpu": "1", "mem": "1536m"}),
        (["--resource-opts", "shmem=64m"], "config.resource_opts", {"shmem": "64m"}),
        (
            ["--resource-opts", "allow_fractional_resource_fragmentation=true"],
            "config.resource_opts",
            {"allow_fractional_resource_fragmentation": True},
        ),
        (["--cluster-size", "2"], "clusterSize", 2),
        (["--cluster-mode", "multi-node", "--cluster-size", "2"], "clusterMode", "multi-node"),
        ([], "architecture", {"arm64": "aarch64"}.get(platform.machine(), platform.machine())),
        (["--preopen", "8080,9090"], "config.preopen_ports", [8080, 9090]),
        (["--assign-agent", "i-a,i-b"], "config.agentList", ["i-a", "i-b"]),
        (["--priority", "30"], "priority", 30),
        (["--starts-at", "2100-01-01T00:00:00+00:00"], "starts_at", "2100-01-01T00:00:00+00:00"),
        (["--callback-url", "http://127.0.0.1:9/x"], "callback_url", "http://127.0.0.1:9/x"),
        (["--tag", "mine"], "tag", "mine"),
        (["-d", "default"], "domain", "default"),
        (["-g", "default"], "group", "default"),
        (["--sgroup", "default"], "config.scalingGroup", "default"),
        (["--network", NETWORK], "config.attach_network", NETWORK),
        (["--timeout", "5m"], "batch_timeout", 360),
        ([], "type", "batch"),
        ([], "enqueueOnly", True),
        ([], "reuseIfExists", False),
        ([], "image", IMAGE),
    ],
)
def test_the_option_is_in_the_body(received, words, where, value):
    found = received(*words)
    for key in where.split("."):
        found = found[key]
    assert found == value


def test_another_architecture_reaches_the_server(received):
    assert received("--arch", "aarch64", accepted=False)["architecture"] == "aarch64"


def test_a_bootstrap_script_travels_as_its_text(received, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("setup.sh").write_text("#!/bin/sh\necho ready\n")
    assert received("--bootstrap-script", "setup.sh")["bootstrap_script"] == "#!/bin/sh\necho ready\n"


def test_variables_of_the_case_are_in_its_environment(received):
    environ = received("-e", "LR=0.1")["config"]["environ"]
    assert environ["SWEEP_ID"] == "ab12cd34"
    assert not [name for name in environ if "BACKEND" in name or "SECRET" in name]


def test_mounts_in_all_notations_reach_the_server_after_those_of_the_configuration(received, monkeypatch):
    monkeypatch.setenv("BACKEND_VFOLDER_MOUNTS", "shared")
    words = ("-v", "a", "-v", "b:/mnt/b", "-v", "type=bind,source=c,target=/mnt/c,readonly")
    config = received(*words, accepted=False)["config"]  # there is no storage in this cluster
    assert config["mounts"] == ["shared", "a", "b", "c"]
    assert config["mount_map"] == {"b": "/mnt/b", "c": "/mnt/c"}
    assert config["mount_options"] == {"c": {"type": "bind", "permission": "ro"}}


@pytest.mark.parametrize("version", ["25.5.2", "23.9.10"])
def test_older_servers_are_sent_no_key_that_they_refuse(received, version):
    found = received("-r", "cpu=1", "--tag", "x", version=version)
    assert found["tag"] == "x"
    assert "mount_ids" not in found["config"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preopen", "80a"], "--preopen"),
        (["--resource-opts", "shmem"], "--resource-opts"),
        (["--priority", "101"], "--priority"),
        (["-v", "a:"], "-v"),
        (["--bootstrap-script", "/nowhere/at.all"], "--bootstrap-script"),
        (["--type", "interactive", "--starts-at", "+1h"], "--starts-at"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused_before_anything_exists(managers, received, words, said):
    before = managers["26.9.6"].do(lambda m: len(m.received))
    with pytest.raises(UsageError, match=said):
        received(*words)
    assert managers["26.9.6"].do(lambda m: len(m.received)) == before


def test_an_option_that_an_old_server_does_not_know_is_refused_with_its_name(received):
    with pytest.raises(EngineDenied, match="--priority"):
        received("--priority", "30", version="23.9.10")
