"""A data set that can be learnt in seconds, and training checks on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader import grade as grading
from grader.assignment import Assignment
from grader.grade import Request, judge
from grader.homework3.training import check, views, vit
from grader.homework3.training.data import Cifar10
from grader.homework3.training.stated import stated
from grader.kernel.process import WarmParent
from grader.scoring.result import ItemResult, Result
from grader.scoring.rubric import TrainingItem
from grader.training.plan import Options

TRAIN, VALIDATION = 64, 40


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Cifar10:
    """Images whose class is the place of a bright block in noise: easy, if patches and positions are used."""
    draw = np.random.default_rng(0)

    def images(each: int) -> tuple[Any, Any]:
        labels = np.repeat(np.arange(10, dtype=np.uint8), each)
        pixels = draw.integers(60, 120, (len(labels), 3, 32, 32)).astype(np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            row, column = divmod(int(label), 5)
            image[:, 16 * row : 16 * row + 12, 6 * column : 6 * column + 6] += 120
        return pixels, labels

    folder = tmp_path_factory.mktemp("colours")
    train, train_labels = images(TRAIN)
    np.save(folder / "train-images.npy", train)
    mapped = np.load(folder / "train-images.npy", mmap_mode="r")
    return Cifar10(folder / "train-images.npy", mapped, train_labels, *images(VALIDATION))


Trained = Callable[..., Result]


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Two narrow layers learn these images in seconds; what is slow is slow on purpose."""
    if request.node.get_closest_marker("slow") is None:
        sizes = {**stated().vit, "dim": 48, "attn_dim": 16, "mlp_dim": 48, "num_layers": 2}
        small = replace(stated(), vit=sizes)
        monkeypatch.setattr(vit, "stated", lambda: small)
        # These are learned perfectly, and mirrored or shifted they show another class.
        for name, value in (("MOST", 1.0), ("FALL", 1.0), ("IMAGES", 100)):
            monkeypatch.setattr(views, name, value)


@pytest.fixture
def trained(
    tmp_path: Path,
    assignment: Assignment,
    warm: WarmParent,
    colours: Cifar10,
    monkeypatch: pytest.MonkeyPatch,
) -> Trained:
    """Run the training check of a notebook given as text on `colours`."""

    def run(
        text: str,
        data: Cifar10 | None = colours,
        epochs: int = 16,
        **options: Any,
    ) -> Result:
        path = tmp_path / "submission.ipynb"
        path.write_text(text, encoding="utf-8")
        if data is not None:
            monkeypatch.setattr(check, "load", lambda folder, say: data)
        if data is colours:
            monkeypatch.setattr(vit, "LOOK_EVERY", 4 * TRAIN * 10)
            monkeypatch.setitem(vit.RECIPES, "cpu", {"batch": 64, "rate": 2e-3, "warm_up": 10})
        chosen = Options(**{"mode": "always", "device": "cpu", **options})
        return judge(path, with_epochs(assignment, epochs), Request(warm=warm, only=(), training=chosen)).result

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
