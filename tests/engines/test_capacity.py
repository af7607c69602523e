"""What the machine has, from files as kernels write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui_sweep.engines.local.capacity import measure


def machine(root: Path, **files: str) -> Path:
    """A root folder with these files; ``__`` is ``/``."""
    files.setdefault("proc__meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\n")
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 8, 9, 10, 11})


def told(root: Path) -> tuple[str, str]:
    slots = measure({"PATH": ""}, root).slots
    return slots.record()["cpu"], slots.shown("mem")


def test_a_plain_machine_has_its_affinity_and_its_memory(tmp_path: Path) -> None:
    capacity = measure({"PATH": ""}, machine(tmp_path))
    assert capacity.cpus == (0, 1, 2, 3, 8, 9, 10, 11)
    assert capacity.slots.record() == {"cpu": "8", "mem": str(16384000 * 1024)}


def test_limits_of_cgroup_v2_count_wherever_above_they_stand(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__self__cgroup="0::/user.slice/a\n",
        **{
            "sys__fs__cgroup__user.slice__cpu.max": "250000 100000\n",
            "sys__fs__cgroup__user.slice__a__cpu.max": "max 100000\n",
            "sys__fs__cgroup__user.slice__memory.max": "1073741824\n",
            "sys__fs__cgroup__user.slice__a__memory.max": "max\n",
        },
    )
    assert told(root) == ("2", "1 GiB")


def test_limits_of_cgroup_v1(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__self__cgroup="4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n",
        **{
            "sys__fs__cgroup__cpu,cpuacct__cpu.cfs_quota_us": "300000\n",
            "sys__fs__cgroup__cpu,cpuacct__cpu.cfs_period_us": "100000\n",
            "sys__fs__cgroup__memory__memory.limit_in_bytes": "536870912\n",
        },
    )
    assert told(root) == ("3", "512 MiB")


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__self__cgroup="4:memory:/\n1:cpu:/\n0::/\n",
        **{
            "sys__fs__cgroup__cpu__cpu.cfs_quota_us": "-1\n",
            "sys__fs__cgroup__cpu__cpu.cfs_period_us": "100000\n",
            "sys__fs__cgroup__memory__memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert told(root) == ("8", "15.6 GiB")


def test_a_quota_below_one_cpu_is_one(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__self__cgroup="0::/\n", **{"sys__fs__cgroup__cpu.max": "10000 100000\n"})
    assert told(root)[0] == "1"


def test_files_that_hold_anything_are_survived(tmp_path: Path) -> None:
    root = machine(
        tmp_path, proc__self__cgroup="\n:\n0::/../../..\nx:y\n", **{"sys__fs__cgroup__cpu.max": "1 0 x\n"}
    )
    assert told(root)[0] == "8"


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [(None, ("0", "1")), ("1", ("1",)), ("GPU-b,7", ("GPU-b",)), ("", ()), ("-1", ()), ("0,0", ("0",))],
)
def test_gpus_are_what_nvidia_smi_lists_and_the_user_left(
    tmp_path: Path, visible: str | None, gpus: tuple[str, ...]
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '0, GPU-a'; echo '1, GPU-b'\n")
    smi.chmod(0o755)
    environ = {"PATH": str(tmp_path)} | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    capacity = measure(environ, machine(tmp_path / "root"))
    assert capacity.gpus == gpus
    assert capacity.slots["cuda.device"] == len(gpus)


def test_an_nvidia_smi_that_fails_means_none(tmp_path: Path) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    smi.chmod(0o755)
    assert measure({"PATH": str(tmp_path)}, machine(tmp_path / "root")).gpus == ()
