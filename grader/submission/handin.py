"""Finds the homework's notebook in what a student handed in: a file, a folder or an archive, archives within it too.

`grade`, `batch` and Gradescope all use `find`. A notebook is recognized by its content, whatever its name ends in
(`file_kinds`, `likeness`). `choosing` says which of several notebooks is graded. `HandIn.notes` tells the student.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from grader.errors import NothingToGrade
from grader.submission.archives import HEAD_BYTES, Budget, is_archive, members
from grader.submission.choosing import Candidate, attempt_of, best_of
from grader.submission.file_kinds import (
    KINDS,
    OFFICE,
    WORK,
    is_archive_name,
    is_checkpoint,
    is_junk,
    is_named_notebook,
    is_wanted,
    is_wanted_within,
)
from grader.submission.likeness import code_of, default_template, likeness_of, why_unlike
from grader.submission.opening import MAX_FILE_BYTES, read_regular_file, why_unreadable
from grader.submission.reading import Submission, parse_notebook
from grader.submission.template import Template
from grader.text.safe_text import one_line

MAX_ENTRIES = 20_000
MAX_DEPTH = 8
MAX_NESTED = 3
"""Archives within archives that are opened."""
MOST_NAMES = 5
MOST_CHECKPOINTS = 2


@dataclass(frozen=True)
class HandIn:
    """The notebook to grade, and what the student should know about how it was chosen.

    ``name`` is its name within what was handed in; ``path`` says where it lies, and is None within an archive. ``place``
    is all that was handed in, where that is one file or folder.
    """

    name: str
    data: bytes
    path: Path | None = None
    notes: tuple[str, ...] = ()
    place: Path | None = None
    names: tuple[str, ...] = ()
    """Of all files that were handed in."""
    known_digest: str = ""
    weights: tuple[tuple[str, bytes], ...] = ()
    """Names and contents of checkpoints that lie in archives with the notebook."""

    @property
    def inside(self) -> list[str]:
        """The names of the files in the archive that holds the notebook, within it."""
        outer = self.name.partition("/")[0] + "/"
        return [name.removeprefix(outer) for name in self.names if name.startswith(outer)]

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the content, in hex."""
        return self.known_digest or hashlib.sha256(self.data).hexdigest()

    def submission(self, name: str = "") -> Submission:
        """The notebook, under its own or another name, with the notes as warnings; raises NothingToGrade."""
        read = parse_notebook(self.data, name or PurePosixPath(self.name).name)
        return Submission(read.name, read.sha256, read.cells, read.markdown, (*self.notes, *read.warnings))


@dataclass(frozen=True)
class Handed:
    """A file of a hand-in, with its name as the student knows it.

    A later ``attempt`` replaces an earlier one; within it, a file with a higher ``order`` was uploaded later.
    """

    path: Path
    name: str
    attempt: tuple[int, ...] = ()
    order: int = 0
    problem: str = ""
    """Why it cannot be read, where that is known already."""


@dataclass
class _Search:
    """All that lies in a hand-in."""

    template: Template
    budget: Budget = field(default_factory=Budget)
    seen: list[Candidate] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    weights: list[tuple[str, bytes]] = field(default_factory=list)
    kept: int = 0

    def file(self, file: Handed) -> None:
        """Look at a file on disk."""
        self.names.append(file.name)
        if file.problem:
            self.problems[file.name] = file.problem
            return
        try:
            mode = file.path.lstat()
            if not stat.S_ISREG(mode.st_mode):
                what = "a link" if stat.S_ISLNK(mode.st_mode) else "no regular file"
                self.problems[file.name] = f"is {what}; hand in the notebook itself"
                return
            with file.path.open("rb") as opened:
                head = opened.read(HEAD_BYTES)
            if not is_wanted(file.name, head):
                return
            data = read_regular_file(file.path, file.name)
        except NothingToGrade as error:
            self.problems[file.name] = str(error).removeprefix(f"{one_line(file.name)}: ")
            return
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.problems[file.name] = f"cannot be read ({one_line(reason)})"
            return
        self.content(file, file.name, data, mode.st_mtime)

    def content(self, file: Handed, name: str, data: bytes, modified: float, depth: int = 0) -> None:
        """Look at a file's content: open an archive, or measure how much of the homework a notebook holds."""
        if is_archive(data[:HEAD_BYTES]) and not name.lower().endswith(OFFICE):
            self.archive(file, name, data, depth)
            return
        if not is_named_notebook(name) and code_of(data) is None:
            return
        attempt = (*file.attempt, *attempt_of(name))
        seen = Candidate(name, modified, attempt, file.order, hashlib.sha256(data).hexdigest())
        seen.data = data
        if depth == 0:
            seen.path = file.path
        else:
            self.kept += len(data)
            if self.kept > MAX_FILE_BYTES:
                raise NothingToGrade("contains notebooks that are too large; hand in only the one to grade")
        self.seen.append(seen)
        if len(self.seen) > 1:  # one that is alone needs no comparing
            for one in self.seen:
                self.measure(one)

    def measure(self, one: Candidate) -> None:
        """Find out how much of the homework a notebook holds; what lies on disk is kept no longer."""
        if one.is_measured or one.data is None:
            return
        one.is_measured = True
        sources = code_of(one.data)
        if sources is not None:
            one.defined, one.worked, one.is_homework = likeness_of(sources, self.template)
        if one.path is not None:
            one.data = None

    def archive(self, file: Handed, name: str, data: bytes, depth: int) -> None:
        """Look at the files in an archive."""
        if depth >= MAX_NESTED:
            self.problems[name] = "is an archive nested too deeply in other archives; hand in the notebook itself"
            return
        before = len(self.names), len(self.seen), len(self.weights)
        try:
            for member in members(data, MAX_FILE_BYTES, is_wanted_within, self.budget):
                inner = f"{name}/{member.name}"
                self.names.append(inner)
                if member.data is not None and is_checkpoint(inner):
                    if len(self.weights) < MOST_CHECKPOINTS:
                        self.weights.append((inner, member.data))
                elif member.data is not None:
                    self.content(file, inner, member.data, member.modified, depth + 1)
        except NothingToGrade as error:
            # What was seen before the archive broke may be half of it.
            del self.names[before[0] :], self.seen[before[1] :], self.weights[before[2] :]
            self.problems[name] = str(error)


def find(place: Path, template: Template | None = None) -> HandIn:
    """The homework's notebook at a place; raises NothingToGrade with what to hand in instead.

    Links within a folder are not followed, and hidden files are left out.
    """
    name = one_line(place.name or str(place))
    if not place.is_dir():
        data = read_regular_file(place, name)
        if not is_archive(data[:HEAD_BYTES]) or place.name.lower().endswith(OFFICE):
            notes = () if template is None else why_unlike(data, template)
            return HandIn(name, data, place, notes, place)
        search = _Search(template or default_template())
        search.archive(Handed(place, name), name, data, 0)
        if not search.seen:
            raise NothingToGrade(search.problems.get(name) or _only_within(search, name))
        return replace(_chosen(search), place=place)
    return replace(find_among(files_in(place), template), place=place)


def find_named(place: Path, template: Template | None = None) -> HandIn:
    """`find`, whose errors begin with the name of the place."""
    name = one_line(place.name or str(place))
    try:
        return find(place, template)
    except NothingToGrade as error:
        message = str(error)
        raise NothingToGrade(message if message.startswith(f"{name}: ") else f"{name}: {message}") from None
    except (OSError, ValueError) as error:
        raise NothingToGrade(f"{name}: {why_unreadable(error)}") from None


def find_among(files: Iterable[Handed], template: Template | None = None) -> HandIn:
    """The homework's notebook among files that one student handed in; raises NothingToGrade."""
    search = _Search(template or default_template())
    for file in files:
        search.file(file)
    if not search.seen:
        raise NothingToGrade(_why_none(search))
    return _chosen(search)


def files_in(folder: Path) -> list[Handed]:
    """The files in a folder, the upper ones first, without what systems and editors leave behind."""
    found: list[Handed] = []
    for where, folders, files in os.walk(folder):
        depth = len(Path(where).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not is_junk(name)) if depth < MAX_DEPTH else []
        found += [
            Handed(Path(where, name), Path(where, name).relative_to(folder).as_posix())
            for name in sorted(files)
            if not is_junk(name)
        ]
        if len(found) > MAX_ENTRIES:
            raise NothingToGrade(f"is a folder with over {MAX_ENTRIES} files; hand in the notebook itself")
    return sorted(found, key=lambda file: (file.name.count("/"), file.name))


def _chosen(search: _Search) -> HandIn:
    best, why, copies = search.seen[0], "", list[Candidate]()
    if len(search.seen) > 1:
        best, why, copies = best_of(search.seen, search.template.name)
    data = best.data  # kept where it is the only one
    if data is None:
        assert best.path is not None
        data = read_regular_file(best.path, best.name)
    notes = []
    others = [seen.name for seen in search.seen if seen is not best and seen not in copies]
    unread = [name for name in search.problems if not name.endswith(best.name)]
    works = [name for name in search.names if name.lower().endswith(WORK) and not is_archive_name(name)]
    name = one_line(best.name, 200)
    if others:
        notes.append(f"Graded {name}: {why}. Not graded: {_listed(others)}.")
    elif "/" in best.name:
        notes.append(f"Graded {name}.")
    if not best.name.lower().endswith(".ipynb"):
        notes.append(f"{name} holds a notebook, though its name does not end in .ipynb.")
    if copies:
        notes.append(f"Identical to the graded notebook: {_listed([seen.name for seen in copies])}.")
    if works or unread:
        notes.append(f"Not graded automatically: {_listed([*works, *unread])}.")
    notes += why_unlike(data, search.template)
    said = tuple(one_line(note, 400) for note in notes)
    return HandIn(
        best.name,
        data,
        best.path,
        said,
        names=tuple(search.names),
        weights=tuple(search.weights),
        known_digest=best.digest if best.data else "",
    )


def _why_none(search: _Search) -> str:
    wanted = search.template.name
    if not search.names:
        return f"Nothing was handed in. Hand in your notebook, {wanted}."
    if search.problems:
        name, problem = next(iter(search.problems.items()))
        return f"{one_line(name, 80)}: {problem}"
    packed = [name for name in search.names if is_archive_name(name)]
    for name in search.names:
        kind = KINDS.get(PurePosixPath(name).suffix.lower())
        if kind is not None and kind != "Markdown":
            return (
                f"{one_line(name, 80)} is {kind}, not a notebook. "
                f"Hand in {wanted}; in Colab: File, Download, Download .ipynb."
            )
    if packed:
        return f"There is no notebook in your archive ({_listed(search.names)}). Hand in {wanted}."
    return f"There is no notebook among your files ({_listed(search.names)}). Hand in {wanted}."


def _only_within(search: _Search, name: str) -> str:
    if search.problems:
        inner, problem = next(iter(search.problems.items()))
        return f"{one_line(inner.removeprefix(name + '/'), 80)}: {problem}"
    return "is an archive without a notebook (.ipynb); hand in the notebook itself"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, 80) for name in names[:MOST_NAMES])
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown
