"""The package in a notebook and `grader check` outside of one give the same verdicts, as one code decides for both."""

from __future__ import annotations

import pytest

from grader.assignment import load_assignment
from grader.audit import corpus
from grader.audit.corpus import Case
from grader.audit.fast import FastKernel
from grader.check import public_items
from grader.checking.public import decided
from grader.homework3 import HOMEWORK
from grader.judging.engine import Engine
from tests.check_package.conftest import Answer, Judge

pytest.importorskip("IPython")

ASSIGNMENT = load_assignment()
ITEMS = {item.id: item for item in public_items(ASSIGNMENT.rubric, HOMEWORK.properties)}
CRITERIA = [criterion.id for item in ASSIGNMENT.rubric.automatic for criterion in item.criteria]
CASES = {case.name: case for case in corpus.load_all(CRITERIA) if case.part in ITEMS}
SAMPLE = [
    name
    for item in ITEMS
    for name in [name for name, case in CASES.items() if case.part == item and case.entry.kind == "mutant"][:3]
]


def judged_by_the_grader(case: Case) -> Answer:
    """The public criteria of a case's part, by a kernel in another process."""
    item = ITEMS[case.part]
    names = {name for criterion in item.criteria for name in criterion.properties}
    with (
        FastKernel(case.cells) as kernel,
        Engine(kernel, ASSIGNMENT.seed, ASSIGNMENT.provided_methods, homework=HOMEWORK) as engine,
    ):
        verdicts = engine.judge(HOMEWORK.properties[name] for name in sorted(names))
    return {c.criterion.id: (c.decision.status, c.decision.message) for c in decided(item, verdicts)}


def assert_alike(case: Case, judge_alone: Judge) -> None:
    ours, theirs = judged_by_the_grader(case), judge_alone(list(case.cells), [case.part])
    assert {name: status for name, (status, _) in theirs.items()} == {
        name: status for name, (status, _) in ours.items()
    }, (ours, theirs)


@pytest.mark.long
@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_the_corpus_is_judged_alike(name: str, judge_alone: Judge) -> None:
    assert_alike(CASES[name], judge_alone)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CASES) - set(SAMPLE)))
def test_the_whole_corpus_is_judged_alike(name: str, judge_alone: Judge) -> None:
    assert_alike(CASES[name], judge_alone)
