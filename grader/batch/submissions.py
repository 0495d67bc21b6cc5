"""Finds the submissions of a class: whose they are, and which notebook of each is graded.

`layouts` and `gradescope_export` say whose a file is, and `grader.submission.handin` which of a student's files is the
homework. Here each student gets a row, whatever was handed in, under a key that stays the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from grader.batch import layouts, plain_folders
from grader.batch.gradescope_export import export_in, students_of_export
from grader.batch.people import Found, Group, Person
from grader.batch.roster import Student, with_roster
from grader.batch.unpacking import ENDINGS, METADATA, problems_in, unpack
from grader.errors import GraderError, NothingToGrade, UsageError
from grader.homework import Homework, load_homework
from grader.submission.handin import HandIn, find_among
from grader.submission.opening import MAX_FILE_BYTES
from grader.submission.template import Template
from grader.text.safe_text import one_line
from grader.training import checkpoint

NOTEBOOKS = "notebooks"
"""Folder, beneath that of the unpacked archives, of notebooks that lay within a student's own archive."""


@dataclass(frozen=True)
class Entry:
    """A row of the class: whose it is and where the notebook lies.

    ``key`` is unique in the class and fit for a file's name; ``digest`` is the SHA-256 of the content in hex, empty where
    it cannot be read, which ``problem`` then explains. ``file`` is the notebook's name in the export.
    """

    key: str
    name: str
    id: str
    path: Path
    digest: str = ""
    late: bool = False
    email: str = ""
    problem: str | None = None
    notes: tuple[str, ...] = ()
    checkpoint: Path | None = None
    """The weights of the trained model, where some were handed in with it."""
    weights: str = ""
    """What tells these weights from others; empty where there are none."""
    file: str = ""
    identity: str = ""
    """Whose row it is, the same in each run."""
    group: str = ""
    """What those who handed in together have in common; empty where somebody handed in alone."""
    roster: str = ""
    """The identity in the roster, if there is one."""


@dataclass(frozen=True)
class Class:
    """The rows of a class, sorted by key, and files that are nobody's."""

    entries: tuple[Entry, ...]
    strange: tuple[str, ...] = ()


def find_submissions(
    sources: Sequence[Path],
    extracted: Path,
    template: Template | None = None,
    keys: Mapping[str, str] | None = None,
    roster: Sequence[Student] = (),
    homework: Homework | None = None,
) -> Class:
    """The rows of those whose work lies in folders, files and archives; archives are unpacked beneath ``extracted``.

    ``keys`` are those that were given to identities before, and stay theirs. Everyone in the ``roster`` has a row.
    Raises `UsageError` for a source that does not exist or holds no work.
    """
    groups, strange = _groups(sources, extracted)
    if roster:
        groups = _once_each(with_roster(groups, roster))
    check = (homework or load_homework()).training
    weights = check.checkpoint if check else None
    entries = [entry for group in groups for entry in _entries(group, template, extracted, weights)]
    named = _with_keys(entries, keys or {})
    return Class(tuple(sorted(named, key=lambda entry: entry.key)), strange)


# -- from sources to students ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Opened:
    """A source; ``place`` is the folder that an archive was unpacked to."""

    source: Path
    place: Path
    name: str

    @property
    def problems(self) -> dict[str, str]:
        return {} if self.place == self.source else problems_in(self.place)


def _groups(sources: Sequence[Path], extracted: Path) -> tuple[list[Group], tuple[str, ...]]:
    """Whose work lies in the sources. One student's files in several are one hand-in."""
    files: dict[Path, list[Path]] = {}
    holders: list[_Opened] = []
    # Archives that a learning platform named are a student's each; others hold a class.
    for source in {os.path.abspath(source): source for source in sources}.values():  # noqa: PTH100 - keeps links apart
        _require(source)
        is_class = source.is_dir() or (
            source.name.lower().endswith(ENDINGS) and not layouts.layout_of([source])
        )
        if not is_class:
            files.setdefault(source.parent, []).append(source)
            continue
        place = source if source.is_dir() else unpack(source, extracted)
        holders.append(
            _Opened(source, place, plain_folders.stem_of(source.name) if place != source else source.resolve().name)
        )
    found = _of_files(files)
    found += _of_holders(holders, extracted.parent.resolve())
    strange = tuple(one_line(name, 200) for _, one in found for name in one.strange)
    merged = _merged([(place, group) for place, one in found for group in one.groups])
    return merged, strange


def _of_files(files: Mapping[Path, list[Path]]) -> list[tuple[str, Found]]:
    """Files that were named one by one, by their folder; `ada/hw3.ipynb bob/hw3.ipynb` are named after the folders."""
    found = {parent: layouts.students_of(paths) for parent, paths in files.items()}
    alone = {
        parent: one.groups[0] for parent, one in found.items() if len(one.groups) == 1 and not one.layout
    }
    often = Counter(group.identity for group in alone.values())
    for parent, group in alone.items():
        name = parent.resolve().name
        if often[group.identity] > 1 and name:
            person = Person(f"name:{name}", name, name, name)
            found[parent] = replace(found[parent], groups=(replace(group, people=(person,)),))
    return [(str(parent), one) for parent, one in found.items()]


def _require(source: Path) -> None:
    try:
        if not source.is_dir() and not source.is_file() and not source.is_symlink():
            raise UsageError(f"{one_line(str(source))}: there is no such file or folder")
    except OSError as error:
        raise UsageError(f"{one_line(str(source))}: {error.strerror or error}") from None


def _of_holders(holders: Sequence[_Opened], skip: Path) -> list[tuple[str, Found]]:
    exports = [export_in(holder.place) for holder in holders]
    # A folder of hand-ins may be given as `class/*`. Whoever puts metadata into one must not be read as an export.
    trusted = None not in exports
    single = sum(layouts.is_one_hand_in(holder.place) for holder in holders)
    by_student = len(holders) > 1 and not trusted and 2 * single > len(holders)
    found: list[tuple[str, Found]] = []
    for holder, export in zip(holders, exports, strict=True):
        if export is not None and trusted:
            one = students_of_export(export, holder.place, holder.problems)
        elif by_student:
            one = layouts.one_hand_in(holder.place, holder.name, holder.problems)
        else:
            one = layouts.students_in(holder.place, holder.problems, skip)
        if not one.groups:
            listed = f" ({', '.join(one.strange[:3])})" if one.strange else ""
            raise UsageError(f"{one_line(str(holder.source))}: contains no submission{one_line(listed)}")
        found.append((holder.name, one))
    return found


def _merged(found: Sequence[tuple[str, Group]]) -> list[Group]:
    """One group for each identity: platforms' ids are the same in several sources, but names may be two students'."""
    by_identity: dict[str, list[tuple[str, Group]]] = {}
    for place, group in found:
        by_identity.setdefault(group.identity, []).append((place, group))
    merged: list[Group] = []
    for identity, same in by_identity.items():
        distinct: list[tuple[str, Group]] = []
        for place, group in same:
            twin = next(
                (number for number, (_, other) in enumerate(distinct) if _overlap(group, other)), None
            )
            if twin is None:
                distinct.append((place, group))
            else:  # one file named twice, as itself and within its folder
                distinct[twin] = (
                    distinct[twin][0],
                    max(distinct[twin][1], group, key=lambda one: len(one.files)),
                )
        if len(distinct) == 1:
            merged.append(distinct[0][1])
        elif identity.startswith("name:"):
            merged += [_told_apart(place, group) for place, group in distinct]
        else:
            merged.append(_together([group for _, group in distinct]))
    return _once_each(merged)


def _once_each(groups: Sequence[Group]) -> list[Group]:
    """Who is in several groups has a row in the last."""
    last = {person.identity: number for number, group in enumerate(groups) for person in group.people}
    kept = []
    for number, group in enumerate(groups):
        people = tuple(person for person in group.people if last[person.identity] == number)
        if people:
            kept.append(replace(group, people=people))
    return kept


def _overlap(one: Group, other: Group) -> bool:
    if (
        one.folder is not None
        and other.folder is not None
        and one.folder.absolute() == other.folder.absolute()
    ):
        return True
    places = {file.path.absolute() for file in one.files}
    return any(file.path.absolute() in places for file in other.files)


def _told_apart(place: str, group: Group) -> Group:
    source = PurePosixPath(place).name
    people = tuple(
        replace(person, identity=f"{person.identity}@{source}", key=f"{person.key}-{source}")
        for person in group.people
    )
    return replace(group, people=people)


def _together(groups: Sequence[Group]) -> Group:
    files = tuple(file for group in groups for file in group.files)
    notes = tuple(note for group in groups for note in group.notes)
    return replace(groups[-1], files=files, notes=notes, folder=None, late=groups[-1].late)


# -- from students to rows -----------------------------------------------------------------------------------------


def _entries(group: Group, template: Template | None, extracted: Path, weights: str | None) -> list[Entry]:
    """A row for each of a group, all with the same notebook; ``weights`` is what a checkpoint is called, if any counts."""
    first = group.people[0]
    path = group.files[0].path if group.files else group.folder or Path(first.key)
    entry = Entry(first.key, first.name, first.id, path, late=group.late, notes=group.notes)
    try:
        found = find_among(group.files, template)
        if len(group.files) == 1 and found.path is None and layouts.is_export(found.inside):
            raise NothingToGrade(
                f"{group.files[0].name} looks like the export of a whole class; give it to grader batch by itself"
            )
        path = found.path or _kept(found, extracted / NOTEBOOKS)
        notes = (*found.notes, *group.notes, *_of_metadata(group, found))
        entry = replace(entry, path=path, digest=found.digest, notes=notes, file=_shown(group, found.name))
        if weights is not None:
            entry = _with_weights(entry, group, found, extracted / NOTEBOOKS, weights)
    except NothingToGrade as error:
        names = ", ".join(_shown(group, file.name) for file in group.files[:3])
        names += ", ..." if len(group.files) > 3 else ""
        entry = replace(entry, problem=_problem(group, str(error)), file=one_line(names, 200))
    together = group.identity if len(group.people) > 1 else ""
    return [_of_person(entry, person, group.people, together) for person in group.people]


def _of_person(entry: Entry, person: Person, people: Sequence[Person], together: str) -> Entry:
    others = ", ".join(other.name for other in people if other is not person)
    together_with = f"handed in together with {others}" if others else ""
    notes = (*entry.notes, *filter(None, (together_with, person.note)))
    return replace(
        entry,
        key=person.key,
        name=one_line(person.name, 200),
        id=one_line(person.id, 200),
        email=one_line(person.email, 200),
        identity=person.identity.encode("utf-8", "backslashreplace").decode(),
        group=together,
        roster=person.roster,
        notes=tuple(one_line(note, 400) for note in notes),
    )


def _shown(group: Group, name: str) -> str:
    """A file's name as the export has it; ``name`` is what the student called it."""
    for file in group.files:
        if name == file.name or name.startswith(f"{file.name}/"):
            is_renamed = file.path.name != PurePosixPath(file.name).name
            return one_line((file.path.name if is_renamed else file.name) + name[len(file.name) :], 200)
    return one_line(name, 200)


def _problem(group: Group, reason: str) -> str:
    if group.files or group.folder is None or group.notes:
        return "; ".join(group.notes) or reason
    return f"{one_line(group.folder.name, 80)}: an empty folder. {reason}"


def _kept(found: HandIn, folder: Path) -> Path:
    """A notebook out of a student's archive as a file of its own, for the processes that grade it."""
    return _written(folder / f"{found.digest}.ipynb", found.data)


def _written(path: Path, data: bytes) -> Path:
    """The file with these data, by which it is named."""
    if path.is_file() and path.stat().st_size == len(data):
        return path
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise GraderError(f"cannot write {one_line(str(path))}: {error.strerror or error}") from None
    return path


def _of_metadata(group: Group, found: HandIn) -> list[str]:
    """That metadata handed in beside or above the notebook has no effect."""
    above = [str(parent) for parent in PurePosixPath(found.name).parents]
    given = [str(PurePosixPath(file.name).parent) for file in group.files if file.path.name == METADATA]
    if not set(above) & set(given):
        return []
    return [
        f"the {METADATA} beside or above this notebook has no effect, because it is not at the root of a Gradescope "
        "export; to use an export's metadata, pass that export alone"
    ]


def _with_weights(entry: Entry, group: Group, found: HandIn, folder: Path, name: str) -> Entry:
    """The entry with the checkpoint that the student handed in with the notebook, also in an archive."""
    own = [file.path for file in group.files if file.path.suffix.lower() == checkpoint.SUFFIX]
    own = [path for path in own if checkpoint.is_file(path)]
    best = sorted(
        own, key=lambda path: (not path.name.endswith(name), path.stem != entry.path.stem)
    )
    path = best[0] if best else None
    if path is None and group.folder is None and len(group.files) == 1 and found.path is not None:
        path = checkpoint.find(entry.path, name)
    if path is None and found.weights:
        within = sorted(found.weights, key=lambda named: not named[0].endswith(name))
        _, data = within[0]
        path = _written(folder / f"{hashlib.sha256(data).hexdigest()}.safetensors", data)
    return entry if path is None else replace(entry, checkpoint=path, weights=checkpoint.digest_of(path))


def digest_of(path: Path) -> tuple[str, str | None]:
    """The SHA-256 of a file in hex, or why it cannot be read."""
    name = one_line(path.name)
    try:
        if not path.is_file():
            reason = "is a folder" if path.is_dir() else "is not a regular file"
            return "", f"{name}: {reason}"
        if path.stat().st_size > MAX_FILE_BYTES:
            return "", f"{name}: is larger than {MAX_FILE_BYTES >> 20} MB"
        return hashlib.sha256(path.read_bytes()).hexdigest(), None
    except OSError as error:
        return "", f"{name}: cannot be read ({error.strerror or error})"


# -- keys ----------------------------------------------------------------------------------------------------------


def _with_keys(entries: Sequence[Entry], known: Mapping[str, str]) -> list[Entry]:
    """The entries under keys that no other has, nor had (also where a file system does not tell case apart).

    Which key somebody gets does not depend on who else is there, unless two would be called alike: then what tells them
    apart is made of each identity.
    """
    # Who stood in the roster alone before, or does now, keeps the row.
    known = {
        **{entry.identity: known[entry.roster] for entry in entries if entry.roster in known},
        **known,
    }
    wanted = {entry.identity: _slug(entry.key) for entry in entries if entry.identity not in known}
    often = Counter(key.casefold() for key in wanted.values())
    taken = {key.casefold() for key in known.values()}
    given = dict(known)
    for identity, key in wanted.items():
        is_free = often[key.casefold()] == 1 and key.casefold() not in taken
        given[identity] = key if is_free else f"{key}-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"
    return [replace(entry, key=given[entry.identity]) for entry in entries]


def _slug(text: str) -> str:
    """A name for files: letters and digits of any script, and ``-._``; at most 80 characters."""
    slug = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    while len(slug.encode()) > 120 or len(slug) > 80:
        slug = slug[:-1]
    return slug or "submission"
