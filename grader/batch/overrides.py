"""A person's decisions, which count more than the grader's: ``DIR/overrides.yaml``.

    - submission: ada-lovelace      # key, id or file name, as in grades.csv
      item: 2a                      # any item, those a person judges too
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
from typing import Any

import yaml

from grader.batch.store import Member
from grader.errors import UsageError
from grader.report.safe_text import one_line
from grader.scoring.rubric import Rubric

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
        with path.open("rb") as file:
            node = yaml.compose(file.read(MAX_BYTES), yaml.SafeLoader)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or getattr(error, "strerror", None) or error
        raise UsageError(f"{NAME}:{line}: {one_line(str(reason))}") from None
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise UsageError(f"{NAME}:1: must be a list of overrides")
    found: dict[tuple[str, str], Override] = {}
    for entry in node.value:
        line = entry.start_mark.line + 1
        try:
            override = _override(_fields(entry), members, rubric, keys)
        except ValueError as error:
            raise UsageError(f"{NAME}:{line}: {one_line(str(error))}") from None
        if (override.key, override.item) in found:
            raise UsageError(f"{NAME}:{line}: {override.key} has an override of {override.item} already")
        found[override.key, override.item] = override
    return list(found.values())


def _fields(node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"an override has the fields {', '.join(_FIELDS)}")
    fields: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(value, yaml.ScalarNode) or key.value not in _FIELDS:
            raise ValueError(f"{key.value}: an override has the fields {', '.join(_FIELDS)}")
        # As it is written: an id such as 007 is no number.
        fields[key.value] = value.value.strip()
    missing = [name for name in _FIELDS if not fields.get(name)]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return fields


def _override(
    fields: dict[str, Any], members: Sequence[Member], rubric: Rubric, keys: Collection[str]
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
        raise ValueError(f"{wanted}: {how_many} of this class is called so; give its key, as in grades.csv")
    item = next((item for item in rubric.items if item.id == fields["item"]), None)
    if item is None:
        raise ValueError(f"{fields['item']}: the rubric has no such item")
    if not re.fullmatch(r"\d+(\.\d+)?", fields["points"]):
        raise ValueError(f"points: {fields['points']} is no number of points")
    points = float(fields["points"])
    if not math.isfinite(points) or points > item.points:
        raise ValueError(f"points: {fields['points']}, but {item.id} is worth {item.points:g}")
    return Override(matching[0].key, item.id, points, one_line(fields["who"]), one_line(fields["why"]))
