"""Decisions and events: what a person can record, and what was recorded, when and by whom."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from grader.errors import UsageError
from grader.text.safe_text import one_line

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]

LONGEST = 20_000
"""Characters that a text of a decision may have."""
MOST_POINTS = 1000


class Kind(str, Enum):
    """What kind of decision it is."""

    grade = "grade"
    clear = "clear"
    override = "override"
    entry = "entry"
    penalty = "penalty"
    lateness = "lateness"
    note = "note"
    flag = "flag"
    request = "request"
    answer = "answer"
    reveal = "reveal"
    pages = "pages"
    second = "second"
    settle = "settle"
    undo = "undo"


@dataclass(frozen=True)
class Decision:
    """What is to be recorded.

    Args:
        kind: what kind of decision it is.
        submission: the key of a row of the class; None where the decision is about no single one.
        item: the id of an item; None where the decision is about no single one.
        data: the fields of its kind, as `FIELDS` lists them.
    """

    kind: Kind
    submission: str | None = None
    item: str | None = None
    data: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Event(Decision):
    """What was recorded.

    Args:
        id: its place in the log, from 1.
        at: when, in UTC.
        who: the name that the person gave.
        act: the same for all events of one action; grading a group is one act.
    """

    id: int = 0
    at: datetime = datetime.min
    who: str = ""
    act: str = ""


def _is_text(value: JSON) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def _is_id(value: JSON) -> bool:
    return isinstance(value, str) and value.strip() != "" and len(value) <= 200 and value.isprintable()


def _is_number(value: JSON) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(float(value)) and abs(float(value)) <= MOST_POINTS  # type: ignore[arg-type]


def _is_percent(value: JSON) -> bool:
    return _is_number(value) and 0 <= float(value) <= 100  # type: ignore[arg-type]


def _is_flag(value: JSON) -> bool:
    return isinstance(value, bool)


def _is_ids(value: JSON) -> bool:
    return isinstance(value, list) and all(map(_is_id, value)) and len({*map(str, value)}) == len(value)


def _is_pages(value: JSON) -> bool:
    return isinstance(value, list) and all(type(page) is int and page >= 0 for page in value)


def _or_none(check: Callable[[JSON], bool]) -> Callable[[JSON], bool]:
    return lambda value: value is None or check(value)


_CHECKS: dict[str, tuple[Callable[[JSON], bool], str]] = {
    "text": (_is_text, f"text of at most {LONGEST} characters"),
    "id": (_is_id, "an id"),
    "id?": (_or_none(_is_id), "an id or null"),
    "ids": (_is_ids, "a list of different ids"),
    "number": (_is_number, f"a number between -{MOST_POINTS} and {MOST_POINTS}"),
    "points?": (
        _or_none(lambda value: _is_number(value) and float(value) >= 0),  # type: ignore[arg-type]
        f"a number between 0 and {MOST_POINTS}, or null",
    ),
    "percent?": (_or_none(_is_percent), "a percentage or null"),
    "flag": (_is_flag, "true or false"),
    "pages": (_is_pages, "a list of page numbers"),
    "outcome": (lambda value: value in ("upheld", "changed"), "upheld or changed"),
}

_GRADE = {"entries": "ids", "adjustment": "number", "comment": "text", "content": "text"}
FIELDS: dict[Kind, dict[str, str]] = {
    Kind.grade: _GRADE,
    Kind.clear: {},
    Kind.override: {"points": "points?", "reason": "text", "criterion": "id?", "content": "text"},
    Kind.entry: {
        "id": "id",
        "points": "number",
        "text": "text",
        "exclusive": "flag",
        "removed": "flag",
    },
    Kind.penalty: {"id": "id", "on": "flag", "reason": "text"},
    Kind.lateness: {"percent": "percent?", "reason": "text"},
    Kind.note: {"text": "text"},
    Kind.flag: {"flag": "text", "reason": "text", "resolved": "flag"},
    Kind.request: {"text": "text"},
    Kind.answer: {"outcome": "outcome", "text": "text"},
    Kind.reveal: {},
    Kind.pages: {"pages": "pages"},
    Kind.second: _GRADE,
    Kind.settle: _GRADE,
    Kind.undo: {"act": "id"},
}
"""The fields of each kind of decision, with what each may hold."""

_OPTIONAL = {"adjustment", "comment", "content", "criterion", "exclusive", "removed", "reason", "text"}
"""Where one of these is left out, it is 0, empty, null or false."""
_NEEDS_ITEM = {
    *(Kind.grade, Kind.clear, Kind.override, Kind.entry, Kind.request, Kind.answer, Kind.pages),
    *(Kind.second, Kind.settle),
}
_OF_NO_SUBMISSION = {Kind.entry, Kind.undo}


def check_decision(decision: Decision) -> None:
    """Raise `UsageError` where a decision lacks something, or has something that its kind does not have."""
    kind = decision.kind
    fields = FIELDS[kind]
    for name, value in decision.data.items():
        if name not in fields:
            raise UsageError(f"{kind.value}: has no field {one_line(name)}")
        test, words = _CHECKS[fields[name]]
        if not test(value):
            raise UsageError(f"{kind.value}: {name} must be {words}")
    optional = _OPTIONAL | ({"points"} if decision.data.get("removed") else set())
    for name in fields:
        if name not in decision.data and name not in optional:
            raise UsageError(f"{kind.value}: {name} is missing")
    if (decision.submission is None) != (kind in _OF_NO_SUBMISSION):
        raise UsageError(f"{kind.value}: {'needs a' if decision.submission is None else 'takes no'} submission")
    if decision.item is None and kind in _NEEDS_ITEM:
        raise UsageError(f"{kind.value}: needs an item")
    if any(name is not None and not _is_id(name) for name in (decision.submission, decision.item)):
        raise UsageError(f"{kind.value}: submission and item must be ids")
