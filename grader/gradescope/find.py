"""Finds the one notebook in what a student handed in, or says in a sentence why there is none."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader import assets
from grader.report.safe_text import one_line

MAX_ENTRIES = 5000
MAX_DEPTH = 8
MAX_BYTES = 64 << 20
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_EXPORTS = {
    ".pdf": "a PDF",
    ".html": "a web page",
    ".htm": "a web page",
    ".py": "a Python script",
    ".md": "Markdown",
    ".tex": "LaTeX",
    ".docx": "a Word document",
}


class NoNotebook(Exception):
    """Its text tells the student what to hand in instead."""


@dataclass(frozen=True)
class Found:
    """The notebook to grade, and what the student should know about the choice."""

    path: Path
    notes: tuple[str, ...] = ()


def find_notebook(folder: Path) -> Found:
    """The notebook in a submission's folder; raises `NoNotebook`."""
    wanted = assets.TEMPLATE.name
    files = sorted(_files(folder), key=lambda path: (len(path.parts), str(path)))
    notebooks = [path for path in files if path.suffix.lower() == ".ipynb"]
    if not notebooks:
        return _without(folder, files, wanted)
    chosen, notes = notebooks[0], []
    if len(notebooks) > 1:
        named = [path for path in notebooks if path.name.lower() == wanted.lower()]
        if len(named) != 1:
            raise NoNotebook(
                f"There are {len(notebooks)} notebooks here ({_names(folder, notebooks)}). "
                f"Hand in the one that should be graded, alone or named {wanted}."
            )
        chosen = named[0]
        notes.append(
            f"Of {len(notebooks)} notebooks, {_name(folder, chosen)} was graded: it has the name asked for."
        )
    elif chosen.parent != folder:
        notes.append(f"The notebook was found in a folder: {_name(folder, chosen)}.")
    return Found(chosen, tuple(notes))


def _without(folder: Path, files: list[Path], wanted: str) -> Found:
    """There is no file with a notebook's name: perhaps a notebook with another one, or a hint what went wrong."""
    if not files:
        raise NoNotebook(f"Nothing was handed in. Hand in your notebook, {wanted}.")
    disguised = [path for path in files if _is_notebook(path)]
    if len(disguised) == 1:
        name = _name(folder, disguised[0])
        return Found(
            disguised[0],
            (f"{name} holds a notebook, though its name does not end in .ipynb; it was graded.",),
        )
    archives = [path for path in files if path.suffix.lower() in _ARCHIVES]
    if archives:
        raise NoNotebook(
            f"Your work is in an archive ({_names(folder, archives)}), which is not opened. "
            f"Hand in the notebook itself, {wanted}."
        )
    for path in files:
        if (kind := _EXPORTS.get(path.suffix.lower())) is not None:
            raise NoNotebook(
                f"{_name(folder, path)} is {kind}, not a notebook. "
                f"Hand in {wanted}; in Colab: File, Download, Download .ipynb."
            )
    raise NoNotebook(f"There is no notebook among your files ({_names(folder, files)}). Hand in {wanted}.")


def _files(folder: Path) -> Iterator[Path]:
    """Ordinary files, without what systems and editors leave behind; links are not followed."""
    seen = 0
    pending = [(folder, 0)]
    while pending:
        here, depth = pending.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > MAX_ENTRIES:
                return
            if entry.name.startswith((".", "__MACOSX")):
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and depth < MAX_DEPTH:
                pending.append((Path(entry.path), depth + 1))
            elif stat.S_ISREG(mode):
                yield Path(entry.path)


def _is_notebook(path: Path) -> bool:
    try:
        if path.stat().st_size > MAX_BYTES:
            return False
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and isinstance(data.get("cells", data.get("worksheets")), list)


def _name(folder: Path, path: Path) -> str:
    return one_line(str(path.relative_to(folder)), 80)


def _names(folder: Path, paths: list[Path]) -> str:
    names = [_name(folder, path) for path in paths[:5]]
    return ", ".join(names) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
