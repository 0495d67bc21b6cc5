"""Submissions of a class that are alike, with each other or with those of other folders, such as last year's.

The class's folder holds results, but not the notebooks. They are found again where the class was graded from. Those that are
gone, or are no longer what was graded, are left out, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.assignment import load_assignment
from grader.audit.right_answers import right_answers
from grader.batch.roster import ROSTER, load_roster
from grader.batch.store import Manifest, Store
from grader.batch.submissions import Entry, find_submissions
from grader.errors import GraderError, NothingToGrade, UsageError
from grader.homework import Homework
from grader.insight.similar_code import Cell, Pair, similar_pairs
from grader.submission.opening import MAX_FILE_BYTES, read_regular_file
from grader.submission.own_code import cell_of, given_cells, own_cells, parts_of
from grader.submission.reading import parse_notebook
from grader.submission.template import Template
from grader.text.safe_text import one_line

Cells = tuple[Cell, ...]


@dataclass(frozen=True)
class Similar:
    """What was found in a class.

    Args:
        pairs: submissions that are alike, the most alike first. One from another folder is called ``FOLDER/KEY``.
        cells: the code of those in ``pairs``, by key.
        notes: what could not be compared, and why.
    """

    pairs: Sequence[Pair]
    cells: Mapping[str, Cells]
    notes: tuple[str, ...]


def similar_in_class(folder: Path, manifest: Manifest, against: Sequence[Path] = ()) -> Similar:
    """The pairs of a class that are alike, and those with submissions in the folders ``against``.

    Args:
        folder: of the class. Archives that it was graded from are unpacked there.
        manifest: the class list in that folder.
        against: folders of other classes, of their exports, or of public solutions as notebooks and Python files.

    Raises:
        UsageError: if one of ``against`` does not exist or holds no code.
    """
    homework = manifest.homework
    template = load_assignment(homework=homework).template
    notes: list[str] = []
    known: dict[str, Cells] = {}
    own = _class(folder, manifest, template, notes, known)
    others: dict[str, dict[str, Cells]] = {}
    for place in against:
        name = _free_name(place, others)
        found = _others(place, folder / "extracted", template, homework, notes, known)
        others[name] = {f"{name}/{key}": cells for key, cells in found.items()}
    if not any(own.values()) or (len(own) < 2 and not others):
        # To read the right answers of the corpus takes a second.
        return Similar((), {}, tuple(notes))
    pairs = similar_pairs(
        own,
        parts_of(template),
        given=given_cells(template),
        background=[(cell,) for code in right_answers(homework) if (cell := cell_of(code)) is not None],
        against=others,
    )
    everyone = {**own, **{key: cells for found in others.values() for key, cells in found.items()}}
    shown = {key: everyone[key] for pair in pairs for key in (pair.first, pair.second)}
    return Similar(pairs, shown, tuple(notes))


def _class(
    folder: Path, manifest: Manifest, template: Template, notes: list[str], known: dict[str, Cells]
) -> dict[str, Cells]:
    """The code of each member by key."""
    entries = {entry.key: entry for entry in _entries(folder, manifest, template, notes)}
    found, gone = {}, []
    for member in manifest.members:
        entry = entries.get(member.key)
        if not member.digest:
            continue
        cells = _code(entry, template, known) if entry is not None and entry.digest == member.digest else None
        if cells is None:
            gone.append(member.key)
        else:
            found[member.key] = cells
    # A group hands in once.
    seen: set[str] = set()
    alone = {}
    for member in manifest.members:
        if member.key in found and (not member.group or member.group not in seen):
            seen.add(member.group)
            alone[member.key] = found[member.key]
    if gone:
        shown = ", ".join(gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
        notes.append(
            f"not compared, as the notebooks are not where they were graded from: {one_line(shown, 400)}; "
            "run `grader batch` again from where they are now"
        )
    return alone


def _entries(folder: Path, manifest: Manifest, template: Template, notes: list[str]) -> Sequence[Entry]:
    """The rows of a class, found again in its sources."""
    sources = [Path(source) for source in manifest.sources if Path(source).exists()]
    if not sources:
        return ()
    kept = folder / ROSTER
    try:
        students = load_roster(kept)[0] if kept.is_file() else ()
        found = find_submissions(
            sources, folder / "extracted", template, manifest.keys, students, manifest.homework
        )
    except GraderError as error:
        notes.append(one_line(str(error), 400))
        return ()
    return found.entries


def _code(entry: Entry, template: Template, known: dict[str, Cells]) -> Cells | None:
    """The code of a submission; identical notebooks are read once. None if it cannot be read."""
    if entry.digest not in known:
        try:
            data = read_regular_file(entry.path, entry.file or entry.path.name)
            known[entry.digest] = own_cells(parse_notebook(data, entry.path.name), template)
        except (OSError, NothingToGrade):
            return None
    return known[entry.digest]


def _others(
    place: Path,
    extracted: Path,
    template: Template,
    homework: Homework,
    notes: list[str],
    known: dict[str, Cells],
) -> dict[str, Cells]:
    """The code of another class, or of public solutions, by key."""
    if not place.exists():
        raise UsageError(f"{one_line(str(place))}: there is no such folder or file")
    if (place / "batch.json").is_file():
        return _class(place, Store(place, create=False).manifest(), template, notes, known)
    found = _python_files(place)
    try:
        entries = find_submissions([place], extracted, template, homework=homework).entries
    except UsageError:
        if not found:
            raise
        entries = ()
    for entry in entries:
        cells = _code(entry, template, known) if entry.digest else None
        if cells:
            found[entry.key] = cells
    if not found:
        raise UsageError(
            f"{one_line(str(place))}: contains no code to compare with; give a folder of notebooks or .py files"
        )
    return found


def _python_files(place: Path) -> dict[str, Cells]:
    paths = [place] if place.is_file() else sorted(place.rglob("*.py"))
    found: dict[str, Cells] = {}
    for path in paths:
        if path.suffix != ".py" or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            continue
        cell = cell_of(path.read_text(encoding="utf-8", errors="replace"), 1)
        if cell is not None:
            found[one_line(path.relative_to(place).as_posix() if path != place else path.name)] = (cell,)
    return found


def _free_name(place: Path, taken: Mapping[str, object]) -> str:
    name = one_line(place.resolve().name)
    names = (name, *(f"{name} ({number})" for number in range(2, len(taken) + 3)))
    return next(each for each in names if each not in taken)
