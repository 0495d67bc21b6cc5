"""`grader grades` on the folder of a class: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.batch.store import Manifest, Member, Store
from grader.cli import app
from grader.errors import UsageError
from grader.grade import Judged
from grader.gradebook.book import Gradebook
from grader.gradebook.events import Decision, Kind
from grader.homework3 import HOMEWORK
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.rubric import load_rubric
from grader.scoring.verdict import Verdict
from tests.grades.made import VERSIONS

RUBRIC = load_rubric(HOMEWORK.rubric)
ROSTER = """Student,ID,SIS User ID,SIS Login ID,Section
"Lovelace, Ada",11,0007,ada,Mon
"Babbage, Bob",12,0008,bob,Mon
"Cc, Cyd",13,0009,cyd,Tue
"Dd, Dan",14,0010,dan,Tue
"""
GRADEBOOK = """Student,ID,SIS User ID,SIS Login ID,Section,"Homework 3, all (5)",Final Score
    Points Possible,,,,,35.00,(read only)
"Lovelace, Ada",11,0007,ada,Mon,,1
"Babbage, Bob",12,0008,bob,Mon,,1
"Ee, Eve",15,0011,eve,Tue,,1
"Dd, Dan",14,0010,dan,Tue,,1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A class of Gradescope that was judged: Ada with full marks, Bob without 2a.softmax, Dan unreadable, Cyd absent."""
    out = tmp_path / "hw3"
    people = [("ada", "Ada Lovelace", "0007"), ("bob", "Bob Babbage", "0008"), ("dan", "Dan Dd", "0010")]
    members = [
        Member(key=key, name=name, id=sid, file=f"{key}.ipynb", digest=key * 8, identity=f"gradescope:{sid}")
        for key, name, sid in people
    ]
    members[2] = members[2].model_copy(update={"digest": "", "problem": "dan.ipynb: is not a notebook"})
    members.append(
        Member(key="cyd", name="Cc, Cyd", id="13", file="", digest="", problem="Nothing was handed in.", identity="roster:13")
    )
    keys = {member.identity: member.key for member in members}
    keys |= {f"roster:{number}": key for number, key in (("11", "ada"), ("12", "bob"), ("14", "dan"))}
    with Store(out) as store:
        store.put("rubric.yaml", HOMEWORK.rubric.read_text(encoding="utf-8"))
        store.put("roster.csv", ROSTER)
        store.write_manifest(
            Manifest(context="c", seed="public", members=tuple(members), settings=None, keys=keys)
        )
        for key in ("ada", "bob"):
            verdicts = {
                name: Verdict(name, "failed" if key == "bob" and criterion.id == "2a.softmax" else "passed", "not one")
                for item in RUBRIC.automatic
                for criterion in item.criteria
                for name in criterion.properties
            }
            result = compose_result(RUBRIC, Facts(f"{key}.ipynb", VERSIONS), Findings(verdicts))
            store.keep(key * 8, "c", Judged(result, verdicts))
    return out


def grade(folder: Path, key: str, *items: str, points: float | None = None) -> None:
    """Give full points for items that people grade, or so many for each."""
    with Gradebook.of_class(folder, load_rubric(folder / "rubric.yaml")) as book:
        worth = {item.id: item.points for item in RUBRIC.by_hand}
        book.record(
            "Tessa",
            [
                Decision(
                    Kind.grade,
                    key,
                    item,
                    {"entries": [], "adjustment": worth[item] if points is None else points, "comment": "", "content": ""},
                )
                for item in items or worth
            ],
        )


def run(*arguments: object) -> str:
    """What the command prints, with lines as they are."""
    done = CliRunner().invoke(app, ["grades", *map(str, arguments)], env={"COLUMNS": "200"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "final" / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def test_the_numbers_come_first_and_then_who_is_pending(folder: Path) -> None:
    grade(folder, "ada")
    grade(folder, "bob", "1a")
    lines = run(folder).splitlines()
    assert lines[0] == (
        "Homework 3: 1 of 4 students graded fully, 2 pending, 1 handed in nothing (no score; --absent zero gives 0)"
    )
    assert lines[1] == "Totals: mean 35, median 35, from 35 to 35 of 35"
    assert lines[2] == "Pending:"
    assert lines[3].startswith("  Bob Babbage (0008): 1b, 1c, 1d, ")
    assert lines[4] == "  Dan Dd (0010): all items (dan.ipynb: is not a notebook)"
    assert lines[5] == f"written: {folder}/final/grades.csv"
    assert len(lines) == 6
    rows = table(folder)
    assert (rows["ada"]["total"], rows["bob"]["total"], rows["cyd"]["total"]) == ("35", "", "")
    assert (rows["ada"]["id"], rows["ada"]["login"], rows["ada"]["section"]) == ("0007", "ada", "Mon")
    assert (rows["bob"]["2a"], rows["bob"]["1a"], rows["bob"]["1b"]) == ("3", "1", "")


def test_a_canvas_gradebook_is_filled_and_who_is_not_found_is_listed_on_both_sides(folder: Path, tmp_path: Path) -> None:
    grade(folder, "ada")
    exported = tmp_path / "export.csv"
    exported.write_bytes(b"\xef\xbb\xbf" + GRADEBOOK.replace("\n", "\r\n").encode())
    before = exported.read_bytes()
    said = run(folder, "--canvas", exported, "--assignment", 5)
    assert said.splitlines()[1] == (
        "Canvas, Homework 3, all (5): 1 filled in, 2 pending, 0 left as they are; unmatched: 1 of the class, 1 of the file"
    )
    assert f"1 in the class, not in {exported}:\n  Cc, Cyd (13): no row has such an id or name\n" in said
    assert f"1 in {exported}, not in the class:\n  Ee, Eve (15), line 5\n" in said
    assert (folder / "final" / "canvas.csv").read_bytes() == before.replace(b"0007,ada,Mon,,1", b"0007,ada,Mon,35,1")
    assert exported.read_bytes() == before


def test_decisions_of_all_kinds_reach_the_total(folder: Path) -> None:
    grade(folder, "ada")
    grade(folder, "bob", points=0.5)
    with Gradebook.of_class(folder, RUBRIC) as book:
        book.record(
            "Tessa",
            [
                Decision(Kind.penalty, "ada", None, {"id": "page-assignment", "on": True, "reason": ""}),
                Decision(Kind.override, "bob", "2a", {"points": 4.0, "criterion": None, "reason": "looked at it"}),
                Decision(Kind.lateness, "bob", None, {"percent": 10.0, "reason": "a day"}),
            ],
        )
    run(folder)
    rows = table(folder)
    by_hand = 0.5 * len(RUBRIC.by_hand)
    automatic = sum(item.points for item in RUBRIC.automatic)
    assert rows["ada"]["total"] == "33.95"
    assert float(rows["bob"]["total"]) == round(0.9 * (automatic + by_hand), 2)
    assert rows["bob"]["overrides"] == "2a: looked at it"


def test_overrides_that_no_batch_has_imported_yet_count(folder: Path) -> None:
    grade(folder, "ada")
    (folder / "overrides.yaml").write_text(
        "- {submission: '0007', item: 2a, points: 1.5, who: Tessa, why: regraded}\n", encoding="utf-8"
    )
    run(folder)
    assert (table(folder)["ada"]["2a"], table(folder)["ada"]["total"]) == ("1.5", "32.5")


def test_a_class_that_nobody_graded_by_hand_gets_no_gradebook(folder: Path) -> None:
    assert run(folder).splitlines()[0].startswith("Homework 3: 0 of 4 students graded fully, 3 pending, ")
    assert not (folder / "gradebook.sqlite").exists()


def test_nothing_handed_in_is_zero_on_request_only(folder: Path) -> None:
    assert "1 handed in nothing (0 points)" in run(folder, "--absent", "zero")
    assert table(folder)["cyd"]["total"] == "0"
    assert table(folder)["dan"]["total"] == ""


def test_lateness_is_read_from_a_file(folder: Path, tmp_path: Path) -> None:
    grade(folder, "ada")
    rubric = (folder / "rubric.yaml").read_text(encoding="utf-8")
    (folder / "rubric.yaml").write_text(
        rubric + "\ngradescope:\n  lateness: {percent_per_day: 10, grace_minutes: 0, max_percent: 50}\n", encoding="utf-8"
    )
    late = tmp_path / "scores.csv"
    late.write_text("Name,SID,Lateness (H:M:S)\nAda,0007,25:00:00\n", encoding="utf-8")
    run(folder, "--lateness", late)
    assert (table(folder)["ada"]["total"], table(folder)["ada"]["lateness"]) == ("28", "7")


def test_texts_for_gradescope_replace_those_of_an_earlier_run(folder: Path) -> None:
    grade(folder, "ada")
    texts = folder / "final" / "gradescope"
    run(folder, "--gradescope")
    (texts / "students" / "gone.txt").write_text("old", encoding="utf-8")
    run(folder, "--gradescope")
    assert sorted(path.stem for path in (texts / "students").iterdir()) == ["ada", "bob", "cyd", "dan"]
    assert sorted(path.stem for path in (texts / "items").iterdir()) == sorted(item.id for item in RUBRIC.items)
    assert (texts / "students" / "ada.txt").read_text(encoding="utf-8").startswith("Ada Lovelace (0007)\nHomework 3: 35 / 35\n")
    assert "\nRubric\n" in (texts / "items" / "1a.txt").read_text(encoding="utf-8")


def test_a_moodle_worksheet_is_filled(folder: Path, tmp_path: Path) -> None:
    grade(folder, "ada")
    exported = tmp_path / "worksheet.csv"
    exported.write_text("Identifier,Full name,Grade\nParticipant 3,Ada Lovelace,\n", encoding="utf-8")
    assert "Moodle, Grade: 1 filled in, 0 pending" in run(folder, "--moodle", exported, "--out", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "moodle.csv").read_text(encoding="utf-8").endswith("Participant 3,Ada Lovelace,35\n")


def test_the_exported_file_is_never_overwritten(folder: Path, tmp_path: Path) -> None:
    exported = tmp_path / "canvas.csv"
    exported.write_text(GRADEBOOK, encoding="utf-8")
    with pytest.raises(UsageError, match="would be overwritten; move it elsewhere or choose another --out"):
        run(folder, "--canvas", exported, "--assignment", 5, "--out", tmp_path)
    assert exported.read_text(encoding="utf-8") == GRADEBOOK


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a batch folder; create one with `grader batch`"):
        run(tmp_path)
    done = CliRunner().invoke(app, ["grades", str(folder), "--assignment", "5"])
    assert done.exit_code == 2
    assert re.search(r"--assignment: names a column of --canvas FILE", done.output)
