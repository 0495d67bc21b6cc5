"""Recognizes how a class was exported, and whose each file is.

| from | looks like |
|---|---|
| Gradescope | ``submission_12345/...``, with ``submission_metadata.yml`` beside the folders (see `gradescope_export`) |
| Canvas | ``lastnamefirst_LATE_123_456_homework.ipynb``: 123 is the student's id, 456 the file's |
| Moodle | ``Ada Lovelace_123_assignsubmission_file/...``, or the same as the beginning of a file's name |
| Blackboard | ``HW3_ada_attempt_2025-10-01-12-00-00_homework.ipynb``, with a ``.txt`` for each attempt |
| Brightspace | ``123-456 - Ada Lovelace - Oct 1, 2025 1200 PM/...`` |
| anything else | a folder, an archive or a file for each student, whose name it bears; or folders of these |

A layout is recognized by most of the names, so a stray file takes nobody's name away. Only names at the root count: what
lies deeper is a student's own, and names nobody else's work.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from grader.batch.unpacking import METADATA
from grader.errors import NothingToGrade
from grader.report.safe_text import one_line
from grader.submission.file_kinds import is_archive_name, is_junk, is_named_notebook, may_hold_work
from grader.submission.handin import Handed, files_in

MAX_WRAPPERS = 3
MAX_RECEIPT_BYTES = 1 << 16


@dataclass(frozen=True)
class Person:
    """Who gets a row. ``identity`` stays the same, whoever else hands in; ``key`` is what the row would like to be called."""

    identity: str
    key: str
    name: str
    id: str
    email: str = ""
    roster: str = ""
    """The identity in the roster, under which the row stays if nothing was handed in before or later."""
    note: str = ""


@dataclass(frozen=True)
class Group:
    """What one student or one group handed in."""

    people: tuple[Person, ...]
    files: tuple[Handed, ...] = ()
    folder: Path | None = None
    late: bool = False
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Of the group."""
        return "+".join(person.identity for person in self.people)


@dataclass(frozen=True)
class Found:
    """A class, and files of it that are nobody's."""

    groups: tuple[Group, ...] = ()
    strange: tuple[str, ...] = ()
    layout: str = ""
    """Empty where the names say no more than who handed in."""


@dataclass(frozen=True)
class _Named:
    """What the name of a file or a folder says about it."""

    user: str
    name: str
    id: str
    file: str
    late: bool = False
    attempt: tuple[int, ...] = ()
    order: int = 0
    is_receipt: bool = False


@dataclass(frozen=True)
class _Layout:
    title: str
    of_file: Callable[[str], _Named | None]
    of_folder: Callable[[str], _Named | None]


def students_in(root: Path, problems: Mapping[str, str] | None = None, skip: Path | None = None) -> Found:
    """Whose work lies in a folder; ``problems`` says what is wrong with files of it, by their path.

    A folder to ``skip`` is where results go, which may lie in the class's folder.
    """
    base, outside = _unwrapped(root, skip)
    return with_problems(_found(children_of(base, skip), outside), root, problems or {})


def children_of(folder: Path, skip: Path | None = None) -> list[Path]:
    """What lies in a folder, without what systems and editors leave behind, and without a folder to ``skip``."""
    try:
        found = sorted(path for path in folder.iterdir() if not is_junk(path.name))
    except OSError:
        return []
    return found if skip is None else [path for path in found if path.resolve() != skip]


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
    layout = _recognized(paths)
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
    if not alone or _recognized(children) or depth == MAX_WRAPPERS:
        return root, ()
    base, outside = _unwrapped(folders[0], skip, depth + 1)
    inner = children_of(base, skip)
    works = [path for path in inner if path.is_dir() or may_hold_work(path.name)]
    if not _recognized(inner) and (len(works) < 2 or _are_of_one([stem_of(path.name) for path in works])):
        return root, ()
    return base, (*(path.name for path in files if path.name != METADATA), *outside)


def _recognized(paths: Sequence[Path]) -> _Layout | None:
    """The layout that at least half of the names follow."""
    voters = [path for path in paths if path.name.lower() not in (METADATA, "index.html")]
    votes = {layout: sum(_named(layout, path) is not None for path in voters) for layout in LAYOUTS}
    best = max(LAYOUTS, key=lambda layout: votes[layout])
    return best if votes[best] and 2 * votes[best] >= len(voters) else None


def _named(layout: _Layout, path: Path) -> _Named | None:
    return (layout.of_folder if path.is_dir() and not path.is_symlink() else layout.of_file)(path.name)


def _found(children: Sequence[Path], outside: Iterable[str]) -> Found:
    layout = _recognized(children)
    if layout is None:
        groups, strange = _plain(children)
        return Found(tuple(groups), (*outside, *strange))
    return _exported(layout, children, tuple(outside))


def _exported(layout: _Layout, children: Sequence[Path], outside: tuple[str, ...]) -> Found:
    by_user: dict[str, list[tuple[_Named, Path]]] = {}
    strays: list[Path] = []
    for path in children:
        named = _named(layout, path)
        if named is None:
            strays.append(path)
        else:
            by_user.setdefault(named.user, []).append((named, path))
    users = _of_blackboard(by_user) if layout.title == "Blackboard" else by_user
    groups = [_group_of(layout, user, files) for user, files in users.items()]
    others, strange = _plain([path for path in strays if path.name.lower() not in (METADATA, "index.html")])
    note = f"its name does not match the layout of the {layout.title} export"
    groups += [replace(group, notes=(*group.notes, note)) for group in others]
    beside = [f"{group.people[0].name} (has a row of its own): {note}" for group in others]
    return Found(tuple(groups), (*outside, *strange, *beside), layout.title)


def _group_of(layout: _Layout, user: str, named: Sequence[tuple[_Named, Path]]) -> Group:
    latest = max((one for one, _ in named), key=lambda one: (one.attempt, one.order))
    files: list[Handed] = []
    folders: list[Path] = []
    notes: list[str] = []
    many = len({one.attempt for one, _ in named}) > 1
    for one, path in named:
        if path.is_dir() and not path.is_symlink():
            folders.append(path)
            inner, note = _files_of(path)
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


def _files_of(folder: Path) -> tuple[list[Handed], list[str]]:
    try:
        return files_in(folder), []
    except NothingToGrade as error:
        return [], [str(error)]


# -- names -------------------------------------------------------------------------------------------------------

_CANVAS = re.compile(
    r"(?P<name>[^_]+)_(?:(?P<late>late)_)?(?P<user>\d+)_(?:(?P<order>\d+)_(?P<file>.+)|(?P<entry>(?:text|link|question_\d+)\.html))",
    re.I | re.S,
)
_ANONYMOUS = re.compile(
    r"(?P<user>anon(?:ymous)?_[a-z0-9]{4,8})_(?:(?P<late>late)_)?(?P<order>\d+)_(?P<file>.+)", re.I | re.S
)
_MOODLE = re.compile(
    r"(?P<name>.+?)_(?P<user>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.+)|_?)", re.I | re.S
)
_BLACKBOARD = re.compile(
    r"(?P<stem>.+?)_attempt_(?P<when>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<receipt>\.txt))", re.I | re.S
)
_GRADESCOPE = re.compile(r"submission_(\d+)")
_BRIGHTSPACE = re.compile(
    r"(?P<user>\d+)-\d+ - (?P<name>.+?) - (?P<when>[A-Z][a-z]{2,8} \d{1,2}, \d{4} \d{1,4} ?[AP]M)", re.S
)


def _canvas(name: str) -> _Named | None:
    if match := _ANONYMOUS.fullmatch(name):
        user = match["user"]
        return _Named(user, user, user, match["file"], bool(match["late"]), order=_number(match["order"]))
    if (match := _CANVAS.fullmatch(name)) is None:
        return None
    file, order = match["file"] or match["entry"], _number(match["order"])
    return _Named(match["user"], match["name"], match["user"], file, bool(match["late"]), order=order)


def _moodle(name: str) -> _Named | None:
    if (match := _MOODLE.fullmatch(name)) is None:
        return None
    return _Named(match["user"], match["name"], match["user"], match["file"] or name)


def _moodle_file(name: str) -> _Named | None:
    named = _moodle(name)
    return named if named is not None and named.file != name else None


def _blackboard(name: str) -> _Named | None:
    if (match := _BLACKBOARD.fullmatch(name)) is None:
        return None
    attempt = tuple(map(int, match["when"].split("-")))
    user = match["stem"].rpartition("_")[2]
    # The whole of it tells students apart until it is known where the assignment's name ends.
    return _Named(
        match["stem"], user, user, match["file"] or name, attempt=attempt, is_receipt=bool(match["receipt"])
    )


def _gradescope(name: str) -> _Named | None:
    match = _GRADESCOPE.fullmatch(name)
    return _Named(name, name, match[1], name) if match else None


def _brightspace(name: str) -> _Named | None:
    if (match := _BRIGHTSPACE.fullmatch(name)) is None:
        return None
    day, _, clock = match["when"].replace(" AM", "AM").replace(" PM", "PM").rpartition(" ")
    clock = clock[:-2].zfill(4) + clock[-2:]
    attempt: tuple[int, ...] = ()
    for form in ("%b %d, %Y %I%M%p", "%B %d, %Y %I%M%p"):
        try:
            when = datetime.strptime(f"{day} {clock}", form).replace(tzinfo=timezone.utc)
            attempt = (when.year, when.month, when.day, when.hour, when.minute)
        except ValueError:
            continue
    return _Named(match["user"], match["name"], match["user"], name, attempt=attempt)


def _never(name: str) -> None:
    return None


LAYOUTS = (
    _Layout("Canvas", _canvas, _never),
    _Layout("Moodle", _moodle_file, _moodle),
    _Layout("Blackboard", _blackboard, _never),
    _Layout("Gradescope", _never, _gradescope),
    _Layout("Brightspace", _never, _brightspace),
)


def _number(text: str | None) -> int:
    return int(text[:18]) if text else 0


def _of_blackboard(by_stem: Mapping[str, list[tuple[_Named, Path]]]) -> dict[str, list[tuple[_Named, Path]]]:
    """The same with user names, which may hold ``_``: they are what is left of a name without the assignment's."""
    stems = list(by_stem)
    shared = 0
    if len(stems) > 1:
        parts = [stem.split("_") for stem in stems]
        while all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
            shared += 1
    found: dict[str, list[tuple[_Named, Path]]] = {}
    for stem, files in by_stem.items():
        user = "_".join(stem.split("_")[shared:]) if len(stems) > 1 else stem.rpartition("_")[2]
        name = user
        for named, path in files:
            if named.is_receipt and (told := _receipt(path)):
                name = told[0] or name
                if told[1] and stem.endswith(f"_{told[1]}"):
                    user = told[1]
        # Whose it is, the whole says the same whoever else hands in.
        found[stem] = [(replace(one, name=name, id=user), path) for one, path in files]
    return found


def _receipt(path: Path) -> tuple[str, str] | None:
    """Name and user name in Blackboard's own file on an attempt, whose first line has them."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_RECEIPT_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return None
    match = re.match(
        r"\s*Name:[ \t]*(?P<name>[^\n(]*?)[ \t]*(?:\((?P<user>[^()\n]+)\))?[ \t]*\r?(?:\n|$)", text
    )
    return (one_line(match["name"][:300]), match["user"] or "") if match else None


# -- no layout -----------------------------------------------------------------------------------------------------

_OF_A_HAND_IN = re.compile(
    r"(?<![^\W\d_])(?:hw|homeworks?|assignments?|attempts?|submissions?|versions?|drafts?|final|copy|backup|parts?|tasks?"
    r"|problems?|questions?|notebooks?|solutions?|data|old|new|src|untitled|v(?=\d))(?![^\W\d_])"
    r"|^\W*\d{4}-\d\d-\d\d",
    re.I,
)


def stem_of(name: str) -> str:
    """Whose a file is, by its name without all that its kind has put there."""
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


def _plain(children: Sequence[Path]) -> tuple[list[Group], list[str]]:
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
        inner, others = _plain(children_of(section))
        groups += [_within(section.name, group) for group in inner]
        strange += [f"{section.name}/{name}" for name in others]
    return groups, [*strange, *(path.name for path in strangers if path.name != METADATA)]


def _plain_group(name: str, paths: Sequence[Path]) -> Group:
    files: list[Handed] = []
    notes: list[str] = []
    folders = [path for path in paths if path.is_dir() and not path.is_symlink()]
    for path in paths:
        if path in folders:
            inner, note = _files_of(path)
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
    units = {folder: _units(folder) for folder in folders}
    often = Counter(unit.casefold() for names in units.values() for unit in names)
    holding = [
        folder
        for folder, names in units.items()
        if len(names) > 1 and not _are_of_one(names) and all(often[name.casefold()] == 1 for name in names)
    ]
    return holding if 2 * len(holding) >= len(folders) else []


def _are_of_one(names: Collection[str]) -> bool:
    """Whether most files are called as one student's are, such as ``hw3`` and ``draft``, rather than as students are."""
    return 2 * sum(_OF_A_HAND_IN.search(name) is not None for name in names) >= len(names)


def _units(folder: Path) -> set[str]:
    """What lies in a folder and may be one student's each."""
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
    return len(_units(folder)) <= 1 + len(direct) <= 2 if direct else len(folders) <= 1


def one_hand_in(folder: Path, name: str, problems: Mapping[str, str] | None = None) -> Found:
    """A folder as what one student handed in, who is named after it."""
    files, notes = _files_of(folder)
    person = Person(f"name:{name}", name, name, name)
    return with_problems(
        Found((Group((person,), tuple(files), folder, notes=tuple(notes)),)), folder, problems or {}
    )
