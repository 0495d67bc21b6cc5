"""Clusters in trouble: TLS, another version, a restarting scheduler; workers in networks of their own, killed again and again.

``GRADER_STRESS`` is how many submissions the last one grades, 300 by default.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.batch.conftest import ROOT, command, loss_only
from tests.batch.test_kills import results
from tests.cluster.processes import Machines, free_port, kill_dask_worker, write_certificate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]
KILL_SECONDS = 10.0


def write_class(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        (folder / f"s{index:03}.ipynb").write_text(loss_only(index, right=index % 3 != 2), encoding="utf-8")
    return folder


def test_tls_another_version_and_a_scheduler_that_restarts(tmp_path: Path) -> None:
    classroom = write_class(tmp_path / "class", 8)
    seed = tmp_path / "seed.txt"
    seed.write_text("a secret seed for the tests of the cluster", encoding="utf-8")
    asked = (classroom, "--only", "4d", "--seed-file", seed)
    ran = Machines(tmp_path).batch(*asked, "--out", tmp_path / "one", "--jobs", 2)
    assert ran.returncode == 0, ran.stderr
    old = tmp_path / "old"
    shutil.copytree(ROOT / "grader", old / "grader")
    for name in ("rubric.yaml", "reference", "student_template", "examples"):
        (old / name).symlink_to(ROOT / name)
    (old / "grader" / "__init__.py").write_text('__version__ = "0.0.1"\n', encoding="utf-8")
    with Machines(tmp_path, write_certificate(tmp_path)) as machines:
        port = free_port()
        address = machines.scheduler(port, "tls")
        machines.start(
            "old",
            "grader",
            "worker",
            address,
            "--name",
            "old",
            "--jobs",
            1,
            environment={"PYTHONPATH": str(old)},
        )
        machines.wait_for_workers("old")
        ran = machines.batch(*asked, "--out", tmp_path / "none", "--scheduler", address)
        assert ran.returncode == 2, ran.stderr
        last = ran.stderr.splitlines()[-1]
        assert (
            last.startswith(f"grader: no worker at {address} can be used: old (tls://")
            and "grader 0.0.1" in last
        )
        for name in ("ada", "bob"):
            machines.worker(address, name)
        batch = subprocess.Popen(
            [sys.executable, "-m", "grader", "batch", *map(str, asked), "--out", tmp_path / "out", "--scheduler", address],
            env=machines.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert batch.stderr is not None
        lines: list[str] = []
        while not any(line.startswith("[2/") for line in lines):
            lines.append(batch.stderr.readline())
            assert lines[-1], lines
        machines.processes["scheduler"].kill()
        machines.stop("scheduler")
        time.sleep(3)
        machines.scheduler(port, "tls")
        _, rest = batch.communicate(timeout=1200)
        said = "".join(lines) + rest
        assert batch.returncode == 0, said
        assert "worker old (tls://" in said and "lost the scheduler" in said and "is back" in said, said
        assert "Traceback" not in said, said
    assert results(tmp_path / "out") == results(tmp_path / "one")
    assert (tmp_path / "out" / "grades.csv").read_bytes() == (tmp_path / "one" / "grades.csv").read_bytes()


@contextlib.contextmanager
def networks(count: int) -> Iterator[tuple[str, list[list[str]]]]:
    """An address of this machine, and for each network namespace what runs a command in it."""
    names = [f"graders{number}" for number in range(count)]
    try:
        for number, name in enumerate(names, 1):
            ours, theirs, net = f"grv{number}a", f"grv{number}b", f"10.213.{number}"
            for line in (
                f"ip netns add {name}",
                f"ip link add {ours} type veth peer name {theirs} netns {name}",
                f"ip addr add {net}.1/24 dev {ours}",
                f"ip link set {ours} up",
                f"ip -n {name} addr add {net}.2/24 dev {theirs}",
                f"ip -n {name} link set {theirs} up",
                f"ip -n {name} link set lo up",
                f"ip -n {name} route add default via {net}.1",
            ):
                if subprocess.run(line.split(), check=False).returncode:
                    pytest.skip(f"cannot make networks here: {line}")
        yield "10.213.1.1", [["ip", "netns", "exec", name] for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def kill_in_turn(machines: Machines, names: list[str], stop: threading.Event, kills: list[str]) -> None:
    while not stop.wait(KILL_SECONDS):
        name = names[len(kills) % len(names)]
        if kill_dask_worker(machines.processes[name]):
            kills.append(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to make networks")
def test_workers_in_other_networks_killed_every_ten_seconds(tmp_path: Path) -> None:
    count = int(os.environ.get("GRADER_STRESS", "300"))
    classroom = write_class(tmp_path / "class", count)
    one, out = tmp_path / "one", tmp_path / "out"
    started = time.monotonic()
    ran = Machines(tmp_path).batch(classroom, "--only", "4d", "--out", one, "--jobs", 2)
    assert ran.returncode == 0, ran.stderr
    alone = time.monotonic() - started
    names = ["ada", "bob", "cyd", "dan"]
    kills: list[str] = []
    stop = threading.Event()
    with networks(2) as (host, prefixes), Machines(tmp_path) as machines:
        address = machines.scheduler(free_port(), host=host)
        for name, prefix in zip(names, [*prefixes, [], []], strict=True):
            machines.worker(address, name, prefix=prefix)
        started = time.monotonic()
        batch = command("batch", classroom, "--only", "4d", "--out", out, "--scheduler", address)
        killer = threading.Thread(target=kill_in_turn, args=(machines, names, stop, kills))
        killer.start()
        try:
            _, said = batch.communicate(timeout=3 * 3600)
        finally:
            stop.set()
            killer.join()
    facts = {
        "submissions": count,
        "one machine s": round(alone, 1),
        "cluster s": round(time.monotonic() - started, 1),
        "kills": len(kills),
        "deaths noticed": said.count("is gone"),
        "set aside": said.count("kills workers"),
    }
    print(json.dumps(facts))
    assert batch.returncode == 0, said
    assert kills and facts["deaths noticed"]
    assert results(out) == results(one)
    assert (out / "grades.csv").read_bytes() == (one / "grades.csv").read_bytes()
