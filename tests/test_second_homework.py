"""Every command works on a second homework, which shares nothing with the first but the engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.audit import corpus
from grader.audit.run import judge_fast
from grader.authoring import notebooks as template
from grader.grade import Assignment, grade, load_assignment
from grader.homework import VARIABLE, Homework, load_homework
from grader.kernel.process import WarmParent
from grader.scoring.result import Result

FOLDER = Path(__file__).resolve().parent / "second_homework"
HOMEWORK = load_homework(FOLDER)


def criteria() -> list[str]:
    assignment = load_assignment(homework=HOMEWORK)
    return [criterion.id for item in assignment.rubric.automatic for criterion in item.criteria]



@pytest.fixture
def homework(monkeypatch: pytest.MonkeyPatch) -> Homework:
    """The second homework, as the environment names it."""
    monkeypatch.setenv(VARIABLE, str(FOLDER))
    return HOMEWORK


@pytest.fixture
def assignment(homework: Homework) -> Assignment:
    return load_assignment(homework=homework)


def judged(text: str, folder: Path, assignment: Assignment, warm: WarmParent) -> Result:
    path = folder / "submission.ipynb"
    path.write_text(text, encoding="utf-8")
    return grade(path, assignment, warm=warm)


def test_the_template_is_what_its_reference_makes(homework):
    assert template.check(homework) == []


def test_the_master_earns_all_and_the_template_nothing(tmp_path, assignment, warm):
    master = judged(template.to_text(template.build_master(HOMEWORK)), tmp_path, assignment, warm)
    assert (master.error, master.score, master.max_score, master.pending) == (None, 9, 9, 1)
    assert master.title == "Recurrence, convolution, normalization"
    assert not any(item.notes for item in master.items)
    untouched = judged(HOMEWORK.template.read_text(encoding="utf-8"), tmp_path, assignment, warm)
    assert (untouched.error, untouched.score) == (None, 0)


def test_a_wrong_cell_costs_nothing_where_it_is_used(tmp_path, assignment, warm):
    cells = template.to_text(template.build_master(HOMEWORK)).replace("torch.tanh(", "torch.sin(")
    result = judged(cells, tmp_path, assignment, warm)
    assert {item.id: item.points for item in result.items if item.points is not None} == {
        "1a": 0.5,
        "1b": 2,
        "2a": 3,
        "3a": 2,
    }


def answers() -> Iterator[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(FOLDER))
        for case in corpus.load_all(criteria()):
            yield pytest.param(case, id=case.name)


@pytest.mark.parametrize("case", list(answers()))
def test_the_corpus_gets_its_verdicts(homework, case):
    verdict = judge_fast(case)
    assert not verdict.errors
    assert verdict.criteria == frozenset(case.entry.loses), verdict.lost


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command on the second homework."""
    command = [sys.executable, "-m", "grader", "--homework", str(FOLDER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_commands_on_a_class(tmp_path):
    submissions, out = tmp_path / "in", tmp_path / "out"
    submissions.mkdir()
    text = template.to_text(template.build_master(HOMEWORK))
    (submissions / "ada.ipynb").write_text(text, encoding="utf-8")
    (submissions / "bob.ipynb").write_text(text.replace("unbind(1)", "flip(1).unbind(1)"), encoding="utf-8")
    done = run("batch", submissions, "--out", out, "--jobs", 1)
    assert done.returncode == 0, done.stderr
    scores = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["score"] for path in (out / "results").iterdir()
    }
    assert scores == {"ada": 9, "bob": 7}
    checked = run("check", submissions / "ada.ipynb")
    assert checked.returncode == 0, checked.stderr
    rubric = tmp_path / "new.yaml"
    rubric.write_bytes(
        HOMEWORK.rubric.read_bytes().replace(b"total: 10", b"total: 12").replace(b"points: 3\n", b"points: 5\n")
    )
    rescored = run("rescore", out, "--rubric", rubric)
    assert rescored.returncode == 0, rescored.stderr
    assert "ada" in rescored.stdout


@pytest.mark.parametrize("command", [("template", "check"), ("audit", "generate", "--part", "2a", "--list")])
def test_commands_of_the_instructor(command):
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
