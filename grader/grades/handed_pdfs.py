"""Which students of a class handed in a PDF, as the last review that was given PDFs found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from grader.errors import UsageError
from grader.files.atomic import write_atomically
from grader.grades.students import Student
from grader.text.safe_text import one_line

NAME = "pdfs/students.json"
"""In the folder of a class."""


def remember(folder: Path, digests: Mapping[str, str]) -> None:
    """Write down the digest of each student's PDF, by the key of the row; raises `GraderError`.

    Who is known from another archive stays known, as PDFs may come in parts.
    """
    path = folder / NAME
    text = json.dumps(dict(sorted({**remembered(folder), **digests}.items())), indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)


def remembered(folder: Path) -> dict[str, str]:
    """What was written down, empty where nothing was; raises `UsageError` for a file that is damaged."""
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(isinstance(digest, str) for digest in found.values()):
            return found
    except (OSError, ValueError):
        pass
    raise UsageError(f"{one_line(str(path))}: is damaged; delete it and run `grader review CLASS --pdfs ARCHIVE` again")


def with_pdfs(students: Mapping[str, Student], digests: Mapping[str, str]) -> dict[str, Student]:
    """The students, each with the digest of the PDF that was handed in."""
    return {key: replace(student, pdf=digests.get(key, "")) for key, student in students.items()}
