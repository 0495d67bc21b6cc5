"""``DIR/overrides.yaml``: overrides of items, as a file to import into the gradebook and to export from it.

    - submission: ada-lovelace      # key, id or file name, as in grades.csv
      item: 1a                      # any item, those a person judges too
      points: 3.5
      who: C. Babbage
      why: regrade request 17; the mask was right, the comment was not

The gradebook remembers what it took from the file. Only what was added, changed or removed there since is recorded anew, so
an old file reverts no later decision.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from grader.errors import UsageError
from grader.files.located_yaml import Fault, Plain, read_yaml
from grader.gradebook.book import Gradebook
from grader.gradebook.events import JSON, Decision, Event, Kind
from grader.gradebook.state import Override, State
from grader.scoring.rubric import Rubric
from grader.text.safe_text import one_line

NAME = "overrides.yaml"
MAX_BYTES = 4 << 20
_FIELDS = ("submission", "item", "points", "who", "why")


class Member(Protocol):
    """A row of the class, by which an override can name it."""

    @property
    def key(self) -> str:
        """Its key, the same in each run."""

    @property
    def id(self) -> str:
        """The student's id."""

    @property
    def name(self) -> str:
        """The student's name."""

    @property
    def file(self) -> str:
        """The file that was handed in."""


@dataclass(frozen=True)
class WrittenOverride:
    """Points of one item of one submission, as the file sets them."""

    key: str
    item: str
    points: float
    who: str
    why: str


def load_overrides(
    folder: Path, members: Sequence[Member], rubric: Rubric, keys: Collection[str] = ()
) -> list[WrittenOverride] | None:
    """What the file of a class folder says, None if there is none; raises `UsageError` with the line at fault.

    ``keys`` are all that were ever given in it: one of somebody who left names nobody else.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        data = path.read_bytes()
        if not data.strip():
            return []
        entries, lines = read_yaml(data, most=MAX_BYTES, scalars="text")
    except OSError as error:
        raise UsageError(f"{NAME}: cannot be read: {error.strerror or error}") from None
    except Fault as fault:
        if fault.reason == "empty":  # comments alone
            return []
        raise UsageError(f"{NAME}:{fault.line}: {fault.reason}") from None
    if not isinstance(entries, tuple):
        raise UsageError(f"{NAME}:1: must be a list of overrides")
    found: dict[tuple[str, str], WrittenOverride] = {}
    for number, entry in enumerate(entries):
        line = lines[number,]
        try:
            override = _override(_fields(entry), members, rubric, keys)
        except ValueError as error:
            raise UsageError(f"{NAME}:{line}: {one_line(str(error))}") from None
        if (override.key, override.item) in found:
            raise UsageError(f"{NAME}:{line}: {override.key} already has an override of {override.item}")
        found[override.key, override.item] = override
    return list(found.values())


def _fields(entry: Plain) -> dict[str, str]:
    if not isinstance(entry, dict):
        raise ValueError(f"an override has the fields {', '.join(_FIELDS)}")
    fields: dict[str, str] = {}
    for key, value in entry.items():
        if not isinstance(value, str) or key not in _FIELDS:
            raise ValueError(f"{key}: an override has the fields {', '.join(_FIELDS)}")
        # As it is written: an id such as 007 is no number.
        fields[key] = value.strip()
    missing = [name for name in _FIELDS if not fields.get(name)]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return fields


def _override(
    fields: dict[str, str], members: Sequence[Member], rubric: Rubric, keys: Collection[str]
) -> WrittenOverride:
    wanted = fields["submission"]
    if wanted in keys and not any(member.key == wanted for member in members):
        raise ValueError(
            f"{wanted}: is no longer in this class; remove the override or name another submission"
        )
    matching = [member for member in members if member.key == wanted] or [
        member for member in members if wanted in (member.id, member.name, member.file)
    ]
    if len(matching) != 1:
        how_many = "no submission" if not matching else f"{len(matching)} submissions"
        raise ValueError(f"{wanted}: {how_many} of this class have this name; use the key from grades.csv")
    item = next((item for item in rubric.items if item.id == fields["item"]), None)
    if item is None:
        raise ValueError(f"{fields['item']}: the rubric has no such item")
    if not re.fullmatch(r"\d+(\.\d+)?", fields["points"]):
        raise ValueError(f"points: {fields['points']} is not a number of points")
    points = float(fields["points"])
    if not math.isfinite(points) or points > item.points:
        raise ValueError(f"points: {fields['points']}, but {item.id} is worth {item.points:g}")
    return WrittenOverride(matching[0].key, item.id, points, one_line(fields["who"]), one_line(fields["why"]))


# -- import ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """What a file adds to a gradebook.

    Args:
        decisions: what is to be recorded, each with who decided it.
        lines: the same in words.
        base: what the file said when it was imported before.
        now: what it says now.
    """

    decisions: tuple[tuple[str, Decision], ...]
    lines: tuple[str, ...]
    base: JSON
    now: JSON


def changes_of(
    state: State, written: Sequence[WrittenOverride], base: JSON, content: Callable[[str], str | None]
) -> Import:
    """What the file says that the gradebook does not know yet.

    Args:
        state: what the gradebook holds.
        written: what the file says.
        base: what it said when it was imported last.
        content: what a submission holds, by its key; None where it is not in the class. An override that is removed from
            the file because the student left is not withdrawn.
    """
    before = _by_place(base)
    now = {(each.key, each.item): each for each in written}
    decisions: list[tuple[str, Decision]] = []
    lines: list[str] = []
    for (key, item), each in now.items():
        current = _current(state, key, item)
        if each == before.get((key, item)) or (current is not None and _same(each, current)):
            continue
        instead = f", instead of {current.points:g} by {current.who}" if current else ""
        lines.append(f"{key} {item} = {each.points:g} by {each.who}: {each.why}{instead}")
        decisions.append((each.who, _decision(key, item, each.points, each.why, content(key) or "")))
    for (key, item), each in before.items():
        current = _current(state, key, item)
        # Whatever was decided since, elsewhere than in the file, stays.
        is_held = current is not None and _same(each, current)
        if (key, item) not in now and is_held and content(key) is not None:
            lines.append(f"{key} {item}: override withdrawn, it is no longer in {NAME}")
            decisions.append((each.who, _decision(key, item, None, f"removed from {NAME}", "")))
    listed: JSON = [list(astuple(each)) for each in written]
    return Import(tuple(decisions), tuple(map(one_line, lines)), base, listed)


def import_overrides(
    book: Gradebook, written: Sequence[WrittenOverride], content: Callable[[str], str | None]
) -> tuple[str, ...]:
    """Record what the file says that the gradebook does not know yet (see `changes_of`); gives a line for each change."""
    while True:
        base = book.imported(NAME)
        found = changes_of(book.state(), written, base, content)
        if found.now == (base or []) or book.record_import(NAME, found.base, found.now, found.decisions):
            return found.lines


def previewed(state: State, found: Import) -> State:
    """The state as it would be after an import."""
    now = datetime.now(timezone.utc)
    return state.followed_by(
        Event(each.kind, each.submission, each.item, each.data, state.log.last + number, now, who, "import")
        for number, (who, each) in enumerate(found.decisions, 1)
    )


def _decision(key: str, item: str, points: float | None, why: str, content: str) -> Decision:
    return Decision(Kind.override, key, item, {"points": points, "reason": why, "criterion": None, "content": content})


def _current(state: State, key: str, item: str) -> Override | None:
    return next((each for each in state.overrides(key, item) if each.criterion is None), None)


def _same(written: WrittenOverride, current: Override) -> bool:
    return (written.points, written.who, written.why) == (current.points, current.who, current.reason)


def _by_place(base: JSON) -> dict[tuple[str, str], WrittenOverride]:
    found = [
        WrittenOverride(str(each[0]), str(each[1]), float(str(each[2])), str(each[3]), str(each[4]))
        for each in (base if isinstance(base, list) else ())
        if isinstance(each, list)
    ]
    return {(each.key, each.item): each for each in found}


# -- export ------------------------------------------------------------------------------------------------------------


def overrides_yaml(state: State) -> str:
    """All overrides of whole items that hold, as the text of an `overrides.yaml`, which reads back as the same."""
    lines = ["# Overrides, exported from the gradebook. Edit and import them by running `grader batch` or `grader rescore`."]
    for submission in sorted(state.submissions()):
        for each in state.overrides(submission):
            if each.criterion is None:
                fields = {
                    "submission": submission,
                    "item": each.item,
                    "points": f"{each.points:g}",
                    "who": each.who,
                    "why": each.reason,
                }
                quoted = (f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
                lines.append("- " + "\n  ".join(quoted))
    return "\n".join(lines) + "\n"
