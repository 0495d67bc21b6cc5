"""Cells that write a file: ``%%writefile attention.py``, to be imported or run by later cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_HEADER = re.compile(r"\s*%%(?:writefile|file)[ \t]+(?P<append>-a[ \t]+|--append[ \t]+)?(?P<path>[^\n]+)(?:\n|$)")
MAX_PATH = 200
WORKING = ("/content/drive/MyDrive/", "/content/drive/My Drive/", "/content/", "/kaggle/working/", "/kaggle/", "/notebooks/")


@dataclass(frozen=True)
class WrittenFile:
    """A file that a cell writes: its path below the working directory, its text, and whether that is appended."""

    path: str
    text: str
    append: bool

    @property
    def modules(self) -> set[str]:
        """What it can be imported as: the top-level module that it is part of, or itself, where its folder is on the path."""
        path = PurePosixPath(self.path)
        return {path.parts[0].removesuffix(".py"), path.stem} if self.path.endswith(".py") else set()

    @property
    def is_python(self) -> bool:
        """Whether it holds Python."""
        return self.path.endswith(".py")

    def statement(self, text: str) -> str:
        """A line of Python that writes ``text`` there and binds no name."""
        mode = "a" if self.append else "w"
        write = (
            "(lambda path: (path.parent.mkdir(parents=True, exist_ok=True), "
            f"path.open({mode!r}, encoding='utf-8').write({text!r}), "
            "__import__('importlib').invalidate_caches()))"
        )
        return f"{write}(__import__('pathlib').Path({self.path!r}));"


def written_file(source: str) -> WrittenFile | None:
    """The file that a cell writes, if it is such a cell."""
    found = _HEADER.match(source)
    if found is None:
        return None
    path = found["path"].strip().strip("'\"")
    # Working folders of other machines are the kernel's; see `grader.kernel.inside.places`.
    path = next((path[len(start) :] for start in WORKING if path.startswith(start)), path)
    path = path.lstrip("/").removeprefix("./")
    if not path or len(path) > MAX_PATH or "\0" in path or path.startswith("~") or ".." in path:
        return None
    return WrittenFile(path, source[found.end() :], found["append"] is not None)
