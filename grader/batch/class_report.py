"""The report of a class, as one HTML file: how it went, which items tell students apart, and what a person should look at."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from grader.batch import class_tables
from grader.batch.fairness import Fairness, rate_in_words
from grader.batch.falls import Fall
from grader.batch.rows import Row, scores
from grader.batch.similar import Similar
from grader.batch.store import Manifest
from grader.insight.causes import Cause
from grader.report import plots
from grader.report.page import PAGES, page
from grader.report.side_by_side import compared
from grader.scoring.rubric import Rubric

MOST_COMPARED = 20
"""Pairs that are shown side by side; the table has all of them."""
MOST_CAUSES = 40
"""Causes that are shown, those that cost most."""
MOST_SLOW = 10
NOTHING_SIMILAR = Similar((), {}, ())


@dataclass(frozen=True)
class Findings:
    """What is known of a class beside its grades.

    Args:
        fairness: what other seeds found.
        falls: grades that are lower than they were once.
        causes: of lost points, the most points first.
        similar: submissions whose code is alike.
        pages: keys of the students with a report of their own.
    """

    fairness: Fairness | None = None
    falls: Sequence[Fall] = ()
    causes: Sequence[Cause] = ()
    similar: Similar = NOTHING_SIMILAR
    pages: Collection[str] = ()


def class_report(manifest: Manifest, rubric: Rubric, rows: Sequence[Row], findings: Findings | None = None) -> str:
    """The report as HTML text."""
    findings = findings or Findings()
    items, criteria = class_tables.item_rows(rows, rubric)
    return page(
        "class.html",
        script=(PAGES / "sort.js").read_text(encoding="utf-8"),
        style="style.css pictures.css class.css",
        title=rubric.title,
        rows=rows,
        states=Counter(row.status for row in rows).most_common(),
        scores=scores(rows, rubric),
        pending=class_tables.pending_items(rows, rubric),
        items=items,
        criteria=criteria,
        doubtful=[each for each in (*items, *criteria) if each.statistics.finding in ("reversed", "none", "weak")],
        attention=class_tables.attention(rows),
        duplicates=class_tables.duplicates(rows),
        nondeterministic=class_tables.nondeterministic(rows),
        weak=class_tables.weakly_isolated(rows),
        warnings=class_tables.warnings(rows),
        students=class_tables.students(rows, rubric),
        comparisons=[
            compared(pair, findings.similar.cells if n < MOST_COMPARED else {})
            for n, pair in enumerate(findings.similar.pairs)
        ],
        findings=findings,
        causes=list(findings.causes[:MOST_CAUSES]),
        more_causes=list(findings.causes[MOST_CAUSES:]),
        rates=_rates(findings.fairness),
        plots=plots,
        manifest=manifest,
        versions=next((row.result.versions for row in rows if row.result is not None), None),
        **_scores(rows, rubric),
        **_times(rows),
    )


def _scores(rows: Sequence[Row], rubric: Rubric) -> dict[str, Any]:
    """The scores of those who are graded: their mean, of how many points, and their distribution."""
    graded = [row.totals(rubric) for row in rows if row.result is not None and row.result.error is None]
    if not graded:
        return {"mean": None, "most": None, "plot": None}
    most = max(judged for _, judged, _ in graded)
    earned = [score for score, _, _ in graded]
    pending = any(waits for _, _, waits in graded)
    axis = "Points so far, without what is pending" if pending else "Points"
    return {"mean": round(statistics.fmean(earned), 2), "most": most, "plot": plots.histogram(earned, most, axis)}


def _times(rows: Sequence[Row]) -> dict[str, Any]:
    known = [(row.member.key, took, row.result) for row in rows if (took := class_tables.seconds(row)) is not None]
    if not known:
        return {"slowest": [], "times": None, "median_seconds": None}
    slowest = sorted(known, key=lambda each: (-each[1], each[0]))
    stages = [
        (key, took, sorted(result.seconds.items(), key=lambda stage: -stage[1]) if result else [])
        for key, took, result in slowest[:MOST_SLOW]
    ]
    ordered = sorted(took for _, took, _ in known)
    return {
        "slowest": stages,
        "times": plots.histogram(ordered, max(ordered[-1], 1.0), "Seconds for one submission", unit=" s"),
        "median_seconds": ordered[len(ordered) // 2],
    }


def _rates(fairness: Fairness | None) -> list[str]:
    if fairness is None:
        return []
    return [rate_in_words(fairness.submissions, "submissions"), rate_in_words(fairness.verdicts, "verdicts")]
