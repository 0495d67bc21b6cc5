"""Every command works on a second homework, which shares nothing with the first but the engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.assignment import Assignment, load_assignment
from grader.audit import corpus
from grader.audit.run import judge_fast
from grader.authoring import notebooks as template
from grader.grade import grade
from grader.gradescope.build import FILES
from grader.homework import VARIABLE, Homework, load_homework
from grader.kernel.process import WarmParent
from grader.scoring.result import Result

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "second_homework"
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


def test_commands_on_training_say_that_there_is_none(tmp_path):
    path = tmp_path / "ada.ipynb"
    path.write_text(template.to_text(template.build_master(HOMEWORK)), encoding="utf-8")
    trained = run("train", path)
    assert trained.returncode == 2
    assert trained.stderr.splitlines() == ["grader: layers trains no models, so there is nothing to train"]
    fetched = run("data", "fetch")
    assert fetched.returncode == 0, fetched.stderr
    assert "layers trains no models, so it needs no data." in fetched.stdout
    graded = run("grade", path, "--training", "always")
    assert graded.returncode == 0, graded.stderr
    assert graded.stderr.splitlines()[-1] == "grader: layers trains no models, so --training always does nothing"


def test_a_homework_without_an_example_says_so():
    done = run("grade", "--example")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("grader: layers has no example; add a notebook to ")


def test_doctor_looks_at_this_homework():
    done = run("doctor")
    assert "this homework trains no models" in " ".join(done.stdout.split())
    assert "CIFAR" not in done.stdout and str(FOLDER) in done.stdout.replace("\n", "")


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "hw3_grader-9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hw3_grader-9.dist-info/METADATA", "Metadata-Version: 2.4\nName: hw3-grader\nVersion: 9\n")
    return path


def test_a_gradescope_zip_brings_the_homework_along(tmp_path, wheel):
    out = tmp_path / "autograder.zip"
    built = run("gradescope", "build", "--out", out, "--public-seed", "--wheel", wheel, "--skip-check")
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(out) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "zip")
    assert {"homework/homework.py", "homework/rubric.yaml", "homework/student_template/layers.ipynb"} <= names
    assert not any("__pycache__" in name for name in names)
    assert load_homework(tmp_path / "zip" / "homework").name == "layers"


def test_the_platform_grades_by_the_homework_of_the_zip(tmp_path):
    base, home = tmp_path / "autograder", tmp_path / "installed"
    shutil.copytree(FOLDER, home / "homework", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("source", "submission", "results"):
        (base / name).mkdir(parents=True)
    shutil.copy(HOMEWORK.rubric, base / "source")
    (base / "source" / "settings.json").write_text('{"seed": "public", "minutes": 10}')
    text = template.to_text(template.build_master(HOMEWORK))
    (base / "submission" / "ada.ipynb").write_text(text, encoding="utf-8")
    python = home / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    environment = {**os.environ, "HW3_AUTOGRADER": str(base), "HW3_HOME": str(home), VARIABLE: "nowhere"}
    done = subprocess.run(["sh", FILES / "run_autograder"], env=environment, capture_output=True, text=True, check=False)
    results = json.loads((base / "results" / "results.json").read_text(encoding="utf-8"))
    assert results.get("score") == 9, (results, done.stdout, done.stderr)
