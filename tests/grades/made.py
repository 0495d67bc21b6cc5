"""A small rubric, results, decisions and students, as plain data."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from grader.gradebook.entries import entries_of, worth_of
from grader.gradebook.events import Event, Kind
from grader.gradebook.state import Log, State
from grader.grades.final import FinalGrade, ItemGrade
from grader.grades.students import Student
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.result import Result, Versions
from grader.scoring.rubric import Rubric, parse_rubric
from grader.scoring.verdict import Verdict

RUBRIC_TEXT = """
version: "1"
title: Small homework
total: 10
penalties:
  - {id: page-assignment, title: The pages are not assigned., percent: 3}
gradescope:
  lateness: {percent_per_day: 10, grace_minutes: 30, max_percent: 50}
items:
  - id: 1a
    kind: manual
    title: A formula
    points: 4
    model_answer: 1a
    grading_notes: Both.
    entries:
      - {id: first, points: 2, text: The first formula is right.}
      - {id: second, points: 2, text: The second formula is right.}
      - {id: nothing, points: 0, text: Nothing is right., exclusive: true}
  - id: 2a
    kind: automatic
    title: A class
    points: 5
    criteria:
      - {id: 2a.shapes, title: The shapes are right., points: 2, quote: q, public: true, properties: [m.test_shapes]}
      - {id: 2a.values, title: The values are right., points: 3, quote: q, public: true, properties: [m.test_values]}
  - id: 3a
    kind: training
    title: A model
    points: 1
    budget: {epochs: 1, minutes: 1, threshold: 0.5}
    grading_notes: It learns.
"""
RUBRIC: Rubric = parse_rubric(RUBRIC_TEXT.encode())
VERSIONS = Versions(grader="1", rubric="1", python="3.12")
START = datetime(2025, 10, 22, tzinfo=timezone.utc)


def result(
    *failed: str, broken: Sequence[str] = (), trained: bool | None = True, rubric: Rubric = RUBRIC, error: str | None = None
) -> Result:
    """A result in which these criteria failed, or could not be judged."""
    verdicts = {}
    for item in rubric.automatic:
        for criterion in item.criteria:
            status = "error" if criterion.id in broken else "failed" if criterion.id in failed else "passed"
            for name in criterion.properties:
                verdicts[name] = Verdict(name, status, "wrong by 1" if status == "failed" else "")  # type: ignore[arg-type]
    training = next((item.id for item in rubric.items if item.kind == "training"), "")
    judged = {} if trained is None else {training: Verdict("train", "passed" if trained else "failed", "60%")}
    found = None if error else Findings(verdicts, judged)
    return compose_result(rubric, Facts("hw.ipynb", VERSIONS, error=error), found)


Decided = tuple[Kind, str | None, str | None, dict[str, Any]]


def state(*decisions: Decided, rubric: Rubric = RUBRIC) -> State:
    """The state after decisions, one a minute."""
    events = [
        Event(kind, key, item, data, number, START + timedelta(minutes=number), "tessa", f"act-{number}")
        for number, (kind, key, item, data) in enumerate(decisions, 1)
    ]
    return State(Log().followed_by(events), entries_of(rubric), worth_of(rubric))


def graded(key: str, item: str = "1a", *entries: str, **data: Any) -> Decided:
    """A grade by rubric entries."""
    return (Kind.grade, key, item, {"entries": list(entries), "adjustment": 0.0, "comment": "", **data})


def final(key: str, total: float | None, student: Student | None = None, pending: Sequence[str] = ("1a",)) -> FinalGrade:
    """A grade with this total, all of it from one item."""
    item = ItemGrade("1a", "A formula", 10, total, "manual", ("+2: The first formula is right.",), "Well done & clear")
    return FinalGrade(key, student or Student(key), (item,), (), None, total, () if total is not None else tuple(pending))


FIRST = (
    *("Ada", "José", "Nguyễn Văn", "Li", "Anne-Marie", "Søren", "O'Brien", "Zoë", "محمد", "小明", "Renée", "Jan van der"),
    *("Łukasz", "María José", 'Jo "Jojo"', "D’Arcy", "Ian", "Ana", "Ng", "Siân"),
)
LAST = (
    *("Lovelace", "García Márquez", "Trần", "Wei", "Smith, Jr.", "Kierkegaard", "Müller", "علي", "王", "Çelik", "de la Cruz"),
    *("O'Neil", "Brontë", "Nowak", "Ó Súilleabháin", "Park", "Sánchez", "Y", "St. John", "Lee"),
)


def class_of(size: int, seed: int = 1) -> list[dict[str, str]]:
    """Students with odd names, some of them shared, ids with leading zeros, and a row in Canvas."""
    draw = random.Random(seed)
    people = []
    for number in range(size):
        first, last = draw.choice(FIRST), draw.choice(LAST)
        people.append(
            {
                "name": f"{first} {last}",
                "sortable": f"{last}, {first}",
                "canvas": str(51_000 + 7 * number),
                "sid": f"{(number * 7919) % 900_000:08d}",
                "login": f"u{number:04d}",
                "email": f"u{number:04d}@uni.example",
            }
        )
    return people


def students(people: Sequence[Mapping[str, str]], kind: str) -> dict[str, Student]:
    """The class as it comes from an export: of Canvas, of Gradescope, or as folders that are named like students."""
    made = {
        "canvas": lambda one: Student("".join(one["sortable"].split()).lower(), one["canvas"], platform="canvas"),
        "gradescope": lambda one: Student(one["name"], one["sid"], one["email"], platform="gradescope"),
        "login": lambda one: Student(one["name"], one["login"]),
        "email": lambda one: Student(one["name"], email=one["email"]),
        "name": lambda one: Student(one["name"]),
    }[kind]
    return {f"row-{number}": made(one) for number, one in enumerate(people)}
