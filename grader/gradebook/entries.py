"""Rubric entries: what a grade is worth by them, and how decisions change those of ``rubric.yaml``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from grader.errors import UsageError
from grader.gradebook.events import JSON, Event
from grader.scoring.rubric import Rubric, RubricEntry
from grader.text.safe_text import one_line


def entries_of(rubric: Rubric) -> dict[str, tuple[RubricEntry, ...]]:
    """The entries of all items that people grade, by item."""
    return {item.id: item.entries for item in rubric.by_hand}


def worth_of(rubric: Rubric) -> dict[str, float]:
    """What each item is worth."""
    return {item.id: item.points for item in rubric.items}


def composed(chosen: Iterable[RubricEntry], adjustment: float, most: float | None = None) -> float:
    """The points of a grade: the sum of its entries, or the points of an exclusive one alone, and the adjustment.

    Never below 0, nor above ``most``.
    """
    chosen = tuple(chosen)
    exclusive = [entry.points for entry in chosen if entry.exclusive]
    # A change of an entry can make a second one exclusive; the lower one counts.
    points = min(exclusive) if exclusive else sum(entry.points for entry in chosen)
    points = max(points + adjustment, 0.0)
    return round(points if most is None else min(points, most), 4)


def entry_from(data: Mapping[str, JSON]) -> RubricEntry:
    """The entry that a decision defines; raises `UsageError`."""
    fields = {name: data[name] for name in ("id", "points", "text", "exclusive") if name in data}
    try:
        return RubricEntry.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "entry"
        reason = first["msg"].removeprefix("Value error, ")
        raise UsageError(one_line(f"entry {fields.get('id', '')}: {name}: {reason}")) from None


def entry_data(entry: RubricEntry, *, removed: bool = False) -> dict[str, JSON]:
    """The data of the decision that defines an entry, or removes it."""
    return {
        "id": entry.id,
        "points": entry.points,
        "text": entry.text,
        "exclusive": entry.exclusive,
        "removed": removed,
    }


def new_entry_id(text: str, taken: Collection[str]) -> str:
    """An id for a new entry, made of the first words of its text, that none of ``taken`` has."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)[:4]
    stem = "-".join(words)[:40].strip("-") or "entry"
    names = [stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


@dataclass(frozen=True)
class Redefinition:
    """What an event made of an entry, None where it had or has none; ``undone`` if that was taken back."""

    id: str
    before: RubricEntry | None
    after: RubricEntry | None
    undone: bool

    @classmethod
    def of(cls, event: Event, *, undone: bool) -> Redefinition:
        """What an event of kind `entry` says."""
        before = event.data.get("before")
        return cls(
            id=str(event.data["id"]),
            before=entry_from(before) if isinstance(before, dict) else None,
            after=None if event.data.get("removed") else entry_from(event.data),
            undone=undone,
        )


def with_changes(listed: Sequence[RubricEntry], changes: Iterable[Redefinition]) -> tuple[RubricEntry, ...]:
    """The entries that rubric.yaml lists, as people changed them while grading.

    Where rubric.yaml states an entry as none of the changes knew it, somebody has edited it there since, and that counts.
    """
    current: dict[str, RubricEntry | None] = {entry.id: entry for entry in listed}
    known: dict[str, list[RubricEntry | None]] = {}
    held: dict[str, RubricEntry | None] = {}
    for change in changes:
        states = known.setdefault(change.id, [])
        if change.before not in states:
            # That is how it stood in rubric.yaml by then.
            states.append(change.before)
            held[change.id] = change.before
        states.append(change.after)
        if not change.undone:
            held[change.id] = change.after
    for name, states in known.items():
        if current.get(name) in states:
            current[name] = held[name]
    return tuple(entry for entry in current.values() if entry is not None)
