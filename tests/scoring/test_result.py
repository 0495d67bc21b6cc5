"""A result file is valid, whole or absent."""

from __future__ import annotations

import errno
import json
import os
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from grader.errors import GraderError
from grader.scoring.result import Cell, Evidence, Flag, ItemResult, Result, Versions, result_schema, totals
from grader.scoring.rubric import load_rubric
from grader.scoring.score import score
from grader.scoring.verdict import Verdict

jsonschema = pytest.importorskip("jsonschema")
RUBRIC = load_rubric()
VERSIONS = Versions(grader="0", rubric="1", python="3.11")


def result(message: str = "", **fields) -> Result:
    verdicts = {name: Verdict(name, "failed", message, message, message) for name in RUBRIC.properties}
    items = score(RUBRIC, verdicts)
    return Result(submission="a.ipynb", items=items, versions=VERSIONS, **(totals(items)._asdict() | fields))


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shipped_schema():
    return json.loads(resources.files("grader.scoring").joinpath("result.schema.json").read_text("utf-8"))


def test_the_schema_file_is_what_the_models_say():
    assert shipped_schema() == result_schema(), "run: python -m grader.scoring.result > grader/scoring/result.schema.json"


@given(st.text(st.characters(categories=None)))
def test_every_result_is_valid_json_by_the_schema(text):
    whole = result(
        text,
        error=text,
        warnings=(text,),
        cells=(Cell(number=1, decision="skip", status="raised", reason=text, error=text),),
        flags=(Flag(kind=text, message=text, cell=1, line=2),),
        seconds={"cells": 0.1 + 0.2},
    )
    written = whole.to_json().encode("utf-8")
    plain = json.loads(written)
    jsonschema.validate(plain, shipped_schema())
    assert Result.model_validate(plain) == whole
    assert b"0.30000000000000004" not in written
    assert Result.model_validate_json(written) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"score": 1.0},
        {"pending": 0.0},
        {"max_score": float("nan")},
        {"surprise": 1},
        {"schema_version": 2},
        {"schema_version": "2.0.0"},
        {"schema_version": "1.1.0"},
        {"schema_version": "1"},
        {"seed": "12345"},
        {"seconds": {"cells": float("inf")}},
    ],
)
def test_a_result_that_does_not_hold_together_cannot_be_made(change):
    with pytest.raises(ValidationError):
        result(**change)


def test_an_item_has_the_points_of_its_criteria():
    item = result().items[6]
    with pytest.raises(ValidationError, match="its criteria give"):
        ItemResult.model_validate(item.model_dump() | {"points": 0.5})


def test_evidence_is_base64():
    with pytest.raises(ValidationError):
        Evidence(kind="image", mime="image/png", data="<svg onload=1>")


def test_write_replaces_the_file_at_once(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    path.chmod(0o640)
    result("naïve \ud800").write(path)
    assert Result.model_validate_json(path.read_bytes()).score == 0
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_says_so_and_leaves_the_old_file(tmp_path, monkeypatch, call, number):
    def fail(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "result.json"
    path.write_text("old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(GraderError) as caught:
        result().write(path)
    assert str(caught.value) == f"cannot write {path}: {os.strerror(number)}"
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.json"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(GraderError, match=r"^cannot write .*: No such file or directory$"):
        result().write(tmp_path / "none" / "result.json")


def test_a_path_that_is_none(tmp_path):
    with pytest.raises(GraderError, match=r"^cannot write .*a\\x00b: .*embedded null"):
        result().write(tmp_path / "a\0b")


def test_an_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def interrupt(_fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        result().write(tmp_path / "result.json")
    assert names(tmp_path) == []


def test_a_path_that_is_a_folder(tmp_path):
    (tmp_path / "result").mkdir()
    with pytest.raises(GraderError, match="cannot write"):
        result().write(tmp_path / "result")
    assert names(tmp_path) == ["result"]
