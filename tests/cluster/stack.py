"""The cluster of one release: PostgreSQL, Redis, etcd, dockerd, the manager and one agent."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import database, image, machine, network, settings, software
from tests.cluster.accounts import ENDPOINT
from tests.cluster.daemon import Daemon
from tests.cluster.release import RELEASES, number
from tests.cluster.state import PORTS, Broken, State, Unfit, alone, say, state_of

NAMES = ("postgres", "redis", "etcd", "dockerd", "manager", "agent")
ETCD = f"http://127.0.0.1:{PORTS['etcd']}"
RATES = 1
"""Redis's database with the manager's counts of requests."""
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True, slots=True)
class Stack:
    """The processes of one release's cluster."""

    state: State

    def daemon(self, name: str) -> Daemon:
        """One of NAMES."""
        return Daemon(name, self.state)

    @property
    def running(self) -> dict[str, int]:
        """Pids of those that run, by name."""
        pids = {name: self.daemon(name).pid for name in NAMES}
        return {name: pid for name, pid in pids.items() if pid is not None}

    @property
    def is_up(self) -> bool:
        """Whether all of it runs and answers."""
        if len(self.running) < len(NAMES):
            return False
        try:
            return _manager_answers(self.state) and _agent_answers()
        except Broken:
            return False

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of all of its processes, the same whoever starts them: a test has a home of its own."""
        return {
            "PATH": f"{self.state.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.state.root),
            "LANG": "C.UTF-8",
            "DOCKER_HOST": f"unix://{self.state.run}/docker.sock",
            "PYTHONUNBUFFERED": "1",
        }

    def up(self) -> None:
        """Starts it from whatever there is: nothing, a stopped cluster, a broken one. Raises Unfit, Broken."""
        machine.examine()
        state = self.state
        if self.is_up:
            return
        for version in RELEASES:
            other = Stack(state_of(RELEASES[version]))
            if version != state.release.version and other.running:
                raise Unfit(
                    f"Backend.AI {version} is up on the same ports: make cluster-down VERSION={version}"
                )
        with alone(state):
            if self.is_up:  # while we waited
                return
            if self.daemon("postgres").is_from_another_boot:
                shutil.rmtree(state.root / "postgres")  # it never waited for the disk
            self._down()  # what a crash has left
            machine.look_for_room(state)
            machine.install_packages(state)
            with ThreadPoolExecutor() as pool:
                archive = pool.submit(image.archive, state)
                software.install(state)
                tar = archive.result()
            self._start_services()
            if not image.identity(self.env):
                image.load(state, tar, self.env)
            database.provide(state, self.env, image.identity(self.env) or "")
            self.start_manager(wait=False)
            self.start_agent(wait=False)
            self._wait_for_manager()
            self._wait_for_agent()
            say(f"Backend.AI {state.release.version} is up at {ENDPOINT}")

    def down(self, *, wipe: bool = False) -> None:
        """Stops it, by pid, and keeps its folder; ``wipe`` removes that, too."""
        if not self.state.root.exists():
            return
        machine.examine()
        with alone(self.state):
            self._down()
            if wipe:
                self.state.wipe()

    def start_manager(self, *, wait: bool = True) -> None:
        """Raises Broken."""
        say("starting the manager")
        self._start("manager", self.state.bin / "backend.ai", "mgr", "start-server", cwd=self.state.conf)
        if wait:
            self._wait_for_manager()

    def stop_manager(self) -> None:
        """Stops it; sessions and agent go on."""
        self.daemon("manager").stop()

    def stop_agent(self) -> None:
        """Stops it in the way in which the containers of its sessions go on; SIGTERM would end them."""
        self.daemon("agent").stop(signal.SIGINT)

    def start_agent(self, *, wait: bool = True) -> None:
        """Starts it, and waits until the manager knows it. Raises Broken."""
        say("starting the agent")
        database.ask("UPDATE agents SET status = 'LOST'")  # the manager may not have noticed that it was away
        self._start("agent", self.state.bin / "backend.ai", "ag", "start-server", cwd=self.state.conf)
        if wait:
            self._wait_for_agent()

    def renew_agent(self) -> None:
        """Starts the agent anew, with no container of a session."""
        self.stop_agent()
        self._remove_containers()
        self.start_agent()

    def containers(self) -> list[str]:
        """Ids of those of sessions that run; agents have some of their own."""
        asked = (image.DOCKER, "ps", "--quiet", "--filter", "name=kernel.")
        return subprocess.run(asked, capture_output=True, text=True, env=self.env, check=False).stdout.split()

    def forget_requests(self) -> None:
        """Makes the manager forget how many requests each user has sent in this quarter of an hour."""
        with socket.create_connection(("127.0.0.1", PORTS["redis"]), timeout=5) as connection:
            connection.sendall(f"SELECT {RATES}\r\nFLUSHDB\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2:
                said += connection.recv(64) or b"-closed\r\n" * 2
        if said != b"+OK\r\n" * 2:
            raise Broken(f"Redis: {said!r}")

    def _wait_for_manager(self) -> None:
        self.daemon("manager").wait(lambda: _manager_answers(self.state), 120)

    def _wait_for_agent(self) -> None:
        self.daemon("agent").wait(_agent_answers, 120)

    def _start(self, name: str, *command: str | Path, cwd: Path = Path("/")) -> Daemon:
        daemon = self.daemon(name)
        if daemon.pid is None:
            daemon.start(command, cwd, self.env)
        return daemon

    def _start_services(self) -> None:
        """PostgreSQL, Redis, etcd and dockerd; the last with no container, etcd with its configuration."""
        state = self.state
        say("starting PostgreSQL, Redis, etcd, dockerd")
        for folder in ("redis", "etcd", "agent"):
            shutil.rmtree(state.root / folder, ignore_errors=True)
            (state.root / folder).mkdir()
        for folder in ("var", "commit", "vfroot", "scratches"):
            (state.root / "agent" / folder).mkdir()
        for folder in ("ipc-manager", "ipc-agent"):
            (state.run / folder).mkdir(exist_ok=True)
        settings.render(state)
        network.prepare(state)
        data = database.make_folder(state)
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
        postgres = self._start("postgres", *as_postgres, database.programs() / "postgres", "-D", data)
        redis = self._start(
            *("redis", "redis-server", "--bind", "127.0.0.1", "--port", str(PORTS["redis"])),
            *("--dir", state.root / "redis", "--save", "", "--appendonly", "no", "--daemonize", "no"),
        )
        peer = f"http://127.0.0.1:{PORTS['etcd-peer']}"
        etcd = self._start(
            *("etcd", "etcd", "--data-dir", state.root / "etcd" / "data"),
            *(f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            *(f"--initial-cluster=default={peer}", "--unsafe-no-fsync"),
        )
        dockerd = self._start("dockerd", *self._dockerd())
        postgres.wait(database.is_ready, 60)
        redis.wait(_redis_answers, 60)
        etcd.wait(_etcd_answers, 60)
        dockerd.wait(self._dockerd_answers, 60, raises=Unfit)
        self._remove_containers()
        for key, value in settings.etcd(state.release).items():
            _put(key, value)

    def _dockerd(self) -> list[str | Path]:
        run, release = self.state.run, self.state.release
        command: list[str | Path] = ["/usr/sbin/dockerd"]
        command += ["--data-root", self.state.root / "docker", "--exec-root", run / "docker"]
        command += ["--pidfile", run / "dockerd.own.pid", "--host", self.env["DOCKER_HOST"]]
        command += [f"--bridge={'none' if release.host_network else network.BRIDGE}"]
        command += ["--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        command += ["--exec-opt", "native.cgroupdriver=cgroupfs"]
        if not release.limits_itself:
            runtime = self.state.conf / "runc-within-limits"
            command += ["--add-runtime", f"limited={runtime}", "--default-runtime", "limited"]
        return command

    def _dockerd_answers(self) -> bool:
        asked = (image.DOCKER, "version", "--format", "{{.Server.Version}}")
        return subprocess.run(asked, capture_output=True, env=self.env, check=False).returncode == 0

    def _remove_containers(self) -> None:
        asked = (image.DOCKER, "ps", "--all", "--quiet")
        ids = subprocess.run(asked, capture_output=True, text=True, env=self.env, check=False).stdout.split()
        if ids:
            removal = (image.DOCKER, "rm", "--force", *ids)
            subprocess.run(removal, stdout=subprocess.DEVNULL, env=self.env, check=False)

    def _down(self) -> None:
        manager, dockerd = self.daemon("manager"), self.daemon("dockerd")
        manager.ask_to_stop()
        self.stop_agent()
        if dockerd.pid is not None:
            self._remove_containers()
        manager.stop()
        dockerd.stop(timeout=30)
        self.daemon("postgres").ask_to_stop(signal.SIGINT)
        for name in ("redis", "etcd", "postgres"):
            self.daemon(name).stop(signal.SIGINT)
        network.restore(self.state)


def _manager_answers(state: State) -> bool:
    """Whether ``GET /`` says the release's version."""
    try:
        with _open(ENDPOINT, timeout=5) as answer:
            said = json.load(answer)
        return number(said["manager"]) == state.release.number
    except (OSError, ValueError, LookupError):
        return False


def _agent_answers() -> bool:
    """Whether the manager has heard of the agent, which happens first, and the agent listens to it."""
    try:
        socket.create_connection(("127.0.0.1", PORTS["agent"]), timeout=5).close()
    except OSError:
        return False
    return database.agents_alive()


def _redis_answers() -> bool:
    try:
        with socket.create_connection(("127.0.0.1", PORTS["redis"]), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _etcd_answers() -> bool:
    try:
        with _open(f"{ETCD}/health", timeout=5) as answer:
            return str(json.load(answer)["health"]) == "true"
    except (OSError, ValueError):
        return False


def _put(key: str, value: str) -> None:
    """Sets one key, by etcd's JSON gateway. Raises Broken."""
    body = json.dumps(
        {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value.encode()).decode()}
    )
    try:
        with _open(f"{ETCD}/v3/kv/put", body.encode(), timeout=5):
            pass
    except urllib.error.URLError as error:
        raise Broken(f"etcd: {key}: {error}") from None
