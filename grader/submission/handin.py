"""Finds the homework's notebook in what a student handed in: a file, a folder or an archive, archives within it too.

`grade`, `batch` and Gradescope all use `find`. A notebook is recognized by its content, whatever its name ends in. Of
several, the one is graded that holds most of the homework. Where several hold as much, the one that was handed in or
changed last, and then the one whose name is most like the template's. `HandIn.notes` tells the student which it was.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from grader.errors import NothingToGrade
from grader.report.safe_text import one_line
from grader.submission.archives import HEAD_BYTES, Budget, is_archive, members
from grader.submission.reading import (
    MAX_FILE_BYTES,
    MAX_JSON_VALUES,
    Submission,
    parse_notebook,
    read_regular_file,
    why_unreadable,
)
from grader.submission.template import Template, load_template

MAX_ENTRIES = 20_000
MAX_DEPTH = 8
MAX_NESTED = 3
"""Archives within archives that are opened."""
SAME_TIME = 60.0
"""Seconds between two changes that tell nothing: files that were copied or unpacked one after the other."""
MOST_NAMES = 5
MOST_CHECKPOINTS = 2

_OFFICE = (
    ".docx",
    ".xlsx",
    ".pptx",
    ".odt",
    ".ods",
    ".odp",
    ".pages",
    ".key",
    ".numbers",
    ".epub",
    ".jar",
    ".whl",
)
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz")
_SEALED = (".7z", ".rar")
_KINDS = {
    ".pdf": "a PDF",
    ".html": "a web page",
    ".htm": "a web page",
    ".py": "a Python script",
    ".md": "Markdown",
    ".tex": "LaTeX",
    ".docx": "a Word document",
    ".doc": "a Word document",
    ".pages": "a Pages document",
    ".gdoc": "a link to Google Drive",
    ".url": "a link to a web page",
    ".webloc": "a link to a web page",
    ".7z": "a 7z archive",
    ".rar": "a RAR archive",
}
_WORK = (".pdf", ".py", ".html", ".htm", ".docx", ".doc", ".tex", *_PACKED, *_SEALED)
"""What may hold answers, so that the student is told that it was not graded."""
_NOT_JSON = (".safetensors", ".pt", ".pth", ".png", ".jpg", ".jpeg", ".gif", ".csv", ".npy", ".npz", ".pkl")
_DRAFT = re.compile(r"copy|draft|backup|\bold\b|scratch|untitled|\btmp\b|\btemp\b|autosave|checkpoint", re.I)
_VERSION = re.compile(
    r"(?:\s*\((?P<browser>\d{1,3})\)|[-_ ]v?(?P<dash>\d{1,3})|[-_ ]?v(?P<v>\d{1,3}))$", re.I
)
_ATTEMPT = re.compile(r"(?:attempt|submission|version|upload|try|rev|revision)[-_ #]*(\d{1,6})", re.I)
_DATED = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[T_ -]+(\d\d)[-:.]?(\d\d)(?:[-:.]?(\d\d))?)?")
_DEFINED = re.compile(r"^(?:[ \t]*class|(?:async[ \t]+)?def)[ \t]+(\w+)", re.M)


@dataclass(frozen=True)
class HandIn:
    """The notebook to grade, and what the student should know about the choice.

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
class _Seen:
    """A file that may be the notebook."""

    name: str
    modified: float
    attempt: tuple[int, ...]
    order: int
    digest: str
    path: Path | None = None
    data: bytes | None = None
    defined: frozenset[str] = frozenset()
    """Required classes that it defines."""
    worked: int = -1
    """Required classes that differ from the template's; -1 where it is no notebook that can be read."""
    is_homework: bool = False
    is_measured: bool = False


@dataclass
class _Search:
    """All that lies in a hand-in."""

    template: Template
    budget: Budget = field(default_factory=Budget)
    seen: list[_Seen] = field(default_factory=list)
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
        """Look at a file's content: an archive is opened, and a notebook is held against the homework."""
        if is_archive(data[:HEAD_BYTES]) and not name.lower().endswith(_OFFICE):
            self.archive(file, name, data, depth)
            return
        if not is_named_notebook(name) and _code_of(data) is None:
            return
        attempt = (*file.attempt, *_attempt(name))
        seen = _Seen(name, modified, attempt, file.order, hashlib.sha256(data).hexdigest())
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

    def measure(self, one: _Seen) -> None:
        """Find out how much of the homework a notebook holds; what lies on disk is kept no longer."""
        if one.is_measured or one.data is None:
            return
        one.is_measured = True
        sources = _code_of(one.data)
        if sources is not None:
            one.defined, one.worked, one.is_homework = _measured(sources, self.template)
        if one.path is not None:
            one.data = None

    def archive(self, file: Handed, name: str, data: bytes, depth: int) -> None:
        """Look at the files in an archive."""
        if depth >= MAX_NESTED:
            self.problems[name] = "is an archive nested too deeply in other archives; hand in the notebook itself"
            return
        before = len(self.names), len(self.seen), len(self.weights)
        try:
            for member in members(data, MAX_FILE_BYTES, _is_wanted_within, self.budget):
                inner = f"{name}/{member.name}"
                self.names.append(inner)
                if member.data is not None and _is_checkpoint(inner):
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
        if not is_archive(data[:HEAD_BYTES]) or place.name.lower().endswith(_OFFICE):
            notes = () if template is None else _unlike(data, template)
            return HandIn(name, data, place, notes, place)
        search = _Search(template or _default())
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
    search = _Search(template or _default())
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


def is_junk(name: str) -> bool:
    """Whether a file or a folder is left behind by a system or an editor."""
    return name.startswith((".", "__MACOSX", "~$")) or name.lower() in ("thumbs.db", "desktop.ini")


def is_archive_name(name: str) -> bool:
    """Whether a file is called as an archive is."""
    return name.lower().endswith((*_PACKED, *_SEALED))


def may_hold_work(name: str) -> bool:
    """Whether a file is of a kind that people hand in."""
    return is_named_notebook(name) or (
        name.lower().endswith((*_WORK, *_KINDS, ".json")) and not name.lower().endswith(".md")
    )


# -- what a file is ----------------------------------------------------------------------------------------------


def is_wanted(name: str, head: bytes) -> bool:
    """Whether a file that begins so has to be read."""
    if is_named_notebook(name) or (is_archive(head) and not name.lower().endswith(_OFFICE)):
        return True
    if name.lower().endswith(_NOT_JSON):
        return False
    return head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"{")


def _is_wanted_within(name: str, head: bytes) -> bool:
    return is_wanted(name, head) or _is_checkpoint(name)


def _is_checkpoint(name: str) -> bool:
    return name.lower().endswith(".safetensors")


def is_named_notebook(name: str) -> bool:
    """Also as browsers and systems rename it: ``hw3.ipynb.txt``, ``hw3.ipynb.json``, ``HW3.IPYNB``."""
    return bool(re.search(r"\.ipynb(\.(txt|json|download|part))*$", name.strip(), re.I))


def _code_of(data: bytes) -> list[tuple[str, str]] | None:
    """Id and source of a notebook's code cells; None for what is no notebook."""
    try:
        text = data.decode(json.detect_encoding(data), "replace").removeprefix("\ufeff")
        if not text.lstrip().startswith("{") or sum(map(text.count, "{[,")) > MAX_JSON_VALUES:
            return None
        notebook = json.loads(text, strict=False)
        cells = notebook.get("cells")
        if not isinstance(cells, list):
            cells = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
        return None
    found = []
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type", "code") == "code":
            metadata = cell.get("metadata")
            identity = cell.get("id") or (metadata.get("id") if isinstance(metadata, dict) else "")
            found.append((str(identity), _text(cell.get("source", cell.get("input")))))
    return found


def _text(source: Any) -> str:
    if isinstance(source, list):
        lines = [line for line in source if isinstance(line, str)]
        return ("" if any(line.endswith("\n") for line in lines) else "\n").join(lines)
    return source if isinstance(source, str) else ""


def _measured(sources: Sequence[tuple[str, str]], template: Template) -> tuple[frozenset[str], int, bool]:
    """The required names that are defined, how many of them were worked on, and whether this is the homework."""
    required = _required(template)
    latest: dict[str, str] = {}
    for _, source in sources:
        for name in _DEFINED.findall(source):
            if name in required:
                latest[name] = _squeezed(source)
    ids, cells = _given(template)
    known = sum(identity in ids or _squeezed(source) in cells for identity, source in sources)
    worked = sum(source != required[name] for name, source in latest.items())
    return frozenset(latest), worked, bool(latest) or known > len(ids) // 4


@functools.lru_cache(maxsize=4)
def _required(template: Template) -> dict[str, str]:
    """What the template has a student write, by name, without its white space."""
    return {
        name: _squeezed(cell.source)
        for cell in template.cells
        if cell.role == "solution"
        for name in _DEFINED.findall(cell.source)
    }


@functools.lru_cache(maxsize=4)
def _given(template: Template) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of the template's cells, and their sources without white space."""
    return frozenset(cell.id for cell in template.cells), frozenset(
        _squeezed(cell.source) for cell in template.cells
    )


def _squeezed(source: str) -> str:
    return "".join(source.split())


@functools.cache
def _default() -> Template:
    from grader.homework import load_homework  # noqa: PLC0415 - it loads properties, which a notebook does not need

    homework = load_homework()
    return load_template(homework.template, homework.provided_classes)


# -- which of several --------------------------------------------------------------------------------------------


def _chosen(search: _Search) -> HandIn:
    best, why, copies = search.seen[0], "", list[_Seen]()
    if len(search.seen) > 1:
        best, why, copies = _best(search.seen, search.template.name)
    data = best.data  # kept where it is the only one
    if data is None:
        assert best.path is not None
        data = read_regular_file(best.path, best.name)
    notes = []
    others = [seen.name for seen in search.seen if seen is not best and seen not in copies]
    unread = [name for name in search.problems if not name.endswith(best.name)]
    works = [name for name in search.names if name.lower().endswith(_WORK) and not is_archive_name(name)]
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
    notes += _unlike(data, search.template)
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


def _best(seen: Sequence[_Seen], wanted: str) -> tuple[_Seen, str, list[_Seen]]:
    """The notebook to grade, why it is that one, and others of the same content."""
    by_content: dict[str, list[_Seen]] = {}
    for one in seen:
        by_content.setdefault(one.digest, []).append(one)
    distinct = []
    for alike in by_content.values():
        first = min(alike, key=lambda one: _name_rank(one.name, wanted))
        # The same content was handed in as late as its latest copy.
        first.modified = max(one.modified for one in alike)
        first.attempt = max((one.attempt for one in alike), key=_padded)
        first.order = max(one.order for one in alike)
        distinct.append(first)
    pool, why = distinct, ""
    for reason, keep in _preferences(wanted):
        before, pool = len(pool), keep(pool)
        if len(pool) < before:
            why = reason
    best = min(pool, key=lambda one: _name_rank(one.name, wanted))
    return best, why or "it is the first by name", [one for one in by_content[best.digest] if one is not best]


def _with_most(key: Callable[[_Seen], Any]) -> Callable[[list[_Seen]], list[_Seen]]:
    def keep(pool: list[_Seen]) -> list[_Seen]:
        most = max(map(key, pool))
        return [one for one in pool if key(one) == most]

    return keep


def _changed_last(pool: list[_Seen]) -> list[_Seen]:
    latest = max(one.modified for one in pool)
    return [one for one in pool if one.modified >= latest - SAME_TIME]


def _newest_versions(pool: list[_Seen]) -> list[_Seen]:
    """Without those of which another has the same name with a higher number: ``hw3 (1).ipynb``, ``hw3-2.ipynb``."""
    newest: dict[str, int] = {}
    for one in pool:
        base, number = _versioned(one.name)
        newest[base] = max(newest.get(base, 0), number)
    return [one for one in pool if _versioned(one.name)[1] == newest[_versioned(one.name)[0]]]


def _preferences(wanted: str) -> tuple[tuple[str, Callable[[list[_Seen]], list[_Seen]]], ...]:
    """Why one of several notebooks is graded, the stronger reason first; ``wanted`` is the template's name."""
    by_name = f"its name is the most like {wanted}"
    return (
        ("it is the one that can be read as a notebook", _with_most(lambda one: one.worked >= 0)),
        ("it is the one of this homework", _with_most(lambda one: one.is_homework)),
        ("it was handed in last", _with_most(lambda one: _padded(one.attempt))),
        ("it contains the most of this homework", _with_most(lambda one: one.worked)),
        ("it was changed last", _changed_last),
        ("its number is the highest", _newest_versions),
        (by_name, _with_most(lambda one: [-number for number in _name_rank(one.name, wanted)[:2]])),
        ("it was uploaded last", _with_most(lambda one: one.order)),
        (by_name, _with_most(lambda one: -_name_rank(one.name, wanted)[2])),
    )


def _versioned(name: str) -> tuple[str, int]:
    """A file's name without the number that a browser, Canvas or a student puts at its end, and that number."""
    stem = _stem(name)
    match = _VERSION.search(stem)
    if match is None or match.start() == 0:
        return stem, 0
    return stem[: match.start()], int(next(filter(None, match.groups())))


def _stem(name: str) -> str:
    return re.sub(
        r"(\.(ipynb|txt|json|download|part))+$", "", PurePosixPath(name).name, flags=re.I
    ).casefold()


def _name_rank(name: str, wanted: str) -> tuple[int, int, int, int, int, str]:
    """The smaller, the more the name is the template's."""
    name_wanted = _letters(_stem(wanted))
    stem = _versioned(name)[0]
    plain = _letters(stem)
    ratio = difflib.SequenceMatcher(None, plain[:80], name_wanted, autojunk=False).ratio()
    return (
        int(bool(_DRAFT.search(stem))),
        int(name_wanted not in (plain, _letters(_stem(name)))),
        -round(20 * ratio),
        int(not name.lower().endswith(".ipynb")),
        name.count("/"),
        name,
    )


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _attempt(name: str) -> tuple[int, ...]:
    """When a file was handed in, as the folders say in which it lies: ``attempt_2/``, ``2025-10-01 12.00/``."""
    for part in PurePosixPath(name).parts[:-1]:
        if dated := _DATED.search(part):
            return tuple(int(number or 0) for number in dated.groups())
        if numbered := _ATTEMPT.search(part):
            return (int(numbered[1]),)
    return ()


def _padded(attempt: tuple[int, ...]) -> tuple[int, ...]:
    return (*attempt, *[0] * (16 - len(attempt)))


# -- what is said ------------------------------------------------------------------------------------------------


def _unlike(data: bytes, template: Template) -> tuple[str, ...]:
    """A warning where a notebook holds nothing of the homework."""
    # Reading a notebook takes a while, and most name what is asked for.
    if any(mark in data for mark in _marks(template)):
        return ()
    sources = _code_of(data)
    if sources is None or _measured(sources, template)[2]:
        return ()
    return (
        "this notebook does not look like the homework: it defines none of its classes; check that it is the right file",
    )


@functools.lru_cache(maxsize=4)
def _marks(template: Template) -> tuple[bytes, ...]:
    return tuple(f"{what} {name}".encode() for name in _required(template) for what in ("class", "def"))


def _why_none(search: _Search) -> str:
    wanted = search.template.name
    if not search.names:
        return f"Nothing was handed in. Hand in your notebook, {wanted}."
    if search.problems:
        name, problem = next(iter(search.problems.items()))
        return f"{one_line(name, 80)}: {problem}"
    packed = [name for name in search.names if is_archive_name(name)]
    for name in search.names:
        kind = _KINDS.get(PurePosixPath(name).suffix.lower())
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
