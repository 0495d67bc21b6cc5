"""Grades that do not change behind anybody's back, rows that stay their student's, and totals that agree everywhere."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from grader import cli
from grader.assignment import Assignment
from grader.batch import memory, rescore, store
from grader.batch.run import Progress
from grader.batch.store import Member, Store
from grader.batch.terminal import print_batch
from grader.errors import GraderError, UsageError
from grader.grade import Judged, Request, failure
from grader.gradebook.overrides import load_overrides
from grader.homework import load_homework
from grader.kernel.session import Limits
from grader.scoring.result import Result
from grader.scoring.rubric import load_rubric
from tests.batch.conftest import Batch, MadeUp, in_a_thread
from tests.batch.test_batch import doubled, everything, grades
from tests.batch.test_layouts import METADATA
from tests.submission.test_handin import homework, zipped

pytestmark = pytest.mark.long

SECRET = b"a secret of some length"


@pytest.fixture
def command(made_up: MadeUp) -> Any:
    """`grader ...` in this process with the made-up judge; gives exit status and what was printed on one line."""

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], obj=in_a_thread(made_up))
        said = result.output
        if isinstance(result.exception, GraderError):
            said += str(result.exception)
            assert "\n" not in str(result.exception)
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, " ".join(said.split())

    return run


def test_a_new_rubric_stays(classroom: Path, tmp_path: Path, command: Any) -> None:
    """Rescoring, and then grading as before, gave everyone's old points back."""
    out, new = tmp_path / "out", doubled(tmp_path)
    assert command("batch", classroom, "--out", out)[0] == 0
    old = grades(out)
    assert command("rescore", out, "--rubric", new, "--yes")[0] == 0
    rescored = everything(out)
    assert grades(out) != old
    assert command("batch", classroom, "--out", out)[0] == 0
    assert everything(out) == rescored
    # Also where somebody has handed in again.
    (classroom / "dan.ipynb").write_text("fails: 4d.padding", encoding="utf-8")
    assert command("batch", classroom, "--out", out)[0] == 0
    assert grades(out)["bob"] == csv_of(rescored["grades.csv"])["bob"]
    status, said = command("batch", classroom, "--out", out, "--rubric", load_default())
    assert status != 0 and "rubric" in said and "--change rubric" in said and "grader rescore" in said
    assert command("batch", classroom, "--out", out, "--rubric", new)[0] == 0
    assert command("batch", classroom, "--out", out, "--change", "rubric")[0] == 0
    assert grades(out)["bob"] == old["bob"]


def load_default() -> Path:
    return load_homework().rubric


def csv_of(data: bytes) -> dict[str, dict[str, str]]:
    return {row["key"]: row for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig")))}


def test_the_seed_stays(classroom: Path, tmp_path: Path, command: Any) -> None:
    out, seed, other = tmp_path / "out", tmp_path / "seed.txt", tmp_path / "other.txt"
    seed.write_bytes(SECRET)
    other.write_bytes(SECRET + b"!")
    assert command("batch", classroom, "--out", out, "--seed-file", seed)[0] == 0
    before = everything(out)
    for arguments in ((), ("--seed-file", other)):
        status, said = command("batch", classroom, "--out", out, *arguments)
        assert status != 0 and "give the same --seed-file" in said and "--change seed" in said
        assert everything(out) == before
    assert SECRET not in b"".join(before.values())
    assert command("batch", classroom, "--out", out, "--seed-file", seed)[0] == 0
    assert everything(out) == before
    assert command("batch", classroom, "--out", out, "--seed-file", other, "--change", "seed")[0] == 0
    assert all(row["status"] == "graded" for row in grades(out).values())


def test_options_stay(classroom: Path, tmp_path: Path, command: Any, made_up: MadeUp) -> None:
    out = tmp_path / "out"
    assert command("batch", classroom, "--out", out, "--timeout", 600, "--training", "never")[0] == 0
    before = everything(out)
    made_up.judged.clear()
    status, said = command("batch", classroom, "--out", out, "--timeout", 900)
    assert status != 0 and "timeout 600 s (this command: 900 s)" in said and "--change timeout" in said
    for arguments in (
        (),
        ("--timeout", 600),
        ("--jobs", 1),
        ("--limit", 1),
        ("--only", "2a"),
        ("--training", "never"),
    ):
        assert command("batch", classroom, "--out", out, *arguments)[0] == 0
        assert grades(out) == csv_of(before["grades.csv"])
    assert not made_up.judged
    assert json.loads((out / "batch.json").read_text())["settings"]["training"] == "never"
    assert command("batch", classroom, "--out", out, "--change", "timeout")[0] == 0
    assert len(made_up.judged) == 3 and all(row["status"] == "graded" for row in grades(out).values())
    assert "takes one of" in command("batch", classroom, "--out", out, "--change", "all")[1]


def test_another_grader_or_homework_is_refused(
    batch: Batch, classroom: Path, assignment: Assignment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    batch(classroom)
    before = everything(tmp_path / "out")
    cells = assignment.template.cells[1:]
    with pytest.raises(UsageError, match="homework"):
        batch(classroom, by=replace(assignment, template=replace(assignment.template, cells=cells)))
    manifest = tmp_path / "out" / "batch.json"
    written = json.loads(manifest.read_text())
    written["settings"]["grader"] = "0" * len(written["settings"]["grader"])
    manifest.write_text(json.dumps(written))
    with pytest.raises(UsageError, match="--change grader"):
        batch(classroom)
    batch(classroom, change=("grader",))
    assert everything(tmp_path / "out") == before


def test_all_that_differs_is_shown_at_once(batch: Batch, classroom: Path, assignment: Assignment) -> None:
    batch(classroom)
    other = replace(assignment, seed=SECRET, limits=Limits(total=100))
    with pytest.raises(UsageError) as caught:
        batch(classroom, by=other)
    said = str(caught.value)
    assert "--change seed --change timeout" in said and "\n" not in said
    assert "seed public (this command: secret" in said and "timeout 900 s (this command: 100 s)" in said


def test_nothing_is_refused_before_anything_is_graded(
    batch: Batch, classroom: Path, assignment: Assignment
) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch(classroom, show=stop)
    assert batch(classroom, by=replace(assignment, seed=SECRET)).judged == 3


def test_other_data_are_refused_once_somebody_was_trained(assignment: Assignment, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    one = memory.settings_of(assignment, b"", b"", data=tmp_path / "a")
    other = memory.settings_of(assignment, b"", b"", data=tmp_path / "b")
    none = memory.settings_of(assignment, b"", b"")
    assert [found.name for found in memory.differences(one, other, trained=True)] == ["data"]
    assert not memory.differences(one, other, trained=False) and not memory.differences(
        none, one, trained=True
    )


def test_a_class_list_that_is_damaged_is_not_forgotten(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    batch(classroom)
    (tmp_path / "out" / "batch.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"batch.json: cannot be read"):
        batch(classroom)


# -- rows ----------------------------------------------------------------------------------------------------------


def test_students_do_not_vanish_with_other_submissions(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    batch(classroom)
    before = everything(tmp_path / "out")
    late = tmp_path / "late"
    late.mkdir()
    (late / "eve.ipynb").write_text("all right", encoding="utf-8")
    with pytest.raises(UsageError, match=r"4 students .*ada, bob, cyd, dan.*--change students"):
        batch(late)
    assert everything(tmp_path / "out") == before
    assert sorted(grades_after(batch, tmp_path, classroom, late)) == ["ada", "bob", "cyd", "dan", "eve"]
    assert batch(late, change=("students",)).gone == ("ada", "bob", "cyd", "dan")


def grades_after(batch: Batch, tmp_path: Path, *sources: Path, **options: Any) -> dict[str, dict[str, str]]:
    batch(*sources, **options)
    return grades(tmp_path / "out")


def test_who_was_taken_out_of_the_same_folder_is_named(batch: Batch, classroom: Path) -> None:
    batch(classroom)
    (classroom / "cyd.ipynb").unlink()
    outcome = batch(classroom)
    assert outcome.gone == ("cyd",)
    console = Console(file=io.StringIO(), width=200)
    print_batch(outcome, Path("out"), console)
    assert "no longer in the class: cyd" in console.file.getvalue()  # type: ignore[attr-defined]


def test_an_override_stays_with_its_student(batch: Batch, tmp_path: Path) -> None:
    """Keys came from the order of paths, so that an override moved to somebody else."""
    folder = tmp_path / "class"
    for name in ("mon", "tue"):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}-only.ipynb").write_text("all right", encoding="utf-8")
        (folder / name / "ada.ipynb").write_text(f"all right {name}", encoding="utf-8")
    sources = [folder / "mon", folder / "tue"]
    batch(*sources)
    key = next(key for key, row in grades(tmp_path / "out").items() if "tue" in key and "ada" in key)
    (tmp_path / "out" / "overrides.yaml").write_text(
        f"- {{submission: {key}, item: 1a, points: 1, who: me, why: read}}", encoding="utf-8"
    )
    (folder / "aaa").mkdir()
    (folder / "aaa" / "ada.ipynb").write_text("somebody new", encoding="utf-8")
    (folder / "aaa" / "eve.ipynb").write_text("somebody new", encoding="utf-8")
    batch(folder / "aaa", *sources)
    rows = grades(tmp_path / "out")
    assert [row["key"] for row in rows.values() if row["1a"]] == [key]
    (folder / "mon" / "ada.ipynb").unlink()
    batch(folder / "aaa", *sources)
    rows = grades(tmp_path / "out")
    assert [row["key"] for row in rows.values() if row["1a"]] == [key]
    result = Result.model_validate_json((tmp_path / "out" / "results" / f"{key}.json").read_bytes())
    assert "tue" in key and result.submission == "ada.ipynb"


def test_members_of_a_group_have_rows_and_are_not_each_others_copies(batch: Batch, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "submission_metadata.yml": METADATA,
        "submission_1/hw3.zip": zipped({"hw3.ipynb": homework()}),
        "submission_3/hw3.ipynb": homework(),
        "hello.txt": "x",
    }
    (tmp_path / "class.zip").write_bytes(zipped(files))
    outcome = batch(tmp_path / "class.zip")
    rows = grades(tmp_path / "out")
    assert outcome.judged == 1 and outcome.strange == ("hello.txt",)
    ada, bob, carl, dora = rows.values()
    assert (ada["email"], bob["email"]) == ("ada@example.edu", "bob@example.edu")
    assert ada["score"] == bob["score"] == "18" and not ada["same_as"] and not bob["same_as"]
    assert "together with Bob Bb" in ada["remarks"] and dora["same_as"] == "Ada-Aa_0012"
    assert carl["status"] == "not gradable" and "Nothing was handed in" in carl["remarks"]
    feedback = (tmp_path / "out" / "feedback" / "Bob-Bb_0013.md").read_text(encoding="utf-8")
    assert "Graded file: hw3\\.zip\\/hw3\\.ipynb" in feedback and "Bob Bb" in feedback.splitlines()[0]
    summary = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert "## Files that may belong to no student\n\n- hello\\.txt" in summary and "4 students" in summary


# -- totals --------------------------------------------------------------------------------------------------------


def test_totals_agree_everywhere(
    batch: Batch, classroom: Path, tmp_path: Path, assignment: Assignment
) -> None:
    """With all items graded, the terminal said "of 18" and the summary 35."""
    out, rubric = tmp_path / "out", assignment.rubric
    batch(classroom)
    for by_hand in ([], [item for item in rubric.items if item.kind != "automatic"]):
        lines = [
            f"- {{submission: {key}, item: {item.id}, points: {item.points / 2}, who: me, why: read}}"
            for key in grades(out)
            for item in by_hand
        ]
        (out / "overrides.yaml").write_text("\n".join(lines), encoding="utf-8")
        outcome = batch(classroom)
        console = Console(file=io.StringIO(), width=200)
        print_batch(outcome, out, console)
        said = console.file.getvalue()  # type: ignore[attr-defined]
        summary = (out / "summary.md").read_text(encoding="utf-8")
        (line,) = re.findall(r"^Scores: .*$", said, re.M)
        assert line in summary
        assert ("of 35 points." in line) == bool(by_hand) and ("of 18 points graded so far" in line) == (
            not by_hand
        )
        for key, row in grades(out).items():
            result = Result.model_validate_json((out / "results" / f"{key}.json").read_bytes())
            assert outcome.results[key] == result
            for name, value in (
                ("score", result.score),
                ("judged", result.max_score),
                ("pending", result.pending),
            ):
                assert float(row[name]) == value, (key, name)
            assert (
                f"**{row['score']} of {row['judged']} points**"
                in (out / "feedback" / f"{key}.md").read_text()
            )
    with Store(out, create=False) as opened:
        assert not rescore.prepare(opened, load_default()).changes


def test_a_folder_of_an_earlier_version_goes_on(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    batch(classroom)
    path = tmp_path / "out" / "batch.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    for name in ("settings", "keys", "sources", "strange"):
        del data[name]
    for member in data["members"]:
        del member["identity"], member["group"]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert store.remembered(tmp_path / "out") == {"rubric": ""}, "the folder's own rubric stays"
    outcome = batch(classroom)
    assert outcome.judged == 0 and not outcome.gone


def test_excel_reads_the_names(batch: Batch, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "müllerjörg_7_8_hw.ipynb").write_text("fine", encoding="utf-8")
    batch(folder)
    assert (tmp_path / "out" / "grades.csv").read_bytes().startswith(b"\xef\xbb\xbfkey,")
    assert load_rubric(tmp_path / "out" / "rubric.yaml").total == 35


def test_results_in_the_class_s_own_folder_are_nobodys_work(batch: Batch, classroom: Path) -> None:
    for _ in range(2):
        outcome = batch(classroom, to=classroom / "results")
        assert [member.key for member in outcome.members] == [
            "ada",
            "bob",
            "cyd",
            "dan",
        ] and not outcome.strange


def test_an_override_of_somebody_who_left_goes_to_nobody_else(assignment: Assignment, tmp_path: Path) -> None:
    """Even where somebody else's name is what the key of the one who left was."""
    (tmp_path / "overrides.yaml").write_text(
        "- {submission: cyd, item: 1a, points: 1, who: me, why: read}", encoding="utf-8"
    )
    others = [Member(key="cyd_77", name="cyd", id="77", file="hw3.ipynb", digest="")]
    (found,) = load_overrides(tmp_path, others, assignment.rubric) or ()
    assert found.key == "cyd_77"
    with pytest.raises(UsageError, match="cyd: is no longer in this class"):
        load_overrides(tmp_path, others, assignment.rubric, ["cyd", "cyd_77"])


def test_each_is_told_of_the_own_file(
    batch: Batch, tmp_path: Path
) -> None:
    """What two handed in alike is judged once; the file of the one is no matter of the other's."""
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "ada_1_90_mine.ipynb").write_text("{", encoding="utf-8")
    (folder / "bob_2_91_homework.zip").write_bytes(zipped({"x/his.ipynb": "{"}))

    def judge(path: Path, assignment: Assignment, request: Request) -> Judged:
        return Judged(failure(path.name, assignment, f"{path.name}: breaks off before its end"))

    outcome = batch(folder, judge=judge)
    assert outcome.judged == 1
    errors = {key: result.error for key, result in outcome.results.items()}
    assert errors == {
        "ada_1": "ada_1_90_mine.ipynb: breaks off before its end",
        "bob_2": "bob_2_91_homework.zip/x/his.ipynb: breaks off before its end",
    }


def test_the_homework_is_loaded_from_where_it_came(classroom: Path, tmp_path: Path, command: Any) -> None:
    out = tmp_path / "out"
    assert command("batch", classroom, "--out", out)[0] == 0
    data = json.loads((out / "batch.json").read_text(encoding="utf-8"))
    assert data["settings"]["homework_source"] == "grader.homework3"
    data["settings"]["homework_source"] = "no_such_homework"
    (out / "batch.json").write_text(json.dumps(data), encoding="utf-8")
    status, said = command("batch", classroom, "--out", out)
    assert status != 0 and "no_such_homework" in said
    assert command("batch", classroom, "--out", out, "--change", "homework")[0] == 0
