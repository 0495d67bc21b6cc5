"""Judges to take the place of the real one on workers, which find them in this module."""

from __future__ import annotations

import os
import time
from pathlib import Path

from grader.assignment import Assignment
from grader.grade import Judged, Request, failure
from grader.scoring.result import totals
from grader.scoring.score import score
from grader.scoring.verdict import Verdict
from grader.training.plan import Outcome, plan


def passes(path: Path, assignment: Assignment, request: Request) -> Judged:
    """Everything passes; training takes a while and notes where and when it was, and at most how much of a GPU."""
    job = plan(assignment.homework.training, path, assignment.rubric, request.training, lambda: True)
    if path.read_bytes().startswith(b"kills"):
        # The judge's parent is the worker.
        os.kill(os.getppid(), 9)
        time.sleep(60)
    names = [name for name in assignment.rubric.properties if request.only is None or name in request.only]
    verdicts = {name: Verdict(name, "passed", notes=(f"worker {os.getppid()}",)) for name in names}
    items = score(assignment.rubric, verdicts)
    result = failure(path.name, assignment, "x").model_copy(
        update={"items": items, "error": None, **totals(items)._asdict()}
    )
    if job is None:
        return Judged(result, verdicts)
    begun = time.time()
    # Long enough that the next ones have started their judges and read the data, on a busy machine, too.
    time.sleep(15)
    note = f"{job.device} {os.getppid()} {begun} {time.time()}"
    return Judged(result, verdicts, trained=Outcome(notes={job.item.id: [note]}, settled=True))
