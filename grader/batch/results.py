"""The results of a class from what the store keeps of it, and the files that are written of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grader.batch import reports
from grader.batch.causes import causes_by_student, for_summary, found_causes, in_words_by_item
from grader.batch.class_report import Findings, class_report
from grader.batch.context import training_context_of
from grader.batch.fairness import fairness_of, recheck_markdown
from grader.batch.falls import load_falls
from grader.batch.rows import Row, rows_of
from grader.batch.similar import similar_in_class
from grader.batch.store import Manifest, Record, Store, scored, unreadable
from grader.batch.training import known_training
from grader.gradebook.state import State
from grader.report.student import Reader, student_report
from grader.scoring.facts import versions
from grader.scoring.result import Result
from grader.scoring.rubric import Rubric


def report(
    store: Store,
    manifest: Manifest,
    rubric: Rubric,
    records: dict[str, Record],
    state: State,
    against: Sequence[Path] = (),
) -> list[Row]:
    """Write results, feedback, grades, summary and class report; gives the rows of the class.

    Code is compared within the class, and with that in the folders ``against``.
    """
    rows = rows_of(manifest, rubric, results_of(store, manifest, rubric, records), state)
    found = found_causes(rows, records, rubric, manifest.homework)
    shown = causes_by_student(found.causes) if rubric.causes_for == "students" else {}
    for row in rows:
        if row.result is not None:
            store.put(f"results/{row.member.key}.json", row.result.to_json())
            store.put(f"feedback/{row.member.key}.md", reports.feedback(row, rubric, shown.get(row.member.key, ())))
            causes = in_words_by_item(shown.get(row.member.key, ()))
            reader = Reader(row.member.name, row.member.notes, causes=causes)
            store.put(f"feedback/{row.member.key}.html", student_report(row.result, reader))
    store.put("grades.csv", reports.grades_csv(rows, rubric))
    store.put("summary.md", reports.summary(rows, rubric, manifest.strange) + for_summary(found))
    fairness = fairness_of(store, manifest, rubric, records)
    if fairness is not None:
        store.put("recheck.md", recheck_markdown(fairness))
    pages = {row.member.key for row in rows if row.result is not None}
    similar = similar_in_class(store.folder, manifest, against)
    findings = Findings(fairness, load_falls(store), found.causes, similar, pages)
    store.put("report.html", class_report(manifest, rubric, rows, findings))
    store.drop_others({row.member.key for row in rows if row.result is not None})
    return rows


def results_of(
    store: Store, manifest: Manifest, rubric: Rubric, records: dict[str, Record]
) -> dict[str, Result]:
    """The result of each member by key, as far as its content is judged."""
    results: dict[str, Result] = {}
    context = training_context_of(manifest.context, rubric, manifest.homework)
    for member in manifest.members:
        if member.problem is not None:
            results[member.key] = unreadable(member, rubric, manifest.seed, versions(rubric))
        elif member.digest in records:
            training = known_training(store, member, context)
            results[member.key] = scored(records[member.digest], rubric, member, training)
    return results


def load_records(store: Store, manifest: Manifest) -> dict[str, Record]:
    """What is known of the class, by content."""
    digests = {member.digest for member in manifest.members if member.digest}
    found = {digest: store.load(digest, manifest.context) for digest in sorted(digests)}
    return {digest: record for digest, record in found.items() if record is not None}
