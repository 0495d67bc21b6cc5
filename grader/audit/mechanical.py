"""The mechanical sweep: every small change of the reference's answers must cost points, unless it changes nothing.

`mutants` makes wrong answers from the regions that the homework asks students to write. What loses no point is a survivor:
either it is as right as the reference, which a person records in ``equivalent.yaml`` with the reason, or a property is missing.
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from grader.audit.corpus import Case, Entry, cells_of
from grader.audit.mutate import Mutation, mutations
from grader.audit.run import Verdict
from grader.authoring import notebooks as template
from grader.errors import UsageError
from grader.homework import load_homework
from grader.scoring.rubric import ItemId
from grader.text.safe_text import one_line

Outcome = Literal["survivor", "equivalent", "elsewhere", "caught", "broken"]
"""`survivor`: loses nothing, and nobody has reviewed it. `elsewhere`: loses points of another item. `broken`: the grader could
not judge it."""
OUTCOMES: tuple[Outcome, ...] = ("survivor", "equivalent", "elsewhere", "caught", "broken")


@dataclass(frozen=True)
class Target:
    """A class that students write in part, with the lines (from 1) that they write."""

    part: str
    class_name: str
    source: str
    regions: tuple[range, ...]


@dataclass(frozen=True)
class Mutant:
    """A mutation of a part's class."""

    target: Target
    mutation: Mutation

    @property
    def name(self) -> str:
        """Unique among all mutants: ``1a/m1f3b0c7d``."""
        return f"{self.target.part}/{self.mutation.id}"

    @property
    def line(self) -> str:
        """The reference's line that it changes."""
        return self.target.source.splitlines()[self.mutation.line - 1].strip()

    def case(self, criteria: Collection[str]) -> Case:
        """The submission with this mutant; ``criteria`` are the rubric's."""
        own = tuple(name for name in criteria if name.startswith(self.target.part + "."))
        entry = Entry(
            id=self.mutation.id, kind="mutant", title=self.mutation.change, code=self.mutation.source, loses=own
        )
        return Case(self.target.part, entry, tuple(cells_of(self.target.class_name, entry)))


def targets() -> Iterator[Target]:
    """The classes with a region to write, in the order of the homework."""
    cells = zip(template.read_outline(), template.build_master()["cells"], strict=True)
    for outline, cell in cells:
        if outline.role != "solution":
            continue
        source = str(cell["source"])
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
                # An end marker may be the last line, and comments are no part of the syntax tree.
                if regions := tuple(_regions([*lines, *source.splitlines()[node.end_lineno :]])):
                    yield Target(outline.part, node.name, "\n".join(lines), regions)


def _regions(lines: Sequence[str]) -> Iterator[range]:
    start = None
    for number, line in enumerate(lines, start=1):
        if template.START.match(line):
            start = number + 1
        elif template.END.match(line) and start is not None:
            yield range(start, number)
            start = None


def mutants(part: str | None = None) -> tuple[Mutant, ...]:
    """All mutants of the homework, or those of one part, in the order of the source."""
    return _mutants(load_homework().source, part)


@functools.cache
def _mutants(homework: str, part: str | None) -> tuple[Mutant, ...]:
    """Those of the homework that is in use; ``homework`` keeps those of several apart."""
    return tuple(
        Mutant(target, mutation)
        for target in targets()
        if part is None or target.part == part
        for mutation in mutations(target.source, target.regions)
    )


def sample(chosen: Sequence[Mutant], limit: int | None) -> list[Mutant]:
    """At most ``limit`` of the mutants, spread over all lines and operators, and always the same ones."""
    if limit is None or limit >= len(chosen):
        return list(chosen)
    taken = {mutant.name for mutant in sorted(chosen, key=lambda mutant: mutant.mutation.id)[:limit]}
    return [mutant for mutant in chosen if mutant.name in taken]


# What a person decided.


class Equivalent(BaseModel):
    """A mutant that is as right as the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    part: ItemId
    id: str
    line: str
    """The reference's line that it changes."""
    change: str
    why: Annotated[str, Field(min_length=10)]


class _Reviewed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    equivalent: list[Equivalent]


def load_reviewed(path: Path | None = None) -> dict[str, Equivalent]:
    """The reviewed mutants by name, by default those of the homework; raises `UsageError`."""
    if path is None:
        path = load_homework().equivalent
        if not path.exists():
            return {}
    try:
        plain = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
        entries = _Reviewed.model_validate(plain).equivalent
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path.name}: cannot be read: {one_line(str(error))}") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in detail["loc"])
        raise UsageError(f"{path.name}: {where}: {detail['msg']}") from None
    found = {f"{entry.part}/{entry.id}": entry for entry in entries}
    if len(found) < len(entries):
        raise UsageError(f"{path.name}: a mutant is listed twice")
    return found


def outdated(reviewed: Mapping[str, Equivalent], made: Iterable[Mutant]) -> list[str]:
    """The names of reviewed mutants that are no longer made, or from another line."""
    current = {mutant.name: mutant.line for mutant in made}
    return [name for name, entry in reviewed.items() if current.get(name) != entry.line]


# What was found.


def outcome(mutant: Mutant, verdict: Verdict, reviewed: Collection[str]) -> Outcome:
    """How a mutant fared."""
    part = mutant.target.part + "."
    if any(not name.startswith(part) for name in verdict.criteria):
        return "elsewhere"
    if verdict.criteria:
        return "caught"
    if verdict.errors:
        return "broken"
    return "equivalent" if mutant.name in reviewed else "survivor"


Swept = Sequence[tuple[Mutant, Verdict, Outcome]]


def print_mutants(chosen: Iterable[Mutant], console: Console) -> None:
    """What would be judged."""
    table = Table(box=None)
    for heading in ("mutant", "operator", "change"):
        table.add_column(heading, overflow="fold")
    for mutant in chosen:
        table.add_row(Text(mutant.name), Text(mutant.mutation.operator), Text(mutant.mutation.change))
    console.print(table)


def print_sweep(swept: Swept, console: Console) -> None:
    """The survivors and the points lost elsewhere, a row each, and the counts by part."""
    for wanted, title in (
        ("survivor", "Survivors: mutants that lose nothing and are not reviewed"),
        ("elsewhere", "Mutants that lose points of another item"),
    ):
        rows = [(mutant, verdict) for mutant, verdict, outcome in swept if outcome == wanted]
        if not rows:
            continue
        table = Table(title=f"{title}: {len(rows)}", title_justify="left", box=None)
        for heading in ("mutant", "operator", "change", *(["lost"] if wanted == "elsewhere" else [])):
            table.add_column(heading, overflow="fold")
        for mutant, verdict in rows:
            cells = [mutant.name, mutant.mutation.operator, mutant.mutation.change]
            lost = [" ".join(sorted(verdict.criteria))] if wanted == "elsewhere" else []
            table.add_row(*(Text(one_line(cell)) for cell in (*cells, *lost)))
        console.print(table)
    table = Table(box=None)
    table.add_column("part")
    for name in ("mutants", *OUTCOMES):
        table.add_column(name, justify="right")
    for part in dict.fromkeys(mutant.target.part for mutant, _, _ in swept):
        outcomes = [outcome for mutant, _, outcome in swept if mutant.target.part == part]
        table.add_row(part, str(len(outcomes)), *(str(outcomes.count(name)) for name in OUTCOMES))
    console.print(table)


def print_what_to_do(swept: Swept, console: Console) -> bool:
    """How a person says what the survivors are; whether there are any."""
    survivors = [mutant.name for mutant, _, outcome in swept if outcome == "survivor"]
    if survivors:
        console.print(Text("Judge each survivor. One that is as right as the reference:"))
        console.print(Text(f'  grader audit judge {survivors[0]} --equivalent "why it is as right"'))
        console.print(Text("A fault that no property finds, which becomes an entry of the corpus:"))
        console.print(Text(f'  grader audit judge {survivors[0]} --missed "what is wrong" --loses CRITERION'))
    return bool(survivors)


def to_json(swept: Swept) -> str:
    """Every mutant with its code and how it fared."""
    rows = [
        {
            "mutant": mutant.name,
            "operator": mutant.mutation.operator,
            "line": mutant.line,
            "before": mutant.mutation.before,
            "after": mutant.mutation.after,
            "outcome": outcome,
            "lost": dict(verdict.lost),
            "errors": list(verdict.errors),
            "seconds": verdict.seconds,
            "source": mutant.mutation.source,
        }
        for mutant, verdict, outcome in swept
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
