"""Every student of an export has a row under a name that stays, however the class was exported. Nothing is graded here."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.batch.submissions import Class, Entry, find_submissions
from tests.submission.test_handin import OTHER, homework, zipped

Files = dict[str, "str | bytes"]
HW = homework()
METADATA = """\
submission_1:
  :submitters:
  - :name: Ada Aa
    :sid: '0012'
    :email: ada@example.edu
  - :name: Bob Bb
    :sid: '0013'
    :email: bob@example.edu
  :created_at: 2025-10-01 12:00:00.0 Z
submission_2:
  :submitters:
  - :name: Carl Cc
    :sid:
    :email: carl@example.edu
  :created_at: 2025-10-01 12:00:00.0 Z
submission_3:
  :submitters:
  - :name: Dora Dd
    :sid: '0015'
    :email: dora@example.edu
  :created_at: 2025-10-02 12:00:00.0 Z
"""


def class_of(tmp_path: Path, files: Files, kind: str) -> Class:
    """The class in these files, given as a folder or as an archive."""
    source = tmp_path / "class"
    if kind == "zip":
        source = tmp_path / "class.zip"
        source.write_bytes(zipped(files))
    else:
        for name, content in files.items():
            path = source / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return find_submissions([source], tmp_path / "extracted")


def rows(found: Class) -> dict[str, Entry]:
    assert len({entry.key for entry in found.entries}) == len(found.entries)
    return {entry.key: entry for entry in found.entries}


BOTH = pytest.mark.parametrize("kind", ["folder", "zip"])

ANYTHING: dict[str, tuple[str | bytes, str, str]] = {
    "hw3.ipynb": (HW, "hw3.ipynb", ""),
    "HW3.IPYNB": (HW, "HW3.IPYNB", ""),
    "hw3.ipynb.txt": (HW, "hw3.ipynb.txt", ""),
    "hw3.ipynb.json": (HW, "hw3.ipynb.json", ""),
    "hw3 (1).ipynb": (HW, "hw3 (1).ipynb", ""),
    "Übung 3 – ноутбук.ipynb": (HW, "Übung 3 – ноутбук.ipynb", ""),
    "hw3.zip": (zipped({"a/hw3.ipynb": HW}), "hw3.zip/a/hw3.ipynb", ""),
    "all.zip": (zipped({"hw3.zip": zipped({"hw3.ipynb": HW})}), "all.zip/hw3.zip/hw3.ipynb", ""),
    "HW3.ZIP": (zipped({"HW3.IPYNB": HW, "__MACOSX/._HW3.IPYNB": b"x"}), "HW3.ZIP/HW3.IPYNB", ""),
    "hw3.txt": (HW, "hw3.txt", ""),
    "hw3.ipynb.download": (HW, "hw3.ipynb.download", ""),
    "hw3.pdf": (b"%PDF-1.4", "hw3.pdf", "is a PDF"),
    "hw3.py": (b"x = 1\n", "hw3.py", "is a Python script"),
    "essay.docx": (zipped({"word/document.xml": "x"}), "essay.docx", "is a Word document"),
    "hw3.rar": (b"Rar!\x1a\x07\x00", "hw3.rar", "RAR"),
    "locked.zip": (b"PK\x03\x04" + bytes(40), "locked.zip", "damaged archive"),
    "empty.zip": (zipped({"readme.txt": "hi"}), "empty.zip", "no notebook in your archive"),
    "bomb.zip": (zipped({"hw3.ipynb": bytes(30 << 20)}), "bomb.zip", "far more than a notebook"),
    "IMG_2041.HEIC": (b"\x00\x01", "IMG_2041.HEIC", "no notebook among your files"),
    "page.html": (b"<html>", "page.html", "is a web page"),
    "homework.gdoc": (b"{}", "homework.gdoc", "a link to Google Drive"),
    "empty.ipynb": (b"", "empty.ipynb", ""),
}
"""What a student hands in: its content, the file that the row names, and why there is nothing to grade."""

LAYOUTS = {
    "canvas": "student{n:03}_{n}_9{n}_{file}",
    "canvas late": "student{n:03}_LATE_{n}_9{n}_{file}",
    "gradescope": "assignment_1_export/submission_{n}/{file}",
    "moodle": "Student Nr{n:03}_{n}_assignsubmission_file/{file}",
    "moodle, flat": "Student Nr{n:03}_{n}_assignsubmission_file_{file}",
    "blackboard": "HW_3_u{n:03}_attempt_2025-10-01-12-00-00_{file}",
    "brightspace": "{n:03}-77 - Student {n:03} - Oct 1, 2025 1200 PM/{file}",
    "a folder each": "student{n:03}/{file}",
}


@BOTH
@pytest.mark.parametrize("layout", LAYOUTS)
def test_everyone_has_a_row_whatever_was_handed_in(tmp_path: Path, layout: str, kind: str) -> None:
    files: Files = {
        LAYOUTS[layout].format(n=n, file=file): content
        for n, (file, (content, _, _)) in enumerate(ANYTHING.items(), 1)
    }
    found = class_of(tmp_path, files, kind)
    assert len(found.entries) == len(ANYTHING) and not found.strange
    for n, (_, file, problem) in enumerate(ANYTHING.values(), 1):
        (entry,) = (entry for entry in found.entries if f"{n:03}" in entry.key or entry.id == str(n))
        assert (
            entry.file
            == Path(LAYOUTS[layout].format(n=n, file=file.partition("/")[0])).name
            + file[len(file.partition("/")[0]) :]
        )
        assert problem in (entry.problem or "") and bool(problem) == bool(entry.problem), entry.problem
        assert entry.late == ("late" in layout)
        if not problem:
            assert entry.digest and entry.path.read_bytes() == (
                ANYTHING[file][0] if file == "empty.ipynb" else HW.encode()
            )


@BOTH
def test_a_flat_class_has_rows_for_what_may_be_work_and_lists_the_rest(tmp_path: Path, kind: str) -> None:
    files: Files = {
        "ada.ipynb": HW, "bob.zip": zipped({"x/hw3.ipynb": HW}), "carl.pdf": b"%PDF", "dora.py": b"", "eve.ipynb.txt": HW,
        "finn.tar.gz": b"\x1f\x8b", "ada.pdf": b"%PDF", "notes.txt": "hi", "grades.csv": "a,b", "README.md": "hi",
        ".DS_Store": b"x", "Thumbs.db": b"x",
    }  # fmt: skip
    found = class_of(tmp_path, files, kind)
    assert list(rows(found)) == ["ada", "bob", "carl", "dora", "eve", "finn"]
    assert sorted(found.strange) == ["README.md", "grades.csv", "notes.txt"]
    assert "ada.pdf" in " ".join(rows(found)["ada"].notes)


@BOTH
@pytest.mark.parametrize("n_strays", [1, 2])
@pytest.mark.parametrize("wrapped", ["", "submissions/"])
def test_stray_files_change_no_students_name(tmp_path: Path, kind: str, n_strays: int, wrapped: str) -> None:
    strays: Files = dict(list({"solution.ipynb": OTHER, "grades.csv": "x"}.items())[:n_strays])
    for number, (layout, ids) in enumerate(
        {
            "canvas": [str(n) for n in range(1, 5)],
            "moodle": [str(n) for n in range(1, 5)],
            "blackboard": [f"u{n:03}" for n in range(1, 5)],
            "gradescope": [str(n) for n in range(1, 5)],
            "brightspace": [f"{n:03}" for n in range(1, 5)],
        }.items()
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        files: Files = {wrapped + LAYOUTS[layout].format(n=n, file="hw3.ipynb"): HW for n in range(1, 5)}
        inner = wrapped + ("assignment_1_export/" if layout == "gradescope" else "")
        files |= {inner + name: content for name, content in strays.items()}
        found = class_of(folder, files, kind)
        assert [entry.id for entry in found.entries if entry.key != "solution"] == ids, layout
        stray = rows(found)["solution"]
        assert "does not match the layout" in stray.notes[-1]
        assert any("solution" in name for name in found.strange)
        assert (n_strays == 2) == ("grades.csv" in found.strange)


def test_names_and_flags_of_each_layout(tmp_path: Path) -> None:
    cases: list[tuple[Files, list[tuple[str, str, str]]]] = [
        (
            {
                "o'neil-joej_LATE_12_900_hw3-1.ipynb": HW,
                "anon_x1Y2z_901_hw3.ipynb": HW,
                "bobb_13_text.html": "<p>see my mail",
                "carlc_LATE_14_link.html": "<a>",
            },
            [
                ("anon_x1Y2z", "anon_x1Y2z", "anon_x1Y2z"),
                ("bobb_13", "bobb", "13"),
                ("carlc_14", "carlc", "14"),
                ("o-neil-joej_12", "o'neil-joej", "12"),
            ],
        ),
        (
            {
                "Ada Aa_12_assignsubmission_file_/hw3.ipynb": HW,
                "Ada Aa_12_assignsubmission_onlinetext_/onlinetext.html": "<p>",
                "Group 1-Bob_B_13_assignsubmission_file/hw3.ipynb": HW,
                "Dora_14_assignsubmission_onlinetext/onlinetext.html": "<p>",
            },
            [
                ("Ada-Aa_12", "Ada Aa", "12"),
                ("Dora_14", "Dora", "14"),
                ("Group-1-Bob_B_13", "Group 1-Bob_B", "13"),
            ],
        ),
        (
            {
                "HW 3_ada_aa_attempt_2025-10-01-12-00-00.txt": "Name: Ada Aa (ada_aa)\nAssignment: HW 3\n",
                "HW 3_ada_aa_attempt_2025-10-01-12-00-00_hw3.ipynb": HW,
                "HW 3_bob_aa_attempt_2025-10-01-12-00-00.txt": "Name: Bob\n\nComments:\nName: Eve (eve)\n",
                "HW 3_bob_aa_attempt_2025-10-01-12-00-00_hw3.pdf": b"%PDF",
                "HW 3_carl_attempt_2025-10-01-12-00-00.txt": "nothing known",
            },
            [
                ("Ada-Aa_ada_aa", "Ada Aa", "ada_aa"),
                ("Bob_bob_aa", "Bob", "bob_aa"),
                ("carl", "carl", "carl"),
            ],
        ),
        (
            {
                "a1-77 notes.txt": "x",
                "12-77 - Ada Aa - Oct 1, 2025 1200 PM/hw3.ipynb": HW,
                "13-77 - Bob - B - October 11, 2025 905 AM/hw3.ipynb": HW,
                "index.html": "<html>",
            },
            [("Ada-Aa_12", "Ada Aa", "12"), ("Bob---B_13", "Bob - B", "13")],
        ),
    ]
    for number, (files, expected) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = class_of(folder, files, "zip")
        assert [(entry.key, entry.name, entry.id) for entry in found.entries] == expected
    assert [entry.late for entry in class_of(tmp_path / "0", cases[0][0], "folder").entries] == [
        False,
        False,
        True,
        True,
    ]


@BOTH
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "HW3_ada_attempt_2025-10-01-12-00-00_hw3.ipynb",
            "HW3_ada_attempt_2025-10-02-12-00-00_hw3.ipynb",
        ),
        ("12-77 - Ada - Oct 9, 2025 1200 AM/hw3.ipynb", "12-77 - Ada - Oct 10, 2025 1259 AM/hw3.ipynb"),
        ("12-77 - Ada - Oct 9, 2025 1100 AM/hw3.ipynb", "12-77 - Ada - Oct 9, 2025 100 PM/hw3.ipynb"),
        ("ada_12_99_hw3.ipynb", "ada_LATE_12_100_hw3-1.ipynb"),
        ("ada/attempt_9/hw3.ipynb", "ada/attempt_10/hw3.ipynb"),
        ("ada/2025-10-09T10:00/hw3.ipynb", "ada/2025-10-10T09:00/hw3.ipynb"),
    ],
)
def test_the_latest_attempt_counts_and_others_are_named(
    tmp_path: Path, first: str, second: str, kind: str
) -> None:
    # Even where the first holds more of the homework.
    later = homework("later", parts=3 if "attempt" in first or " - " in first else 4)
    files: Files = {first: homework("earlier"), second: later}
    files |= {
        name.replace("ada", "bob").replace("Ada", "Bob").replace("12", "13", 1): HW for name in (first,)
    }
    found = class_of(tmp_path, files, kind)
    assert len(found.entries) == 2
    entry = next(entry for entry in found.entries if entry.key.lower().startswith("ada"))
    assert entry.path.read_bytes() == later.encode()
    assert "Not graded: " in entry.notes[0] and "hw3.ipynb" in entry.notes[0].partition("Not graded: ")[2]
    assert entry.late == ("LATE" in second)


@BOTH
def test_a_group_has_a_row_for_each_member(tmp_path: Path, kind: str) -> None:
    files: Files = {
        "export/submission_metadata.yml": METADATA,
        "export/submission_1/hw3.zip": zipped({"hw3.ipynb": HW}),
        "export/submission_3/hw3.ipynb": HW,
        "export/submission_4/hw3.ipynb": HW,
        "export/notes.txt": "x",
    }
    found = class_of(tmp_path, files, kind)
    assert [(entry.key, entry.id, entry.email) for entry in found.entries] == [
        ("Ada-Aa_0012", "0012", "ada@example.edu"),
        ("Bob-Bb_0013", "0013", "bob@example.edu"),
        ("Carl-Cc_carl", "", "carl@example.edu"),
        ("Dora-Dd_0015", "0015", "dora@example.edu"),
        ("submission_4", "4", ""),
    ]
    ada, bob, carl, dora, _ = found.entries
    assert ada.digest == bob.digest == dora.digest and ada.group == bob.group != dora.group
    assert "together with Bob Bb" in ada.notes[-1] and "together with Ada Aa" in bob.notes[-1]
    assert carl.problem is not None and "Nothing was handed in" in carl.problem
    assert found.strange == ("notes.txt",)


def test_of_two_submissions_to_gradescope_the_latest_counts(tmp_path: Path) -> None:
    text = METADATA.replace("'0015'", "'0012'").replace("Dora Dd", "Ada Aa")
    files: Files = {
        "submission_metadata.yml": text,
        **{f"submission_{n}/hw3.ipynb": homework(str(n)) for n in (1, 2, 3)},
    }
    found = rows(class_of(tmp_path, files, "zip"))
    assert len(found) == 3
    assert (
        b"'3'" in found["Ada-Aa_0012"].path.read_bytes() and b"'1'" in found["Bob-Bb_0013"].path.read_bytes()
    )
    assert "earlier: submission_1" in " ".join(found["Ada-Aa_0012"].notes)


def test_a_student_keeps_the_row_whoever_else_hands_in(tmp_path: Path) -> None:
    """Keys are what overrides name: they may not move to somebody else."""
    extracted = tmp_path / "extracted"
    for layout, pattern in LAYOUTS.items():
        all_of_them: Files = {pattern.format(n=n, file="hw3.ipynb"): homework(str(n)) for n in range(1, 6)}
        whose: dict[str, bytes] = {}
        for number, left_out in enumerate((None, *all_of_them)):
            archive = tmp_path / f"{layout} {number}.zip"
            archive.write_bytes(
                zipped({name: text for name, text in all_of_them.items() if name != left_out})
            )
            found = find_submissions([archive], extracted)
            assert len(found.entries) == (5 if left_out is None else 4)
            for entry in found.entries:
                assert whose.setdefault(entry.key, entry.path.read_bytes()) == entry.path.read_bytes()


def test_two_students_of_one_name_keep_their_keys(tmp_path: Path) -> None:
    def find(*names: str, keys: dict[str, str] | None = None) -> dict[str, str]:
        sources = [tmp_path / name for name in names]
        found = find_submissions(sources, tmp_path / "extracted", keys=keys)
        return {entry.key: str(entry.path.relative_to(tmp_path)) for entry in found.entries}

    for name in (
        "mon/ada.ipynb",
        "mon/bob.ipynb",
        "tue/ada.ipynb",
        "tue/cyd.ipynb",
        "wed/ADA.ipynb",
        "wed/eve.ipynb",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(homework(name))
    both = find("mon", "tue")
    assert both == find("tue", "mon")
    assert both["ada-mon"] == "mon/ada.ipynb" and both["ada-tue"] == "tue/ada.ipynb"
    three = find("mon", "wed")
    assert len(three) == 4 and len({key.casefold() for key in three}) == 4
    # What was called so first stays so.
    known = find_submissions([tmp_path / "mon"], tmp_path / "extracted").entries
    keys = {entry.identity: entry.key for entry in known}
    assert find("mon", "wed", keys=keys)["ada"] == "mon/ada.ipynb"
    assert "ada" not in find("wed", keys=keys), "a key is not given to somebody else"


def test_the_same_students_in_two_exports(tmp_path: Path) -> None:
    for name, files in {
        "first": {"ada_1_90_hw3.ipynb": homework("old"), "bob_2_91_hw3.ipynb": HW},
        "again": {"ada_LATE_1_99_hw3-1.ipynb": homework("new"), "cyd_3_98_hw3.ipynb": HW},
    }.items():
        (tmp_path / f"{name}.zip").write_bytes(zipped(dict(files)))
    for order in (["first", "again"], ["again", "first"]):
        found = find_submissions([tmp_path / f"{name}.zip" for name in order], tmp_path / "extracted")
        got = rows(found)
        assert list(got) == ["ada_1", "bob_2", "cyd_3"]
        assert b"'new'" in got["ada_1"].path.read_bytes()
