"""A class of submissions, and batches of it: some with a made-up judge, for all that is not about judging."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from grader import assets
from grader.assignment import Assignment
from grader.batch.jobs import Backend, Judge
from grader.batch.run import Options, Outcome, Progress, run_batch
from grader.grade import Judged, Request, failure
from grader.homework3 import HOMEWORK
from grader.homework3.training import check
from grader.kernel.warm import WarmHost
from grader.scoring.result import Evidence, totals
from grader.scoring.score import score
from grader.scoring.verdict import Verdict
from grader.training import plan as planning
from tests.conftest import notebook, solutions

ROOT = Path(assets.__file__).resolve().parent.parent
Batch = Callable[..., Outcome]


def loss_only(index: int, *, right: bool = True) -> str:
    """A notebook that defines nothing but the loss, so that `--only 4d` judges it in a moment."""
    source = solutions()["dialogue-loss"]
    if not right:
        source += (
            "\nDialogueLoss.forward = lambda self, *args, **kwargs: torch.tensor(1.0, requires_grad=True)\n"
        )
    return notebook(solutions()["setup"], source, f"number = {index}")


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """`grader ...` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "grader", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finished(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The same, waited for."""
    process = command(*arguments)
    out, error = process.communicate(timeout=1200)
    return subprocess.CompletedProcess(arguments, process.returncode, out, error)


class MadeUp:
    """A judge that fails what a submission's text names: ``fails: 2a.softmax``; counts what it judges and trains."""

    def __init__(self) -> None:
        self.judged: list[str] = []
        self.trained: list[str] = []
        self.properties: list[int] = []
        self.training_error: Exception | None = None

    def __call__(self, path: Path, assignment: Assignment, request: Request) -> Judged:
        text, only = path.read_text(encoding="utf-8"), request.only
        job = planning.plan(assignment.homework.training, path, assignment.rubric, request.training)
        (self.judged if job is None else self.trained).append(path.name)
        if "no kernel" in text:
            return Judged(
                failure(path.name, assignment, "the grader could not run a kernel"), grader_failed=True
            )
        names = [name for name in assignment.rubric.properties if only is None or name in only]
        self.properties.append(len(names))
        criterion_of = {
            name: criterion.id
            for item in assignment.rubric.automatic
            for criterion in item.criteria
            for name in criterion.properties
        }
        verdicts = {
            name: Verdict(
                name,
                "failed" if criterion_of[name] in text else "passed",
                "=HYPERLINK(1)" if criterion_of[name] in text else "",
                title="A property.",
            )
            for name in names
        }
        items = score(assignment.rubric, verdicts)
        result = failure(path.name, assignment, "x").model_copy(
            update={"items": items, "error": None, **totals(items)._asdict()}
        )
        return Judged(result, verdicts, trained=planning.Outcome() if job is None else self.outcome(job, text))

    def outcome(self, job: planning.Job, text: str) -> planning.Outcome:
        """What comes of training: ``learns`` passes, ``slow`` is not settled."""
        if self.training_error is not None:
            raise self.training_error
        item = job.item.id
        if "slow" in text:
            return planning.Outcome(notes={item: ["this machine is too slow"]})
        name = check.VERIFIED if job.action == "verify" else check.TRAINED
        verdict = Verdict(name, "passed" if "learns" in text else "failed", "5,100 of 10,000")
        shown = Evidence(kind="image", title="heatmaps", mime="image/png", data="AAAA")
        return planning.Outcome({item: verdict}, {item: [f"by {job.device}"]}, {"3d": [shown]}, settled=True)


def in_a_thread(judge: Judge) -> Backend:
    """A backend for a judge that is made up: no kernel is started, and no case is drawn."""
    return Backend(lambda: ThreadPoolExecutor(1), WarmHost(fork=False), judge, lambda assignment, only: None)


@pytest.fixture
def made_up() -> MadeUp:
    """A judge to take the place of the real one."""
    return MadeUp()


@pytest.fixture
def batch(made_up: MadeUp, assignment: Assignment, tmp_path: Path) -> Batch:
    """Grade folders into ``tmp_path / "out"`` with the made-up judge, or with another one."""

    def run(
        *sources: Path,
        to: Path | None = None,
        by: Assignment | None = None,
        judge: Judge = made_up,
        show: Callable[[Progress], None] = lambda progress: None,
        **options: Any,
    ) -> Outcome:
        backend = in_a_thread(judge)
        assert backend.host is not None
        with backend.host:
            return run_batch(
                list(sources),
                to or tmp_path / "out",
                by or assignment,
                HOMEWORK.rubric.read_bytes(),
                Options(**options),
                show,
                backend,
            )

    return run


@pytest.fixture
def classroom(tmp_path: Path) -> Path:
    """Four submissions for the made-up judge, two of the same content."""
    folder = tmp_path / "class"
    folder.mkdir()
    for name, text in {
        "ada": "all right",
        "bob": "fails: 2a.softmax 4d.padding",
        "cyd": "all right",
        "dan": "fails: 2a.softmax",
    }.items():
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return folder
