"""Reads an export of Gradescope: ``submission_metadata.yml`` beside a folder, or a PDF, for each submission."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from grader.batch.layouts import students_of, with_problems
from grader.batch.people import Found, Group, Person
from grader.batch.plain_folders import children_of
from grader.batch.unpacking import MAX_METADATA_BYTES, METADATA
from grader.errors import NothingToGrade, UsageError
from grader.submission.handin import Handed, files_in
from grader.text.safe_text import one_line

MAX_TEXT = 300
"""Characters of a name, an id or an address in the metadata."""
_SUBMISSION = re.compile(r"submission_(\d+)")
_NUMBERED = re.compile(r"(?:submission_)?(\d+)(?:\.pdf)?", re.I)


def submission_of(name: str) -> str:
    """The submission, as ``submission_N``, that a name in an export belongs to: N.pdf is one of them. Empty if none."""
    match = _NUMBERED.fullmatch(name)
    return f"submission_{match[1]}" if match else ""


def export_in(folder: Path) -> Path | None:
    """The root of an export: metadata beside ``submission_N`` folders or N.pdf, in the folder or in the one folder in it."""
    inside = children_of(folder)
    candidates = [folder]
    if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink():
        candidates += inside
    for root in candidates:
        metadata = root / METADATA
        beside = any(_is_submission(path) for path in children_of(root))
        if metadata.is_file() and not metadata.is_symlink() and (beside or root is folder):
            return root
    return None


def students_of_export(root: Path, top: Path, problems: Mapping[str, str]) -> Found:
    """Whose work lies in an export: each member of a group has a row, and of several submissions the latest counts."""
    known = _read_metadata(root / METADATA)
    children = children_of(root)
    folders = {path.name: path for path in children if path.is_dir() and _is_submission(path)}
    single = {submission_of(path.name): path for path in children if path.is_file() and _is_submission(path)}
    groups: list[Group] = []
    numbers: dict[str, list[int]] = {}
    for name in sorted({*folders, *single, *known}, key=lambda name: (_created(known.get(name, {})), name)):
        facts = known.get(name, {})
        people = tuple(_people(facts)) or (Person(f"gradescope:{name}", name, name, name.partition("_")[2]),)
        files, notes = _files_of(folders.get(name))
        if name in single:
            files = (*files, Handed(single[name], single[name].name))
        late = bool(_value(facts, "late") or _value(facts, "lateness"))
        groups.append(Group(people, files, folders.get(name), late, notes))
        for person in people:
            numbers.setdefault(person.identity, []).append(len(groups) - 1)
    counted = [_counted(groups, number, numbers) for number in range(len(groups))]
    # What lies beside the submissions is somebody's work too.
    others = students_of([path for path in children if path.name != METADATA and not _is_submission(path)])
    found = Found(
        (*(group for group in counted if group.people), *others.groups), others.strange, "Gradescope"
    )
    return with_problems(found, top, problems)


def _is_submission(path: Path) -> bool:
    if path.is_symlink():
        return False
    if path.is_dir():
        return bool(_SUBMISSION.fullmatch(path.name))
    return path.suffix.lower() == ".pdf" and bool(submission_of(path.name))


def _counted(groups: list[Group], number: int, numbers: Mapping[str, list[int]]) -> Group:
    """The group without those who handed in again later, elsewhere; it names what its own members handed in earlier."""
    group = groups[number]
    staying = tuple(person for person in group.people if numbers[person.identity][-1] == number)
    earlier = sorted({one for person in staying for one in numbers[person.identity][:-1]})
    named = ", ".join(folder.name for one in earlier if (folder := groups[one].folder) is not None)
    notes = (f"the latest of several submissions is graded; earlier: {named}",) if named else ()
    return replace(group, people=staying, notes=(*group.notes, *notes))


def _files_of(folder: Path | None) -> tuple[tuple[Handed, ...], tuple[str, ...]]:
    if folder is None:
        return (), ()
    try:
        return tuple(files_in(folder)), ()
    except NothingToGrade as error:
        return (), (str(error),)


def _people(facts: Mapping[Any, Any]) -> Iterator[Person]:
    seen: set[str] = set()
    for submitter in _list(facts, "submitters"):
        if not isinstance(submitter, dict):
            continue
        name, sid, email = (_text(submitter, field) for field in ("name", "sid", "email"))
        identity = sid or email.casefold() or name
        if identity and identity not in seen:
            seen.add(identity)
            mark = sid or email.partition("@")[0]
            yield Person(
                f"gradescope:{identity}", "_".join(filter(None, (name, mark))), name or identity, sid, email
            )


def _created(facts: Mapping[Any, Any]) -> str:
    value = _value(facts, "created_at")
    return str(value)[:40] if value is not None else ""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads Gradescope's file, whose tags name classes of its own program: they are passed over."""


def _untagged(loader: Any, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("", _untagged)


def _read_metadata(path: Path) -> dict[str, dict[Any, Any]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_METADATA_BYTES)
        # A few hundred bytes of aliases stand for a list of any length.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Loader)):
            raise ValueError("YAML aliases are not supported")
        data = yaml.load(text, _Loader)  # a safe loader
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{one_line(str(path))}: cannot be read: {one_line(str(error))}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{one_line(str(path))}: is not a list of Gradescope submissions")
    numbered = {submission_of(str(key)): value for key, value in data.items() if isinstance(value, dict)}
    return {name: value for name, value in numbered.items() if name}


def _value(facts: Mapping[Any, Any], name: str) -> Any:
    """A field whose key may be written as a Ruby symbol."""
    return facts.get(f":{name}", facts.get(name))


def _list(facts: Mapping[Any, Any], name: str) -> list[Any]:
    value = _value(facts, name)
    return value if isinstance(value, list) else []


def _text(facts: Mapping[Any, Any], name: str) -> str:
    value = _value(facts, name)
    return one_line(str(value)[:MAX_TEXT]) if isinstance(value, str | int | float) else ""
