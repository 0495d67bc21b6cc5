"""A person's decisions, which count more than the grader's: ``DIR/overrides.yaml``.

    - submission: ada-lovelace      # key, id or file name, as in grades.csv
      item: 1a                      # any item, those a person judges too
      points: 3.5
      who: C. Babbage
      why: regrade request 17; the mask was right, the comment was not

The grader reads this file and never writes it, so that it outlives re-runs and re-scoring.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.batch.store import Member
from grader.errors import UsageError
from grader.files.located_yaml import Fault, Plain, read_yaml
from grader.scoring.rubric import Rubric
from grader.text.safe_text import one_line

NAME = "overrides.yaml"
MAX_BYTES = 4 << 20
_FIELDS = ("submission", "item", "points", "who", "why")


@dataclass(frozen=True)
class Override:
    """Points of one item of one submission, set by a person."""

    key: str
    item: str
    points: float
    who: str
    why: str


def load_overrides(
    folder: Path, members: Sequence[Member], rubric: Rubric, keys: Collection[str] = ()
) -> list[Override]:
    """The overrides of a batch's folder, none if there is no file; raises `UsageError` with the line at fault.

    ``keys`` are all that were ever given in it: one of somebody who left names nobody else.
    """
    path = folder / NAME
    if not path.exists():
        return []
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
    found: dict[tuple[str, str], Override] = {}
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
) -> Override:
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
    return Override(matching[0].key, item.id, points, one_line(fields["who"]), one_line(fields["why"]))
