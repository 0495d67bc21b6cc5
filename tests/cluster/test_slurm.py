"""A real Slurm of one machine: workers are a job array, one of whose tasks is requeued in the midst of a batch.

Needs root and Debian's slurmctld, slurmd, slurm-client and munge.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.batch.conftest import ROOT, command
from tests.batch.test_kills import results
from tests.cluster.processes import Machines, free_port
from tests.cluster.test_trouble import write_class

TOOLS = ("slurmctld", "slurmd", "sbatch", "scontrol", "munged")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to start Slurm"),
]
NODES = 3
COUNT = int(os.environ.get("GRADER_SLURM", "40"))

CONFIGURATION = """
ClusterName=grader
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
KillWait=5
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=1
PartitionName=main Nodes=ALL Default=YES State=UP
"""

JOB = """#!/bin/bash
#SBATCH --job-name=grader --array=1-{nodes} --requeue --ntasks=1 --cpus-per-task=1 --output={folder}/job-%a.log
#SBATCH --open-mode=append
cd {folder}
export PYTHONPATH={root}
exec {python} -m grader worker {address} --jobs 1 --name "node-$SLURM_ARRAY_TASK_ID-$SLURM_RESTART_COUNT"
"""

Run = Callable[..., str]


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Run]:
    """Slurm with its own munge; runs one of its commands and returns what it prints."""
    port = free_port()
    facts = {"host": socket.gethostname(), "folder": tmp_path, "nodes": NODES, "port": port}
    configuration = tmp_path / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(**facts, first=port + 1, last=port + NODES), encoding="utf-8"
    )
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    (tmp_path / "state").mkdir()
    key = tmp_path / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o400)
    # Munge trusts no folder that others may write to on the way, such as /tmp's.
    files = {"key-file": key, "socket": tmp_path / "munge.socket"}
    files |= {f"{kind}-file": tmp_path / f"munge.{kind}" for kind in ("pid", "log", "seed")}
    munge = ["munged", "-F", "--force", *(f"--{name}={path}" for name, path in files.items())]
    daemons = [
        munge,
        ["slurmctld", "-D"],
        *(["slurmd", "-D", "-N", f"n{number}"] for number in range(1, NODES + 1)),
    ]
    running = []

    def run(*line: str) -> str:
        ran = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, (line, ran.stdout, ran.stderr)
        return ran.stdout

    try:
        for daemon in daemons:
            running.append(
                subprocess.Popen(
                    daemon, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
            time.sleep(2)
        deadline = time.monotonic() + 120
        while run("sinfo", "-h", "-t", "idle", "-o", "%D").strip() != str(NODES):
            assert time.monotonic() < deadline, (
                run("sinfo"),
                (tmp_path / "slurmctld.log").read_text()[-3000:],
            )
            time.sleep(1)
        yield run
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)


def test_a_job_array_grades_and_a_task_is_requeued(slurm: Run, tmp_path: Path) -> None:
    classroom, one, out = write_class(tmp_path / "class", COUNT), tmp_path / "one", tmp_path / "out"
    with Machines(tmp_path) as machines:
        ran = machines.batch(classroom, "--only", "4d", "--out", one, "--jobs", 2)
        assert ran.returncode == 0, ran.stderr
        address = machines.scheduler(free_port())
        job = tmp_path / "job.sh"
        facts = {
            "nodes": NODES,
            "folder": tmp_path,
            "root": ROOT,
            "python": sys.executable,
            "address": address,
        }
        job.write_text(JOB.format(**facts), encoding="utf-8")
        number = slurm("sbatch", "--parsable", str(job)).strip()
        try:
            batch = command("batch", classroom, "--only", "4d", "--out", out, "--scheduler", address)
            assert batch.stderr is not None
            lines: list[str] = []
            while not any(line.startswith("[5/") for line in lines):
                lines.append(batch.stderr.readline())
                assert lines[-1], lines
            slurm("scontrol", "requeue", f"{number}_2")
            _, rest = batch.communicate(timeout=3600)
            said = "".join(lines) + rest
            assert batch.returncode == 0, said
            assert "worker node-2-" in said and "is gone" in said, said
            while (
                "node-2" not in slurm("squeue", "-h", "-o", "node-%K %T") or _restarts(slurm, number) != "1"
            ):
                time.sleep(1)
        finally:
            slurm("scancel", number)
    assert results(out) == results(one)
    assert (out / "grades.csv").read_bytes() == (one / "grades.csv").read_bytes()


def _restarts(slurm: Run, number: str) -> str:
    shown = slurm("scontrol", "show", "job", f"{number}_2")
    return next(field.partition("=")[2] for field in shown.split() if field.startswith("Restarts="))
