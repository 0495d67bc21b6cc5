"""Verdicts on properties, and what those of one criterion come to.

Grading and the check that students run before they submit both decide here. It needs nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from grader.scoring.pictures import Picture
    from grader.scoring.record import CodeLine

VerdictStatus = Literal["passed", "failed", "unreached", "error", "inapplicable"]
"""`unreached`: the property found nothing wrong, but it could compare too few of its cases to say that the code is right.
`error`: the grader's own fault, which never costs a student points. `inapplicable`: the property does not fit how the student
built the part, and another one of the criterion judges it."""


@dataclass(frozen=True)
class Verdict:
    """What was found out about one property of one submission."""

    property: str
    status: VerdictStatus
    message: str = ""
    counterexample: str | None = None
    title: str = ""
    """The property in one sentence, as the property's docstring states it."""
    notes: tuple[str, ...] = ()
    """What a person should know about how the item was judged."""
    defers_to: tuple[str, ...] = ()
    """The properties of which one must fail, as this one left a case to them; else a fault would be found by nobody."""
    pictures: tuple[Picture, ...] = ()
    snippet: str = ""
    """Code that reproduces the counterexample in the notebook."""
    places: tuple[CodeLine, ...] = ()
    """Where in the notebook an exception passed."""


@dataclass(frozen=True)
class Decision:
    """What the verdicts of a criterion come to, and the verdict that decided, if any is to blame."""

    status: Literal["passed", "failed", "error"]
    by: Verdict | None = None

    @property
    def message(self) -> str:
        """Why the criterion is not earned; empty if it is."""
        return "" if self.by is None else self.by.message or f"{self.by.property} gave no reason"


def decide(criterion: str, verdicts: Sequence[Verdict], others: Mapping[str, Verdict]) -> Decision:
    """Decides by the worst verdict: one error leaves the criterion open, else one failure loses it.

    A criterion is earned by comparisons only. A property that reached too few, or left a case to others, is excused if one
    that it defers to, among the ``others``, failed; a criterion of which no property compared enough is lost all the same.
    """
    broken = [verdict for verdict in verdicts if verdict.status == "error"]
    failed = [verdict for verdict in verdicts if verdict.status == "failed"]
    decisive = next(iter(broken or failed), None)
    if decisive is None and all(verdict.status == "inapplicable" for verdict in verdicts):
        broken = [Verdict(criterion, "error", "none of its properties applies to how this part was built")]
        decisive = broken[0]
    unreached = left_to_others(verdicts)
    if decisive is None and unreached:
        blamed = {verdict: _blamed(verdict, others) for verdict in unreached}
        broken = [verdict for verdict in unreached if "error" in blamed[verdict]]
        unexcused = [verdict for verdict in unreached if "failed" not in blamed[verdict]]
        nothing_reached = not any(verdict.status == "passed" for verdict in verdicts)
        decisive = next(iter(broken or unexcused or (unreached if nothing_reached else [])), None)
    if decisive is None:
        return Decision("passed")
    return Decision("error" if broken else "failed", decisive)


def left_to_others(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts of properties that compared too little, or left a case to other properties."""
    return [
        verdict
        for verdict in verdicts
        if verdict.status == "unreached" or (verdict.status == "passed" and verdict.defers_to)
    ]


def with_excuses(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """The verdicts, and a failure for each property that was not judged although another one leaves a case to it.

    So a property that stands back is taken at its word where the one that finds the fault is not there to ask.
    """
    named = {name for verdict in verdicts.values() for name in verdict.defers_to}
    missing = {name: Verdict(name, "failed", "not judged here") for name in sorted(named - set(verdicts))}
    return {**verdicts, **missing}


def _blamed(verdict: Verdict, others: Mapping[str, Verdict]) -> set[str]:
    """How the properties fared that an unreached one defers to."""
    return {others[name].status for name in verdict.defers_to if name in others}
