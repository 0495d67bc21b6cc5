"""What verdicts depend on beside a submission's content, as digests: kept verdicts count only while they are the same."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from grader import __version__, assets
from grader.assignment import Assignment
from grader.errors import GraderError
from grader.homework import Homework
from grader.scoring.rubric import Rubric, TrainingItem

NO_VERDICT_DEPENDS_ON = (
    "audit",
    "authoring",
    "batch",
    "check.py",
    "cli",
    "cluster",
    "doctor.py",
    "gradebook",
    "grades",
    "gradescope",
    "homework3",
    "insight",
    "pdfs",
    "report",
    "review",
    "text",
    "training",
    "__main__.py",
)
"""Rooms of the package that judge nothing; whatever else lies in it counts. A homework counts by itself."""
LIBRARIES = ("torch", "torchvision", "numpy", "hypothesis", "nltk", "nbclient", "ipykernel")
TRAINING = "training"
"""The room, and the folder of a homework, that only training depends on."""


def context_of(assignment: Assignment) -> str:
    """What verdicts depend on beside a submission: grader, libraries, template, seed and limits; 16 hex digits."""
    limits = (assignment.limits, assignment.most_cases, assignment.shrink_calls)
    versions = [platform.python_version(), *(version(name) for name in LIBRARIES)]
    digest = hashlib.sha256(f"{__version__}\n{versions}\n{limits!r}\n".encode())
    digest.update(hashlib.sha256(b"hw3 context/" + assignment.seed).digest())
    digest.update(code_of_judging())
    digest.update(code_of_homework(assignment))
    return digest.hexdigest()[:16]


def training_context_of(context: str, rubric: Rubric, homework: Homework) -> str:
    """What the outcome of training depends on beside that: how it is done, and the rubric's budget; 16 hex digits."""
    package = _package(homework)
    budgets = [item.budget.model_dump_json() for item in rubric.items if isinstance(item, TrainingItem)]
    digest = hashlib.sha256(json.dumps([context, *budgets]).encode())
    digest.update(_digest(assets.PACKAGE, _files(assets.PACKAGE / TRAINING)))
    digest.update(_digest(package, _files(package / TRAINING)))
    return digest.hexdigest()[:16]


def code_of_judging() -> bytes:
    """A digest of the grader but for the rooms that no verdict depends on. Raises `GraderError` if one of those is gone."""
    if gone := [name for name in NO_VERDICT_DEPENDS_ON if not (assets.PACKAGE / name).exists()]:
        raise GraderError(f"{', '.join(gone)}: not in {assets.PACKAGE}; correct NO_VERDICT_DEPENDS_ON in {__file__}")
    rooms = sorted(path for path in assets.PACKAGE.iterdir() if path.name not in (*NO_VERDICT_DEPENDS_ON, "_shipped"))
    return _digest(assets.PACKAGE, (path for room in rooms for path in _files(room)))


def code_of_grader() -> bytes:
    """A digest of all of the grader, the homework that ships with it apart: it counts as a homework."""
    rooms = sorted(path for path in assets.PACKAGE.iterdir() if path.name not in ("homework3", "_shipped"))
    return _digest(assets.PACKAGE, (path for room in rooms for path in _files(room)))


def code_of_homework(assignment: Assignment) -> bytes:
    """A digest of what a homework brings along: template, properties, stand-ins and files."""
    homework = assignment.homework
    package = _package(homework)
    ours = [path for path in _files(package) if path.suffix == ".py" and path.relative_to(package).parts[0] != TRAINING]
    digest = hashlib.sha256(repr(assignment.template).encode())
    digest.update(_digest(package, ours))
    for name, path in sorted(homework.files.items()):
        digest.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def _package(homework: Homework) -> Path:
    return homework.package or homework.folder


def _files(place: Path) -> list[Path]:
    found = sorted(place.rglob("*")) if place.is_dir() else [place]
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def _digest(root: Path, paths: Iterable[Path]) -> bytes:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()
