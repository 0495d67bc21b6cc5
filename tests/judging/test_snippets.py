"""The code that a report suggests runs in the student's notebook and shows what the message says."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest

from grader.assignment import PUBLIC_SEED, load_assignment
from grader.audit.corpus import Case, load_all
from grader.audit.fast import FastKernel
from grader.homework3 import HOMEWORK
from grader.judging.engine import Engine
from grader.scoring.score import Verdict

ASSIGNMENT = load_assignment(homework=HOMEWORK)
CRITERIA = {criterion.id for item in ASSIGNMENT.rubric.automatic for criterion in item.criteria}


def case_named(name: str) -> Case:
    return next(case for case in load_all(CRITERIA, HOMEWORK.corpus) if case.name == name)


def judged(cells: tuple[str, ...], name: str) -> Verdict:
    """The verdict on one property."""
    prop = ASSIGNMENT.homework.properties[name]
    methods = ASSIGNMENT.provided_methods
    with FastKernel(cells) as kernel, Engine(kernel, PUBLIC_SEED, methods, homework=ASSIGNMENT.homework) as engine:
        return engine.judge([prop])[name]


def run_in(cells: tuple[str, ...], snippet: str) -> str:
    """What a snippet prints below the cells of a notebook."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for source in cells:
        exec(compile(source, "cell", "exec"), namespace)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(snippet, "snippet", "exec"), namespace)
    return printed.getvalue()


def test_a_comparison_is_reproduced_to_the_digit():
    case = case_named("2a/softmax-over-queries")
    verdict = judged(case.cells, "attention_head.test_rows_of_alpha_are_distributions")
    assert verdict.status == "failed" and [picture.kind for picture in verdict.pictures] == ["matrices", "matrices"]
    panel = verdict.pictures[0].panels[0]
    printed = run_in(case.cells, verdict.snippet)
    for value in panel.rows[0]:
        assert f"{value:.3f}"[:5] in printed, (value, printed)
    assert verdict.snippet.splitlines()[-1] == f"# {verdict.message}"


def test_an_exception_is_raised_again():
    case = case_named("2a/softmax-over-queries")
    cells = tuple(cell.replace("dim=1)", "dim=1) + torch.zeros(7, 7, 7)") for cell in case.cells)
    verdict = judged(cells, "attention_head.test_rows_of_alpha_are_distributions")
    assert "RuntimeError" in verdict.message and verdict.places
    with pytest.raises(RuntimeError):
        run_in(cells, verdict.snippet)


def test_a_changed_patch_is_shown_by_code_of_its_own():
    case = case_named("3a/no-transpose")
    cells = tuple(cell.replace("class PatchEmbed(nn.Module):", _MIXING) for cell in case.cells)
    verdict = judged(cells, "patch_embed.test_a_patch_changes_its_own_embedding_only")
    assert verdict.status == "failed" and [picture.kind for picture in verdict.pictures] == ["grid"]
    assert "changed[:, :," in verdict.snippet
    assert "tensor" in run_in(cells, verdict.snippet)


_MIXING = """class PatchEmbed(nn.Module):
    def __init__(self, img_size, patch_size, nin, nout):
        super().__init__()
        self.project = nn.Conv2d(nin, nout, patch_size, patch_size)

    def forward(self, x):
        out = self.project(x).flatten(2).transpose(1, 2)
        return out + 0.1 * out.mean(dim=1, keepdim=True)


class Former(nn.Module):"""


def test_pictures_and_snippets_change_no_verdict(monkeypatch: pytest.MonkeyPatch):
    """A defect in what explains a failure costs no more than the explanation."""
    case, name = case_named("2a/softmax-over-queries"), "attention_head.test_rows_of_alpha_are_distributions"
    usual = judged(case.cells, name)

    def fails(*args: object) -> None:
        raise ValueError

    monkeypatch.setattr("grader.judging.explain.snippet", fails)
    bare = judged(case.cells, name)
    assert bare.pictures == () and bare.snippet == ""
    assert (bare.status, bare.message, bare.counterexample) == (usual.status, usual.message, usual.counterexample)
