"""Recognizes how a class was exported and whose each file is.

| from | looks like |
|---|---|
| Gradescope | ``submission_12345/...``, with ``submission_metadata.yml`` beside the folders (see `gradescope_export`) |
| Canvas | ``lastnamefirst_LATE_123_456_homework.ipynb``: 123 is the student's id, 456 the file's |
| Moodle | ``Ada Lovelace_123_assignsubmission_file/...``, or the same as the beginning of a file's name |
| Blackboard | ``HW3_ada_attempt_2025-10-01-12-00-00_homework.ipynb``, with a ``.txt`` for each attempt |
| Brightspace | ``123-456 - Ada Lovelace - Oct 1, 2025 1200 PM/...`` |
| anything else | a folder, an archive or a file for each student, named after the student; or folders of these |

A layout is recognized if most of the names follow it, so a stray file does not matter. Only names at the root count: what
lies deeper belongs to one student.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from grader.batch.export_names import LAYOUTS, Layout, Named, of_blackboard, read_name, recognized
from grader.batch.people import Found, Group, Person
from grader.batch.plain_folders import are_of_one, children_of, files_of, hand_ins_in, plain, stem_of
from grader.batch.unpacking import METADATA
from grader.submission.file_kinds import is_archive_name, is_named_notebook, may_hold_work
from grader.submission.handin import Handed

MAX_WRAPPERS = 3


def students_in(root: Path, problems: Mapping[str, str] | None = None, skip: Path | None = None) -> Found:
    """Whose work lies in a folder; ``problems`` says what is wrong with files of it, by their path.

    A folder to ``skip`` is where results go, which may lie in the class's folder.
    """
    base, outside = _unwrapped(root, skip)
    return with_problems(_found(children_of(base, skip), outside), root, problems or {})


def is_export(names: Sequence[str]) -> bool:
    """Whether files with these paths are what a platform exports of a class, rather than one student's."""
    placed = [name.split("/") for name in names]
    for level in range(MAX_WRAPPERS):
        here = {(parts[level], len(parts) == level + 1) for parts in placed if len(parts) > level}
        for layout in LAYOUTS:
            named = [(layout.of_file if is_file else layout.of_folder)(name) for name, is_file in here]
            users = {one.user for one in named if one is not None}
            if len(users) > 1 and 2 * sum(one is not None for one in named) >= len(here):
                return True
        if len(here) != 1:
            return False
    return False


def students_of(files: Sequence[Path]) -> Found:
    """Whose work these files are."""
    return _found(files, ())


def layout_of(paths: Sequence[Path]) -> str:
    """The title of the layout that most of these names follow, or nothing."""
    layout = recognized(paths)
    return layout.title if layout else ""


def with_problems(found: Found, root: Path, problems: Mapping[str, str]) -> Found:
    """What was found in an unpacked archive, with what is wrong with files of it by their path in ``root``."""
    if not problems:
        return found

    def mended(file: Handed) -> Handed:
        return replace(file, problem=problems.get(file.path.relative_to(root).as_posix(), file.problem))

    groups = tuple(replace(group, files=tuple(map(mended, group.files))) for group in found.groups)
    lying = {file.path.relative_to(root).as_posix() for group in groups for file in group.files}
    lost = [f"{name}: {reason}" for name, reason in problems.items() if name not in lying]
    return replace(found, groups=groups, strange=(*found.strange, *lost))


def _unwrapped(root: Path, skip: Path | None, depth: int = 0) -> tuple[Path, tuple[str, ...]]:
    """The folder in which the hand-ins lie, as exports have one around them all; and files beside that one."""
    children = children_of(root, skip)
    folders = [path for path in children if path.is_dir() and not path.is_symlink()]
    files = [path for path in children if path not in folders]
    alone = len(folders) == 1 and not any(may_hold_work(path.name) for path in files)
    if not alone or recognized(children) or depth == MAX_WRAPPERS:
        return root, ()
    base, outside = _unwrapped(folders[0], skip, depth + 1)
    inner = children_of(base, skip)
    works = [path for path in inner if path.is_dir() or may_hold_work(path.name)]
    if not recognized(inner) and (len(works) < 2 or are_of_one([stem_of(path.name) for path in works])):
        return root, ()
    return base, (*(path.name for path in files if path.name != METADATA), *outside)


def _found(children: Sequence[Path], outside: Iterable[str]) -> Found:
    layout = recognized(children)
    if layout is None:
        groups, strange = plain(children)
        return Found(tuple(groups), (*outside, *strange))
    return _exported(layout, children, tuple(outside))


def _exported(layout: Layout, children: Sequence[Path], outside: tuple[str, ...]) -> Found:
    by_user: dict[str, list[tuple[Named, Path]]] = {}
    strays: list[Path] = []
    for path in children:
        named = read_name(layout, path)
        if named is None:
            strays.append(path)
        else:
            by_user.setdefault(named.user, []).append((named, path))
    users = of_blackboard(by_user) if layout.title == "Blackboard" else by_user
    groups = [_group_of(layout, user, files) for user, files in users.items()]
    others, strange = plain([path for path in strays if path.name.lower() not in (METADATA, "index.html")])
    note = f"its name does not match the layout of the {layout.title} export"
    groups += [replace(group, notes=(*group.notes, note)) for group in others]
    beside = [f"{group.people[0].name} (has a row of its own): {note}" for group in others]
    return Found(tuple(groups), (*outside, *strange, *beside), layout.title)


def _group_of(layout: Layout, user: str, named: Sequence[tuple[Named, Path]]) -> Group:
    latest = max((one for one, _ in named), key=lambda one: (one.attempt, one.order))
    files: list[Handed] = []
    folders: list[Path] = []
    notes: list[str] = []
    many = len({one.attempt for one, _ in named}) > 1
    for one, path in named:
        if path.is_dir() and not path.is_symlink():
            folders.append(path)
            inner, note = files_of(path)
            notes += note
            files += [replace(file, attempt=one.attempt, order=one.order) for file in inner]
        elif not one.is_receipt:
            when = "-".join(f"{number:02}" for number in one.attempt)
            shown = f"attempt {when}/{one.file}" if many else one.file
            files.append(Handed(path, shown, one.attempt, one.order))
    key = latest.id if latest.name == latest.id else f"{latest.name}_{latest.id}"
    if layout.title == "Gradescope":
        key = user
    person = Person(f"{layout.title.lower()}:{user}", key, latest.name, latest.id)
    folder = folders[0] if len(folders) == 1 else None
    return Group((person,), tuple(files), folder, latest.late, tuple(notes))


def is_one_hand_in(folder: Path) -> bool:
    """Whether a folder looks like what one student handed in rather than a class."""
    children = children_of(folder)
    if layout_of(children):
        return False
    folders = [path for path in children if path.is_dir() and not path.is_symlink()]
    direct = {
        stem_of(path.name)
        for path in children
        if path not in folders and (is_named_notebook(path.name) or is_archive_name(path.name))
    }
    # A class of folders has no notebook beside them, and one student's notebook has few notebooks below it.
    return len(hand_ins_in(folder)) <= 1 + len(direct) <= 2 if direct else len(folders) <= 1


def one_hand_in(folder: Path, name: str, problems: Mapping[str, str] | None = None) -> Found:
    """A folder as what one student handed in, who is named after it."""
    files, notes = files_of(folder)
    person = Person(f"name:{name}", name, name, name)
    return with_problems(
        Found((Group((person,), tuple(files), folder, notes=tuple(notes)),)), folder, problems or {}
    )
