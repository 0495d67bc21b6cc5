"""Where a property of 4a, 4c or 4d leaves a case to others, one of these fails there."""

from __future__ import annotations

from functools import cache

import pytest

from grader.assignment import PUBLIC_SEED, load_assignment
from grader.audit import corpus
from grader.audit.fast import FastKernel
from grader.homework3 import HOMEWORK
from grader.judging.engine import Engine
from grader.scoring.verdict import Verdict

pytestmark = pytest.mark.long

WRONG = {
    "4a": ("all-unknown", "encode-not-written", "ids-off-by-one"),
    "4c": (
        "alphas-first",
        "bigram",
        "constant-logits",
        "dropout-always-on",
        "embeddings-kept-by-shape",
        "hidden-states-when-asked",
        "mask-in-evaluation-only",
        "only-the-first-is-causal",
        "positions-after",
        "positions-sized-by-dim",
        "running-sum-of-embeddings",
        "transformer-each-call",
        "whole-without-mask",
    ),
    "4d": ("constant", "item", "logits-detached", "mask-not-shifted", "sum", "zero"),
}


@cache
def verdicts(part: str, name: str) -> dict[str, Verdict]:
    assignment = load_assignment()
    criteria = [criterion.id for item in assignment.rubric.automatic for criterion in item.criteria]
    cases = corpus.load(HOMEWORK.corpus / f"{part}.yaml", criteria)
    (case,) = [case for case in cases if case.entry.id == name]
    with (
        FastKernel(case.cells) as kernel,
        Engine(kernel, PUBLIC_SEED, assignment.provided_methods, shrink_calls=1) as engine,
    ):
        return engine.judge([prop for prop in assignment.properties if prop.part.item == part])


def deferring(part: str, name: str) -> list[Verdict]:
    return [verdict for verdict in verdicts(part, name).values() if verdict.defers_to]


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in WRONG.items() for name in names])
def test_what_is_left_to_others_fails_there(part: str, name: str) -> None:
    found = verdicts(part, name)
    assert any(verdict.status == "failed" for verdict in found.values())
    nobody = [
        f"{verdict.property}: {verdict.message}"
        for verdict in deferring(part, name)
        if not any(found[other].status == "failed" for other in verdict.defers_to)
    ]
    assert nobody == []


@pytest.mark.parametrize("part", WRONG)
def test_these_answers_make_properties_stand_back(part: str) -> None:
    assert sum(bool(deferring(part, name)) for name in WRONG[part]) >= 2
