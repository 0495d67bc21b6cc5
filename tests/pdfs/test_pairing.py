"""PDFs find their submissions by the ids of an export, else by name; what finds none is listed with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.batch.roster import read_roster
from grader.batch.submissions import Entry
from grader.errors import UsageError
from grader.pdfs import Pairing, pair
from tests.submission.test_handin import zipped

PDF = b"%PDF-1.4\n%%EOF\n"
METADATA = """\
submission_{a}:
  :submitters:
  - :name: Ada Lovelace
    :sid: '0011'
    :email: ada@example.edu
  - :name: Bob Básquez
    :sid: '0012'
    :email: bob@example.edu
  :created_at: 2025-10-01 12:00:00.0 Z
{b}:
  :submitters:
  - :name: Carl Cc
    :sid:
    :email: carl@example.edu
  :created_at: 2025-10-01 12:00:00.0 Z
"""


def entry(
    key: str, name: str, id: str = "", email: str = "", identity: str = "", path: str = "x.ipynb"
) -> Entry:
    return Entry(key, name, id, Path(path), email=email, identity=identity or f"gradescope:{id or name}")


CLASS = [
    entry("ada", "Ada Lovelace", "0011", "ada@example.edu"),
    entry("bob", "Bob Básquez", "0012", "bob@example.edu"),
    entry("carl", "Carl Cc", "", "carl@example.edu", "gradescope:carl@example.edu"),
    entry("dora", "Dora Dd", "0014", "dora@example.edu"),
]


def paired(
    tmp_path: Path,
    files: dict[str, bytes | str],
    kind: str = "folder",
    submissions: list[Entry] | None = None,
    roster: str = "",
) -> Pairing:
    """The pairing of files, given as a folder or as an archive."""
    source = tmp_path / "pdfs"
    if kind == "zip":
        source = tmp_path / "pdfs.zip"
        source.write_bytes(zipped(files))  # type: ignore[arg-type]
    else:
        for name, content in files.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    students = read_roster(roster, "roster.csv") if roster else ()
    return pair(source, CLASS if submissions is None else submissions, tmp_path / "extracted", students)


def names(found: Pairing) -> dict[str, list[str]]:
    return {key: [path.name for path in paths] for key, paths in found.pdfs.items()}


BOTH = pytest.mark.parametrize("kind", ["folder", "zip"])


@BOTH
@pytest.mark.parametrize(
    ("metadata", "files"),
    [
        (METADATA.format(a=5, b="submission_6"), ["submission_5/answers.pdf", "submission_6/answers.pdf"]),
        (METADATA.format(a=5, b="6"), ["5.pdf", "6.pdf"]),
        (METADATA.format(a=5, b="6.pdf"), ["submission_5.pdf", "6.PDF"]),
        (METADATA.format(a=5, b="submission_6"), ["export/5.pdf", "export/6.pdf"]),
    ],
)
def test_gradescope_says_whose_a_pdf_is(tmp_path: Path, kind: str, metadata: str, files: list[str]) -> None:
    place = "export/" if files[0].startswith("export/") else ""
    whole = {f"{place}submission_metadata.yml": metadata, **{name: PDF + name.encode() for name in files}}
    found = paired(tmp_path, whole, kind)  # type: ignore[arg-type]
    first, second = (name.rpartition("/")[2] for name in files)
    assert names(found) == {"ada": [first], "bob": [first], "carl": [second]}
    assert found.missing == ("dora",) and found.unpaired == () and set(found.how.values()) == {"id"}
    assert found.pdfs["carl"][0].read_bytes() == PDF + files[1].encode()


@BOTH
def test_numbers_of_submissions_are_enough(tmp_path: Path, kind: str) -> None:
    """Numbers that Gradescope gives are the same in the export of the notebooks."""
    class_ = [
        entry("ada", "Ada Lovelace", "0011", path="class/submission_71/hw3.ipynb"),
        entry("x", "submission_72", "72", identity="gradescope:submission_72"),
    ]
    found = paired(tmp_path, {"71.pdf": PDF, "72.pdf": PDF, "73.pdf": PDF}, kind, class_)
    assert names(found) == {"ada": ["71.pdf"], "x": ["72.pdf"]}
    assert [(one.file, one.reason) for one in found.unpaired] == [
        ("73.pdf", "matches no submission, neither by id nor by name")
    ]


@BOTH
def test_canvas_says_whose_a_pdf_is(tmp_path: Path, kind: str) -> None:
    class_ = [
        entry("ada", "lovelaceada", "11", identity="canvas:11"),
        entry("bob", "bob", "12", identity="canvas:12"),
    ]
    files = {
        "lovelaceada_11_90_written.pdf": PDF, "lovelaceada_11_91_notebook.pdf": PDF, "bob_LATE_12_92_hw3.pdf": PDF,
        "bob_LATE_12_93_hw3.ipynb": "{}", "carl_13_94_hw3.pdf": PDF,
    }  # fmt: skip
    found = paired(tmp_path, files, kind, class_)  # type: ignore[arg-type]
    assert names(found) == {
        "ada": ["lovelaceada_11_90_written.pdf", "lovelaceada_11_91_notebook.pdf"],
        "bob": ["bob_LATE_12_92_hw3.pdf"],
    }
    assert [one.file for one in found.unpaired] == ["carl_13_94_hw3.pdf"]


def test_pdfs_from_canvas_find_notebooks_from_gradescope_by_name_and_by_roster(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "lovelaceada_11_90_hw3.pdf": PDF,
        "basquezbob_12_91_hw3.pdf": PDF,
        "anon_14_92_hw3.pdf": PDF,
    }
    found = paired(tmp_path, files)
    assert found.how == {"ada": "name", "bob": "name"} and [one.file for one in found.unpaired] == [
        "anon_14_92_hw3.pdf"
    ]
    roster = "name,canvas user id,sis user id\nAda Lovelace,11,0011\nBob Básquez,12,0012\nDora Dd,14,0014\n"
    found = paired(tmp_path, files, roster=roster)
    assert set(found.pdfs) == {"ada", "bob", "dora"} and found.how["dora"] == "id"


@pytest.mark.parametrize(
    "name",
    [
        "Ada Lovelace.pdf",
        "lovelace_ada.pdf",
        "hw3_Ada_Lovelace_final.pdf",
        "Ada Lovelace/hw3.pdf",
        "ada.pdf",
        "0011.pdf",
        "HW3-lovelace-ada-v2.pdf",
    ],
)
def test_without_an_export_names_are_enough(tmp_path: Path, name: str) -> None:
    found = paired(tmp_path, {name: PDF, "Dora Dd.pdf" if "/" not in name else "Dora Dd/hw3.pdf": PDF})
    assert set(found.pdfs) == {"ada", "dora"} and found.unpaired == ()


def test_what_could_be_two_students_is_nobodys(tmp_path: Path) -> None:
    class_ = [
        entry("ada-1", "Ada Lovelace", "1"),
        entry("ada-2", "Ada Lovelace", "2"),
        entry("bob", "Bob Bb", "3"),
    ]
    found = paired(
        tmp_path,
        {"Ada Lovelace.pdf": PDF, "Bob Bb.pdf": PDF, "hw3 bob bb.pdf": PDF, "stray.pdf": PDF},
        submissions=class_,
    )
    reasons = {one.file: one.reason for one in found.unpaired}
    assert found.pdfs == {} and found.missing == ("ada-1", "ada-2", "bob")
    assert (
        reasons["Ada Lovelace.pdf"]
        == "matches several submissions: Ada Lovelace (ada-1), Ada Lovelace (ada-2)"
    )
    assert reasons["Bob Bb.pdf"] == "bob matches several PDFs: Bob Bb.pdf, hw3 bob bb.pdf"
    assert reasons["stray.pdf"] == "matches no submission, neither by id nor by name"


def test_an_id_that_is_somebody_elses_here_decides_nothing(tmp_path: Path) -> None:
    class_ = [entry("ada", "Ada Lovelace", "11"), entry("bob", "Bob Bb", "12")]
    found = paired(
        tmp_path, {"bbbob_11_90_hw3.pdf": PDF, "lovelaceada_98_91_hw3.pdf": PDF}, submissions=class_
    )
    assert names(found) == {"ada": ["lovelaceada_98_91_hw3.pdf"]}
    assert [one.file for one in found.unpaired] == ["bbbob_11_90_hw3.pdf"]
    assert "several submissions: Ada Lovelace (ada), Bob Bb (bob)" in found.unpaired[0].reason


def test_a_pdf_in_a_students_archive_is_found(tmp_path: Path) -> None:
    inner = zipped({"hw3/answers.pdf": PDF, "hw3/hw3.ipynb": "{}"})
    found = paired(
        tmp_path, {"Ada Lovelace.zip": inner, "Dora Dd.zip": b"PK\x03\x04broken", "Carl Cc.pdf": PDF}
    )
    assert set(found.pdfs) == {"ada", "carl"} and found.pdfs["ada"][0].read_bytes() == PDF
    assert {one.file: one.reason for one in found.unpaired}["Dora Dd.zip"] == "is a damaged archive"


def test_nothing_leaves_the_folder_and_what_is_damaged_costs_nothing_else(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "../Ada Lovelace.pdf": PDF,
        "Dora Dd.pdf": PDF,
        "Carl Cc.pdf": PDF,
        "__MACOSX/._Dora Dd.pdf": PDF,
    }
    found = paired(tmp_path, files, "zip")
    assert set(found.pdfs) == {"dora", "carl"} and not (tmp_path / "Ada Lovelace.pdf").exists()
    assert any("outside the archive" in one.file + one.reason for one in found.unpaired)


def test_what_holds_no_pdf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no PDF"):
        paired(tmp_path, {"Ada Lovelace/hw3.ipynb": "{}"})
    with pytest.raises(UsageError, match="there is no such file or folder"):
        pair(tmp_path / "none.zip", CLASS, tmp_path / "extracted")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    with pytest.raises(UsageError, match="cannot be unpacked"):
        pair(tmp_path / "broken.zip", CLASS, tmp_path / "extracted")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="is not a folder, an archive or a PDF"):
        pair(tmp_path / "notes.txt", CLASS, tmp_path / "extracted")
