"""Hostile and broken notebooks change no verdict but their own, tell nothing, and leave nothing behind."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.hostile.arena import BASES, Arena, base_notebook, verdicts
from tests.hostile.generator import KINDS, hostile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="layers of isolation are Linux's")

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


@pytest.mark.parametrize("kind", SAMPLE)
def test_sample(arena: Arena, kind: str) -> None:
    assert arena.problems(kind, "wrong") == []


def test_the_submission_after_the_sample_is_graded_as_before(arena: Arena) -> None:
    base, before = arena.base("wrong")
    assert verdicts(arena.grade(json.dumps(base).encode())) == verdicts(before)


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", list(KINDS))
def test_all(arena: Arena, kind: str, base: str) -> None:
    assert arena.problems(kind, base) == []


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
def test_the_submission_after_all_is_graded_as_before(arena: Arena, base: str) -> None:
    notebook, before = arena.base(base)
    assert verdicts(arena.grade(json.dumps(notebook).encode())) == verdicts(before)
