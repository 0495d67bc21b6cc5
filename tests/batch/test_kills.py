"""Real batches, killed: SIGKILL to the batch, its warm parent or a worker, at random moments."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from grader.kernel import confinement
from tests.batch.conftest import command, finished, loss_only

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")]
COUNT = 5


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def is_warm_parent(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"launch.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def results(folder: Path) -> dict[str, Any]:
    """All results without their times."""
    found = {}
    for path in sorted((folder / "results").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        del result["seconds"]
        for cell in result["cells"]:
            del cell["seconds"]
        found[path.stem] = result
    return found


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("class")
    for index in range(COUNT):
        text = loss_only(index, right=index % 3 != 2)
        (folder / f"s{index}.ipynb").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    classroom: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str, float]:
    """Results and grades of a run that nobody disturbs, and its seconds."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    started = time.monotonic()
    ran = finished("batch", classroom, "--out", out, "--only", "4d", "--jobs", 2)
    assert ran.returncode == 0, ran.stderr
    return results(out), (out / "grades.csv").read_text(encoding="utf-8"), time.monotonic() - started


def test_undisturbed(undisturbed: tuple[dict[str, Any], str, float]) -> None:
    found, _, _ = undisturbed
    scores = {key: result["score"] for key, result in found.items()}
    assert len(scores) == COUNT and scores["s0"] == 2 and scores["s2"] < 2
    assert not [layer for layer in found["s0"]["isolation"] if not layer["active"]] or not confinement.meets(
        "full"
    )


def kill_something(batch: subprocess.Popen[str], victim: str, moment: float) -> bool:
    """Send SIGKILL to a process of the batch, after so many seconds; whether there was one."""
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and batch.poll() is None:
        time.sleep(0.01)
    if victim == "batch":
        batch.kill()
        return True
    while batch.poll() is None:
        # Children that have not begun yet look like the batch itself, and any child that is no launcher is a worker.
        children = children_of(batch.pid)
        wanted = [pid for pid in children if is_warm_parent(pid) == (victim == "warm parent")]
        if wanted and (victim == "warm parent" or any(map(is_warm_parent, children))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(wanted), signal.SIGKILL)
                return True
        time.sleep(0.005)
    return False


def disturbed(classroom: Path, out: Path, victim: str, moment: float) -> None:
    batch = command("batch", classroom, "--out", out, "--only", "4d", "--jobs", 2)
    kill_something(batch, victim, moment)
    _, error = batch.communicate(timeout=120)
    if victim != "batch":
        assert batch.returncode == 0, (victim, moment, error)
        return
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "judged").glob("*.json")}
    ran = finished("batch", classroom, "--out", out, "--only", "4d", "--jobs", 2)
    assert ran.returncode == 0, (victim, moment, ran.stderr)
    now = {path.name: path.stat().st_mtime_ns for path in (out / "judged").glob("*.json")}
    assert len(now) == COUNT and kept.items() <= now.items(), "what was judged is not judged again"


def check(out: Path, undisturbed: tuple[dict[str, Any], str, float]) -> None:
    assert results(out) == undisturbed[0]
    assert (out / "grades.csv").read_text(encoding="utf-8") == undisturbed[1]
    assert not list(out.rglob(".*.*")), "no half a file is left"


@pytest.mark.parametrize("victim", ["batch", "warm parent", "worker"])
def test_a_kill_changes_nothing(
    victim: str, classroom: Path, tmp_path: Path, undisturbed: tuple[dict[str, Any], str, float]
) -> None:
    disturbed(classroom, tmp_path / "out", victim, undisturbed[2] * 0.7)
    check(tmp_path / "out", undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(30))
def test_kills_at_random_moments(
    number: int, classroom: Path, tmp_path: Path, undisturbed: tuple[dict[str, Any], str, float]
) -> None:
    victim = ("batch", "warm parent", "worker")[number % 3]
    moment = random.Random(number).uniform(0.05, 1.0) * undisturbed[2]
    disturbed(classroom, tmp_path / "out", victim, moment)
    check(tmp_path / "out", undisturbed)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount a tiny disk")
def test_a_disk_that_is_really_full(classroom: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", disk], check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        ran = finished("batch", classroom, "--out", disk / "out", "--only", "4d", "--jobs", 2)
        assert ran.returncode == 2, ran
        error = [line for line in ran.stderr.splitlines() if not line.startswith("[")]
        assert len(error) == 1 and "No space left" in error[0], ran.stderr
        kept = {path.name: path.read_bytes() for path in (disk / "out" / "judged").glob("*.json")}
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        ran = finished("batch", classroom, "--out", disk / "out", "--only", "4d", "--jobs", 2)
        assert ran.returncode == 0, ran.stderr
        assert all((disk / "out" / "judged" / name).read_bytes() == data for name, data in kept.items())
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_submission_that_kills_its_kernel_or_hangs_costs_the_others_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for name, text in {
        "fine": loss_only(0),
        "exits": loss_only(1).replace("number = 1", "import os; os._exit(0)"),
        "eats": loss_only(2).replace("number = 2", "hoard = [bytearray(1 << 30) for _ in range(64)]"),
        "also fine": loss_only(3),
    }.items():
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    ran = finished("batch", folder, "--out", tmp_path / "out", "--only", "4d", "--jobs", 2)
    assert ran.returncode == 0, ran.stderr
    scores = {key: result["score"] for key, result in results(tmp_path / "out").items()}
    assert scores == {"fine": 2, "exits": 2, "eats": 2, "also-fine": 2}
    shutil.rmtree(tmp_path / "out")
