"""Hostile and broken notebooks change no verdict but their own, tell nothing, and leave nothing behind."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.assignment import load_assignment
from grader.submission.planning import make_plan
from grader.submission.reading import read_submission
from tests.hostile.arena import BASES, Arena, base_notebook
from tests.hostile.generator import KINDS, hostile

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="layers of isolation are Linux's")]

# One or two of each category, quick ones; `pytest -m slow tests/hostile` runs them all.
SAMPLE = (
    "reply_errors_of_odd_types",
    "forged_jupyter_messages",
    "object_equal_to_everything",
    "huge_shape_small_buffer",
    "environment_of_others",
    "imports_the_reference",
    "huge_exception_message",
    "daemon_from_a_cell",
    "exits_in_forward",
    "kills_everyone",
    "evil_ids",
    "not_json",
    "escapes_in_messages",
)


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena() as made:
        yield made


def test_there_are_many_kinds_in_each_category() -> None:
    counts = Counter(kind.category for kind in KINDS.values())
    assert len(KINDS) >= 80
    assert min(counts.values()) >= 8
    assert len(counts) == 8


def test_the_generator_leaves_its_base_alone() -> None:
    base = base_notebook("wrong")
    before = json.dumps(base)
    for name in KINDS:
        if name == "empty_file":
            assert hostile(name, base) == b""
        elif name != "huge_outputs":
            assert hostile(name, base)
    assert json.dumps(base) == before


LEFT_OUT = {"exits_in_a_cell", "chain_of_functions"}
"""Kinds that are about what the planner leaves out of a cell."""


@pytest.mark.slow
def test_payloads_run_whole(tmp_path: Path) -> None:
    """A statement that the planner leaves out of a cell attacks nothing."""
    template, base, path = load_assignment().template, base_notebook("wrong"), tmp_path / "hostile.ipynb"
    partly = set()
    for name, kind in KINDS.items():
        if kind.category != "malformed":
            path.write_bytes(hostile(name, base))
            payloads = {"".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c.get("id") == "hostile"}
            plan = make_plan(read_submission(path), template)
            partly |= {name for cell in plan.cells if cell.cell.source in payloads and cell.decision != "run"}
    assert partly == LEFT_OUT


@pytest.mark.parametrize("kind", SAMPLE)
def test_sample(arena: Arena, kind: str) -> None:
    assert arena.problems(kind, "wrong") == []


def test_the_submission_after_the_sample_is_graded_as_before(arena: Arena) -> None:
    assert arena.changed("wrong") == []


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", list(KINDS))
def test_all(arena: Arena, kind: str, base: str) -> None:
    assert arena.problems(kind, base) == []


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_the_submission_after_all_is_graded_as_before(arena: Arena, base: str) -> None:
    assert arena.changed(base) == []
