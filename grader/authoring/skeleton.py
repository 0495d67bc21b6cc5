"""Writes a small working homework for an instructor to start from."""

from __future__ import annotations

import re
from pathlib import Path

from grader.authoring import notebooks
from grader.errors import UsageError
from grader.homework import Homework, load_homework

FILES = Path(__file__).resolve().parent / "skeleton_files"
NAME = "my_homework"
"""What the homework is called in the files; its folder's name takes its place."""


def write_skeleton(folder: Path) -> Homework:
    """Write a homework with one part into ``folder``, which must not exist or be empty, and build its template.

    Raises `UsageError`.
    """
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise UsageError(f"{folder}: name the folder with letters, digits, - and _ only; the homework is called after it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists already; name a new folder")
    for source in sorted(path for path in FILES.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        target = folder / source.relative_to(FILES)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8").replace(NAME, name), encoding="utf-8")
    homework = load_homework(folder)
    notebooks.build(homework=homework)
    return homework
