"""Which workers train models, how many at a time, and what becomes of a submission that kills workers; with a made-up judge."""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.batch.jobs import Backend
from grader.batch.run import Options, Outcome, run_batch
from grader.cluster.coordinator import DaskCluster
from grader.homework3 import HOMEWORK
from grader.kernel.warm import WarmHost
from grader.training import plan as planning
from tests.cluster import stubs
from tests.cluster.processes import Machines, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with Machines(tmp_path) as started:
        yield started


def graded(
    address: str, folder: Path, out: Path, assignment: Assignment, options: Options
) -> tuple[Outcome, list[str]]:
    text = HOMEWORK.rubric.read_bytes()
    with DaskCluster(address, assignment, text) as cluster, WarmHost(fork=False) as host:
        news: list[str] = []
        backend = Backend(
            host=host, judge=stubs.passes, prepare=lambda assignment, only: None, cluster=cluster
        )
        outcome = run_batch(
            [folder], out, assignment, text, options, lambda progress: news.extend(progress.news), backend
        )
    return outcome, sorted(set(news))


def test_models_train_on_the_gpu_three_at_a_time(
    machines: Machines, tmp_path: Path, assignment: Assignment, cifar10_archive: Path
) -> None:
    with tarfile.open(cifar10_archive) as archive:
        archive.extractall(tmp_path / "cifar10", filter="data")
    folder = tmp_path / "class"
    folder.mkdir()
    for number in range(6):
        (folder / f"s{number}.ipynb").write_text(f"submission {number}", encoding="utf-8")
    address = machines.scheduler(free_port())
    machines.start(
        "gpu",
        "grader",
        "worker",
        address,
        "--name",
        "gpu",
        "--jobs",
        4,
        "--gpus",
        1,
        "--data",
        tmp_path / "cifar10",
    )
    machines.start("cpu", "grader", "worker", address, "--name", "cpu", "--jobs", 1)
    machines.wait_for_workers("gpu", "cpu")
    options = Options(training=planning.Options("always"))
    outcome, _ = graded(address, folder, tmp_path / "out", assignment, options)
    assert (outcome.judged, outcome.trained, outcome.lost) == (6, 6, ())
    trained = [json.loads(path.read_text()) for path in (tmp_path / "out" / "trained").iterdir()]
    spans = []
    for one in trained:
        (note,) = [line for lines in one["notes"].values() for line in lines]
        device, worker, begun, ended = note.split()
        assert device == "cuda"
        spans.append((float(begun), float(ended), worker))
    judged = [json.loads(path.read_text()) for path in (tmp_path / "out" / "judged").iterdir()]
    elsewhere = {verdict["notes"][0] for one in judged for verdict in one["verdicts"].values()}
    assert len({worker for _, _, worker in spans}) == 1 and len(elsewhere) == 1
    assert elsewhere != {f"worker {spans[0][2]}"}, "properties are judged where no GPU is"
    most = max(sum(begun <= moment < ended for begun, ended, _ in spans) for moment, _, _ in spans)
    assert most == 3


def test_what_kills_three_workers_is_set_aside(
    machines: Machines, tmp_path: Path, assignment: Assignment
) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("ada", "bob", "cyd"):
        (folder / f"{name}.ipynb").write_text(f"fine {name}", encoding="utf-8")
    (folder / "eve.ipynb").write_text("kills", encoding="utf-8")
    address = machines.scheduler(free_port())
    machines.worker(address, "one")
    machines.wait_for_workers("one")
    outcome, news = graded(address, folder, tmp_path / "out", assignment, Options())
    assert len([line for line in news if "is gone; it was grading" in line]) == 3, news
    assert outcome.lost == ("eve: kills workers: one, one, one died while grading it",)
    assert outcome.results["eve"].error == "kills workers: one, one, one died while grading it"
    assert all(outcome.results[name].error is None for name in ("ada", "bob", "cyd"))
    (folder / "eve.ipynb").write_text("fine eve", encoding="utf-8")
    outcome, _ = graded(address, folder, tmp_path / "out", assignment, Options(rerun_failed=True))
    assert outcome.lost == () and outcome.judged == 1
