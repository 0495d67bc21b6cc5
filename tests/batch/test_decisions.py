"""What people decide about a class outlives every later run, and is marked where the answer is another one since."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.batch import rescore
from grader.batch.store import Store
from grader.errors import GraderError, UsageError
from grader.gradebook.book import NAME, Gradebook
from grader.gradebook.content import content_of
from grader.gradebook.events import JSON, Decision, Kind
from grader.gradebook.rubric_text import with_entries
from grader.homework3 import HOMEWORK
from grader.scoring.result import Flag, Result
from grader.scoring.rubric import load_rubric, parse_rubric
from tests.batch.conftest import Batch, MadeUp

pytestmark = pytest.mark.long

OVERRIDES = "- {submission: bob, item: 2a, points: 3.5, who: C. Babbage, why: the mask was right}\n"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def result(folder: Path, key: str) -> Result:
    return Result.model_validate_json((folder / "results" / f"{key}.json").read_bytes())


def book_of(folder: Path) -> Gradebook:
    return Gradebook.of_class(folder, load_rubric(folder / "rubric.yaml"))


def digest(folder: Path, key: str) -> str:
    members = json.loads((folder / "batch.json").read_text(encoding="utf-8"))["members"]
    return next(str(member["digest"]) for member in members if member["key"] == key)


def grade(folder: Path, key: str, *entries: str, item: str = "2d", comment: str = "") -> Decision:
    """A grade for the answer that the folder holds now."""
    chosen: JSON = list(entries)
    item_result = next(each for each in result(folder, key).items if each.id == item)
    content = content_of(item_result, digest(folder, key))
    return Decision(Kind.grade, key, item, {"entries": chosen, "comment": comment, "content": content})


def entry(name: str, points: float, item: str = "2d") -> Decision:
    return Decision(Kind.entry, None, item, {"id": name, "points": points, "text": "Changed.", "exclusive": True})


def points(folder: Path, item: str = "2d") -> dict[str, str]:
    return {key: row[item] for key, row in rows(folder).items()}


# -- overrides.yaml ----------------------------------------------------------------------------------------------------


def test_a_folder_of_an_earlier_version_is_imported_once_and_by_name(
    batch: Batch, classroom: Path, out: Path
) -> None:
    batch(classroom)
    assert not (out / NAME).exists()
    (out / "overrides.yaml").write_text(OVERRIDES, encoding="utf-8")
    assert batch(classroom).imported == ("bob 2a = 3.5 by C. Babbage: the mask was right",)
    assert batch(classroom).imported == ()
    with book_of(out) as book:
        (event,) = book.events()
    assert (event.who, event.submission, event.item, event.data["points"]) == ("C. Babbage", "bob", "2a", 3.5)
    assert points(out, "2a")["bob"] == "3.5"
    (out / "overrides.yaml").unlink()
    batch(classroom)
    assert points(out, "2a")["bob"] == "3.5", "the gradebook holds it now"


def test_an_edited_file_is_imported_by_rescoring_too(batch: Batch, classroom: Path, out: Path) -> None:
    (out / "results").mkdir(parents=True)
    (out / "overrides.yaml").write_text(OVERRIDES, encoding="utf-8")
    batch(classroom)
    (out / "overrides.yaml").write_text(OVERRIDES.replace("3.5", "3"), encoding="utf-8")
    before = (out / NAME).read_bytes()
    with Store(out, create=False) as store:
        rescoring = rescore.prepare(store, HOMEWORK.rubric)
        assert (out / NAME).read_bytes() == before
        (line,) = rescoring.write()
    assert line == "bob 2a = 3 by C. Babbage: the mask was right, instead of 3.5 by C. Babbage"
    assert points(out, "2a")["bob"] == "3"


def test_an_override_made_before_the_answer_changed_is_marked_at_its_import(
    batch: Batch, classroom: Path, out: Path
) -> None:
    batch(classroom)
    (out / "overrides.yaml").write_text(OVERRIDES, encoding="utf-8")
    (classroom / "bob.ipynb").write_text("all right, now", encoding="utf-8")
    batch(classroom)
    row = rows(out)["bob"]
    assert row["2a"] == "3.5"
    assert row["second_look"] == "2a: decided by C. Babbage when the answer was another one"


# -- one class from the first grade to the last ------------------------------------------------------------------------


def test_a_class_and_all_that_happens_to_its_grades(
    batch: Batch, classroom: Path, out: Path, tmp_path: Path, made_up: MadeUp
) -> None:
    everyone = ["ada", "bob", "cyd", "dan"]
    batch(classroom)
    graded_before = len(made_up.judged)
    with book_of(out) as book:
        book.record("Me", [grade(out, "ada", "complete", comment="Well *put*.")])
        group = book.record("Me", [grade(out, key, "tokens-and-embedding") for key in everyone[1:]])
        batch(classroom)
        assert points(out) == {"ada": "1", "bob": "0.5", "cyd": "0.5", "dan": "0.5"}

        # An entry is changed for all who have it.
        changed = book.record("Me", [entry("tokens-and-embedding", 0.25)])
        batch(classroom)
        assert points(out) == {"ada": "1", "bob": "0.25", "cyd": "0.25", "dan": "0.25"}

        # It goes into the rubric, and by that rubric the scores are the same.
        new = tmp_path / "new.yaml"
        new.write_bytes(with_entries((out / "rubric.yaml").read_bytes(), book.state()))
        with Store(out, create=False) as store:
            rescoring = rescore.prepare(store, new)
            assert not rescoring.changes
            rescoring.write()
        assert points(out) == {"ada": "1", "bob": "0.25", "cyd": "0.25", "dan": "0.25"}
        with Store(out, create=False) as store:
            rescore.prepare(store, HOMEWORK.rubric).write()
        book.undo("Me", changed)

        # A decision on a group is undone, and one of the group graded anew.
        book.undo("Me", group)
        book.record("Me", [grade(out, "bob", "tokens-and-embedding"), grade(out, "dan", "blank")])
        batch(classroom)
        assert points(out) == {"ada": "1", "bob": "0.5", "cyd": "", "dan": "0"}

        # A regrade request reopens an answer; it is answered.
        book.record("Me", [Decision(Kind.request, "dan", "2d", {"text": "See my last cell."})])
        batch(classroom)
        assert rows(out)["dan"]["second_look"] == "2d: regrade requested" and points(out)["dan"] == "0"
        answer = Decision(Kind.answer, "dan", "2d", {"outcome": "changed", "text": "Right."})
        book.record("You", [grade(out, "dan", "complete"), answer])
        batch(classroom)
        assert rows(out)["dan"]["second_look"] == "" and points(out)["dan"] == "1"

        # Two notebooks change.
        for key in ("bob", "dan"):
            (classroom / f"{key}.ipynb").write_text("all right, but another", encoding="utf-8")
        batch(classroom)
        assert len(made_up.judged) == graded_before + 1, "both are the same now"
        assert points(out) == {"ada": "1", "bob": "0.5", "cyd": "", "dan": "1"}
        looks = {key: row["second_look"] for key, row in rows(out).items()}
        reason = "2d: decided by {} when the answer was another one"
        assert looks == {"ada": "", "bob": reason.format("Me"), "cyd": "", "dan": reason.format("You")}
        summary = (out / "summary.md").read_text(encoding="utf-8")
        assert "## Needs a second look" in summary and "- dan: 2d\\: decided by You" in summary
        item = next(each for each in result(out, "bob").items if each.id == "2d")
        assert item.second_look and item.points == 0.5 and item.grading is not None and item.grading.who == "Me"

        # Whoever looks again confirms it.
        book.record("Me", [grade(out, "bob", "tokens-and-embedding")])
        batch(classroom)
        assert rows(out)["bob"]["second_look"] == ""
    feedback = (out / "feedback" / "ada.md").read_text(encoding="utf-8")
    assert "## 2d (1 of 1)" in feedback and "Well \\*put\\*\\." in feedback


# -- other decisions ---------------------------------------------------------------------------------------------------


def test_decisions_are_in_results_and_totals(batch: Batch, classroom: Path, out: Path) -> None:
    batch(classroom)
    before = result(out, "bob")
    criterion = next(each for item in before.items for each in item.criteria if each.status == "failed")
    with book_of(out) as book:
        decisions = [
            Decision(Kind.override, "bob", "2a", {"points": 0.5, "reason": "read", "criterion": criterion.id}),
            Decision(Kind.penalty, "bob", None, {"id": load_rubric().penalties[0].id, "on": True, "reason": "none"}),
            Decision(Kind.penalty, "bob", None, {"id": "unknown", "on": True}),
            Decision(Kind.note, "bob", None, {"text": "\x1b[31mSee me."}),
            grade(out, "bob", "heatmaps", item="3d"),
            grade(out, "bob", "above-threshold", item="3c"),
        ]
        book.record("Me", decisions)
    batch(classroom)
    after, row = result(out, "bob"), rows(out)["bob"]
    items = {item.id: item for item in after.items}
    changed = next(each for each in items["2a"].criteria if each.id == criterion.id)
    assert changed.points == 0.5 and changed.set_by is not None and items["2a"].set_by is None
    assert after.score == before.score + (0.5 - criterion.points) + 0.5 + 1
    assert after.pending == before.pending - 2 and float(row["score"]) == after.score
    assert (items["3d"].status, items["3c"].points) == ("partial", 1)
    assert [each.percent for each in after.penalties] == [3]
    assert after.comments == ("\\x1b[31mSee me.",)
    assert "See me" in (out / "feedback" / "bob.md").read_text(encoding="utf-8")
    assert f"{criterion.id} = 0.5 by Me: read" in row["overrides"]


def test_a_resolved_flag_needs_no_review(batch: Batch, classroom: Path, out: Path) -> None:
    batch(classroom)
    flag = Flag(kind="altered", message="generate differs from the template's")
    for path in (out / "judged").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["result"]["flags"] = [flag.model_dump()]
        path.write_text(json.dumps(record), encoding="utf-8")
    batch(classroom)
    assert flag.id in rows(out)["bob"]["remarks"]
    with book_of(out) as book:
        data: dict[str, JSON] = {"flag": flag.id, "reason": "a comment only", "resolved": True}
        book.record("Me", [Decision(Kind.flag, "bob", None, data)])
    batch(classroom)
    assert flag.id not in rows(out)["bob"]["remarks"] and flag.id in rows(out)["dan"]["remarks"]
    (kept,) = result(out, "bob").flags
    assert kept.resolved is not None and kept.resolved.why == "a comment only"


def test_decisions_on_somebody_who_left_are_kept(batch: Batch, classroom: Path, out: Path) -> None:
    batch(classroom)
    with book_of(out) as book:
        book.record("Me", [grade(out, "cyd", "complete")])
    text = (classroom / "cyd.ipynb").read_text(encoding="utf-8")
    (classroom / "cyd.ipynb").unlink()
    batch(classroom)
    assert "cyd" not in points(out)
    (classroom / "cyd.ipynb").write_text(text, encoding="utf-8")
    batch(classroom)
    assert points(out)["cyd"] == "1" and rows(out)["cyd"]["second_look"] == ""


def test_an_override_removed_because_its_student_left_is_not_withdrawn(
    batch: Batch, classroom: Path, out: Path
) -> None:
    batch(classroom)
    (out / "overrides.yaml").write_text(OVERRIDES.replace("bob", "cyd"), encoding="utf-8")
    batch(classroom)
    (classroom / "cyd.ipynb").rename(out.parent / "cyd.ipynb")
    with pytest.raises(UsageError, match="cyd: is no longer in this class; remove the override"):
        batch(classroom)
    (out / "overrides.yaml").write_text("", encoding="utf-8")
    assert batch(classroom).imported == ()
    (out.parent / "cyd.ipynb").rename(classroom / "cyd.ipynb")
    batch(classroom)
    assert points(out, "2a")["cyd"] == "3.5"


def test_a_rubric_that_has_less_than_somebody_set_is_refused(
    batch: Batch, classroom: Path, out: Path, tmp_path: Path
) -> None:
    batch(classroom)
    with book_of(out) as book:
        data: dict[str, JSON] = {"points": 1, "reason": "read", "criterion": None}
        book.record("C. Babbage", [Decision(Kind.override, "bob", "2d", data)])
    batch(classroom)
    text = HOMEWORK.rubric.read_text(encoding="utf-8")
    start = text.index("- id: 2d")
    lower = text[:start] + text[start:].replace("points: 1\n", "points: 0.5\n", 1)
    new = tmp_path / "new.yaml"
    new.write_text(lower.replace("total: 35", "total: 34.5"), encoding="utf-8")
    before = (out / "grades.csv").read_bytes()
    with Store(out, create=False) as store, pytest.raises(UsageError, match=r"bob: the override of 2d by C\. Babbage sets 1"):
        rescore.prepare(store, new)
    assert (out / "grades.csv").read_bytes() == before


def test_a_removed_entry_asks_for_a_second_look(
    batch: Batch, classroom: Path, out: Path, assignment: Assignment
) -> None:
    batch(classroom)
    with book_of(out) as book:
        book.record("Me", [grade(out, "ada", "tokens-and-embedding")])
    text = HOMEWORK.rubric.read_text(encoding="utf-8").replace("id: tokens-and-embedding", "id: tokens-only")
    by = replace(assignment, rubric=parse_rubric(text.encode()))
    batch(classroom, by=by, change=("rubric",))
    assert rows(out)["ada"]["second_look"] == (
        "2d: graded by Me with a rubric entry that no longer exists: tokens-and-embedding"
    )


def test_a_damaged_gradebook_stops_a_batch_before_it_judges(
    batch: Batch, classroom: Path, out: Path, made_up: MadeUp
) -> None:
    batch(classroom)
    made_up.judged.clear()
    (out / NAME).write_bytes(b"no database" * 100)
    (classroom / "eve.ipynb").write_text("new", encoding="utf-8")
    before = (out / "grades.csv").read_bytes()
    with pytest.raises(GraderError, match=r"gradebook\.sqlite: is damaged or not a gradebook") as caught:
        batch(classroom)
    assert "\n" not in str(caught.value) and not made_up.judged
    assert (out / "grades.csv").read_bytes() == before
