"""Real schedulers and workers: a class graded by them is the one that this machine grades."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.batch.conftest import command, finished, loss_only
from tests.batch.test_kills import results
from tests.cluster.processes import Machines, free_port, kill_dask_worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]
COUNT = 6
SEED = "a secret seed for the tests of the cluster"


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("class")
    for index in range(COUNT):
        (folder / f"s{index}.ipynb").write_text(loss_only(index, right=index % 3 != 2), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def seed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "seed.txt"
    path.write_text(SEED, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def one_machine(classroom: Path, seed_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the class, graded on this machine."""
    out = tmp_path_factory.mktemp("one") / "out"
    ran = finished("batch", classroom, "--out", out, "--only", "4d", "--jobs", 2, "--seed-file", seed_file)
    assert ran.returncode == 0, ran.stderr
    return out


def compare(out: Path, one_machine: Path) -> None:
    assert results(out) == results(one_machine)
    assert (out / "grades.csv").read_bytes() == (one_machine / "grades.csv").read_bytes()


def test_workers_grade_as_this_machine_does_and_one_may_die(
    classroom: Path, seed_file: Path, one_machine: Path, tmp_path: Path
) -> None:
    out, asked = tmp_path / "out", (classroom, "--only", "4d", "--seed-file", seed_file)
    other = tmp_path / "other"
    other.write_text("another secret of some length", encoding="utf-8")
    with Machines(tmp_path) as machines:
        address = machines.scheduler(free_port())
        machines.worker(address, "ada", "--seed-file", seed_file)
        machines.worker(address, "bob", "--seed-file", seed_file)
        machines.worker(address, "eve", "--seed-file", other)
        machines.wait_for_workers("ada", "bob", "eve")
        batch = command("batch", *asked, "--out", out, "--scheduler", address)
        assert batch.stderr is not None
        lines: list[str] = []
        while not any(line.startswith("[1/") for line in lines):
            lines.append(batch.stderr.readline())
            assert lines[-1], lines
        assert kill_dask_worker(machines.processes["ada"])
        _, rest = batch.communicate(timeout=300)
        said = "".join(lines) + rest
        assert batch.returncode == 0, said
        assert "worker ada (tcp://" in said and "is gone" in said
        assert "worker eve (tcp://" in said and "is not used: seed secret" in said, said
        compare(out, one_machine)
        for path in (out / "judged").iterdir():
            path.unlink()
        ran = machines.batch(*asked, "--out", out, "--scheduler", address, "--limit", 2)
        assert ran.returncode == 0 and ran.stderr.count("[") == 2, ran.stderr
        ran = machines.batch(
            *asked, "--out", out, "--scheduler", address, "--recheck", 1, "--recheck-sample", 2
        )
        assert ran.returncode == 0, ran.stderr
        assert len(list((out / "rechecked").iterdir())) == 2
        assert results(out) == results(one_machine)
