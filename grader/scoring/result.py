"""The result of one submission, as it is written to JSON.

``grader/scoring/result.schema.json`` is made from these models:

    python -m grader.scoring.result > grader/scoring/result.schema.json

Text from a submission is made harmless on its way in, so no report has to trust another one to have done it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from grader.files.atomic import write_atomically
from grader.scoring.formats import RESULT, ResultVersion
from grader.scoring.pictures import Pictures
from grader.scoring.record import Block, CodeLine, Line, Record
from grader.text.safe_text import clean

Kind = Literal["automatic", "training", "manual"]
ItemStatus = Literal["passed", "partial", "failed", "pending", "error"]
CriterionStatus = Literal["passed", "failed", "error"]
LONGEST_EXCERPT = 10_000
"""Characters of a cell that are kept."""
EvidenceKind = Literal["image", "generated_text", "reported_accuracy", "written_answer"]


MOST_EVIDENCE = 60_000
"""Characters of one text that a notebook holds."""


def _exact(value: object) -> object:
    """Rounds what a sum or a percentage left behind the fourth decimal."""
    return round(value, 4) if isinstance(value, float) else value


Code = Annotated[str, BeforeValidator(lambda value: clean(value, LONGEST_EXCERPT) if isinstance(value, str) else value)]
"""Harmless lines of a cell."""
Passage = Annotated[
    str,
    BeforeValidator(lambda value: clean(value, MOST_EVIDENCE) if isinstance(value, str) else value),
    Field(max_length=MOST_EVIDENCE),
]
"""A harmless text as long as somebody may write for an item."""
Points = Annotated[float, BeforeValidator(_exact), Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(_exact), Field(ge=0, allow_inf_nan=False)]


class Evidence(Record):
    """Something in the notebook that helps a person to judge an item."""

    kind: EvidenceKind
    title: Line = ""
    cell: int | None = Field(default=None, ge=1, description="Number of the cell, from 1.")
    text: Passage | None = None
    mime: Literal["image/png", "image/jpeg"] | None = None
    data: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9+/]*={0,2}$", description="An image's bytes in base64."
    )


class SetBy(Record):
    """The person who decided something instead of the grader, and why."""

    who: Line
    why: Line


class Excerpt(Record):
    """Lines of a code cell, as the student wrote them."""

    cell: int = Field(ge=1, description="Number of the code cell, from 1.")
    first: int = Field(ge=1, description="Number of the first line, from 1.")
    text: Code
    items: tuple[str, ...] = Field(default=(), description="The items whose classes these lines define.")
    folded: tuple[int, int] | None = Field(
        default=None, description="First and last line of a long docstring, which a report need not show."
    )


class CriterionResult(Record):
    """A criterion that was judged, or that the grader failed to judge (`error`)."""

    id: str
    title: Line
    points: Points
    max_points: Points
    status: CriterionStatus
    message: Block = ""
    # Grader 0.1 called it a law.
    requirement: Line | None = Field(
        default=None,
        validation_alias=AliasChoices("requirement", "law"),
        description="The title of the property that failed.",
    )
    counterexample: Block | None = None
    pictures: Pictures = Field(default=(), description="The counterexample as data that a report draws.")
    snippet: Block = Field(default="", description="Python code that reproduces the counterexample in the notebook.")
    places: tuple[CodeLine, ...] = Field(default=(), description="Where an exception passed, the innermost last.")
    set_by: SetBy | None = Field(default=None, description="Whoever set the points instead of the grader.")

    @property
    def pending(self) -> float:
        """Points that wait, because the grader itself failed."""
        return self.max_points if self.status == "error" else 0.0


class ChosenEntry(Record):
    """A rubric entry that a person chose for an answer."""

    points: Annotated[float, Field(allow_inf_nan=False)]
    text: Line


class Grading(Record):
    """How a person graded an item."""

    who: Line
    entries: tuple[ChosenEntry, ...] = ()
    adjustment: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    comment: Block = ""


class ItemResult(Record):
    """A rubric item. `points` is null as long as nothing of it has been judged."""

    id: str
    title: Line
    kind: Kind
    points: Points | None
    max_points: Points
    status: ItemStatus
    criteria: tuple[CriterionResult, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[Line, ...] = ()
    set_by: SetBy | None = Field(default=None, description="Whoever set the points instead of the grader.")
    grading: Grading | None = Field(default=None, description="How a person graded it, where one did.")
    second_look: Line = Field(default="", description="Why a person has to look at the own decision again.")

    @property
    def is_by_hand(self) -> bool:
        """Whether a person decided its points."""
        return self.set_by is not None or self.grading is not None

    @model_validator(mode="after")
    def _consistent(self) -> ItemResult:
        earned = sum(criterion.points for criterion in self.criteria)
        if not self.is_by_hand and self.criteria and self.points is not None and abs(self.points - earned) > 1e-6:
            raise ValueError(f"item {self.id}: {self.points} points, but its criteria give {earned}")
        if self.points is not None and self.points > self.max_points:
            raise ValueError(f"item {self.id}: {self.points} of {self.max_points} points")
        return self

    @property
    def pending(self) -> float:
        """Points that wait for a person, for training, or for the grader to be repaired."""
        if self.points is None:
            return self.max_points
        if self.is_by_hand:
            return 0.0
        return sum(criterion.pending for criterion in self.criteria)


class Cell(Record):
    """What became of a cell of the notebook."""

    number: int = Field(ge=1, description="From 1, as people count.")
    decision: Literal["run", "skip", "partly"]
    status: Literal["ok", "raised", "timeout", "died", "skipped", "rescued"]
    reason: Line = ""
    seconds: Seconds = 0.0
    error: Line | None = None


class Flag(Record):
    """Something that a person should look at; it changes no points."""

    kind: Line
    message: Line
    cell: int | None = Field(default=None, ge=1)
    line: int | None = Field(default=None, ge=1)
    resolved: SetBy | None = Field(default=None, description="Whoever looked at it, and what they found.")

    @property
    def id(self) -> str:
        """What decisions name it by."""
        return f"{self.kind}: {self.message}"


class Isolation(Record):
    """A layer between the submission and the host, and whether this host has it."""

    layer: Line
    active: bool
    note: Line = ""


class Penalty(Record):
    """A deduction that a person gave; the score leaves it out."""

    id: str
    percent: float = Field(ge=0, le=100)
    reason: Line = ""


class Versions(Record):
    """What the verdict depends on, beside the submission."""

    grader: str
    rubric: str
    python: str
    torch: str | None = None
    hypothesis: str | None = None
    nltk: str | None = None


class Totals(NamedTuple):
    """Sums over items, in points."""

    score: float
    max_score: float
    pending: float


def totals(items: Iterable[ItemResult]) -> Totals:
    """Adds up: `max_score` counts what was judged, `pending` what was not, together all points."""
    items = tuple(items)
    score = sum(item.points or 0.0 for item in items)
    pending = sum(item.pending for item in items)
    return Totals(
        round(score, 4), round(sum(item.max_points for item in items) - pending, 4), round(pending, 4)
    )


class Result(Record):
    """The whole result; `score` of `max_score` has been judged, `pending` waits."""

    schema_version: ResultVersion = Field(default=RESULT, description="Of this form, by semantic versioning.")
    title: Line = Field(default="", description="Of the homework, as the rubric states it.")
    submission: Line
    error: Line | None = Field(default=None, description="Why there was nothing to judge.")
    warnings: tuple[Line, ...] = ()
    score: Points
    max_score: Points
    pending: Points
    items: tuple[ItemResult, ...] = ()
    penalties: tuple[Penalty, ...] = ()
    flags: tuple[Flag, ...] = ()
    comments: tuple[Block, ...] = Field(default=(), description="What a person wrote to the student.")
    cells: tuple[Cell, ...] = ()
    code: tuple[Excerpt, ...] = Field(default=(), description="What was judged, and where exceptions passed.")
    isolation: tuple[Isolation, ...] = ()
    seed: Literal["public", "secret"] = "public"
    versions: Versions
    tokenizer_data: str | None = Field(default=None, description="SHA-256 of the Punkt files.")
    seconds: dict[str, Seconds] = Field(default_factory=dict, description="Wall time by stage.")

    @model_validator(mode="after")
    def _adds_up(self) -> Result:
        expected = totals(self.items)
        if (self.score, self.max_score, self.pending) != expected:
            raise ValueError(f"score, max_score and pending must be {tuple(expected)}, as the items give")
        return self

    def to_json(self) -> str:
        """JSON text that ends in a line feed."""
        return self.model_dump_json(indent=2) + "\n"

    def write(self, path: Path) -> None:
        """Writes the result to `path`, wholly or not at all; raises GraderError if it cannot."""
        write_atomically(path, self.to_json())


def result_schema() -> dict[str, Any]:
    """The JSON Schema of a result file."""
    schema = Result.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    print(json.dumps(result_schema(), indent=2))
