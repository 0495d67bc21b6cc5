"""`grader homework new` writes a homework that works as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.assignment import load_assignment
from grader.audit import corpus
from grader.audit.run import judge_fast
from grader.authoring import notebooks
from grader.authoring.consistency import disagreements
from grader.authoring.skeleton import write_skeleton
from grader.errors import UsageError
from grader.grade import grade
from grader.homework import VARIABLE, Homework
from grader.kernel.process import WarmParent


@pytest.fixture
def homework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Homework:
    written = write_skeleton(tmp_path / "intro")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "intro"))
    return written


def test_its_master_earns_all_and_its_template_nothing(homework: Homework, tmp_path: Path, warm: WarmParent) -> None:
    assert homework.name == "intro"
    master = notebooks.write_master(tmp_path, homework)
    assignment = load_assignment(homework=homework)
    results = [grade(path, assignment, warm=warm) for path in (master, homework.template)]
    assert [(result.error, result.score, result.max_score) for result in results] == [(None, 2, 2), (None, 0, 2)]


def test_its_files_agree_and_its_corpus_gets_its_verdicts(homework: Homework) -> None:
    assert disagreements() == []
    cases = corpus.load_all(["1a.softmax"])
    assert {case.entry.kind for case in cases} == {"mutant", "variant"}
    for case in cases:
        assert judge_fast(case).criteria == frozenset(case.entry.loses)


def test_its_notebook_names_no_other_homework(homework: Homework) -> None:
    cells = json.loads(homework.template.read_text(encoding="utf-8"))["cells"]
    assert any("# TODO: compute the softmax" in "".join(cell["source"]) for cell in cells)
    assert "my_homework" not in homework.template.read_text(encoding="utf-8")


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "intro").mkdir()
    (tmp_path / "intro" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="intro: exists already"):
        write_skeleton(tmp_path / "intro")
    assert [path.name for path in (tmp_path / "intro").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["3", "a b", "ä.b"])
def test_a_name_that_no_module_could_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        write_skeleton(tmp_path / name)
