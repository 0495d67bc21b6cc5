"""Fixtures that several test modules share: notebooks made in memory, and the grading of them."""

from __future__ import annotations

import functools
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, settings

from grader.assignment import Assignment, load_assignment
from grader.authoring import notebooks as template
from grader.grade import grade
from grader.kernel.process import WarmParent, environment
from grader.scoring.result import Result

# The same examples in every run, and no failure because the machine is busy.
settings.register_profile(
    "tests", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

FULL = {"2a": 4, "2b": 3, "2c": 3, "3a": 2, "4a": 2, "4c": 2, "4d": 2}
"""The points of the automatic items."""


def notebook(*sources: str) -> str:
    """A notebook's text with these code cells and nothing else: no metadata, no template cells."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    for number, cell in enumerate(made["cells"]):
        cell["id"] = f"cell-{number}"
    return nbformat.writes(made)


@functools.cache
def solutions() -> dict[str, str]:
    """Sources of the master's cells by cell id."""
    return {
        cell["id"]: cell["source"] for cell in template.build_master()["cells"] if cell["cell_type"] == "code"
    }


CLASSES = (
    "attention-head",
    "multi-headed-attention",
    "attention-residual",
    "transformer",
    "patch-embed",
    "vision-transformer",
    "my-tokenizer",
    "dialogue-dataset",
    "dialogue-gpt",
    "dialogue-loss",
)


def handwritten(**replaced: str) -> list[str]:
    """Nothing but imports and the homework's classes; ``attention_head="..."`` replaces a cell."""
    cells = {"setup": solutions()["setup"], **{name: solutions()[name] for name in CLASSES}}
    for name, source in replaced.items():
        key = name.replace("_", "-")
        assert key in cells, key
        cells[key] = source
    return list(cells.values())


def changed(name: str, *changes: tuple[str, str], before: str = "") -> str:
    """A right cell of the homework with changes in its text, each of which must apply."""
    text = solutions()[name]
    for old, new in changes:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return before + text


@pytest.fixture(scope="session")
def assignment() -> Assignment:
    """The shipped rubric and template, and the public seed."""
    return load_assignment()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmParent]:
    """One warm parent for all tests that do not ask how a kernel starts."""
    with WarmParent(environment(tmp_path_factory.mktemp("warm"))) as parent:
        yield parent


@pytest.fixture(scope="session")
def cifar10_archive() -> Path:
    """All of CIFAR-10 as JPEG, where HW3_DATA says it is."""
    data = os.environ.get("HW3_DATA")
    if not data:
        pytest.skip("HW3_DATA does not say where cifar10-jpeg.tar.xz is")
    archive = Path(data) / "cifar10-jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip(f"{archive} is missing")
    return archive


@pytest.fixture(scope="session")
def cifar10_folder(cifar10_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred images of CIFAR-10, by class: 40 to train, 10 to test."""
    folder = tmp_path_factory.mktemp("cifar10")
    wanted, taken = {"train": 40, "test": 10}, Counter[str]()
    with tarfile.open(cifar10_archive) as tar:
        for member in tar:
            place = str(Path(member.name).parent)
            if member.isfile() and taken[place] < wanted[place.split("/", maxsplit=1)[0]]:
                taken[place] += 1
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                file = tar.extractfile(member)
                assert file is not None
                path.write_bytes(file.read())
    return folder


@pytest.fixture
def graded(tmp_path: Path, assignment: Assignment, warm: WarmParent) -> Callable[[str], Result]:
    """Grade a notebook given as text."""

    def run(text: str) -> Result:
        path = tmp_path / "submission.ipynb"
        path.write_text(text, encoding="utf-8")
        return grade(path, assignment, warm=warm)

    return run


def points(result: Result) -> dict[str, float]:
    """Points of the automatic items by id."""
    return {item.id: item.points or 0.0 for item in result.items if item.kind == "automatic"}


def lost(result: Result) -> set[str]:
    """Ids of the criteria that failed; none may be the grader's own error."""
    criteria = [criterion for item in result.items for criterion in item.criteria]
    assert not [criterion for criterion in criteria if criterion.status == "error"]
    return {criterion.id for criterion in criteria if criterion.status == "failed"}


def keeps_all(result: Result) -> bool:
    """Whether every automatic item has its points; shows what is lost if not."""
    wrong = [c for item in result.items for c in item.criteria if c.status != "passed"]
    assert points(result) == FULL, (wrong[:3], [cell for cell in result.cells if cell.status != "ok"])
    return True


def messages(result: Result, item: str) -> set[str]:
    """The different messages of an item's criteria."""
    return {c.message for found in result.items if found.id == item for c in found.criteria}


def remarks(result: Result) -> str:
    """All that the result says of the notebook's cells."""
    flags = [f"{flag.kind}: {flag.message}" for flag in result.flags]
    return "\n".join([*flags, *(cell.error or "" for cell in result.cells)])
