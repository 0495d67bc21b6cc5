"""What a result says of a notebook's cells: what could not run and what it cost, and which definition was graded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from grader.judging.property import Property
from grader.kernel.session import CellOutcome
from grader.scoring.result import Cell, Flag
from grader.scoring.rubric import AutomaticItem, Rubric
from grader.scoring.verdict import Verdict
from grader.submission.definitions import Definition, which_one_counted, why_not_defined
from grader.submission.planning import Plan

MOST_REMARKS = 6


def cell_of(outcome: CellOutcome) -> Cell:
    """A cell's outcome for the result. Its error also says what was left out of the cell, and why."""
    error = outcome.error
    if outcome.remarks:
        shown = [str(remark) for remark in outcome.remarks[:MOST_REMARKS]]
        more = len(outcome.remarks) - len(shown)
        error = "; ".join([*shown, *([f"{more} more"] if more else [])])
    return Cell(
        number=outcome.number,
        decision=outcome.decision,
        status=outcome.status,
        reason=outcome.reason,
        seconds=outcome.seconds,
        error=error,
    )


def loss_flags(
    plan: Plan,
    outcomes: Sequence[CellOutcome],
    missing: Sequence[str],
    verdicts: Mapping[str, Verdict],
    rubric: Rubric,
) -> Iterator[Flag]:
    """A flag for each package that is not installed here, each import that failed, and each definition that was changed."""
    for name in missing:
        cost = cost_of(f"the package {name!r} is not installed", verdicts, rubric)
        place = plan.import_places.get(name)
        yield Flag(
            kind="package not installed",
            message=f"{name} is not installed in the grader; {cost}",
            cell=place[0] if place else None,
            line=place[1] if place else None,
        )
    for outcome in outcomes:
        for remark in outcome.remarks[:MOST_REMARKS]:
            if remark.kind == "import":
                cost = cost_of(f"`{remark.subject}` in code cell {outcome.number} failed", verdicts, rubric)
                text = f"{remark.text}; {cost}"
                yield Flag(kind="import failed", message=text, cell=outcome.number, line=remark.line)
            elif remark.kind == "definition":
                yield Flag(
                    kind="definition changed", message=remark.text, cell=outcome.number, line=remark.line
                )


def cost_of(phrase: str, verdicts: Mapping[str, Verdict], rubric: Rubric) -> str:
    """Which criteria were lost by something that their messages name."""
    lost = [
        criterion.id
        for item in rubric.items
        if isinstance(item, AutomaticItem)
        for criterion in item.criteria
        if any(name in verdicts and phrase in (verdicts[name].message or "") for name in criterion.properties)
    ]
    return f"it cost {', '.join(lost)}" if lost else "it cost no points"


def reasons_not_defined(definitions: Mapping[str, Sequence[Definition]]) -> dict[str, str]:
    """Why classes that stand in the notebook are not defined, by name."""
    reasons = {name: why_not_defined(found) for name, found in definitions.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def definition_notes(
    definitions: Mapping[str, Sequence[Definition]], properties: Sequence[Property]
) -> dict[str, str]:
    """By item, which of several definitions of its class was graded, where that may not be what was meant."""
    notes = {}
    for item, name in sorted({(prop.part.item, prop.part.name) for prop in properties}):
        text = which_one_counted(name, definitions.get(name, ()))
        if text:
            notes[item] = text
    return notes


def definition_flags(definitions: Mapping[str, Sequence[Definition]], properties: Sequence[Property]) -> Iterator[Flag]:
    """The same for the person who looks at the class."""
    for text in dict.fromkeys(definition_notes(definitions, properties).values()):
        yield Flag(kind="defined more than once", message=text)
