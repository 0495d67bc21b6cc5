"""The report that a student reads: one HTML file, with the score by item and every finding explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from grader.report.page import page
from grader.report.pictures import draw
from grader.report.terminal import Unchecked, alike, pending_words, points
from grader.scoring.result import CriterionResult, Excerpt, ItemResult, Result
from grader.text.safe_text import LONG

LARGEST = 300_000
"""Bytes of a report. Code is left out first, then pictures, and then the middle of long texts."""
MOST_DRAWN = 160_000
"""Characters of all drawings together; what comes after them is told in numbers only."""
SHORT_TEXT = 500
SIGNS = {"passed": "✓", "partial": "◐", "failed": "✗", "pending": "·", "error": "!"}
WORDS = {"passed": "passed", "partial": "in part", "failed": "failed", "pending": "pending", "error": "not judged"}
_WAITS = {
    "manual": "A person grades these.",
    "training": "The model is trained, or a person grades it.",
    "automatic": "These were not judged.",
}


@dataclass(frozen=True)
class CodeLine:
    """A line of the student's code, or without a number a note on lines that are left out; ``marked`` is what it is about."""

    number: int | None
    text: str
    marked: bool = False


@dataclass(frozen=True)
class Code:
    """Lines of a code cell, and what is marked in them."""

    title: str
    lines: tuple[CodeLine, ...]


@dataclass(frozen=True)
class Figure:
    """A drawn picture and its caption."""

    drawing: Markup
    caption: str = ""


@dataclass(frozen=True)
class Finding:
    """Criteria that failed in the same way."""

    criteria: tuple[CriterionResult, ...]
    requirement: str
    figures: tuple[Figure, ...] = ()
    code: tuple[Code, ...] = ()

    @property
    def lost(self) -> float:
        """Points that they cost."""
        return sum(criterion.max_points - criterion.points for criterion in self.criteria)

    @property
    def first(self) -> CriterionResult:
        """One of them, as what was found is the same for all."""
        return self.criteria[0]


@dataclass(frozen=True)
class Section:
    """An item with everything there is to say about it."""

    item: ItemResult
    findings: tuple[Finding, ...] = ()
    broken: tuple[CriterionResult, ...] = ()
    code: tuple[Code, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the table of items says it all."""
        item = self.item
        return not (self.findings or self.broken or item.notes or item.grading or item.set_by)


@dataclass(frozen=True)
class Detail:
    """How much a report tells, less where it would get too large."""

    pictures: bool = True
    code: bool = True
    texts: int = LONG


_DETAILS = (
    Detail(),
    Detail(code=False),
    Detail(pictures=False, code=False),
    Detail(pictures=False, code=False, texts=SHORT_TEXT),
)


@dataclass(frozen=True)
class Reader:
    """Whom a report is for, and what else it says.

    Args:
        name: of the student; without one the report is headed by the file's.
        notes: about what was handed in.
        unchecked: criteria that were left out on purpose, by item.
        causes: what the lost points of an item probably come from, as guesses in words, by item.
    """

    name: str = ""
    notes: Sequence[str] = ()
    unchecked: Unchecked = field(default_factory=dict)
    causes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def student_report(result: Result, reader: Reader | None = None) -> str:
    """The report as an HTML file that loads nothing else, of at most `LARGEST` bytes."""
    text = ""
    for detail in _DETAILS:
        text = _report(result, reader or Reader(), detail)
        if len(text.encode()) <= LARGEST:
            break
    return text


def _report(result: Result, reader: Reader, detail: Detail) -> str:
    drawn = _drawn(result) if detail.pictures else {}
    sections = [_section(item, result.code, detail, drawn) for item in result.items]
    return page(
        "student.html",
        result=result,
        reader=reader,
        sections=sections,
        told=[section for section in sections if not section.is_empty],
        waiting=_waiting(result.items),
        cells=[cell for cell in result.cells if cell.decision != "run" or cell.status != "ok"],
        pending=pending_words(result.items),
        bars={item.id: _bar(item, reader.unchecked) for item in result.items},
        missing=_missing(reader.unchecked),
        most=detail.texts,
        signs=SIGNS,
        words=WORDS,
    )


def _drawn(result: Result) -> dict[str, tuple[Figure, ...]]:
    """The pictures of each criterion that failed, as long as there is room."""
    room, found = MOST_DRAWN, {}
    for criterion in (criterion for item in result.items for criterion in item.criteria if criterion.status == "failed"):
        figures = []
        for picture in criterion.pictures if room > 0 else ():
            figure = Figure(draw(picture), picture.caption)
            room -= len(figure.drawing)
            if room > 0:
                figures.append(figure)
        found[criterion.id] = tuple(figures)
    return found


def _section(
    item: ItemResult, code: Sequence[Excerpt], detail: Detail, drawn: Mapping[str, tuple[Figure, ...]]
) -> Section:
    findings = []
    for criteria in _grouped(item.criteria):
        first = criteria[0]
        requirement = first.requirement or first.title
        if len({criterion.requirement for criterion in criteria}) > 1:
            requirement = ""
        found = tuple(_places(criteria, code)) if detail.code else ()
        findings.append(Finding(tuple(criteria), requirement, drawn.get(first.id, ()), found))
    shown = tuple(_defining(item.id, code)) if findings and detail.code and not all(each.code for each in findings) else ()
    broken = tuple(criterion for criterion in item.criteria if criterion.status == "error")
    return Section(item, tuple(findings), broken, shown)


def _grouped(criteria: Sequence[CriterionResult]) -> list[list[CriterionResult]]:
    """The criteria that failed, those together that failed by the same exception of the same line, or in the same words."""
    groups: list[list[CriterionResult]] = []
    for found in alike(criteria, "failed"):
        first = found[0]
        same = (each for each in groups if first.places and _cause(each[0]) == _cause(first))
        known = next(same, None)
        if known is None:
            groups.append(list(found))
        else:
            known.extend(found)
    return groups


def _cause(criterion: CriterionResult) -> tuple[str, object]:
    return criterion.message, criterion.places[-1:]


def _places(criteria: Sequence[CriterionResult], code: Sequence[Excerpt]) -> Iterator[Code]:
    """The lines where the exception passed that criteria failed by, with what lies around."""
    marks = {(place.cell, place.line) for criterion in criteria for place in criterion.places}
    for excerpt in code:
        inside = {line for cell, line in marks if cell == excerpt.cell and _has(excerpt, line)}
        if inside:
            marks -= {(excerpt.cell, line) for line in inside}
            yield _code(excerpt, inside, f"The exception passed the marked {'line' if len(inside) == 1 else 'lines'}.")


def _defining(item: str, code: Sequence[Excerpt]) -> Iterator[Code]:
    """The class that an item judges, with its first line marked."""
    for excerpt in code:
        if item in excerpt.items:
            lines = excerpt.text.split("\n")
            start = next((n for n, line in enumerate(lines) if line.lstrip().startswith("class ")), 0)
            yield _code(excerpt, {excerpt.first + start}, "Marked: where the class begins that is judged.")


def _has(excerpt: Excerpt, line: int) -> bool:
    return 0 <= line - excerpt.first <= excerpt.text.count("\n")


def _code(excerpt: Excerpt, marks: set[int], what: str) -> Code:
    first, last = excerpt.folded or (0, 0)
    made = []
    for number, text in enumerate(excerpt.text.split("\n"), start=excerpt.first):
        if number == first and not any(first <= mark <= last for mark in marks):
            made.append(CodeLine(None, f"lines {first} to {last}: docstring"))
        elif not made or made[-1].number is not None or not first <= number <= last:
            made.append(CodeLine(number, text, number in marks))
    return Code(f"Your code cell {excerpt.cell}. {what}", tuple(made))


def _bar(item: ItemResult, unchecked: Unchecked) -> Mapping[str, float]:
    """Shares of an item's points, in percent: earned, lost and open."""
    left_out = sum(criterion.points for criterion in unchecked.get(item.id, ()))
    whole = item.max_points + left_out or 1.0
    earned, waiting = 100 * (item.points or 0.0) / whole, 100 * (item.pending + left_out) / whole
    return {"earned": earned, "open": waiting, "lost": max(0.0, 100 - earned - waiting)}


def _waiting(items: Sequence[ItemResult]) -> list[tuple[str, str, float]]:
    """Why items wait, which ones, and what they are worth."""
    found = []
    for kind, why in _WAITS.items():
        waiting = [item for item in items if item.status == "pending" and item.kind == kind]
        if waiting:
            found.append((why, ", ".join(item.id for item in waiting), sum(item.max_points for item in waiting)))
    return found


def _missing(unchecked: Unchecked) -> str:
    """What was left out of a check, in words; empty if nothing was."""
    left_out = [criterion for criteria in unchecked.values() for criterion in criteria]
    if not left_out:
        return ""
    worth = points(sum(criterion.points for criterion in left_out))
    return (
        f"{len(left_out)} criteria worth {worth} points are not checked here, so a notebook that passes can still lose those: "
        + ", ".join(criterion.id for criterion in left_out)
        + "."
    )
