"""What a batch keeps, goes on from, reports and refuses; judged by a made-up judge."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.batch import rescore
from grader.batch.store import Store
from grader.errors import GraderError, UsageError
from grader.grade import Judged
from grader.homework3 import HOMEWORK
from grader.scoring.result import Result
from grader.scoring.rubric import load_rubric
from tests.batch.conftest import Batch, MadeUp

pytestmark = pytest.mark.long


def grades(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".work", ".lock")
    }


def test_reports(batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp) -> None:
    outcome = batch(classroom)
    out = tmp_path / "out"
    assert outcome.judged == 3 and not outcome.lost
    assert made_up.judged == ["ada.ipynb", "bob.ipynb", "dan.ipynb"], "one of two that are the same"
    rows = grades(out)
    assert list(rows) == ["ada", "bob", "cyd", "dan"]
    assert rows["ada"]["score"] == "18" and rows["ada"]["1a"] == "" and rows["cyd"]["same_as"] == "ada"
    assert float(rows["bob"]["score"]) < float(rows["dan"]["score"]) < 18
    result = Result.model_validate_json((out / "results" / "cyd.json").read_bytes())
    assert result.submission == "cyd.ipynb" and result.score == 18
    summary = (out / "summary.md").read_text(encoding="utf-8")
    assert "4 students" in summary and "2a\\.softmax" in summary and "same as ada" in summary
    feedback = (out / "feedback" / "bob.md").read_text(encoding="utf-8")
    assert "\\=HYPERLINK" in feedback and "A property" in feedback
    page = (out / "feedback" / "bob.html").read_text(encoding="utf-8")
    assert "A property" in page and "<script" not in page


def test_resuming_judges_nothing_twice(
    batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp
) -> None:
    assert batch(classroom, limit=1).left == 2
    assert grades(tmp_path / "out")["dan"]["status"] == "not graded yet"
    batch(classroom)
    assert sorted(made_up.judged) == ["ada.ipynb", "bob.ipynb", "dan.ipynb"]
    before = everything(tmp_path / "out")
    assert batch(classroom).judged == 0
    assert everything(tmp_path / "out") == before
    batch(classroom, to=tmp_path / "undisturbed")
    assert everything(tmp_path / "undisturbed") == before


def test_a_changed_submission_alone_is_judged_again(
    batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp
) -> None:
    batch(classroom)
    made_up.judged.clear()
    (classroom / "dan.ipynb").write_text("better", encoding="utf-8")
    (classroom / "cyd.ipynb").unlink()
    batch(classroom)
    assert made_up.judged == ["dan.ipynb"]
    assert list(grades(tmp_path / "out")) == ["ada", "bob", "dan"]
    assert not (tmp_path / "out" / "results" / "cyd.json").exists()


def test_another_seed_judges_again(
    batch: Batch, classroom: Path, made_up: MadeUp, assignment: Assignment
) -> None:
    batch(classroom)
    batch(classroom, by=replace(assignment, seed=b"a secret of some length"), change=("seed",))
    assert len(made_up.judged) == 6


def test_only_and_then_the_rest(batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp) -> None:
    batch(classroom, only=("2a",))
    assert grades(tmp_path / "out")["ada"]["2a"] == "4" and grades(tmp_path / "out")["ada"]["4d"] == ""
    few = made_up.properties[0]
    batch(classroom)
    assert made_up.properties[-1] + few == len(load_rubric().properties), "what is judged is not judged again"
    assert grades(tmp_path / "out")["ada"]["score"] == "18"
    with pytest.raises(UsageError, match="2d"):
        batch(classroom, only=("2d",))


def test_rerun_failed(batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp) -> None:
    (classroom / "eve.ipynb").write_text("no kernel", encoding="utf-8")
    outcome = batch(classroom)
    assert outcome.lost and grades(tmp_path / "out")["eve"]["status"] == "not gradable"
    made_up.judged.clear()
    batch(classroom)
    assert made_up.judged == []
    batch(classroom, rerun_failed=True)
    assert made_up.judged == ["eve.ipynb"]


def test_what_is_lost_later_takes_nothing_back(
    batch: Batch, classroom: Path, tmp_path: Path
) -> None:
    batch(classroom, only=("2a",))
    before = grades(tmp_path / "out")

    def broken(*arguments: object) -> Judged:
        raise MemoryError("no memory")

    outcome = batch(classroom, judge=broken)
    assert len(outcome.lost) == 3
    after = grades(tmp_path / "out")
    assert [after[key]["2a"] for key in before] == [before[key]["2a"] for key in before] != [""] * 4
    assert not batch(classroom).lost
    assert grades(tmp_path / "out")["ada"]["score"] == "18"


def test_an_unreadable_submission_costs_the_others_nothing(
    batch: Batch, classroom: Path, tmp_path: Path
) -> None:
    (classroom / "gone.ipynb").symlink_to(tmp_path / "nothing")
    outcome = batch(classroom)
    assert outcome.judged == 3
    error = outcome.results["gone"].error
    assert error is not None and "gone" in error and "\n" not in error
    assert grades(tmp_path / "out")["gone"]["status"] == "not gradable"


def test_names_are_no_formulas(batch: Batch, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "=HYPERLINK(1)_7_8_hw.ipynb").write_text("fine", encoding="utf-8")
    batch(folder)
    (row,) = grades(tmp_path / "out").values()
    assert row["name"] == "'=HYPERLINK(1)" and row["file"].startswith("'=")


# -- overrides ---------------------------------------------------------------------------------------------------

OVERRIDES = """\
- submission: bob
  item: 2a
  points: 3.5
  who: C. Babbage
  why: "=the mask was right"
- {submission: ada, item: 1a, points: 1, who: Me, why: read it}
"""


def test_overrides_survive(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    batch(classroom)
    before = grades(tmp_path / "out")["bob"]
    path = tmp_path / "out" / "overrides.yaml"
    path.write_text(OVERRIDES, encoding="utf-8")
    for _ in range(2):
        batch(classroom)
        rows = grades(tmp_path / "out")
        assert rows["bob"]["2a"] == "3.5" and "C. Babbage" in rows["bob"]["overrides"]
        assert float(rows["bob"]["score"]) == float(before["score"]) - float(before["2a"]) + 3.5
        assert (rows["ada"]["1a"], rows["ada"]["score"], rows["ada"]["pending"]) == ("1", "19", "16")
    assert path.read_text(encoding="utf-8") == OVERRIDES
    assert "C\\. Babbage" in (tmp_path / "out" / "feedback" / "bob.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {submission: zoe, item: 2a, points: 1, who: a, why: b}", ":1: zoe"),
        ("\n- {submission: bob, item: 9z, points: 1, who: a, why: b}", ":2: 9z"),
        ("- {submission: bob, item: 2a, points: 5, who: a, why: b}", "worth 4"),
        ("- {submission: bob, item: 2a, points: -1, who: a, why: b}", "points"),
        ("- {submission: bob, item: 2a, points: .nan, who: a, why: b}", "points"),
        ("- {submission: bob, item: 2a, points: 1, why: b}", "who is missing"),
        ("- {submission: bob, item: 2a, points: 1, who: a, why: b, x: 1}", "x"),
        ("submission: bob", "list"),
        ("- {submission: bob", ":1:"),
        ("- {submission: bob, item: 2a, points: 1, who: a, why: b}\n" * 2, ":2:"),
    ],
)
def test_overrides_that_are_wrong(
    batch: Batch, classroom: Path, tmp_path: Path, text: str, words: str
) -> None:
    batch(classroom)
    before = everything(tmp_path / "out")
    (tmp_path / "out" / "overrides.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        batch(classroom)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    after = everything(tmp_path / "out")
    del after["overrides.yaml"]
    assert after == before


# -- another rubric ----------------------------------------------------------------------------------------------


def doubled(tmp_path: Path) -> Path:
    """A rubric in which 4d.padding takes a quarter of a point from another criterion of 4d."""
    lines = HOMEWORK.rubric.read_text(encoding="utf-8").splitlines()
    rubric = load_rubric()
    item = next(item for item in rubric.automatic if item.id == "4d")
    other = next(
        criterion for criterion in item.criteria if criterion.id != "4d.padding" and criterion.points > 0.25
    )
    for name, change in (("4d.padding", 0.25), (other.id, -0.25)):
        start = next(number for number, line in enumerate(lines) if f"id: {name}" in line)
        number = next(n for n in range(start, len(lines)) if "points:" in lines[n])
        head, _, value = lines[number].partition("points:")
        worth, _, rest = value.strip().partition(" ")
        lines[number] = (
            f"{head}points: {float(worth.rstrip(',')) + change:g}{',' if worth.endswith(',') else ''} {rest}"
        )
    path = tmp_path / "new.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rescoring(batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp) -> None:
    batch(classroom)
    out = tmp_path / "out"
    (out / "overrides.yaml").write_text(OVERRIDES, encoding="utf-8")
    batch(classroom)
    before, rows = everything(out), grades(out)
    new = doubled(tmp_path)
    with Store(out, create=False) as store:
        rescoring = rescore.prepare(store, new)
        assert everything(out) == before, "nothing is written before someone says so"
        assert [(change.key, change.after - change.before) for change in rescoring.changes] == [
            ("bob", -0.25)
        ]
        rescoring.write()
    after = grades(out)
    assert float(after["bob"]["score"]) == float(rows["bob"]["score"]) - 0.25
    assert after["bob"]["2a"] == "3.5" and after["dan"] == rows["dan"]
    assert len(made_up.judged) == 3
    with Store(out, create=False) as store:
        assert not rescore.prepare(store, new).changes
        rescore.prepare(store, HOMEWORK.rubric).write()
    assert everything(out) == before


def test_an_edited_rubric_runs_nothing(
    batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp, assignment: Assignment
) -> None:
    batch(classroom)
    batch(classroom, by=replace(assignment, rubric=load_rubric(doubled(tmp_path))), change=("rubric",))
    assert len(made_up.judged) == 3
    assert grades(tmp_path / "out")["bob"]["4d"] != grades(tmp_path / "out")["dan"]["4d"]


# -- folders that fail -------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(GraderError, match="cannot write") as caught:
        batch(classroom, to=tmp_path / "file" / "out")
    assert "\n" not in str(caught.value)


def test_a_full_disk_keeps_what_was_done(
    batch: Batch, classroom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_up: MadeUp
) -> None:
    replace_file, writes = os.replace, 0

    def full(source: object, target: object) -> None:
        nonlocal writes
        writes += 1
        if writes > 4:
            raise OSError(28, "No space left on device")
        replace_file(source, target)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(GraderError, match="No space left") as caught:
            batch(classroom)
    assert "\n" not in str(caught.value)
    kept = list((tmp_path / "out" / "judged").glob("*.json"))
    assert kept
    made_up.judged.clear()
    batch(classroom)
    assert len(made_up.judged) == 3 - len(kept)


def test_one_batch_at_a_time(
    batch: Batch, classroom: Path, tmp_path: Path
) -> None:
    batch(classroom)
    with Store(tmp_path / "out"), pytest.raises(UsageError, match="another batch"):
        Store(tmp_path / "out", lock_seconds=0.0).__enter__()
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(UsageError, match="not a batch folder"):
        Store(tmp_path / "out", create=False).__enter__()


def test_a_damaged_record_is_judged_again(
    batch: Batch, classroom: Path, tmp_path: Path, made_up: MadeUp
) -> None:
    batch(classroom)
    before = everything(tmp_path / "out")
    damaged = sorted((tmp_path / "out" / "judged").glob("*.json"))[0]
    damaged.write_text(damaged.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert batch(classroom).judged == 1
    assert everything(tmp_path / "out") == before


def test_a_secret_seed_stays_secret(
    batch: Batch, classroom: Path, tmp_path: Path, assignment: Assignment
) -> None:
    batch(classroom, by=replace(assignment, seed=b"correct horse battery staple"))
    for data in everything(tmp_path / "out").values():
        assert b"horse" not in data and b"636f7272656374" not in data
    assert json.loads((tmp_path / "out" / "batch.json").read_text(encoding="utf-8"))["seed"] == "secret"


def test_what_holds_for_several_students_is_said_once(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    for name in ("eve", "finn", "gil"):
        (classroom / name).mkdir()
        (classroom / name / "homework.pdf").write_bytes(b"%PDF")
    batch(classroom)
    summary = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert summary.count("is a PDF") == 1
    assert "- 3 students (eve, finn, gil): homework\\.pdf is a PDF" in summary


def test_who_handed_in_nothing_has_no_file(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    (classroom / "eve").mkdir()
    batch(classroom)
    assert grades(tmp_path / "out")["eve"]["file"] == ""
