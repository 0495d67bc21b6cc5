"""The corpus: wrong and right answers to one class each, as YAML files that an instructor can add to.

A file is ``corpus/<part>.yaml``::

    part: 1a
    class: Softmax              # the class of the reference that each entry replaces
    causes:                     # what graders are told where a submission fails like an entry
      axis: The sum runs over the wrong axis.
    entries:
      - id: sum-of-all          # unique within the file
        kind: mutant            # or variant: a right answer in another style
        causes: [axis]          # several if it holds several faults; by default its title is its cause
        title: The sum is over the whole batch.
        edits:                  # texts of the reference's class, each of which occurs once
          - {replace: sum(dim=-1), with: sum()}
        loses: [1a.sums]        # the criteria that must fail; all others must hold

Instead of ``edits`` an entry may have ``code``, the source that replaces the class. ``before`` and
``after`` are further cells around its cell. A variant loses nothing.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import nbformat
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from grader.authoring import notebooks as template
from grader.errors import UsageError
from grader.files.located_yaml import Fault, Lines, Where, read_yaml
from grader.homework import Homework, load_homework
from grader.scoring.rubric import ItemId

MAX_BYTES = 1 << 20
_ID = r"^[a-z0-9][a-z0-9-]*$"


class Edit(BaseModel):
    """A replacement in the source of the reference's class."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    replace: Annotated[str, Field(min_length=1)]
    by: Annotated[str, Field(alias="with")]


class Entry(BaseModel):
    """One answer, and what it must lose."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=_ID)]
    kind: Literal["mutant", "variant"]
    causes: tuple[str, ...] = ()
    title: Annotated[str, Field(min_length=1)]
    edits: tuple[Edit, ...] = ()
    code: str | None = None
    before: str | None = None
    after: str | None = None
    loses: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        if self.edits and self.code is not None:
            raise ValueError("has both edits and code")
        if not self.edits and self.code is None and self.before is None and self.after is None:
            raise ValueError("changes nothing: give edits or code")
        if (self.kind == "mutant") != bool(self.loses):
            raise ValueError("a mutant says what it loses, and a variant loses nothing")
        if self.causes and self.kind == "variant":
            raise ValueError("a variant is right, so it has no causes")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    part: ItemId
    class_name: Annotated[str, Field(alias="class")]
    causes: dict[Annotated[str, Field(pattern=_ID)], Annotated[str, Field(min_length=1)]] = {}
    entries: tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """An entry with the cells of its submission; ``causes`` say in words what is wrong with it, one for each fault."""

    part: str
    entry: Entry
    cells: tuple[str, ...]
    causes: tuple[str, ...] = ()
    class_name: str = ""

    @property
    def name(self) -> str:
        """Unique in the whole corpus: ``1a/no-exp``."""
        return f"{self.part}/{self.entry.id}"

    def notebook(self) -> str:
        """The submission as a notebook file's text."""
        cells = [nbformat.v4.new_code_cell(source) for source in self.cells]
        for number, cell in enumerate(cells):
            cell["id"] = f"cell-{number}"
        text: str = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
        return text


def load(path: Path, criteria: Collection[str]) -> list[Case]:
    """The cases of one file; ``criteria`` are those of the rubric.

    Raises `UsageError` with a line for each fault of the file, which names file and line.
    """
    cases, faults = _load(path, criteria)
    if faults:
        raise UsageError("\n".join(faults))
    return cases


def load_all(criteria: Collection[str], folder: Path | None = None) -> list[Case]:
    """The cases of every file of a folder, by default the homework's corpus, in the order of the parts.

    Raises `UsageError` with every fault of every file.
    """
    folder = folder or load_homework().corpus
    paths = sorted(folder.glob("*.yaml"), key=lambda path: _natural(path.stem))
    if not paths:
        raise UsageError(f"{folder}: no corpus (*.yaml) there")
    loaded = [_load(path, criteria) for path in paths]
    if faults := [fault for _, found in loaded for fault in found]:
        raise UsageError("\n".join(faults))
    return [case for cases, _ in loaded for case in cases]


def load_causes(path: Path) -> dict[str, str]:
    """The causes that a file names, in words, by id; raises `UsageError` where it is no corpus."""
    return _file(path).causes


def class_of(path: Path) -> str:
    """The class whose answers a file holds; raises `UsageError` where it is no corpus."""
    return _file(path).class_name


def _file(path: Path) -> _File:
    try:
        return _parsed(path)[0]
    except Fault as fault:
        raise UsageError(f"{path.name}:{fault.line}: {fault.reason}") from None
    except ValidationError as error:
        raise UsageError(f"{path.name}: {error.errors(include_url=False)[0]['msg']}") from None


def _parsed(path: Path) -> tuple[_File, Lines]:
    plain, lines = read_yaml(_bytes(path), most=MAX_BYTES, scalars="text")
    return _File.model_validate(plain), lines


def _natural(part: str) -> tuple[int, str]:
    """Sorts 10a after 9a."""
    number = part.rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(number) if number.isdecimal() else 0, part


def _load(path: Path, criteria: Collection[str]) -> tuple[list[Case], list[str]]:
    """The cases of a file that are in order, and a line for each fault of the others."""
    cases: list[Case] = []
    faults: list[Fault] = []
    try:
        plain, lines = read_yaml(_bytes(path), most=MAX_BYTES, scalars="text")
        try:
            file = _File.model_validate(plain)
        except ValidationError as error:
            faults += _faults(error, (), lines)
        else:
            if path.stem != file.part:
                faults.append(Fault(lines["part",], f"part {file.part} belongs in {file.part}.yaml"))
            cases, found = _cases(file, criteria, lines)
            faults += found
    except Fault as fault:
        faults.append(fault)
    return cases, [f"{path.name}:{fault.line}: {fault.reason}" for fault in sorted(faults, key=lambda f: f.line)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Fault(1, f"cannot be read: {error.strerror or error}") from None


def _cases(file: _File, criteria: Collection[str], lines: Lines) -> tuple[list[Case], list[Fault]]:
    seen: dict[str, int] = {}
    cases: list[Case] = []
    faults: list[Fault] = []
    for place, plain in enumerate(file.entries):
        where: Where = ("entries", place)
        named: Where = (*where, "id")
        try:
            entry = Entry.model_validate(plain)
        except ValidationError as error:
            faults += _faults(error, where, lines)
            continue
        line = lines[named]
        if entry.id in seen:
            faults.append(Fault(line, f"entry {entry.id} is already defined in line {seen[entry.id]}"))
        seen.setdefault(entry.id, line)
        for n, name in enumerate(entry.loses):
            if name not in criteria:
                absent: Where = (*where, "loses", n)
                faults.append(Fault(lines[absent], f"the rubric has no criterion {name}"))
        for n, name in enumerate(entry.causes):
            if name not in file.causes:
                unnamed: Where = (*where, "causes", n)
                faults.append(Fault(lines[unnamed], f"{name} is not among the file's causes"))
        words = tuple(file.causes[name] for name in entry.causes if name in file.causes) or (entry.title,)
        try:
            cells = tuple(cells_of(file.class_name, entry))
            cases.append(Case(file.part, entry, cells, words, file.class_name))
        except Fault as fault:
            faults.append(Fault(line, f"{entry.id}: {fault.reason}"))
    return cases, faults


def _faults(error: ValidationError, where: Where, lines: Lines) -> list[Fault]:
    found = []
    for detail in error.errors(include_url=False, include_context=False):
        place: Where = (*where, *detail["loc"])
        label = ".".join(str(step) for step in place)
        while place and place not in lines:
            place = place[:-1]
        reason = detail["msg"].removeprefix("Value error, ")
        found.append(Fault(lines.get(place, 1), f"{label}: {reason}"))
    return found


# Submissions.


def reference_cells() -> tuple[str, ...]:
    """The cells of a plain right submission: imports, and every class that the notebook provides or asks for."""
    return _reference_cells(load_homework())


@functools.cache
def _reference_cells(homework: Homework) -> tuple[str, ...]:
    sources = []
    notebook = template.build_master(homework)
    for outline, cell in zip(template.read_outline(homework), notebook["cells"], strict=True):
        if not outline.is_code or outline.master_only:
            continue
        makes_class = any(isinstance(node, ast.ClassDef) for node in ast.parse(cell["source"]).body)
        if outline.role == "setup" or (outline.role in ("solution", "provided") and makes_class):
            sources.append(str(cell["source"]))
    return tuple(sources)


def cells_of(class_name: str, entry: Entry) -> Iterable[str]:
    """The cells of a right submission, with an entry instead of one class."""
    found = False
    for cell in reference_cells():
        source = class_source(cell, class_name)
        if source is None:
            yield cell
            continue
        found = True
        if entry.before is not None:
            yield entry.before
        yield cell.replace(source, entry.code if entry.code is not None else edited(source, entry.edits))
        if entry.after is not None:
            yield entry.after
    if not found:
        raise Fault(1, f"the reference has no class {class_name}")


@functools.lru_cache(maxsize=256)
def class_source(cell: str, name: str) -> str | None:
    """The source of a class that a cell defines, or None."""
    for node in ast.parse(cell).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return "\n".join(cell.splitlines()[node.lineno - 1 : node.end_lineno])
    return None


def edited(source: str, edits: Iterable[Edit]) -> str:
    """The source with each edit made. Raises `Fault` where its text does not occur exactly once."""
    for edit in edits:
        count = source.count(edit.replace)
        if count != 1:
            raise Fault(1, f"{edit.replace!r} occurs {count} times in the class, expected once")
        source = source.replace(edit.replace, edit.by)
    return source
