"""What the report of a class says in tables: items and criteria, what needs review, times, and who is in the class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grader.batch.rows import Row
from grader.insight.items import ItemStatistics, item_statistics
from grader.scoring.result import CriterionResult
from grader.scoring.rubric import Rubric

BINS = 5
NONDETERMINISTIC = "nondeterministic: "
"""How the message of a failure begins that did not repeat."""
_REPEATED = "for the same input and random seed. "
"""What precedes the failure itself there, and is the same for all."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ItemRow:
    """An item or criterion with its statistics."""

    statistics: ItemStatistics
    title: str
    full: int
    """Students with all points."""
    none: int
    """Students with 0 points."""
    bins: tuple[int, ...]
    """Students by their share of the points, from 0 to all."""


@dataclass(frozen=True)
class Attention:
    """Something that a person should look at, with the submissions it is about."""

    kind: str
    reason: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Student:
    """A row of the class."""

    key: str
    status: str
    score: float | None
    judged: float
    pending: float
    seconds: float | None
    open: int
    """Findings that need review."""


def item_rows(rows: Sequence[Row], rubric: Rubric) -> tuple[list[ItemRow], list[ItemRow]]:
    """Statistics of the items, and of the criteria, in the rubric's order. Rows without a result are left out."""
    graded = [row for row in rows if row.result is not None and row.result.error is None]
    items = [item for item in rubric.items if item.points > 0]
    points = _table([[_item_points(row, item.id) for item in items] for row in graded], len(items))
    most = np.array([item.points for item in items], dtype=np.float64)
    known = ~np.isnan(points)
    earned, possible = np.where(known, points, 0.0).sum(axis=1), (known * most).sum(axis=1)
    by_item = _rows([(item.id, item.title) for item in items], points, most, earned, possible)
    names = list(_criteria(graded, rubric))
    if not names:
        return by_item, []
    place = {name: column for column, (name, _, _) in enumerate(names)}
    cells = np.full((len(graded), len(names)), np.nan)
    for row, found in zip(cells, graded, strict=True):
        for criterion in _judged_criteria(found):
            if criterion.id in place:
                row[place[criterion.id]] = criterion.points
    worth = np.array([points for _, _, points in names], dtype=np.float64)
    return by_item, _rows([(name, title) for name, title, _ in names], cells, worth, earned, possible)


def _table(values: Sequence[Sequence[float]], columns: int) -> Floats:
    return np.array(values, dtype=np.float64).reshape(len(values), columns)


def _item_points(row: Row, item: str) -> float:
    """Points of an item; NaN while any of it is pending."""
    found = next((each for each in row.result.items if each.id == item), None) if row.result else None
    earned = row.points(item)
    return float("nan") if earned is None or (found is not None and found.pending) else earned


def _criteria(rows: Sequence[Row], rubric: Rubric) -> Iterator[tuple[str, str, float]]:
    """Name, title and points of criteria: those of the rubric, and those that training was judged by."""
    known = {criterion.id: criterion for row in rows for criterion in _judged_criteria(row)}
    automatic = {item.id: item for item in rubric.automatic}
    for item in rubric.items:
        if item.id in automatic:
            yield from ((each.id, each.title, each.points) for each in automatic[item.id].criteria if each.points > 0)
        else:
            of_item = [each for name, each in sorted(known.items()) if name.startswith(f"{item.id}.")]
            yield from ((each.id, each.title, each.max_points) for each in of_item if each.max_points > 0)


def _judged_criteria(row: Row) -> Iterator[CriterionResult]:
    """Criteria that count: the grader reached a verdict, and no person graded the item as a whole."""
    for item in row.result.items if row.result else ():
        if not item.is_by_hand:
            yield from (criterion for criterion in item.criteria if criterion.status != "error")


def _rows(
    names: Sequence[tuple[str, str]], points: Floats, most: Floats, earned: Floats, possible: Floats
) -> list[ItemRow]:
    found = item_statistics([name for name, _ in names], points, most, earned, possible)
    made = []
    for column, (statistics, (_, title)) in enumerate(zip(found, names, strict=True)):
        given = points[~np.isnan(points[:, column]), column]
        bins = np.minimum((BINS * given / most[column]).astype(int), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        full, none = int((given >= most[column]).sum()), int((given == 0).sum())
        made.append(ItemRow(statistics, title, full, none, tuple(map(int, counts)) if len(given) else ()))
    return made


def students(rows: Sequence[Row], rubric: Rubric) -> list[Student]:
    """The class, in the order of its keys."""
    made = []
    for row in rows:
        earned, judged, pending = row.totals(rubric)
        score = earned if row.result is not None and row.result.error is None else None
        flags = sum(flag.resolved is None for flag in row.result.flags) if row.result else 0
        is_open = flags + len(row.second_looks) + (row.status in ("not gradable", "partly graded"))
        made.append(Student(row.member.key, row.status, score, judged, pending, seconds(row), is_open))
    return made


def seconds(row: Row) -> float | None:
    """What judging took, in seconds; None where nothing was judged."""
    return round(sum(row.result.seconds.values()), 1) if row.result is not None and row.result.seconds else None


def attention(rows: Sequence[Row]) -> list[Attention]:
    """What a person should look at, the most urgent kind first; alike reasons are grouped."""
    kinds = {
        "Not graded": [(row, row.result.error) for row in rows if row.result and row.result.error],
        "Partly graded": [
            (row, "the grader itself failed; run the batch again with --rerun failed")
            for row in rows
            if row.status == "partly graded"
        ],
        "Second look": [(row, f"{item}: {reason}") for row in rows for item, reason in row.second_looks],
        "Flag": [
            (row, flag.id)
            for row in rows
            for flag in (row.result.flags if row.result else ())
            if flag.resolved is None
        ],
    }
    found = []
    for kind, lines in kinds.items():
        by_reason: dict[str, list[str]] = {}
        for row, reason in lines:
            keys = by_reason.setdefault(reason, [])
            keys.extend([row.member.key] if row.member.key not in keys else [])
        found += [Attention(kind, reason, tuple(keys)) for reason, keys in by_reason.items()]
    return found


def duplicates(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Those who handed in the very same file without being in one group."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row.same_as:
            groups.setdefault(row.same_as, [row.same_as]).append(row.member.key)
    return [tuple(keys) for keys in groups.values()]


def nondeterministic(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Key, criterion and message of failures that did not repeat, so that the grade may be another one next time."""
    return [
        (row.member.key, criterion.id, criterion.message.rpartition(_REPEATED)[2])
        for row in rows
        for item in (row.result.items if row.result else ())
        for criterion in item.criteria
        if criterion.status == "failed" and NONDETERMINISTIC in criterion.message and criterion.set_by is None
    ]


def weakly_isolated(rows: Sequence[Row]) -> list[Attention]:
    """Layers of isolation that were missing, with the submissions that were graded without them."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for layer in row.result.isolation if row.result else ():
            if not layer.active:
                found.setdefault((layer.layer, layer.note), []).append(row.member.key)
    return [Attention(layer, note, tuple(keys)) for (layer, note), keys in found.items()]


def warnings(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Warnings that hold for submissions, with how many, without what is said of a member alone."""
    counts: Counter[str] = Counter()
    for row in rows:
        if row.result is not None:
            counts.update(text for text in row.result.warnings if text not in row.member.notes)
    return counts.most_common(15)


def pending_items(rows: Sequence[Row], rubric: Rubric) -> list[tuple[str, tuple[str, ...], int]]:
    """Items that wait for the same number of students, by kind."""
    groups: dict[tuple[str, int], list[str]] = {}
    for item in rubric.items:
        found = [each for row in rows for each in (row.result.items if row.result else ()) if each.id == item.id]
        if count := sum(each.pending > 0 for each in found):
            groups.setdefault((item.kind, count), []).append(item.id)
    return [(kind, tuple(names), count) for (kind, count), names in groups.items()]
