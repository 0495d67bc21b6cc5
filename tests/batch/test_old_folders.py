"""Class folders as earlier versions wrote them still open, with the same points; one for each version that was released.

A released version adds its own: a class of two, zipped, without what is made anew (feedback, reports).
"""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.batch.rechecks import Recheck
from grader.batch.store import Record, Store, read_stored
from grader.cli import app
from grader.scoring.formats import RESULT
from grader.scoring.result import Result
from grader.scoring.rubric import load_rubric

FOLDERS = sorted((Path(__file__).parent / "folders").glob("*.zip"))
POINTS = ("key", "status", "score", "judged", "pending")


@pytest.fixture(params=FOLDERS, ids=lambda path: path.stem)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path / "class")
    return tmp_path / "class"


def points(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig") as file:
        return [{name: row[name] for name in POINTS} for row in csv.DictReader(file)]


def run(*arguments: object) -> str:
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == 0, (ran.output, ran.exception)
    return ran.output


def test_there_is_one_for_each_version() -> None:
    assert [path.stem for path in FOLDERS] == ["0.1.0", "1.0.0"]


def test_every_file_is_read(folder: Path) -> None:
    with Store(folder, create=False) as store:
        manifest = store.manifest()
        assert len(manifest.members) == 2
        for member in manifest.members:
            record = store.load(member.digest, manifest.context)
            assert record is not None and record.verdicts
    for path in folder.glob("rechecked/*.json"):
        assert read_stored(path, Recheck) is not None
    for path in folder.glob("judged/*.json"):
        assert read_stored(path, Record) is not None
    for path in folder.glob("results/*.json"):
        assert Result.model_validate_json(path.read_bytes()).schema_version == RESULT
    assert load_rubric(folder / "rubric.yaml").format == "1.0.0"


def test_scores_are_the_same(folder: Path) -> None:
    before = points(folder / "grades.csv")
    assert len(before) == 2
    run("rescore", folder, "--rubric", folder / "rubric.yaml", "--yes")
    assert points(folder / "grades.csv") == before
    run("report", folder)
    assert (folder / "report.html").is_file()


def test_final_grades_and_decisions_are_there(folder: Path) -> None:
    run("grades", folder)
    assert len((folder / "final" / "grades.csv").read_text(encoding="utf-8").splitlines()) == 3
    if folder.joinpath("gradebook.sqlite").is_file():
        assert "read by hand" in run("gradebook", "log", folder)
