"""A data set that can be learned in seconds, and training checks on it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader import assets
from grader import grade as grading
from grader.assignment import Assignment
from grader.grade import Progress, Request, judge
from grader.homework3.training.check import ImageTraining
from grader.homework3.training.data import Cifar10, load
from grader.kernel.process import WarmParent
from grader.scoring.result import ItemResult, Result
from grader.scoring.rubric import TrainingItem
from grader.training.plan import Options
from tests.homework3.training.blocks import TRAIN, fast, make_blocks, read_blocks, small_settings


@pytest.fixture(scope="module")
def inside() -> Iterator[Any]:
    """Imports the kernel's modules as the kernel does."""
    sys.path.insert(0, str(assets.PACKAGE / "kernel" / "inside"))
    yield importlib.import_module
    del sys.path[0]


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Cifar10:
    """Images whose class is the place of a bright block."""
    folder = tmp_path_factory.mktemp("colours")
    make_blocks(folder)
    return read_blocks(folder)


Trained = Callable[..., Result]


def image_training(data: Cifar10 | None, request: pytest.FixtureRequest) -> ImageTraining:
    """The training check on ``data``, or on what is in the cache; only slow tests train the homework's own model."""
    load_these = load if data is None else lambda folder, say: data
    slow = request.node.get_closest_marker("slow") is not None
    return ImageTraining(load_these) if slow else ImageTraining(load_these, small_settings())


def with_training(assignment: Assignment, training: ImageTraining) -> Assignment:
    """The assignment with another training check."""
    return replace(assignment, homework=replace(assignment.homework, training=training))


@pytest.fixture
def trained(
    tmp_path: Path, assignment: Assignment, warm: WarmParent, colours: Cifar10, request: pytest.FixtureRequest
) -> Trained:
    """Run the training check of a notebook given as text on `colours`."""

    def run(
        text: str,
        data: Cifar10 | None = colours,
        epochs: int = 16,
        progress: Progress = lambda stage, done, total: None,
        **options: Any,
    ) -> Result:
        path = tmp_path / "submission.ipynb"
        path.write_text(text, encoding="utf-8")
        training = image_training(data, request)
        if data is colours:
            training = replace(training, settings=fast(training.settings, look_every=4 * TRAIN * 10))
        chosen = Options(**{"mode": "always", "device": "cpu", "threads": 1, **options})
        given = with_training(with_epochs(assignment, epochs), training)
        return judge(path, given, Request(progress, warm, only=(), training=chosen)).result

    return run


def with_epochs(assignment: Assignment, epochs: int) -> Assignment:
    """The assignment with so many epochs for 3c."""
    items = tuple(
        item.model_copy(update={"budget": item.budget.model_copy(update={"epochs": epochs})})
        if isinstance(item, TrainingItem)
        else item
        for item in assignment.rubric.items
    )
    return replace(assignment, rubric=assignment.rubric.model_copy(update={"items": items}))


def item_of(result: Result, name: str) -> ItemResult:
    """One item of a result."""
    return next(item for item in result.items if item.id == name)


__all__ = ["Trained", "colours", "grading", "item_of", "trained", "with_epochs"]
