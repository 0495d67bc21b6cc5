"""The likely causes of the points that a class lost, from the verdicts that the store keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.authoring.digests import stale_parts
from grader.batch.rows import Row
from grader.batch.store import Record
from grader.errors import UsageError
from grader.homework import Homework
from grader.insight.causes import Cause, LostCriterion, LostPart, causes_of
from grader.insight.fingerprints import load_fingerprints
from grader.insight.symptoms import symptoms_of
from grader.report.terminal import points
from grader.scoring.result import CriterionResult, ItemResult
from grader.scoring.rubric import AutomaticItem, Rubric
from grader.text.safe_text import for_markdown, one_line

MOST_CAUSES = 15
LONGEST_CAUSE = 200


def causes_of_class(
    rows: Sequence[Row], records: Mapping[str, Record], rubric: Rubric, homework: Homework
) -> list[Cause]:
    """The causes, the most points first.

    Args:
        rows: the class with its decisions.
        records: what was judged, by content.
        rubric: which properties decide a criterion.
        homework: its fingerprints name the causes; without any all are unknown.

    Raises:
        UsageError: if the file of fingerprints cannot be read.
    """
    parts = [part for row in rows for part in lost_parts(row, records.get(row.member.digest), rubric)]
    return causes_of(parts, load_fingerprints(homework.fingerprints))


@dataclass(frozen=True)
class ClassCauses:
    """The causes of a class, and a note where they cannot be trusted; empty where they can."""

    causes: tuple[Cause, ...] = ()
    note: str = ""


def found_causes(rows: Sequence[Row], records: Mapping[str, Record], rubric: Rubric, homework: Homework) -> ClassCauses:
    """`causes_of_class` for reports, which a damaged table does not stop."""
    try:
        return ClassCauses(tuple(causes_of_class(rows, records, rubric, homework)), outdated_note(homework))
    except UsageError as error:
        return ClassCauses((), str(error))


def for_summary(found: ClassCauses) -> str:
    """The costliest causes as a section of ``summary.md``; empty where no points were lost."""
    if not found.causes and not found.note:
        return ""
    lines = ["", "## Likely causes of lost points", ""]
    lines += [f"{for_markdown(found.note)}", ""] if found.note else []
    if found.causes:
        lines += ["| item | cause | confidence | submissions | points lost |", "|---|---|---:|---:|---:|"]
    for cause in found.causes[:MOST_CAUSES]:
        confidence = f"{cause.confidence:.0%}" if cause.is_known else "unknown"
        others = f"; or: {' '.join(cause.alternatives)}" if cause.alternatives else ""
        text = for_markdown(one_line(cause.text, LONGEST_CAUSE) + others)
        lines.append(f"| {cause.part} | {text} | {confidence} | {len(cause.losses)} | {points(cause.points_lost)} |")
    if len(found.causes) > MOST_CAUSES:
        lines += ["", f"{len(found.causes) - MOST_CAUSES} more cost less; see report.html."]
    return "\n".join(lines) + "\n"


def causes_by_student(causes: Sequence[Cause]) -> dict[str, list[Cause]]:
    """The known causes by key of the row, for students where the rubric lets them see causes."""
    found: dict[str, list[Cause]] = {}
    for cause in causes:
        for key in cause.losses if cause.is_known else ():
            found.setdefault(key, []).append(cause)
    return found


def in_words_by_item(causes: Sequence[Cause]) -> dict[str, list[str]]:
    """Causes as a student reads them, with what else each could be, by item."""
    found: dict[str, list[str]] = {}
    for cause in causes:
        others = f" It could also be: {' '.join(cause.alternatives)}" if cause.alternatives else ""
        found.setdefault(cause.part, []).append(cause.text + others)
    return found


def outdated_note(homework: Homework) -> str:
    """A line that says which parts' fingerprints are older than what they were made of; empty where none are."""
    table = load_fingerprints(homework.fingerprints)
    stale = stale_parts(table.sources, homework)
    if not stale:
        return ""
    return (
        f"likely causes of {', '.join(stale)} may be wrong: the corpus or its properties have changed since; "
        "run `grader audit fingerprints`"
    )


def lost_parts(row: Row, record: Record | None, rubric: Rubric) -> Iterator[LostPart]:
    """What a row lost by the grader's verdicts, part by part."""
    if record is None or record.verdicts is None or row.result is None:
        return
    found = {item.id: item for item in row.result.items}
    for item in rubric.items:
        if not isinstance(item, AutomaticItem) or item.id not in found:
            continue
        properties = {criterion.id: criterion.properties for criterion in item.criteria}
        criteria = tuple(_lost(found[item.id], properties))
        if criteria:
            judged = {name for names in properties.values() for name in names}
            yield LostPart(row.member.key, item.id, symptoms_of(record.verdicts.values(), judged), criteria)


def _lost(item: ItemResult, properties: Mapping[str, tuple[str, ...]]) -> Iterator[LostCriterion]:
    """The criteria that the grader's verdicts lost, with the points that they still cost after all decisions."""
    lost = [criterion for criterion in item.criteria if _was_lost(criterion)]
    missing = sum(criterion.max_points - criterion.points for criterion in lost)
    # Points that somebody set for the whole item are shared out as the criteria cost.
    left = missing if item.points is None or item.set_by is None else max(item.max_points - item.points, 0.0)
    share = left / missing if missing else 0.0
    for criterion in lost:
        yield LostCriterion(
            criterion.id,
            properties.get(criterion.id, ()),
            round((criterion.max_points - criterion.points) * min(share, 1.0), 4),
            criterion.requirement or "",
            criterion.message,
            criterion.counterexample or "",
        )


def _was_lost(criterion: CriterionResult) -> bool:
    """Whether the grader found it failed, whatever a person set since: only what failed has a requirement and a message."""
    is_lost = criterion.status == "failed" or criterion.set_by is not None
    return is_lost and criterion.status != "error" and criterion.message != ""
