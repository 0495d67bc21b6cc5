"""A handful of entries end to end; the whole corpus is judged by ``grader audit``."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from grader.audit import corpus
from grader.audit.run import Verdict, judge_fast, judge_real
from grader.cli import app
from grader.scoring.rubric import load_rubric

pytestmark = pytest.mark.long

CRITERIA = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
CASES = {case.name: case for case in corpus.load_all(CRITERIA)}


@pytest.mark.parametrize(
    "name",
    [
        "2a/mask-transposed",
        "2b/fused",
        "2c/mask-to-first-only",
    ],
)
def test_entries_get_their_verdicts(name: str) -> None:
    verdict = judge_fast(CASES[name])
    assert not verdict.errors
    assert verdict.criteria == frozenset(CASES[name].entry.loses), verdict.lost


@pytest.mark.parametrize("name", ["2b/plain-list-and-residual", "2a/raw-parameters"])
def test_both_ways_agree(name: str) -> None:
    fast, real = judge_fast(CASES[name]), judge_real(CASES[name])
    assert comparable(fast) == comparable(real)


def comparable(verdict: Verdict) -> tuple[object, ...]:
    return verdict.name, verdict.lost, verdict.errors


def test_command() -> None:
    done = CliRunner().invoke(app, ["audit", "--fast", "--jobs", "1", "--part", "2c", "--only", "alias"])
    assert done.exit_code == 0, done.output
    assert "1 variants: 0 survivors" in done.output
    wrong = CliRunner().invoke(app, ["audit", "--only", "no-such-entry"])
    assert wrong.exit_code == 2
