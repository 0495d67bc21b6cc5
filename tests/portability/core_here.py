"""The core of the grader on a machine that lacks something: ``python -m tests.portability.core_here LACKING FOLDER``.

Grades the example, a wrong notebook and a small class, and prints what came out as JSON. LACKING is one of `KINDS`. What is not
taken away by the system itself is taken in this process and in the workers that it spawns, which import this module again.
"""

from __future__ import annotations

import csv
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from grader.batch import pool
from grader.kernel import confinement, warm
from grader.kernel.confinement import seccomp
from grader.kernel.inside import packets
from tests.isolation.lacking import become

KINDS = ("landlock", "seccomp", "fork", "proc", "root", "linux")
"""``linux`` stands for all that only Linux has, as on macOS."""
VARIABLE = "HW3_TEST_LACKING"


def take_away(lacking: str) -> None:
    """What this process finds missing from here on; for ``proc``, ``root`` and ``linux`` as an ordinary user."""
    os.environ[VARIABLE] = lacking
    if lacking in ("landlock", "seccomp"):
        become([lacking])
    if lacking in ("proc", "root", "linux"):
        become([lacking], user=True)
    patch(lacking)


def patch(lacking: str) -> None:
    """The part that a spawned worker has to do again."""
    if lacking in ("fork", "linux"):
        warm.can_fork = lambda: False
        pool.can_fork = lambda: False
    if lacking == "linux":
        seccomp.ARCHITECTURES = {}
        packets.pair = lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        confinement.probe.cache_clear()


def graded(text: str | None, folder: Path) -> dict[str, Any]:
    """What becomes of one notebook, by default the example; only the loss is judged."""
    from grader.assignment import load_assignment
    from grader.grade import Request, judge

    assignment = load_assignment()
    path = assignment.homework.example
    if text is not None:
        path = folder / "one.ipynb"
        path.write_text(text, encoding="utf-8")
    names = [name for name in assignment.rubric.properties if name.startswith("dialogue_loss.")]
    result = judge(path, _allowing_less(assignment), Request(only=names)).result
    (item,) = [item for item in result.items if item.id == "4d"]
    return {
        "error": result.error,
        "points": item.points,
        "lost": [each.id for each in item.criteria if each.status == "failed"],
        "active": [row.layer for row in result.isolation if row.active],
    }


def _allowing_less(assignment: Any) -> Any:
    from dataclasses import replace

    return replace(assignment, least_isolation="none")


def batched(folder: Path) -> dict[str, Any]:
    """The points of a small class, by student, and the exit status."""
    from grader.cli import app
    from tests.batch.conftest import loss_only

    submissions = folder / "submissions"
    submissions.mkdir()
    for index, name in enumerate(("ada", "bob", "cyd")):
        text = loss_only(index, right=name != "bob")
        (submissions / f"{name}.ipynb").write_text(text, encoding="utf-8")
    arguments = ["batch", str(submissions), "--out", str(folder / "out"), "--only", "4d", "--jobs", "2"]
    status = app([*arguments, "--training", "never", "--require-isolation", "none"], standalone_mode=False) or 0
    with (folder / "out" / "grades.csv").open(encoding="utf-8-sig") as file:
        return {"status": status, "points": {row["key"]: row["4d"] for row in csv.DictReader(file)}}


def main() -> None:
    """Do it all."""
    from tests.batch.conftest import loss_only

    lacking, folder = sys.argv[1], Path(sys.argv[2])
    take_away(lacking)
    out = sys.stdout
    sys.stdout = sys.stderr
    found = {
        "level": confinement.probe().level,
        "weak": confinement.weaknesses(),
        "example": graded(None, folder),
        "wrong": graded(loss_only(0, right=False), folder),
        "batch": batched(folder),
    }
    print(json.dumps(found), file=out)


if __name__ == "__mp_main__":

    patch(os.environ[VARIABLE])

if __name__ == "__main__":
    main()
