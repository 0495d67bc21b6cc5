"""The made class: what Canvas would export, with mistakes of the corpus in it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from grader.audit.demo import PLACEHOLDER, write_demo
from grader.errors import UsageError


def sources(path: Path) -> str:
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


def test_a_class_is_like_an_export(tmp_path: Path) -> None:
    made = write_demo(tmp_path / "class", students=14)
    files = sorted(path.name for path in made.submissions.iterdir())
    assert len(files) == 14 == len(made.mistakes)
    assert "lovelaceada_1001_55001_homework3.ipynb" in files
    assert "turingalan_LATE_1002_55002_homework3.ipynb" in files
    assert len({name.split("_homework3")[0] for name in files}) == 14
    rows = made.gradebook.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "Student,ID,SIS User ID,SIS Login ID,Section,Homework 3 (77)"
    assert len(rows) == 2 + 14


def test_the_notebooks_hold_the_mistakes_that_are_named(tmp_path: Path) -> None:
    made = write_demo(tmp_path / "class", students=8)
    right = sources(next(made.submissions.glob("lovelaceada_*")))
    assert made.mistakes["Ada Lovelace"] == ()
    assert len(made.mistakes["Emmy Noether"]) == 3
    wrong = sources(next(made.submissions.glob("noetheremmy_*")))
    classes = [block for block in wrong.split("\nclass ") if block not in right]
    assert len(classes) >= 3
    blank = [PLACEHOLDER in sources(path) for path in made.submissions.iterdir()]
    assert any(blank)


def test_the_same_class_is_made_again(tmp_path: Path) -> None:
    first, second = (write_demo(tmp_path / name, students=5) for name in ("a", "b"))
    assert first.mistakes == second.mistakes
    for path in first.submissions.iterdir():
        assert path.read_bytes() == (second.submissions / path.name).read_bytes()


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_demo(tmp_path)
