"""`grader gradebook` shows the log, and exports overrides and rubric entries."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.errors import GraderError
from grader.gradebook.book import Gradebook
from grader.gradebook.events import Decision, Kind
from grader.homework3 import HOMEWORK
from grader.scoring.rubric import load_rubric
from tests.gradebook.conftest import override


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A class with a grade, an override and a changed entry, of which one act is undone."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "rubric.yaml").write_bytes(HOMEWORK.rubric.read_bytes())
    with Gradebook.of_class(folder, load_rubric(HOMEWORK.rubric)) as book:
        act = book.record("Ada", [Decision(Kind.grade, "s1", "2d", {"entries": ["complete"], "comment": "\x1b[31mred"})])
        book.record("Bob", [override("s2", 3.5)])
        book.record("Bob", [Decision(Kind.entry, None, "4i", {"id": "half", "points": 0.25, "text": "Half of it."})])
        book.undo("Ada", act)
    return folder


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["gradebook", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_log(folder: Path) -> None:
    lines = run("log", folder).splitlines()
    assert [line.split(" ", 3)[3].split(" {")[0] for line in lines] == [
        "Ada: grade s1 2d",
        "Bob: override s2 2a",
        "Bob: entry - 4i",
        "Ada: undo - -",
    ]
    assert lines[0].endswith("(undone)") and "\x1b" not in lines[0] and not lines[1].endswith("(undone)")
    assert len(run("log", folder, "--submission", "s2").splitlines()) == 1


def test_overrides_are_exported(folder: Path, tmp_path: Path) -> None:
    text = run("overrides", folder)
    assert 'submission: "s2"' in text and 'who: "Bob"' in text
    run("overrides", folder, "--out", tmp_path / "overrides.yaml")
    assert (tmp_path / "overrides.yaml").read_text(encoding="utf-8") == text


def test_entries_are_exported(folder: Path, tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.yaml"
    rubric.write_bytes(HOMEWORK.rubric.read_bytes())
    said = run("rubric", folder, "--rubric", rubric)
    assert said.splitlines() == ["+ 4i half: 0.25, Half of it.", "Nothing written. Pass --yes to apply."]
    assert rubric.read_bytes() == HOMEWORK.rubric.read_bytes()
    assert "grader rescore" in run("rubric", folder, "--rubric", rubric, "--yes")
    item = next(item for item in load_rubric(rubric).by_hand if item.id == "4i")
    assert item.entries[-1].text == "Half of it."
    assert "has all entries already" in run("rubric", folder, "--rubric", rubric)


def test_a_class_without_decisions(tmp_path: Path) -> None:
    (tmp_path / "rubric.yaml").write_bytes(HOMEWORK.rubric.read_bytes())
    assert "nobody has decided anything here yet" in run("log", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rubric.yaml"]


def test_a_folder_that_is_no_class_folder(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="is not a class folder"):
        run("log", tmp_path)
