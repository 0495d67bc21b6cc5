"""Folders, archives and files of students whom no platform named, and what hand-ins contain."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from grader.batch.submissions import find_submissions
from tests.batch.test_layouts import BOTH, HW, LAYOUTS, Files, class_of, rows
from tests.submission.test_handin import homework, zipped

PLAIN: dict[str, tuple[list[str], list[str]]] = {
    "folders with files of one name": (
        ["aaa/hw3.ipynb", "ada/hw3.ipynb", "bob/hw3.ipynb"],
        ["aaa", "ada", "bob"],
    ),
    "folders with files of several names": (["ada/hw3.ipynb", "bob/final version.ipynb"], ["ada", "bob"]),
    "folders with several files": (["ada/hw3.ipynb", "ada/draft.ipynb", "bob/hw3.ipynb"], ["ada", "bob"]),
    "an empty folder": (["ada/hw3.ipynb", "bob/"], ["ada", "bob"]),
    "zips": (["ada.zip", "bob.zip", "notes.txt"], ["ada", "bob"]),
    "zips and folders": (["ada.zip", "bob/hw3.ipynb", "carl.ipynb"], ["ada", "bob", "carl"]),
    "what was unpacked beside its zip": (["ada.zip", "ada/hw3.ipynb", "bob.zip"], ["ada", "bob"]),
    "a wrapper": (["hw3/ada.ipynb", "hw3/bob.ipynb", "README.txt"], ["ada", "bob"]),
    "two wrappers": (["a/b/ada.ipynb", "a/b/bob.ipynb"], ["ada", "bob"]),
    "deep folders": (["submitted/ada/hw3/hw3.ipynb", "submitted/bob/hw3/hw3.ipynb"], ["ada", "bob"]),
    "sections": (
        ["mon/ada.ipynb", "mon/bob.ipynb", "tue/cyd.ipynb", "tue/dan.zip"],
        ["mon-ada", "mon-bob", "tue-cyd", "tue-dan"],
    ),
    "sections of folders": (
        ["mon/ada/hw3.ipynb", "mon/bob/hw3.ipynb", "tue/cyd/hw3.ipynb", "tue/dan/hw3.ipynb"],
        ["mon-ada", "mon-bob", "tue-cyd", "tue-dan"],
    ),
    "one student of a class": (["ada/hw3.ipynb"], ["ada"]),
    "several files of one student": (["ada/homework3.ipynb", "ada/homework3-Copy1.ipynb"], ["ada"]),
    "a draft of one student": (["ada/mine.ipynb", "ada/draft.ipynb"], ["ada"]),
    "attempts of one student": (["ada/attempt_1/x.ipynb", "ada/attempt_2/x.ipynb"], ["ada"]),
    "students whose names hold such words": (
        ["mon/Harold.ipynb", "mon/Parth.ipynb", "tue/Goldberg.ipynb", "tue/Copley.ipynb"],
        ["mon-Harold", "mon-Parth", "tue-Copley", "tue-Goldberg"],
    ),
    "students with numbers in sections": (
        ["mon/s1.ipynb", "mon/s2.ipynb", "tue/s3.ipynb", "tue/s4.ipynb"],
        ["mon-s1", "mon-s2", "tue-s3", "tue-s4"],
    ),
    "a solution among students": (
        ["hw3/ada.ipynb", "hw3/bob.ipynb", "hw3/solution.ipynb"],
        ["ada", "bob", "solution"],
    ),
    "numbers are names": (
        ["student-1.ipynb", "student-2.ipynb", "hw (1).ipynb"],
        ["hw-1", "student-1", "student-2"],
    ),
    "numbers that look like Canvas's, once": (
        ["hw_3_2024_x.ipynb", "ada.ipynb", "bob.ipynb"],
        ["ada", "bob", "hw_3_2024_x"],
    ),
}


@BOTH
@pytest.mark.parametrize("case", PLAIN)
def test_students_of_plain_folders(tmp_path: Path, case: str, kind: str) -> None:
    names, keys = PLAIN[case]
    files: Files = {
        name: zipped({"hw3.ipynb": homework(name)}) if name.endswith(".zip") else homework(name)
        for name in names
    }
    assert list(rows(class_of(tmp_path, files, kind))) == keys


def test_files_and_hand_ins_named_one_by_one(tmp_path: Path) -> None:
    for name in ("ada_1_90_hw3.ipynb", "bob_LATE_2_91_hw3.pdf", "cyd_3_92_hw3.zip"):
        (tmp_path / name).write_bytes(zipped({"hw3.ipynb": HW}) if name.endswith("zip") else HW.encode())
    found = rows(find_submissions(sorted(tmp_path.glob("*_*")), tmp_path / "extracted"))
    assert {key: entry.late for key, entry in found.items()} == {
        "ada_1": False,
        "bob_2": True,
        "cyd_3": False,
    }
    for name in ("ada", "bob", "cyd"):
        (tmp_path / "each" / name).mkdir(parents=True)
        (tmp_path / "each" / name / "hw3.ipynb").write_text(homework(name))
        (tmp_path / f"{name}.zip").write_bytes(zipped({"hw3.ipynb": homework(name)}))
    for pattern in ("each/*", "each/*/hw3.ipynb", "???.zip"):
        assert list(rows(find_submissions(sorted(tmp_path.glob(pattern)), tmp_path / "x"))) == [
            "ada",
            "bob",
            "cyd",
        ]


def test_one_hand_in_cannot_refuse_the_class(tmp_path: Path) -> None:
    """Names that no file can have, folders in the place of files, bombs and damaged members cost their owner alone."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ada/hw3.ipynb", HW)
        archive.writestr("bob/hw3.ipynb", bytes(40 << 20))
        archive.writestr(f"carl/{'x' * 300}.ipynb", HW)
        archive.writestr("dora/a", "x")
        archive.writestr("dora/a/hw3.ipynb", HW)
        archive.writestr("../eve/hw3.ipynb", HW)
        archive.writestr("/finn/hw3.ipynb", HW)
        archive.writestr("gus/hw3.ipynb", HW * 3)
    data = bytearray(out.getvalue())
    at = data.rindex(b"gus/hw3.ipynb", 0, data.index(b"PK\x01\x02")) + 40
    data[at : at + 30] = bytes(30)
    (tmp_path / "class.zip").write_bytes(data)
    found = find_submissions([tmp_path / "class.zip"], tmp_path / "extracted")
    got = rows(found)
    assert {key for key, entry in got.items() if entry.problem is None} == {"ada"}
    assert set(got) >= {"ada", "bob", "carl", "dora", "gus"}
    assert "larger than a notebook can be" in str(got["bob"].problem)
    assert any("eve" in name for name in found.strange) and any("finn" in name for name in found.strange)
    assert not (tmp_path / "eve").exists() and not (tmp_path / "extracted" / "eve").exists()


def test_names_within_a_hand_in_do_not_name_other_students(tmp_path: Path) -> None:
    """Files that look like an export's, within what a student handed in."""
    forged: Files = {f"mallory/victim{n}_{n}_9{n}_hw3.ipynb": homework(str(n)) for n in range(9)}
    files: Files = {"ada/hw3.ipynb": HW, "bob/hw3.pdf": b"%PDF", **forged}
    for kind in ("folder", "zip"):
        found = rows(class_of(tmp_path, files, kind))
        assert list(found) == ["ada", "bob", "mallory"]


@pytest.mark.parametrize("layout", ["canvas", "moodle", "blackboard", "gradescope"])
@pytest.mark.parametrize("wrapped", ["", "submissions/"])
def test_an_export_handed_in_by_a_student_names_nobody(
    tmp_path: Path, layout: str, wrapped: str
) -> None:
    inner: Files = {
        wrapped + LAYOUTS[layout].format(n=n, file="hw3.ipynb"): homework(str(n)) for n in range(1, 4)
    }
    found = rows(
        class_of(tmp_path, {"section.zip": zipped(inner), "ada.zip": zipped({"hw3.ipynb": HW})}, "folder")
    )
    assert list(found) == ["ada", "section"]
    assert "export of a whole class" in (found["section"].problem or "") and found["ada"].problem is None


def test_weights_in_a_students_archive_are_found(tmp_path: Path) -> None:
    archive = zipped(
        {"hw3/hw3.ipynb": HW, "hw3/vit.safetensors": b"weights of ada", "hw3/other.safetensors": b"x"}
    )
    found = rows(class_of(tmp_path, {"ada.zip": archive, "bob.zip": zipped({"hw3.ipynb": HW})}, "folder"))
    assert found["ada"].checkpoint is not None and found["ada"].checkpoint.read_bytes() == b"weights of ada"
    assert found["ada"].weights and found["bob"].checkpoint is None


SPOOFED = {
    "canvas": ("mallory_66_900_victim_11_901_hw3.ipynb", "victim_11_90_hw3.ipynb"),
    "moodle, flat": (
        "Mallory_66_assignsubmission_file_Victim_11_assignsubmission_file_hw3.ipynb",
        "Victim_11_assignsubmission_file_hw3.ipynb",
    ),
    "blackboard": (
        "HW3_mallory_attempt_2025-10-01-12-00-00_HW3_victim_attempt_2099-01-01-00-00-00_hw3.ipynb",
        "HW3_victim_attempt_2025-10-01-12-00-00_hw3.ipynb",
    ),
    "a receipt": (
        "HW3_mallory_attempt_2025-10-01-12-00-00_HW3_victim_attempt_2099-01-01-00-00-00.txt",
        "HW3_victim_attempt_2025-10-01-12-00-00_hw3.ipynb",
    ),
}


@pytest.mark.parametrize("case", SPOOFED)
def test_a_students_file_name_does_not_name_other_students(tmp_path: Path, case: str) -> None:
    spoofed, honest = SPOOFED[case]
    files: Files = {
        spoofed: homework("spoofed") if spoofed.endswith("ipynb") else "Name: Victim (victim)",
        honest: HW,
    }
    found = class_of(tmp_path, files, "zip")
    mallory, victim = sorted(found.entries, key=lambda entry: "ictim" in entry.key)
    assert "allory" in mallory.key and "ictim" not in mallory.name and mallory.id in ("66", "mallory")
    assert victim.path.read_bytes() == HW.encode() and victim.id in ("11", "victim")


def test_one_source_given_twice_is_one_class(tmp_path: Path) -> None:
    for name in ("ada/hw3.ipynb", "bob/hw3.pdf"):
        (tmp_path / "class" / name).parent.mkdir(parents=True)
        (tmp_path / "class" / name).write_text(HW)
    (tmp_path / "class" / "cyd").mkdir()
    for again in (tmp_path / "class", tmp_path / "class" / ".." / "class"):
        found = find_submissions([tmp_path / "class", again], tmp_path / "extracted")
        assert list(rows(found)) == ["ada", "bob", "cyd"]
