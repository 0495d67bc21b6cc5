"""Which of the files that a student handed in is graded, and what the student is told. Nothing is graded here."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from grader.errors import NothingToGrade
from grader.homework3 import HOMEWORK
from grader.submission.handin import HandIn, find
from grader.submission.template import Template, load_template
from tests.conftest import notebook, solutions

DAY = 86_400.0
TEMPLATE = HOMEWORK.template.read_text(encoding="utf-8")
PARTS = ("attention-head", "multi-headed-attention", "transformer", "patch-embed")


def homework(mark: str = "", *, parts: int = 4) -> str:
    """A notebook with so many parts of the homework; ``mark`` tells it from others."""
    return notebook(f"mark = {mark!r}", *(solutions()[name] for name in PARTS[:parts]))


OTHER = notebook("class RNN:\n    pass", "print('homework 2')")


def zipped(files: dict[str, str | bytes], date: tuple[int, ...] = (2025, 10, 1, 12, 0, 0)) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, date), content, zipfile.ZIP_DEFLATED)  # type: ignore[arg-type]
    return out.getvalue()


def tarred(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template(HOMEWORK.template)


def hand_in(folder: Path, files: dict[str, str | bytes], ages: dict[str, float] | None = None) -> Path:
    """Files in a folder, all changed at the same time but for those whose age is given in days."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        when = 1.7e9 - DAY * (ages or {}).get(name, 0)
        os.utime(path, (when, when))
    return folder


def found(tmp_path: Path, template: Template, files: dict[str, str | bytes], **ages: float) -> HandIn:
    by_name = {name.replace("__", "."): age for name, age in ages.items()}
    return find(hand_in(tmp_path / "handin", files, by_name), template)


FINAL, DRAFT = homework("final"), homework("draft")

HELD = {
    "alone": ({"x.ipynb": FINAL}, "x.ipynb", ""),
    "txt": ({"hw3.ipynb.txt": FINAL}, "hw3.ipynb.txt", "does not end in .ipynb"),
    "json": ({"hw3.ipynb.json": FINAL}, "hw3.ipynb.json", "does not end in .ipynb"),
    "upper case": ({"HW3.IPYNB": FINAL}, "HW3.IPYNB", ""),
    "no extension": ({"homework3": FINAL}, "homework3", "does not end in .ipynb"),
    "half a download": ({"hw3.ipynb.download": FINAL}, "hw3.ipynb.download", "does not end"),
    "utf-16 in a txt": ({"hw3.txt": FINAL.encode("utf-16")}, "hw3.txt", "does not end"),
    "zip": (
        {"hw3.zip": zipped({"a/hw3.ipynb": FINAL})},
        "hw3.zip/a/hw3.ipynb",
        "Graded hw3.zip/a/hw3.ipynb.",
    ),
    "zip of capitals": ({"HW3.ZIP": zipped({"HW3.IPYNB": FINAL})}, "HW3.ZIP/HW3.IPYNB", "Graded"),
    "zip in zip": (
        {"all.zip": zipped({"inner/hw3.zip": zipped({"hw3.ipynb": FINAL})})},
        "all.zip/inner/hw3.zip/hw3.ipynb",
        "Graded all.zip/inner/hw3.zip/hw3.ipynb.",
    ),
    "tar in zip": (
        {"all.zip": zipped({"hw3.tar.gz": tarred({"hw3.ipynb": FINAL})})},
        "all.zip/hw3.tar.gz/hw3.ipynb",
        "Graded",
    ),
    "zip that is called a notebook": (
        {"hw3.ipynb": zipped({"b.ipynb": FINAL})},
        "hw3.ipynb/b.ipynb",
        "Graded",
    ),
    "txt in a zip": ({"hw3.zip": zipped({"hw3.ipynb.txt": FINAL})}, "hw3.zip/hw3.ipynb.txt", "does not end"),
    "backslashes": ({"hw3.zip": zipped({"hw3\\hw3.ipynb": FINAL})}, "hw3.zip/hw3/hw3.ipynb", "Graded"),
    "a damaged zip beside it": ({"hw3.zip": b"PK\x03\x04xx", "hw3.ipynb": FINAL}, "hw3.ipynb", "hw3.zip"),
    "a PDF beside it": (
        {"hw3.ipynb": FINAL, "hw3.pdf": b"%PDF-1"},
        "hw3.ipynb",
        "Not graded automatically: hw3.pdf",
    ),
    "a Mac's leftovers": (
        {"hw3.zip": zipped({"hw3.ipynb": FINAL, "__MACOSX/._hw3.ipynb": b"x", ".DS_Store": b"y"})},
        "hw3.zip/hw3.ipynb",
        "Graded hw3.zip/hw3.ipynb.",
    ),
    "another homework beside it": (
        {"homework3.ipynb": OTHER, "zz.ipynb": FINAL},
        "zz.ipynb",
        "it is the one of this homework. Not graded: homework3.ipynb",
    ),
    "the empty template beside it": (
        {"homework3.ipynb": TEMPLATE, "mine.ipynb": homework(parts=1)},
        "mine.ipynb",
        "it contains the most of this homework. Not graded: homework3.ipynb",
    ),
    "more of it": (
        {"homework3.ipynb": homework(parts=1), "b.ipynb": FINAL},
        "b.ipynb",
        "it contains the most of this homework",
    ),
    "a notebook that is broken beside it": (
        {"homework3.ipynb": "{", "b.ipynb": FINAL},
        "b.ipynb",
        "it is the one that can be read",
    ),
    "a name like the template's": (
        {"a.ipynb": DRAFT, "Homework3.ipynb": FINAL},
        "Homework3.ipynb",
        "its name",
    ),
    "a copy": (
        {"homework3-Copy1.ipynb": DRAFT + " " * 9999, "homework3.ipynb": FINAL},
        "homework3.ipynb",
        "its name",
    ),
    "a draft": ({"hw3_draft.ipynb": DRAFT, "hw3.ipynb": FINAL}, "hw3.ipynb", "Not graded: hw3_draft.ipynb"),
    "the browser's number": ({"hw3.ipynb": DRAFT, "hw3 (1).ipynb": FINAL}, "hw3 (1).ipynb", "number"),
    "its versions": ({"hw3_v9.ipynb": DRAFT, "hw3_v10.ipynb": FINAL}, "hw3_v10.ipynb", "number"),
    "attempts": (
        {"attempt_2/a.ipynb": DRAFT, "attempt_10/a.ipynb": homework("final", parts=2)},
        "attempt_10/a.ipynb",
        "it was handed in last. Not graded: attempt_2/a.ipynb",
    ),
    "dates": (
        {"2025-10-01T12:00/hw3.ipynb": DRAFT, "2025-10-02T01:00/hw3.ipynb": FINAL},
        "2025-10-02T01:00/hw3.ipynb",
        "it was handed in last",
    ),
    "identical copies": (
        {"homework3-Copy1.ipynb": FINAL, "homework3.ipynb": FINAL, "z/hw.ipynb": FINAL},
        "homework3.ipynb",
        "Identical to the graded notebook: homework3-Copy1.ipynb, z/hw.ipynb",
    ),
    "the same in a zip": (
        {"hw3.ipynb": FINAL, "hw3.zip": zipped({"hw3.ipynb": FINAL})},
        "hw3.ipynb",
        "Identical to the graded notebook: hw3.zip/hw3.ipynb",
    ),
    "an autosave": ({"hw3.ipynb": FINAL, ".ipynb_checkpoints/hw3-checkpoint.ipynb": DRAFT}, "hw3.ipynb", ""),
    "an old format": (
        {
            "hw3.ipynb": json.dumps(
                {
                    "worksheets": [
                        {"cells": [{"cell_type": "code", "input": ["class AttentionHead:\n", " pass"]}]}
                    ]
                }
            )
        },
        "hw3.ipynb",
        "",
    ),
}


@pytest.mark.parametrize("case", HELD)
def test_the_homework_is_found(tmp_path: Path, template: Template, case: str) -> None:
    files, name, words = HELD[case]
    got = found(tmp_path, template, files)  # type: ignore[arg-type]
    assert got.name == name
    assert words in " ".join(got.notes) and bool(words) == bool(got.notes), got.notes
    assert (got.path is None) == (".zip" in name.lower() or "hw3.ipynb/" in name)
    if got.path is not None:
        assert got.path.read_bytes() == got.data


def test_what_was_changed_last_decides_before_the_name(tmp_path: Path, template: Template) -> None:
    files = {"homework3.ipynb": DRAFT, "homework3-Copy1.ipynb": FINAL}
    got = found(tmp_path, template, files, homework3__ipynb=1.0)
    assert got.name == "homework3-Copy1.ipynb" and "it was changed last" in got.notes[0]
    # Seconds apart is how files come out of an archive.
    got = found(tmp_path, template, files, homework3__ipynb=30 / DAY)
    assert got.name == "homework3.ipynb"


def test_the_dates_in_an_archive_count(tmp_path: Path, template: Template) -> None:
    old, new = zipped({"a.ipynb": DRAFT}, (2025, 9, 1, 0, 0, 0)), zipped({"b.ipynb": FINAL})
    assert (
        found(tmp_path, template, {"x.zip": zipped({"1.zip": old, "2.zip": new})}).name
        == "x.zip/2.zip/b.ipynb"
    )


def test_another_homework_alone_is_graded_with_a_warning(tmp_path: Path, template: Template) -> None:
    for got in (
        found(tmp_path, template, {"hw2.ipynb": OTHER}),
        find(tmp_path / "handin" / "hw2.ipynb", template),
    ):
        assert got.name == "hw2.ipynb"
        assert "does not look like the homework" in got.notes[-1]
    for text in (TEMPLATE, homework(parts=1)):
        assert not found(tmp_path, template, {"hw2.ipynb": text}).notes


NOT_HELD = {
    "nothing": ({}, "Nothing was handed in"),
    "hidden files": ({".DS_Store": b"x", "Thumbs.db": b"y"}, "Nothing was handed in"),
    "PDF": ({"hw3.pdf": b"%PDF-1.4"}, r"hw3.pdf is a PDF, not a notebook. Hand in homework3.ipynb"),
    "script": ({"hw3.py": b"x = 1"}, "hw3.py is a Python script"),
    "web page": ({"hw3.ipynb.html": b"<html>"}, "is a web page"),
    "Word, which is a zip": ({"hw3.docx": zipped({"word/document.xml": "<x>"})}, "is a Word document"),
    "a link": ({"hw3.webloc": b"<plist>"}, "is a link to a web page"),
    "7z": ({"hw3.7z": b"7z\xbc\xaf\x27\x1c"}, "hw3.7z is a 7z archive, not a notebook"),
    "picture": ({"IMG_1.HEIC": b"\x00\x00"}, r"There is no notebook among your files \(IMG_1.HEIC\)"),
    "damaged zip": ({"hw3.zip": b"PK\x03\x04xxxx"}, "hw3.zip: is a damaged archive"),
    "zip without": ({"hw3.zip": zipped({"hw3.txt": "hi"})}, "no notebook in your archive"),
    "zip with a PDF": ({"hw3.zip": zipped({"hw3.pdf": "%PDF"})}, r"hw3.zip/hw3.pdf is a PDF"),
    "zips without end": (
        {"a.zip": zipped({"b.zip": zipped({"c.zip": zipped({"d.zip": zipped({"x.ipynb": FINAL})})})})},
        "too deep",
    ),
    "zip bomb": ({"hw3.zip": zipped({"hw3.ipynb": bytes(40 << 20)})}, "far more than a notebook"),
    "bomb within a zip": (
        {"hw3.zip": zipped({"in.zip": zipped({"hw3.ipynb": bytes(40 << 20)})})},
        "far more than a notebook",
    ),
    "many files": ({"hw3.zip": zipped({f"{n}.txt": "" for n in range(2100)})}, "over 2000 files"),
    "many files in many zips": (
        {f"part{k}.zip": zipped({f"{n}.txt": "" for n in range(1100)}) for k in range(2)},
        "over 2000 files",
    ),
    "JSON that is none": ({"hw3.json": "{}", "package.json": '{"cells": 3}'}, "no notebook among your files"),
}


@pytest.mark.parametrize("case", NOT_HELD)
def test_the_student_is_told_what_to_hand_in(tmp_path: Path, template: Template, case: str) -> None:
    files, words = NOT_HELD[case]
    with pytest.raises(NothingToGrade, match=words) as caught:
        found(tmp_path, template, files)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_empty_notebook_is_found_and_its_fault_is_said_when_it_is_read(
    tmp_path: Path, template: Template
) -> None:
    got = found(tmp_path, template, {"hw3.ipynb": b""})
    with pytest.raises(NothingToGrade, match="empty file"):
        got.submission()


def test_names_lead_nowhere_and_links_are_not_followed(tmp_path: Path, template: Template) -> None:
    link = zipfile.ZipInfo("link.ipynb")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../../escape.ipynb", FINAL)
    folder = hand_in(tmp_path / "handin", {"hw3.zip": out.getvalue()})
    (tmp_path / "secret.ipynb").write_text(homework("secret"))
    (folder / "homework3.ipynb").symlink_to(tmp_path / "secret.ipynb")
    os.mkfifo(folder / "pipe.ipynb")
    got = find(folder, template)
    assert got.name == "hw3.zip/escape.ipynb" and b"secret" not in got.data
    assert "homework3.ipynb" in got.notes[-1]
    assert not list(tmp_path.parent.rglob("escape.ipynb"))


def test_a_name_cannot_change_what_is_said(tmp_path: Path, template: Template) -> None:
    got = found(tmp_path, template, {"a\n\x1b[31m.ipynb": DRAFT, "homework3.ipynb": FINAL})
    assert "\n" not in "".join(got.notes) and "\x1b" not in "".join(got.notes)
