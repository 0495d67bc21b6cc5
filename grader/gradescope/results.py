"""Turns a result into what Gradescope shows: one test for each criterion or item, within the platform's rules.

Two of these rules shape it. A test that waits for a date hides the student's total until then; one that is
`hidden` for good does not, as it should carry no points. So the points of hidden criteria stand in one visible
line for each item, and their findings in hidden tests without points.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema

from grader.files.atomic import write_atomically
from grader.gradescope.metadata import Late, Metadata
from grader.scoring.result import CriterionResult, ItemResult, Result
from grader.scoring.rubric import AutomaticItem, GradescopeSettings, Rubric, Visibility
from grader.text.safe_text import LONG, clean, one_line

MAX_CHARACTERS = 100_000
_ROOM = 2000
"""Left free, for what `run` may have to add."""
_ENOUGH = 150
"""Characters of a finding below which it says nothing."""

WAITING = "Not graded yet: the grader was stopped before it reached this test."
GRADERS_FAULT = "The grader failed here. This is not your fault; tell your instructor.\n"


@functools.cache
def schema() -> dict[str, Any]:
    """The platform's specification of a results file as a JSON Schema."""
    path = Path(__file__).with_name("results.schema.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def valid(results: Any) -> bool:
    """Whether the platform takes these results."""
    return not list(jsonschema.Draft202012Validator(schema()).iter_errors(results)) and (
        len(to_text(results)) <= MAX_CHARACTERS
    )


def to_text(results: Any) -> str:
    """The file's text."""
    return json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Put results in place of the file, wholly or not at all; raises ValueError for what the platform would refuse."""
    if not valid(results):
        raise ValueError("these results do not follow the platform's specification")
    write_atomically(path, to_text(results))


def message_only(message: str, rubric: Rubric | None = None, seconds: float = 0.0) -> dict[str, Any]:
    """Results that give no points and say why."""
    tests = [] if rubric is None else _tests(rubric, (), LONG, message="Not graded; see the message above.")
    return _whole(0.0, clean(message), tests, seconds, {})


def to_gradescope(
    result: Result,
    rubric: Rubric,
    *,
    late: Late | None = None,
    metadata: Metadata | None = None,
    seconds: float = 0.0,
    provisional: bool = False,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """A result as Gradescope takes it, cut to the size that it takes.

    Points that wait for a person are no part of it: they belong to the assignment that is graded by hand.
    """
    late, metadata = late or Late(), metadata or Metadata()
    if result.error is not None:
        return message_only(f"Nothing to grade: {result.error}", rubric, seconds)
    earned = sum(item.points or 0.0 for item in result.items)
    score = round(earned * (100 - late.percent) / 100, 4)
    extra = {
        "provisional": provisional,
        "grader": result.versions.model_dump(),
        "seed": result.seed,
        "isolation": [layer.layer for layer in result.isolation if layer.active],
        "without": [layer.layer for layer in result.isolation if not layer.active],
        "late_minutes": round(late.by.total_seconds() / 60, 2),
        "late_percent": late.percent,
        "flags": [f"{flag.kind}: {flag.message}"[:200] for flag in result.flags[:20]],
    }
    limit = LONG
    while True:
        tests = _tests(rubric, result.items, limit, WAITING if provisional else "Not judged.")
        head = _head(result, late, metadata, notes, provisional, limit)
        whole = _whole(score, head, tests, seconds, extra)
        if limit <= _ENOUGH or len(to_text(whole)) <= MAX_CHARACTERS - _ROOM:
            return whole
        limit = max(limit * 3 // 4, _ENOUGH)


def _whole(
    score: float, output: str, tests: list[dict[str, Any]], seconds: float, extra: dict[str, Any]
) -> dict[str, Any]:
    return {
        "score": score,
        "execution_time": round(max(seconds, 0.0), 1),
        "output": output,
        # Text: the platform shows it as it is, whatever a student's code has written into it.
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "stdout_visibility": "hidden",
        "extra_data": extra,
        "tests": tests,
    }


def _head(
    result: Result, late: Late, metadata: Metadata, notes: Sequence[str], provisional: bool, limit: int
) -> str:
    lines = [*notes]
    if provisional:
        lines.append("Provisional: the grader was still running when these results were written.")
    if late.note:
        lines.append(f"This was {late.note}.")
    lines += [warning for warning in result.warnings if "--seed-file" not in warning]
    if metadata.warning:
        lines.append(metadata.warning)
    odd = [cell for cell in result.cells if cell.error or cell.status in ("timeout", "died")]
    if odd:
        lines.append("Cells that did not finish:")
        lines += [f"  code cell {cell.number}: {one_line(cell.error or cell.status)}" for cell in odd[:20]]
    for item in result.items:
        if item.kind == "training" and item.status == "pending":
            lines += [f"{item.id} is graded by hand: {note}" for note in item.notes[:3]]
    broken = [item for item in result.items if item.status == "error"]
    if broken:
        names = ", ".join(item.id for item in broken)
        lines.append(
            f"The grader itself failed on part of {names}. This is not your fault; tell your instructor."
        )
    return clean("\n".join(lines) or f"{result.submission} was graded.", max(limit, 600))


# -- tests -----------------------------------------------------------------------------------------------------


def _tests(rubric: Rubric, items: Sequence[ItemResult], limit: int, message: str) -> list[dict[str, Any]]:
    found = {item.id: item for item in items}
    tests: list[dict[str, Any]] = []
    for item in rubric.automatic:
        tests += _of_item(item, found.get(item.id), rubric.gradescope, limit, message)
    for result in items:
        # Training counts once it was judged; until then it is a person's.
        if result.kind == "training" and result.criteria:
            visibility = rubric.gradescope.visibility_for(result.id)
            lines = [_finding(criterion, limit) for criterion in result.criteria]
            tests += _shown(
                result.id, result.title, result.points or 0.0, result.max_points, lines, visibility, limit
            )
    return tests


def _of_item(
    item: AutomaticItem,
    result: ItemResult | None,
    settings: GradescopeSettings,
    limit: int,
    message: str,
) -> list[dict[str, Any]]:
    judged = {criterion.id: criterion for criterion in result.criteria} if result else {}
    remarks = [f"Note: {note}" for note in result.notes] if result else []
    if settings.granularity == "item":
        lines = [
            f"{criterion.id}  {_finding(judged[criterion.id], limit // len(item.criteria))}"
            for criterion in item.criteria
            if criterion.id in judged
        ]
        points = sum(criterion.points for criterion in judged.values())
        visibility = settings.visibility_for(item.id)
        return _shown(
            item.id, item.title, points, item.points, [*(lines or [message]), *remarks], visibility, limit
        )
    tests: list[dict[str, Any]] = []
    secret_points = secret_of = 0.0
    for criterion in item.criteria:
        visibility = settings.visibility_for(criterion.id)
        known = judged.get(criterion.id)
        points = known.points if known else 0.0
        lines = [_finding(known, limit) if known else message, *remarks]
        name = f"{item.title}: {criterion.title}"
        if visibility == "hidden":
            secret_points += points
            secret_of += criterion.points
            tests.append(_detail(criterion.id, name, points, criterion.points, lines, limit))
        else:
            tests += _shown(criterion.id, name, points, criterion.points, lines, visibility, limit)
    if secret_of:
        tests.append(_secret_total(item.id, item.title, secret_points, secret_of))
    return tests


def _shown(
    number: str,
    name: str,
    points: float,
    of: float,
    lines: Sequence[str],
    visibility: Visibility,
    limit: int,
) -> list[dict[str, Any]]:
    if visibility == "hidden":
        return [_detail(number, name, points, of, lines, limit), _secret_total(number, name, points, of)]
    return [_test(number, name, points, of, "\n".join(lines), visibility, limit)]


def _detail(
    number: str, name: str, points: float, of: float, lines: Sequence[str], limit: int
) -> dict[str, Any]:
    """A hidden test, for instructors: it has no points, which would take them out of the student's view."""
    text = "\n".join([f"{points:g} of {of:g} points, included in the total of the hidden tests.", *lines])
    test = _test(number, name, 0.0, 0.0, text, "hidden", limit)
    return {**test, "status": "passed" if points >= of else "failed"}


def _secret_total(number: str, title: str, points: float, of: float) -> dict[str, Any]:
    test = _test(f"{number} hidden", f"{title}: hidden tests", points, of, "", "visible", LONG)
    return {**test, "output": "These tests are hidden, but their points count."}


def _test(
    number: str, name: str, points: float, of: float, output: str, visibility: Visibility, limit: int
) -> dict[str, Any]:
    return {
        "score": round(points, 4),
        "max_score": round(of, 4),
        "status": "passed" if points >= of else "failed",
        "name": one_line(name),
        "number": number,
        "output": clean(output, limit),
        "output_format": "text",
        "tags": [number.partition(".")[0].partition(" ")[0]],
        "visibility": visibility,
    }


def _finding(criterion: CriterionResult, limit: int) -> str:
    """What a student needs to see their mistake, as plain text."""
    if criterion.status == "passed":
        return "Passed."
    if criterion.status == "error":
        return GRADERS_FAULT + criterion.message
    parts = [criterion.message]
    if criterion.requirement:
        parts.append(f"Requirement: {criterion.requirement}")
    if criterion.counterexample:
        parts.append("Smallest counterexample:\n" + criterion.counterexample)
    return clean("\n".join(parts), limit)
