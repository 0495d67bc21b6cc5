"""Fixtures that several test modules share: notebooks made in memory, and the grading of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, settings

from grader import template
from grader.grade import Assignment, grade, load_assignment
from grader.kernel.process import WarmParent
from grader.kernel.session import environment
from grader.results import Result

# A machine that is busy with kernels is slow to draw examples; that is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


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


@pytest.fixture(scope="session")
def assignment() -> Assignment:
    """The shipped rubric and template, and the public seed."""
    return load_assignment()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmParent]:
    """One warm parent for all tests that do not ask how a kernel starts."""
    with WarmParent(environment(tmp_path_factory.mktemp("warm"))) as parent:
        yield parent


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
