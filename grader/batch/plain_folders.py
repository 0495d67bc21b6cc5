"""Sorts files by student where no platform named them: a folder, an archive or a file for each student."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from grader.batch.people import Group, Person
from grader.batch.unpacking import METADATA
from grader.errors import NothingToGrade
from grader.submission.file_kinds import is_archive_name, is_junk, is_named_notebook, may_hold_work
from grader.submission.handin import Handed, files_in


def children_of(folder: Path, skip: Path | None = None) -> list[Path]:
    """What lies in a folder, without junk of systems and editors and without the folder ``skip``."""
    try:
        found = sorted(path for path in folder.iterdir() if not is_junk(path.name))
    except OSError:
        return []
    return found if skip is None else [path for path in found if path.resolve() != skip]


def files_of(folder: Path) -> tuple[list[Handed], list[str]]:
    """The files in a folder, or why they cannot be listed."""
    try:
        return files_in(folder), []
    except NothingToGrade as error:
        return [], [str(error)]


OF_A_HAND_IN = re.compile(
    r"(?<![^\W\d_])(?:hw|homeworks?|assignments?|attempts?|submissions?|versions?|drafts?|final|copy|backup|parts?|tasks?"
    r"|problems?|questions?|notebooks?|solutions?|data|old|new|src|untitled|v(?=\d))(?![^\W\d_])"
    r"|^\W*\d{4}-\d\d-\d\d",
    re.I,
)
"""Words in the names of files that say what was handed in rather than who did."""


def stem_of(name: str) -> str:
    """A file's name without its endings, which says whose it is."""
    return (
        re.sub(
            r"(\.ipynb)?(\.(txt|json|download|part|html))?$|\.(tar\.\w+|\w{1,11})$",
            "",
            name,
            count=1,
            flags=re.I,
        )
        or name
    )


def plain(children: Sequence[Path]) -> tuple[list[Group], list[str]]:
    """A folder, an archive or a file for each student; or folders of these, for instance by section."""
    folders = {path for path in children if path.is_dir() and not path.is_symlink()}
    sections = _sections(sorted(folders))
    by_name: dict[str, list[Path]] = {}
    beside: list[Path] = []
    strangers: list[Path] = []
    strange: list[str] = []
    for path in children:
        if path in sections:
            continue
        if path in folders or may_hold_work(path.name):
            by_name.setdefault(path.name if path in folders else stem_of(path.name), []).append(path)
        else:
            beside.append(path)
    groups = []
    own: dict[str, list[Path]] = {name: [] for name in by_name}
    for path in beside:
        own.get(stem_of(path.name), strangers).append(path)
    for name, paths in by_name.items():
        groups.append(_plain_group(name, [*paths, *own[name]]))
    for section in sections:
        inner, others = plain(children_of(section))
        groups += [_within(section.name, group) for group in inner]
        strange += [f"{section.name}/{name}" for name in others]
    return groups, [*strange, *(path.name for path in strangers if path.name != METADATA)]


def _plain_group(name: str, paths: Sequence[Path]) -> Group:
    files: list[Handed] = []
    notes: list[str] = []
    folders = [path for path in paths if path.is_dir() and not path.is_symlink()]
    for path in paths:
        if path in folders:
            inner, note = files_of(path)
            files += inner
            notes += note
        else:
            files.append(Handed(path, path.name))
    shown = stem_of(name) if is_named_notebook(name) else name
    person = Person(f"name:{shown}", shown, shown, shown)
    folder = folders[0] if len(folders) == len(paths) == 1 else None
    return Group((person,), tuple(files), folder, notes=tuple(notes))


def _within(section: str, group: Group) -> Group:
    people = tuple(
        Person(
            f"name:{section}/{person.name}",
            f"{section}-{person.key}",
            f"{section}/{person.name}",
            f"{section}/{person.id}",
        )
        for person in group.people
    )
    return replace(group, people=people)


def _sections(folders: Sequence[Path]) -> list[Path]:
    """Folders that hold students rather than one student's files.

    In most folders, names of files come again where each is a student's; students' names do not.
    """
    units = {folder: hand_ins_in(folder) for folder in folders}
    often = Counter(unit.casefold() for names in units.values() for unit in names)
    holding = [
        folder
        for folder, names in units.items()
        if len(names) > 1 and not are_of_one(names) and all(often[name.casefold()] == 1 for name in names)
    ]
    return holding if 2 * len(holding) >= len(folders) else []


def are_of_one(names: Collection[str]) -> bool:
    """Whether most files are called as one student's are, such as ``hw3`` and ``draft``, rather than as students are."""
    return 2 * sum(OF_A_HAND_IN.search(name) is not None for name in names) >= len(names)


def hand_ins_in(folder: Path) -> set[str]:
    """Names of what lies in a folder, each of which may be one student's work."""
    found = set()
    for path in children_of(folder):
        if path.is_dir() and not path.is_symlink():
            if any(
                is_named_notebook(inner.name) or is_archive_name(inner.name) for inner in children_of(path)
            ):
                found.add(path.name)
        elif is_named_notebook(path.name) or is_archive_name(path.name):
            found.add(stem_of(path.name))
    return found
