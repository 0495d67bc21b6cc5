"""Reports on a class: grades.csv, summary.md, and a student's feedback.

All text goes through `safe_text`: a name, a message or an exception may be a formula, markup or a terminal's command.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from grader.batch.causes import in_words_by_item
from grader.batch.rows import Row, scores
from grader.gradebook.state import Override
from grader.insight.causes import Cause
from grader.report.terminal import alike, points
from grader.scoring.result import ItemResult
from grader.scoring.rubric import Rubric
from grader.text.safe_text import for_csv, for_markdown, markdown_code

MOST_CRITERIA = 15
_BAR = 20


def grades_csv(rows: Sequence[Row], rubric: Rubric) -> str:
    """A line for each student: who, what became of it, totals, points by item (empty while they wait), remarks."""
    text = io.StringIO()
    text.write("\ufeff")  # by which Excel knows that this is UTF-8
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("key", "id", "name", "email", "file", "late", "status", "score", "judged", "pending"),
            *(item.id for item in rubric.items),
            *("overrides", "second_look", "same_as", "remarks"),
        ]
    )
    for row in rows:
        member = row.member
        writer.writerow(
            [
                *map(for_csv, (member.key, member.id, member.name, member.email, member.file)),
                "yes" if member.late else "",
                row.status,
                *map(points, row.totals(rubric)),
                *("" if (earned := row.points(item.id)) is None else points(earned) for item in rubric.items),
                for_csv("; ".join(map(_in_words, row.overrides))),
                for_csv("; ".join(f"{item}: {reason}" for item, reason in row.second_looks)),
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
        yield from (flag.id for flag in row.result.flags if flag.resolved is None)


def _in_words(override: Override) -> str:
    name = override.criterion or override.item
    return f"{name} = {points(override.points)} by {override.who}: {override.reason}"


# -- feedback ----------------------------------------------------------------------------------------------------


def feedback(row: Row, rubric: Rubric, causes: Sequence[Cause] = ()) -> str:
    """What one student reads: points by item, and for each lost criterion the property and the smallest counterexample.

    ``causes`` are told as guesses at the end.
    """
    return "\n".join([*_feedback(row, rubric), *_causes(causes)]) + "\n"


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
    for override in row.overrides:
        yield ""
        yield (
            f"{override.criterion or override.item}: {points(override.points)} points, set by "
            f"{for_markdown(override.who)}: {for_markdown(override.reason)}"
        )
    for item_result in result.items:
        yield from _by_a_person(item_result)
    for comment in result.comments:
        yield ""
        yield for_markdown(comment)
    for found in result.items:
        for criteria in alike(found.criteria, "failed"):
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


def _causes(causes: Sequence[Cause]) -> Iterator[str]:
    """What probably went wrong, as a guess."""
    if causes:
        yield ""
        yield "## What may have gone wrong"
        yield ""
        yield "A guess from what failed, by comparison with known mistakes."
        yield ""
    for part, texts in in_words_by_item(causes).items():
        yield from (f"- {part}: {for_markdown(text)}" for text in texts)


def _by_a_person(item: ItemResult) -> Iterator[str]:
    """The rubric entries that a person chose, and the comment."""
    if item.grading is None:
        return
    yield ""
    yield f"## {for_markdown(item.id)} ({points(item.points or 0.0)} of {points(item.max_points)})"
    yield ""
    yield from (f"- {points(entry.points)}: {for_markdown(entry.text)}" for entry in item.grading.entries)
    if item.grading.adjustment:
        yield f"- {points(item.grading.adjustment)}: adjustment"
    if item.grading.comment:
        yield ""
        yield for_markdown(item.grading.comment)


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
                (row, flag.id)
                for row in rows
                for flag in (row.result.flags if row.result else ())
                if flag.resolved is None
            ],
        ),
        (
            "Needs a second look",
            [(row, f"{item}: {reason}") for row in rows for item, reason in row.second_looks],
        ),
        ("Overrides", [(row, _in_words(each)) for row in rows for each in row.overrides]),
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


__all__ = ["feedback", "grades_csv", "summary"]
