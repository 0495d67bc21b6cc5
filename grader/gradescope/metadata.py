"""What the platform tells about a submission, read without trust in its shape, and how late it is."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from grader.scoring.rubric import Lateness

MAX_BYTES = 64 << 20
"""Earlier results travel in this file, so it may be large."""


@dataclass(frozen=True)
class Metadata:
    """The dates of a submission; None for whatever was absent or made no sense."""

    submission: str | None = None
    created_at: datetime | None = None
    due: datetime | None = None
    late_due: datetime | None = None
    extended: bool = False
    """Whether `due` is a student's own and not the assignment's."""
    earlier: int = 0
    """How many submissions came before this one."""
    warning: str | None = None


@dataclass(frozen=True)
class Late:
    """How late a submission is, and what that costs."""

    by: timedelta = timedelta()
    percent: float = 0.0
    note: str = ""
    """In words; empty for a submission in time."""


def read_metadata(path: Path) -> Metadata:
    """The platform's file. One that is absent or malformed costs nothing, and a note says so."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError("too large")
        given = json.loads(data.decode("utf-8-sig"))
    except FileNotFoundError:
        return Metadata(warning="the platform gave no metadata, so lateness is unknown")
    except (OSError, ValueError, RecursionError) as error:
        return Metadata(
            warning=f"the platform's metadata cannot be read ({type(error).__name__}), so lateness is unknown"
        )
    return _understood(given)


def _understood(given: Any) -> Metadata:
    given = _mapping(given)
    assignment = _mapping(given.get("assignment"))
    due, late_due, extended = _date(assignment, "due_date"), _date(assignment, "late_due_date"), False
    # Each member of a group may have an extension; the group has the longest.
    users = given.get("users")
    own = [_mapping(_mapping(user).get("assignment")) for user in users] if isinstance(users, list) else []
    own_due = max((date for user in own if (date := _date(user, "due_date"))), default=None)
    own_late = max((date for user in own if (date := _date(user, "late_due_date"))), default=None)
    if own_due is not None and own_due != due:
        due, extended = own_due, True
    if own_late is not None:
        late_due = own_late
    before = given.get("previous_submissions")
    number = given.get("id")
    created = _date(given, "created_at")
    return Metadata(
        submission=str(number)[:40] if isinstance(number, (int, str)) else None,
        created_at=created,
        due=due,
        late_due=late_due,
        extended=extended,
        earlier=len(before) if isinstance(before, list) else 0,
        warning="the platform gave no submission time, so lateness is unknown"
        if created is None
        else None,
    )


def lateness(metadata: Metadata, rule: Lateness) -> Late:
    """How late a submission is: by when it was handed in, not by when it is graded, so a re-run agrees."""
    if metadata.created_at is None or metadata.due is None or metadata.created_at <= metadata.due:
        return Late()
    by = metadata.created_at - metadata.due
    percent = percent_off(by, rule)
    note = f"handed in {in_words(by)} after {'your own' if metadata.extended else 'the'} due date"
    if metadata.late_due is not None and metadata.created_at > metadata.late_due:
        note += ", and after the last date for late work"
    if percent:
        note += f": {percent:g}% off"
    return Late(by, percent, note)


def percent_off(by: timedelta, rule: Lateness) -> float:
    """What being late by so much costs, in percent of what was earned."""
    counted = by - timedelta(minutes=rule.grace_minutes)
    days = math.ceil(max(counted, timedelta()) / timedelta(days=1))
    return min(days * rule.percent_per_day, rule.max_percent)


def in_words(span: timedelta) -> str:
    """A time span such as `1 d 3 h 20 min`."""
    minutes = max(1, math.ceil(span / timedelta(minutes=1)))
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _date(given: dict[str, Any], key: str) -> datetime | None:
    value = given.get(key)
    if not isinstance(value, str) or len(value) > 64:
        return None
    # Before Python 3.11 fromisoformat takes neither Z nor fractions of other than 3 or 6 digits.
    text = value.strip()
    text = f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
