"""Pairs the PDFs of a class with its submissions: by the ids that an export carries, else by name.

`grader.batch.layouts` and `grader.batch.gradescope_export` say whose a file is, as they do for notebooks. The PDFs may come
from another assignment, or another platform, than the notebooks, so a student is found by whatever both know.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import platformdirs

from grader.batch import layouts
from grader.batch.gradescope_export import export_in, students_of_export, submission_of
from grader.batch.people import Found, Group, Person
from grader.batch.plain_folders import OF_A_HAND_IN, stem_of
from grader.batch.roster import Index, Student, spellings, with_roster
from grader.batch.submissions import Entry
from grader.batch.unpacking import ENDINGS, problems_in, unpack
from grader.errors import GraderError, NothingToGrade, UsageError
from grader.files.atomic import write_bytes_atomically
from grader.pdfs.process import MAX_FILE_BYTES
from grader.submission.archives import Budget, members
from grader.submission.file_kinds import is_archive_name
from grader.submission.handin import Handed
from grader.text.safe_text import one_line

WITHIN = "within"
"""Folder, beneath that of unpacked archives, of PDFs that lay in a student's own archive."""
How = Literal["id", "name"]
_RANKS = ("identity", "id", "name")


@dataclass(frozen=True)
class Unpaired:
    """A file, or what one student handed in, that belongs to no submission, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Pairing:
    """The PDFs of each submission, by its key.

    ``how`` says by what they were recognized. ``missing`` are the keys of submissions without a PDF.
    """

    pdfs: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    how: Mapping[str, How] = field(default_factory=dict)
    unpaired: tuple[Unpaired, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Claim:
    """That some PDFs are a submission's. ``rank`` is a place in `_RANKS`."""

    key: str
    rank: int
    shown: str
    files: tuple[Path, ...]


def pair(
    archive: Path, submissions: Sequence[Entry], extracted: Path | None = None, roster: Sequence[Student] = ()
) -> Pairing:
    """Pair the PDFs in a folder or an archive with submissions.

    An archive is unpacked beneath ``extracted``, by default in the user's cache. Raises `UsageError` for an archive that does
    not exist, cannot be unpacked or holds no PDF; what is wrong with single files is in the result.
    """
    extracted = extracted or platformdirs.user_cache_path("hw3-grader") / "pdfs"
    found = _found(archive, extracted)
    groups = with_roster(found.groups, roster) if roster else list(found.groups)
    rows = _Rows(submissions, roster)
    claims: list[_Claim] = []
    unpaired = [Unpaired(one_line(name, 200), "is not a student's PDF") for name in found.strange]
    for group in (group for group in groups if group.files):
        files, problems = _pdfs_of(group, extracted / WITHIN)
        unpaired += problems
        made, refused = _claims(group, files, rows, by_file=not found.layout)
        claims += made
        unpaired += refused
    if not claims and not any(file.path.suffix.lower() == ".pdf" for group in groups for file in group.files):
        raise UsageError(f"{one_line(str(archive))}: holds no PDF")
    return _settled(claims, unpaired, submissions)


def _found(archive: Path, extracted: Path) -> Found:
    if archive.is_dir():
        place, problems = archive, {}
    elif archive.is_file() and archive.suffix.lower() == ".pdf":
        return layouts.students_of([archive])
    elif archive.is_file() and archive.name.lower().endswith(ENDINGS):
        place = unpack(archive, extracted, (".pdf",))
        problems = problems_in(place)
    elif archive.exists():
        raise UsageError(f"{one_line(str(archive))}: is not a folder, an archive or a PDF")
    else:
        raise UsageError(f"{one_line(str(archive))}: there is no such file or folder")
    export = export_in(place)
    if export is not None:
        return students_of_export(export, place, problems)
    return layouts.students_in(place, problems)


# -- what a student handed in ------------------------------------------------------------------------------------


def _pdfs_of(group: Group, within: Path) -> tuple[tuple[Path, ...], list[Unpaired]]:
    """The PDFs of a hand-in, those of the latest attempt alone, and what is wrong with others."""
    problems = [
        Unpaired(_shown(file), file.problem)
        for file in group.files
        if file.problem and file.path.suffix.lower() == ".pdf"
    ]
    sound = [file for file in group.files if not file.problem]
    pdfs = [file for file in sound if file.path.suffix.lower() == ".pdf"]
    if not pdfs:
        unpacked = []
        for file in sound:
            if is_archive_name(file.path.name):
                try:
                    unpacked += [
                        replace(file, path=path, name=name) for name, path in _within(file.path, within)
                    ]
                except NothingToGrade as error:
                    problems.append(Unpaired(_shown(file), str(error).partition(";")[0]))
        pdfs = unpacked
    latest = max((file.attempt for file in pdfs), default=())
    chosen = sorted(
        (file for file in pdfs if file.attempt == latest), key=lambda file: (file.order, file.name)
    )
    return tuple(file.path for file in chosen), problems


def _within(archive: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """The PDFs in a student's own archive, written to the folder under the digests of their contents."""
    try:
        data = archive.read_bytes() if archive.stat().st_size <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise NothingToGrade(f"cannot be read ({error.strerror})") from None
    for member in members(data, MAX_FILE_BYTES, lambda name, head: name.lower().endswith(".pdf"), Budget()):
        if member.data is not None:
            path = folder / f"{hashlib.sha256(member.data).hexdigest()}.pdf"
            if not path.is_file():
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    reason = error.strerror or error
                    raise GraderError(f"cannot write {one_line(str(path))}: {reason}") from None
                write_bytes_atomically(path, member.data)
            yield member.name, path


def _shown(file: Handed) -> str:
    return one_line(file.path.name if "/" not in file.name else file.name, 200)


# -- whose it is ---------------------------------------------------------------------------------------------------


class _Rows:
    """Finds the submission of a student by what an export says of the student."""

    def __init__(self, submissions: Sequence[Entry], roster: Sequence[Student]) -> None:
        self._by: dict[str, set[str]] = defaultdict(set)
        self.names: dict[str, str] = {}
        known = Index(roster)
        self._keys: dict[Student, str] = {}
        for entry in submissions:
            self.names[entry.key] = entry.name or entry.key
            places = (part for part in entry.path.parts if part.startswith("submission_"))
            for identity in (entry.identity, entry.roster, *(f"gradescope:{place}" for place in places)):
                if identity and not identity.startswith("name:"):
                    self._by[identity].add(entry.key)
            person = Person(entry.identity, entry.key, entry.name, entry.id, entry.email)
            student = known.student(person)
            ids = (entry.id, *(student.ids if student else ()))
            email = entry.email or (student.email if student else "")
            # The key tells apart who is called the same.
            self._keys[Student(entry.name, (*filter(None, ids), f"key {entry.key}"), email)] = entry.key
        self._index = Index(tuple(self._keys))

    def find(self, person: Person, names: Iterable[str]) -> tuple[set[str], int]:
        """The keys that a person may be, and the rank of what says so; of no key where nothing does."""
        number = submission_of(person.name) or submission_of(person.id)
        for identity in (person.identity, person.roster, f"gradescope:{number}"):
            if found := self._by.get(identity):
                return found, 0
        named = {key for name in names for key in self._named(name)}
        student = self._index.student(replace(person, name=""))
        if student is not None:
            key = self._keys[student]
            # What is an id on one platform may be somebody else's on another.
            return ({key}, 1) if len(named) != 1 or named == {key} else ({key, *named}, 1)
        return named, 2

    def _named(self, name: str) -> set[str]:
        found = [self._index.by.get(f"name {spelling}", ()) for spelling in spellings(name) - {""}]
        return {self._keys[student] for students in found for student in students}


def _claims(
    group: Group, files: tuple[Path, ...], rows: _Rows, *, by_file: bool
) -> tuple[list[_Claim], list[Unpaired]]:
    claims: list[_Claim] = []
    unpaired: list[Unpaired] = []
    for person in group.people:
        shown = _title(group, person)
        keys, rank = rows.find(person, [person.name])
        if not keys and by_file and files:
            found = [_by_its_name(path, rows) for path in files]
            claims += [claim for claim in found if isinstance(claim, _Claim)]
            unpaired += [one for one in found if isinstance(one, Unpaired)]
        elif len(keys) == 1 and files:
            claims.append(_Claim(next(iter(keys)), rank, shown, files))
        elif not keys:
            reason = "matches no submission, neither by id nor by name" if files else "holds no PDF"
            unpaired.append(Unpaired(shown, reason))
        elif files:
            unpaired.append(Unpaired(shown, _several(keys, rows)))
    return claims, unpaired


def _by_its_name(path: Path, rows: _Rows) -> _Claim | Unpaired:
    """A file that no platform named: what its name or its folder's says, without the words that say what it is."""
    shown = one_line(path.name, 200)
    stem = stem_of(path.name)
    plain = re.sub(r"[\d_.-]+", " ", OF_A_HAND_IN.sub(" ", stem)).strip()
    for name in (stem, plain, path.parent.name):
        keys, rank = rows.find(Person("", name, name, name), [name])
        if len(keys) == 1:
            return _Claim(next(iter(keys)), rank, shown, (path,))
        if keys:
            return Unpaired(shown, _several(keys, rows))
    return Unpaired(shown, "matches no submission, neither by id nor by name")


def _several(keys: Iterable[str], rows: _Rows) -> str:
    named = ", ".join(f"{rows.names[key]} ({key})" for key in sorted(keys)[:3])
    return f"matches several submissions: {one_line(named)}"


def _title(group: Group, person: Person) -> str:
    first = group.files[0]
    name = group.folder.name if group.folder is not None else first.path.name
    return one_line(name if person.name in name else f"{name} ({person.name})", 200)


def _settled(claims: Sequence[_Claim], unpaired: list[Unpaired], submissions: Sequence[Entry]) -> Pairing:
    by_key: dict[str, list[_Claim]] = defaultdict(list)
    for claim in claims:
        by_key[claim.key].append(claim)
    pdfs: dict[str, tuple[Path, ...]] = {}
    how: dict[str, How] = {}
    for key, rivals in by_key.items():
        best = min(claim.rank for claim in rivals)
        first = [claim for claim in rivals if claim.rank == best]
        if len(first) > 1:
            names = ", ".join(claim.shown for claim in first)
            unpaired += [
                Unpaired(claim.shown, f"{key} matches several PDFs: {one_line(names)}") for claim in first
            ]
        else:
            pdfs[key] = first[0].files
            how[key] = "name" if _RANKS[best] == "name" else "id"
        word = "a PDF" if len(first) == 1 else "PDFs"
        unpaired += [
            Unpaired(claim.shown, f"{key} has {word} that match by id")
            for claim in rivals
            if claim.rank != best
        ]
    missing = tuple(sorted(entry.key for entry in submissions if entry.key not in pdfs))
    return Pairing(dict(sorted(pdfs.items())), how, tuple(unpaired), missing)
