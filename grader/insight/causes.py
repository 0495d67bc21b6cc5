"""Groups the lost points of a class by their likely cause, so that one decision settles them for everybody."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from grader.insight.diagnosis import Diagnoser, Diagnosis, Guess
from grader.insight.fingerprints import Fingerprints
from grader.insight.symptoms import Symptoms

MOST_ALTERNATIVES = 3
MOST_CERTAIN = 0.99
"""A guess is never told as certain."""


@dataclass(frozen=True)
class LostCriterion:
    """A criterion that a submission lost.

    Args:
        id: of the criterion.
        properties: the criterion's properties.
        points: what it costs after all decisions.
        requirement: the property that failed, in one sentence.
        message: what the code did, and what was expected.
        counterexample: the smallest failing case; empty where there is none.
    """

    id: str
    properties: tuple[str, ...]
    points: float
    requirement: str = ""
    message: str = ""
    counterexample: str = ""


@dataclass(frozen=True)
class LostPart:
    """What a submission lost in one part, with what it fails by there."""

    submission: str
    part: str
    symptoms: Symptoms = field(hash=False)
    criteria: tuple[LostCriterion, ...] = ()


@dataclass(frozen=True)
class Example:
    """What one submission of a cause failed by.

    Args:
        submission: the key of its row.
        requirement: the property that failed, in one sentence.
        message: what the code did, and what was expected.
        counterexample: the smallest failing case; empty where there is none.
    """

    submission: str
    requirement: str
    message: str
    counterexample: str = ""


@dataclass(frozen=True)
class Cause:
    """Why submissions lost points of a part.

    Args:
        key: stands for it in addresses; the same in each run as long as the same properties fail.
        text: the cause in words, or what fails where it is unknown.
        part: the item.
        criteria: the criteria that are lost by it, in the rubric's order.
        losses: what each submission lost by it after all decisions: points by criterion, by submission in the class's order.
        example: the smallest counterexample among them.
        is_known: whether a known fault of the homework fails alike.
        confidence: how likely the text names the right cause, from 0 to 1, on average over the submissions; 0 if unknown.
        alternatives: what else it could be, in words, the likeliest first.
        hint: what the known fault that is nearest does in particular.
        is_ambiguous: whether another cause fails exactly alike.
    """

    key: str
    text: str
    part: str
    criteria: tuple[str, ...]
    losses: Mapping[str, Mapping[str, float]] = field(hash=False)
    example: Example
    is_known: bool = False
    confidence: float = 0.0
    alternatives: tuple[str, ...] = ()
    hint: str = ""
    is_ambiguous: bool = False

    @property
    def students(self) -> tuple[str, ...]:
        """Keys of the rows that lost points by it, in the class's order."""
        return tuple(self.losses)

    @property
    def points_lost(self) -> float:
        """The sum over all students, after all decisions."""
        return round(sum(sum(lost.values()) for lost in self.losses.values()), 4)


@dataclass(frozen=True)
class _Share:
    """What one submission lost by one cause."""

    part: LostPart
    criteria: tuple[LostCriterion, ...]
    diagnosis: Diagnosis


def causes_of(parts: Iterable[LostPart], table: Fingerprints) -> list[Cause]:
    """The causes of what submissions lost, the most points first.

    Each lost criterion belongs to one cause: where two faults explain a part together, to the one that explains more of the
    criterion's properties. Parts with an unknown cause are grouped by equal symptoms.
    """
    diagnoser = Diagnoser(table)
    groups: defaultdict[tuple[str, str, bool], list[_Share]] = defaultdict(list)
    for part in parts:
        if not part.criteria:
            continue
        diagnosis = diagnoser.diagnose(part.part, part.symptoms)
        if diagnosis.first is None:
            groups[part.part, _as_text(part.symptoms), False].append(_Share(part, part.criteria, diagnosis))
            continue
        for cause, criteria in _by_cause(diagnosis.first, part.criteria).items():
            groups[part.part, cause, True].append(_Share(part, criteria, diagnosis))
    causes = [_cause(*place, shares) for place, shares in groups.items()]
    return sorted(causes, key=lambda cause: (-cause.points_lost, -len(cause.losses), cause.part, cause.text))


def likely_causes(part: LostPart, diagnoser: Diagnoser) -> str:
    """The likely cause of one part in a line for graders: how sure it is, and what else it could be."""
    return in_words(diagnoser.diagnose(part.part, part.symptoms))


def in_words(diagnosis: Diagnosis) -> str:
    """A diagnosis in a line; empty where nothing fails."""
    first = diagnosis.first
    if first is None:
        if not diagnosis.unknown:
            return ""
        near = f" Nearest: {_joined(diagnosis.guesses[0])}" if diagnosis.guesses else ""
        return f"unknown: no known wrong answer fails like this.{near}"
    others = [f"{_joined(guess)} ({guess.probability:.0%})" for guess in diagnosis.guesses if guess is not first]
    text = f"{_joined(first)} ({min(first.probability, MOST_CERTAIN):.0%})"
    return text + (f" It could also be: {' '.join(others[:MOST_ALTERNATIVES])}" if others else "")


def _joined(guess: Guess) -> str:
    return " And: ".join(guess.causes)


def _by_cause(guess: Guess, criteria: Sequence[LostCriterion]) -> dict[str, tuple[LostCriterion, ...]]:
    """The criteria by the cause that explains most of their properties, in the order of the causes."""
    if len(guess.causes) == 1:
        return {guess.causes[0]: tuple(criteria)}
    explained: defaultdict[str, set[str]] = defaultdict(set)
    for fault in guess.nearest:
        failed = {name for name, symptom in fault.symptoms.items() if symptom.state == "failed"}
        for cause in fault.causes:
            explained[cause] |= failed
    found: defaultdict[str, list[LostCriterion]] = defaultdict(list)
    for criterion in criteria:
        best = max(guess.causes, key=lambda cause: len(explained[cause] & set(criterion.properties)))
        found[best].append(criterion)
    return {cause: tuple(found[cause]) for cause in guess.causes if found[cause]}


def _as_text(symptoms: Symptoms) -> str:
    return "\n".join(f"{name} {each.state} {each.message} {each.relation}".rstrip() for name, each in sorted(symptoms.items()))


def _cause(part: str, text: str, is_known: bool, shares: Sequence[_Share]) -> Cause:
    key = hashlib.sha256(f"{part}\0{text}".encode()).hexdigest()[:12]
    losses = {share.part.submission: {lost.id: lost.points for lost in share.criteria} for share in shares}
    criteria = tuple(dict.fromkeys(lost.id for share in shares for lost in share.criteria))
    example = _smallest(shares)
    if not is_known:
        return Cause(key, _what_fails(shares[0]), part, criteria, losses, example)
    probability: Counter[str] = Counter()
    for share in shares:
        for guess in share.diagnosis.guesses:
            for cause in guess.causes:
                probability[cause] += guess.probability / len(shares)  # type: ignore[assignment]
    others = [cause for cause, _ in probability.most_common() if cause != text]
    together = {cause for share in shares if share.diagnosis.first for cause in share.diagnosis.first.causes}
    alternatives = [cause for cause in others if cause not in together][:MOST_ALTERNATIVES]
    first = shares[0].diagnosis.first
    assert first is not None
    hint = next((fault.title for fault in first.nearest if text in fault.causes), "")
    return Cause(
        key,
        text,
        part,
        criteria,
        losses,
        example,
        is_known=True,
        confidence=round(min(probability[text], MOST_CERTAIN), 4),
        alternatives=tuple(alternatives),
        hint="" if hint == text else hint,
        is_ambiguous=any(share.diagnosis.ambiguous for share in shares),
    )


def _smallest(shares: Sequence[_Share]) -> Example:
    """The shortest counterexample, from the criterion that most submissions lost; the first one if several are as short."""
    counts = Counter(lost.id for share in shares for lost in share.criteria)
    most = max(counts.values())
    shown = [
        (not lost.counterexample, len(lost.counterexample), share.part.submission, lost)
        for share in shares
        for lost in share.criteria
        if counts[lost.id] == most
    ]
    _, _, submission, lost = min(shown, key=lambda each: each[:2])
    return Example(submission, lost.requirement, lost.message, lost.counterexample)


def _what_fails(share: _Share) -> str:
    """What fails by an unknown cause, in words: one message, if all criteria are lost by the same."""
    lost = share.criteria
    if len({each.message for each in lost}) == 1:
        return lost[0].message
    more = len(lost) - 1
    return f"{lost[0].requirement or lost[0].message} ({more} more {'criterion' if more == 1 else 'criteria'})"
