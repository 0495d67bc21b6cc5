"""Reports on a class: grades.csv, summary.md, and a student's feedback.

All text goes through `safe_text`: a name, a message or an exception may be a formula, markup or a terminal's command.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grader.batch.overrides import Override
from grader.batch.store import Manifest, Member
from grader.report.terminal import points
from grader.scoring.result import CriterionResult, ItemResult, Result, SetBy, totals
from grader.scoring.rubric import Rubric
from grader.text.safe_text import for_csv, for_markdown, markdown_code

MOST_CRITERIA = 15
_BAR = 20


@dataclass(frozen=True)
class Row:
    """One member of the class, with what the grader and a person gave for each item."""

    member: Member
    result: Result | None
    overrides: Mapping[str, Override] = field(default_factory=dict)
    same_as: str = ""

    def points(self, item: str) -> float | None:
        """Points of an item, a person's before the grader's; None while it waits."""
        if item in self.overrides:
            return self.overrides[item].points
        found = (
            next((entry for entry in self.result.items if entry.id == item), None) if self.result else None
        )
        return found.points if found is not None else None

    def totals(self, rubric: Rubric) -> tuple[float, float, float]:
        """Points earned, points that could be earned in what is judged, and points that wait."""
        earned = judged = pending = 0.0
        items = {item.id: item for item in self.result.items} if self.result else {}
        for item in rubric.items:
            waits = 0.0
            if item.id not in self.overrides:
                waits = items[item.id].pending if item.id in items else item.points
            pending += waits
            judged += item.points - waits
            earned += self.points(item.id) or 0.0
        return earned, judged, pending

    @property
    def status(self) -> str:
        """What became of the submission, in a few words."""
        if self.result is None:
            return "not graded yet"
        if self.result.error is not None:
            return "not gradable"
        if any(item.status == "error" for item in self.result.items):
            return "partly graded"
        return "graded"


def rows_of(
    manifest: Manifest, rubric: Rubric, results: Mapping[str, Result], overrides: Sequence[Override]
) -> list[Row]:
    """The class in the order of its keys; who handed in the same content as one before is told so."""
    first: dict[str, Member] = {}
    rows = []
    for member in manifest.members:
        other = first.setdefault(member.digest, member) if member.digest else member
        is_own = other is member or (member.group != "" and member.group == other.group)
        own = {override.item: override for override in overrides if override.key == member.key}
        result = results.get(member.key)
        if result is not None and own:
            result = _with_overrides(result, own)
        rows.append(Row(member, result, own, same_as="" if is_own else other.key))
    return rows


def _with_overrides(result: Result, overrides: Mapping[str, Override]) -> Result:
    """The result with the points that a person set, so that its totals are those of all reports."""
    items = tuple(
        item.model_copy(update=_set_by_hand(item, overrides[item.id])) if item.id in overrides else item
        for item in result.items
    )
    return result.model_copy(update={"items": items, **totals(items)._asdict()})


def _set_by_hand(item: ItemResult, override: Override) -> dict[str, Any]:
    full, none = override.points >= item.max_points, override.points == 0
    return {
        "points": override.points,
        "status": "passed" if full else "failed" if none else "partial",
        "set_by": SetBy(who=override.who, why=override.why),
    }


def scores(rows: Sequence[Row], rubric: Rubric) -> str:
    """How the class did, in one line; empty where nobody is graded. All reports on a class say this."""
    totals = [row.totals(rubric) for row in rows if row.result is not None and row.result.error is None]
    if not totals:
        return ""
    earned = sorted(earned for earned, _, _ in totals)
    most = max(judged for _, judged, _ in totals)
    pending = max(pending for _, _, pending in totals)
    so_far = (
        f"{points(most)} points graded so far; up to {points(pending)} pending"
        if pending
        else f"{points(most)} points"
    )
    return (
        f"Scores: mean {points(round(statistics.fmean(earned), 2))}, median {points(statistics.median(earned))}, "
        f"from {points(earned[0])} to {points(earned[-1])} of {so_far}."
    )


def grades_csv(rows: Sequence[Row], rubric: Rubric) -> str:
    """A line for each student: who, what became of it, totals, points by item (empty while they wait), remarks."""
    text = io.StringIO()
    text.write("\ufeff")  # by which Excel knows that this is UTF-8
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("key", "id", "name", "email", "file", "late", "status", "score", "judged", "pending"),
            *(item.id for item in rubric.items),
            *("overrides", "same_as", "remarks"),
        ]
    )
    for row in rows:
        member = row.member
        set_by_hand = "; ".join(
            f"{o.item} = {points(o.points)} by {o.who}: {o.why}" for o in row.overrides.values()
        )
        writer.writerow(
            [
                *map(for_csv, (member.key, member.id, member.name, member.email, member.file)),
                "yes" if member.late else "",
                row.status,
                *map(points, row.totals(rubric)),
                *("" if (earned := row.points(item.id)) is None else points(earned) for item in rubric.items),
                for_csv(set_by_hand),
                for_csv(row.same_as),
                for_csv("; ".join(remark.rstrip(".") for remark in _remarks(row))),
            ]
        )
    return text.getvalue()


def _remarks(row: Row) -> Iterator[str]:
    yield from row.member.notes
    if row.result is not None:
        if row.result.error:
            yield row.result.error
        yield from (f"{flag.kind}: {flag.message}" for flag in row.result.flags)


# -- feedback ----------------------------------------------------------------------------------------------------


def feedback(row: Row, rubric: Rubric) -> str:
    """What one student reads: points by item, and for each lost criterion the property and the smallest counterexample."""
    return "\n".join(_feedback(row, rubric)) + "\n"


def _feedback(row: Row, rubric: Rubric) -> Iterator[str]:
    result = row.result
    assert result is not None
    earned, judged, pending = row.totals(rubric)
    yield f"# {for_markdown(rubric.title)}: {for_markdown(row.member.name)}"
    yield ""
    if result.error is not None:
        yield f"**Your notebook could not be graded:** {for_markdown(result.error)}"
        yield ""
    if row.member.file and row.member.digest:
        yield f"Graded file: {for_markdown(row.member.file)}"
        yield ""
    waits = f"; {points(pending)} pending" if pending else ""
    yield f"**{points(earned)} of {points(judged)} points**{waits}."
    yield ""
    yield "| item | | points |"
    yield "|---|---|---:|"
    for item in rubric.items:
        given = row.points(item.id)
        shown = "–" if given is None else points(given)
        yield f"| {item.id} | {for_markdown(item.title)} | {shown} / {points(item.points)} |"
    for override in row.overrides.values():
        yield ""
        yield (
            f"{override.item}: {points(override.points)} points, set by {for_markdown(override.who)}: "
            f"{for_markdown(override.why)}"
        )
    for found in result.items:
        for criteria in _alike([c for c in found.criteria if c.status == "failed"]):
            names = ", ".join(criterion.id for criterion in criteria)
            worth = points(sum(criterion.max_points for criterion in criteria))
            yield ""
            yield f"## {for_markdown(names)} (−{worth})"
            yield ""
            if len({criterion.requirement for criterion in criteria}) == 1:
                yield for_markdown(criteria[0].requirement or criteria[0].title)
                yield ""
            yield for_markdown(criteria[0].message)
            if criteria[0].counterexample:
                yield ""
                yield "Smallest counterexample:"
                yield ""
                yield markdown_code(criteria[0].counterexample)
    notes = [*row.member.notes, *(f"{item.id}: {note}" for item in result.items for note in item.notes)]
    broken = [cell for cell in result.cells if cell.status not in ("ok", "skipped")]
    if notes or broken:
        yield ""
        yield "## Remarks"
        yield ""
        yield from (f"- {for_markdown(note)}" for note in notes)
        yield from (
            f"- code cell {cell.number}: {for_markdown(cell.error or cell.reason or cell.status)}"
            for cell in broken
        )


def _alike(criteria: Sequence[CriterionResult]) -> list[list[CriterionResult]]:
    groups: dict[tuple[str, str | None, str | None], list[CriterionResult]] = {}
    for criterion in criteria:
        # A class that is not defined fails every criterion by the same words.
        requirement = criterion.requirement if criterion.counterexample else None
        finding = (criterion.message, requirement, criterion.counterexample)
        groups.setdefault(finding, []).append(criterion)
    return list(groups.values())


# -- summary -----------------------------------------------------------------------------------------------------


def summary(rows: Sequence[Row], rubric: Rubric, strange: Sequence[str] = ()) -> str:
    """The class at a glance: how it went by item, what failed most often, and what a person should look at.

    ``strange`` are files that belong to no student.
    """
    return "\n".join(_summary(rows, rubric, strange)) + "\n"


def _summary(rows: Sequence[Row], rubric: Rubric, strange: Sequence[str]) -> Iterator[str]:
    graded = [row for row in rows if row.result is not None and row.result.error is None]
    yield f"# {for_markdown(rubric.title)}: {len(rows)} students"
    yield ""
    states = Counter(row.status for row in rows)
    yield ", ".join(f"{count} {state}" for state, count in states.most_common()) + "."
    if line := scores(rows, rubric):
        yield line
    yield from _by_item(graded, rubric)
    yield from _failures(graded)
    yield from _attention(rows)
    if strange:
        yield ""
        yield "## Files that may belong to no student"
        yield ""
        yield from (f"- {for_markdown(name)}" for name in strange)


def _by_item(rows: Sequence[Row], rubric: Rubric) -> Iterator[str]:
    yield ""
    yield "## Items"
    yield ""
    yield "| item | | of | mean | full | none | pending | distribution, from 0 to full |"
    yield "|---|---|---:|---:|---:|---:|---:|---|"
    for item in rubric.items:
        given = [value for row in rows if (value := row.points(item.id)) is not None]
        cells = ["", "", ""]
        if given:
            full = sum(value >= item.points for value in given)
            none = sum(value == 0 for value in given)
            cells = [points(round(statistics.fmean(given), 2)), str(full), str(none)]
        yield (
            f"| {item.id} | {for_markdown(item.title)} | {points(item.points)} | {' | '.join(cells)} "
            f"| {len(rows) - len(given)} | {_histogram(given, item.points)} |"
        )


def _histogram(values: Sequence[float], most: float) -> str:
    """Five bins in block characters."""
    if not values or not most:
        return ""
    bins = [0] * 5
    for value in values:
        bins[min(int(5 * value / most), 4)] += 1
    return "".join(" ▁▂▃▄▅▆▇█"[-(-8 * count // max(bins))] if count else "·" for count in bins)


def _failures(rows: Sequence[Row]) -> Iterator[str]:
    counts: Counter[str] = Counter()
    titles: dict[str, str] = {}
    for row in rows:
        for item in row.result.items if row.result else ():
            for criterion in item.criteria:
                if criterion.status == "failed":
                    counts[criterion.id] += 1
                    titles[criterion.id] = criterion.title
    if not counts:
        return
    yield ""
    yield "## What failed most often"
    yield ""
    yield "| criterion | | submissions | |"
    yield "|---|---|---:|---|"
    for name, count in counts.most_common(MOST_CRITERIA):
        share = count / len(rows)
        bar = "█" * max(1, round(_BAR * share))
        yield f"| {for_markdown(name)} | {for_markdown(titles[name])} | {count} ({share:.0%}) | {bar} |"


def _attention(rows: Sequence[Row]) -> Iterator[str]:
    """Warnings that hold for the class, and submissions that a person should look at."""
    warnings: Counter[str] = Counter()
    for row in rows:
        if row.result is None:
            continue
        warnings.update(warning for warning in row.result.warnings if warning not in row.member.notes)
        warnings.update(
            f"without the isolation layer {layer.layer}: {layer.note}"
            for layer in row.result.isolation
            if not layer.active
        )
    if warnings:
        yield ""
        yield "## Warnings"
        yield ""
        for text, count in warnings.most_common(MOST_CRITERIA):
            yield f"- {for_markdown(text)} ({count} of {len(rows)})"
    for title, lines in (
        ("Not graded", [(row, row.result.error) for row in rows if row.result and row.result.error]),
        (
            "Partly graded because the grader failed",
            [(row, "see its result") for row in rows if row.status == "partly graded"],
        ),
        ("Identical submissions", [(row, f"same as {row.same_as}") for row in rows if row.same_as]),
        (
            "Needs review",
            [
                (row, f"{flag.kind}: {flag.message}")
                for row in rows
                for flag in (row.result.flags if row.result else ())
            ],
        ),
        (
            "Overrides",
            [
                (row, f"{o.item} = {points(o.points)} by {o.who}: {o.why}")
                for row in rows
                for o in row.overrides.values()
            ],
        ),
    ):
        if lines:
            yield ""
            yield f"## {title}"
            yield ""
            keys: dict[str, list[str]] = {}
            for row, text in lines:
                keys.setdefault(str(text), []).append(for_markdown(row.member.key))
            for text, those in keys.items():
                of = f"{len(those)} students ({', '.join(those)})" if len(those) > 1 else those[0]
                yield f"- {of}: {for_markdown(text)}"


__all__ = ["Row", "feedback", "grades_csv", "rows_of", "scores", "summary"]
