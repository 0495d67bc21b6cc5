"""Everyone in a roster has a row, and each member of a group whose work bears the group's name. Nothing is graded here."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from grader.batch.roster import load_roster, read_roster
from grader.batch.submissions import Class, Entry, find_submissions
from grader.errors import UsageError
from tests.batch.conftest import Batch
from tests.batch.test_layouts import HW, Files, class_of, rows

pytestmark = pytest.mark.long

CANVAS_GROUPS = """\
name,canvas_user_id,user_id,login_id,sections,group_name,canvas_group_id,group_id
Ada Lovelace,11,s-ada,ada@example.edu,Mon,Project Groups 1,7,
Bob Básquez,12,s-bob,bob,Mon,Project Groups 1,7,
Carl Cc,13,s-carl,carl,Tue,Project Groups 2,8,
Dora Dd,14,s-dora,dora,Tue,,,
"""


def found(tmp_path: Path, files: Files, roster: str, keys: dict[str, str] | None = None) -> dict[str, Entry]:
    """The rows of a class with a roster."""
    class_of(tmp_path, files, "folder")
    students = read_roster(roster, "roster.csv")
    return rows(find_submissions([tmp_path / "class"], tmp_path / "extracted", keys=keys, roster=students))


ROSTERS = {
    "Canvas, gradebook": "Student,ID,SIS User ID,SIS Login ID,Section,HW3 (9)\n    Points Possible,,,,,35\n"
    '"Lovelace, Ada",11,s1,ada,Mon,\n"Básquez, Bob",12,s2,bob,Mon,\n"Cc, Carl",13,s3,carl,Mon,\n"Student, Test",99,,x,Mon,\n',
    "Canvas, groups": CANVAS_GROUPS.replace("Dora Dd,14,s-dora,dora,Tue,,,\n", ""),
    "Moodle, grading worksheet": "Identifier,Full name,Email address,Status,Grade\nParticipant 11,Ada Lovelace,a@x.edu,No,\n"
    "Participant 12,Bob Básquez,b@x.edu,,\nParticipant 13,Carl Cc,c@x.edu,,\n",
    "Gradescope": "First Name,Last Name,SID,Email\nAda,Lovelace,11,a@x.edu\nBob,Básquez,12,b@x.edu\nCarl,Cc,13,c@x.edu\n",
    "Brightspace": "OrgDefinedId;Username;Last Name;First Name;Email\n#11;11;Lovelace;Ada;\n#12;12;Básquez;Bob;\n"
    "#13;13;Cc;Carl;\n",
    "names alone": "name\nAda Lovelace\nBob Básquez\nCarl Cc\n",
    "tabs": "id\tname\n11\tAda Lovelace\n12\tBob Básquez\n13\tCarl Cc\n",
}


@pytest.mark.parametrize("kind", ROSTERS)
@pytest.mark.parametrize(
    "layout", ["{family}{first}_{n}_9{n}_hw3.ipynb", "{name}_{n}_assignsubmission_file/hw3.ipynb", "{name}.ipynb"]
)
def test_everyone_has_a_row(tmp_path: Path, kind: str, layout: str) -> None:
    names = [("Ada", "Lovelace", "11"), ("Bob", "Básquez", "12")]
    files: Files = {}
    for first, family, n in names:
        plain = layout.format(name=f"{first} {family}", n=n, first=first.lower(), family=family.lower().replace("á", "a"))
        files[plain] = HW
    class_ = found(tmp_path, files, ROSTERS[kind])
    assert len(class_) == 3
    (carl,) = (entry for entry in class_.values() if "Carl" in entry.name)
    assert carl.problem is not None and carl.problem.startswith("Nothing was handed in.")
    assert all(entry.digest and not entry.notes for entry in class_.values() if entry is not carl)
    assert any("Básquez" in entry.name for entry in class_.values())


def test_each_member_of_a_group_has_a_row(tmp_path: Path) -> None:
    files: Files = {
        "projectgroups1_LATE_11_90_hw3.ipynb": HW,
        "ddd_14_91_hw3.ipynb": HW,
        "zoe_77_92_hw3.ipynb": HW,
        "mallory_78_93_hw3.ipynb": HW,
    }
    students = CANVAS_GROUPS.replace("canvas_user_id", "section id")
    class_ = found(tmp_path, files, students)
    ada, bob, carl, dora = (
        next(entry for entry in class_.values() if entry.name.startswith(name)) for name in ("Ada", "Bob", "Carl", "Dora")
    )
    assert ada.digest == bob.digest and ada.late and bob.late and ada.group == bob.group != ""
    assert ada.email == "" and ada.id == "s-ada" and bob.notes[-1] == "handed in together with Ada Lovelace"
    assert carl.problem is not None and "Nothing was handed in" in carl.problem
    assert dora.problem is not None, "a name that is not hers is nobody's proof"
    assert class_["zoe_77"].notes == class_["ddd_14"].notes == ("not in the roster",)
    assert len(class_) == 7


def test_canvas_names_a_group_and_the_id_of_a_member(tmp_path: Path) -> None:
    class_ = found(tmp_path, {"projectgroups1_12_90_hw3.ipynb": HW, "ddora_14_91_hw3.ipynb": HW}, CANVAS_GROUPS)
    assert sorted(entry.name for entry in class_.values() if entry.digest) == ["Ada Lovelace", "Bob Básquez", "Dora Dd"]
    assert len(class_) == 4


def test_a_group_gives_nothing_to_members_where_one_handed_in_alone(tmp_path: Path) -> None:
    """A column of sections or of former groups must not hand one student's work to others."""
    class_ = found(tmp_path, {"lovelaceada_11_90_hw3.ipynb": HW, "ccarl_13_91_hw3.ipynb": HW}, CANVAS_GROUPS)
    with_work = [entry.name for entry in class_.values() if entry.digest]
    assert with_work == ["Carl Cc", "Ada Lovelace"] and len(class_) == 4


def test_who_handed_in_alone_as_well_has_one_row(tmp_path: Path) -> None:
    other = HW.replace("hw3", "own")
    class_ = found(tmp_path, {"Project Groups 1/hw3.ipynb": HW, "Ada Lovelace/hw3.ipynb": other + " "}, CANVAS_GROUPS)
    assert sorted(entry.name for entry in class_.values()) == ["Ada Lovelace", "Bob Básquez", "Carl Cc", "Dora Dd"]
    ada, bob = (next(e for e in class_.values() if e.name.startswith(name)) for name in ("Ada", "Bob"))
    assert ada.digest != bob.digest and bob.digest


def test_a_row_stays_when_work_is_handed_in_and_taken_back(tmp_path: Path) -> None:
    def keys_of(class_: dict[str, Entry], known: dict[str, str]) -> dict[str, str]:
        of_roster = {entry.roster: key for key, entry in class_.items() if entry.roster}
        return known | of_roster | {entry.identity: key for key, entry in class_.items()}

    known: dict[str, str] = {}
    seen = []
    bob: Files = {"bbob_12_90_hw3.ipynb": HW}
    for number, files in enumerate((bob, {**bob, "lovelaceada_11_91_hw3.ipynb": HW})):
        for again in ("", "again"):
            folder = tmp_path / f"{number}{again}"
            folder.mkdir()
            class_ = found(folder, files, CANVAS_GROUPS, known)
            known = keys_of(class_, known)
            seen.append({entry.name: key for key, entry in class_.items()})
    back = tmp_path / "back"
    back.mkdir()
    seen.append({entry.name: key for key, entry in found(back, bob, CANVAS_GROUPS, known).items()})
    assert all(one == seen[0] for one in seen), seen


def test_two_of_one_name_are_told_apart_by_id_or_not_at_all(tmp_path: Path) -> None:
    roster = "name,id\nAda Lovelace,11\nAda Lovelace,12\n"
    class_ = found(tmp_path, {"lovelaceada_12_90_hw3.ipynb": HW, "adalovelace_99_91_hw3.ipynb": HW}, roster)
    assert {entry.id: bool(entry.digest) for entry in class_.values()} == {"11": False, "12": True, "99": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 has no column for students"),
        ("points,section\n1,2\n", "line 1 has no column for students"),
        ("name,id\n", "lists no students"),
        ("name,id\n,\n", "lists no students"),
    ],
)
def test_what_is_no_roster_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_roster(text, "roster.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_roster_may_come_from_a_spreadsheet(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "class.csv"
    path.write_bytes("Name;E-Mail\r\nBob Básquez;b@x.edu\r\n".encode(encoding))
    ((bob,), _) = load_roster(path)
    assert (bob.name, bob.email) == ("Bob Básquez", "b@x.edu")
    with pytest.raises(UsageError, match="cannot be read"):
        load_roster(tmp_path / "none.csv")


def test_a_class_folder_remembers_its_roster(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    def names() -> list[str]:
        with (tmp_path / "out" / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
            return [row["name"] for row in csv.DictReader(file)]

    roster = tmp_path / "class.csv"
    roster.write_text("name,login\nAda Aa,ada\nBob Bb,bob\nCyd Cc,cyd\nDan Dd,dan\nEve Ee,eve\n")
    batch(classroom, roster=roster)
    everyone = ["Ada Aa", "Bob Bb", "Cyd Cc", "Dan Dd", "Eve Ee"]
    assert sorted(names()) == everyone
    batch(classroom)
    assert sorted(names()) == everyone
    roster.write_text("name,login\nAda Aa,ada\nBob Bb,bob\nCyd Cc,cyd\nDan Dd,dan\n")
    with pytest.raises(UsageError, match=r"1 student who is not in these submissions \(Eve-Ee_eve\)"):
        batch(classroom, roster=roster)
    assert sorted(names()) == everyone
    batch(classroom, roster=roster, change=("students",))
    assert sorted(names()) == everyone[:-1]


def test_rows_of_a_class_that_was_graded_without_a_roster_stay(batch: Batch, classroom: Path, tmp_path: Path) -> None:
    before: Class = find_submissions([classroom], tmp_path / "x")
    batch(classroom)
    roster = tmp_path / "class.csv"
    roster.write_text("name,login\nAda Aa,ada\nEve Ee,eve\n")
    outcome = batch(classroom, roster=roster)
    assert {member.key for member in outcome.members} == {entry.key for entry in before.entries} | {"Eve-Ee_eve"}
    assert not outcome.gone
