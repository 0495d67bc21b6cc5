"""How well causes are named: each known fault is held out once and named by the others, which also fits the calibration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from grader.insight.diagnosis import Diagnosis, Match, Part
from grader.insight.fingerprints import Calibration, Fingerprints, KnownFault

Outcome = Literal["right", "ambiguous", "in three", "wrong", "unknown"]
"""`right`: the first guess is right and no other cause fails alike. `ambiguous`: several causes fail exactly alike, all are
named, and the right one is among them. `in three`: the right cause is the second or third guess."""
OUTCOMES: tuple[Outcome, ...] = ("right", "ambiguous", "in three", "wrong", "unknown")
BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
"""The bounds between which confidences are counted together."""

_SHARPNESS = (4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0)
_FLOOR = (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
_SECOND = (0.05, 0.1, 0.15, 0.2, 0.3)
_LEAST = 1e-3
"""Below this a probability costs no more, so that one odd fault does not decide the fit."""


@dataclass(frozen=True)
class Trial:
    """A fault, what others make of it, and whether any of them has its cause."""

    fault: KnownFault
    matches: Sequence[Match]
    has_other: bool
    part: Part


@dataclass(frozen=True)
class Named:
    """How a fault that was held out was named. ``confidence`` is that of the first guess, 0 where there is none."""

    fault: KnownFault
    has_other: bool
    outcome: Outcome
    confidence: float
    guess: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether the first guess is right, or one of several equal ones."""
        return self.outcome in ("right", "ambiguous")


def held_out(table: Fingerprints) -> list[Trial]:
    """Each known fault with what the others make of it."""
    trials = []
    for name in dict.fromkeys(fault.part for fault in table.faults):
        whole = Part(table.of_part(name), table.calibration)
        for fault in whole.faults:
            if any(symptom.state == "failed" for symptom in fault.symptoms.values()):
                trials.append(_trial(fault, whole.without(fault.name)))
    return trials


def from_outside(table: Fingerprints) -> list[Trial]:
    """The mechanical faults that a person named, with what the known ones make of them."""
    parts = {name: Part(table.of_part(name), table.calibration) for name in {fault.part for fault in table.trials}}
    failing = [fault for fault in table.trials if any(each.state == "failed" for each in fault.symptoms.values())]
    return [_trial(fault, parts[fault.part]) for fault in failing]


def _trial(fault: KnownFault, part: Part) -> Trial:
    known = {cause for other in part.faults for cause in other.causes}
    return Trial(fault, part.similarities(fault.symptoms), bool(fault.causes) and set(fault.causes) <= known, part)


def named(trials: Sequence[Trial], calibration: Calibration) -> list[Named]:
    """How each is named with this calibration."""
    found = []
    for trial in trials:
        diagnosis = _weighed(trial, calibration)
        first = diagnosis.first
        confidence = 0.0 if first is None else _confidence(diagnosis)
        outcome = _outcome(diagnosis, frozenset(trial.fault.causes))
        found.append(Named(trial.fault, trial.has_other, outcome, confidence, first.causes if first else ()))
    return found


def _weighed(trial: Trial, calibration: Calibration) -> Diagnosis:
    part = Part((), calibration)
    return part.weigh(trial.matches)


def _confidence(diagnosis: Diagnosis) -> float:
    """How likely one of those that are named in the first place is right."""
    together = diagnosis.ambiguous or diagnosis.guesses[:1]
    return min(sum(guess.probability for guess in together), 1.0)


def _outcome(diagnosis: Diagnosis, causes: frozenset[str]) -> Outcome:
    if diagnosis.first is None:
        return "unknown"
    if len(diagnosis.ambiguous) > 1:
        if any(frozenset(guess.causes) == causes for guess in diagnosis.ambiguous):
            return "ambiguous"
    elif frozenset(diagnosis.first.causes) == causes:
        return "right"
    return "in three" if any(frozenset(guess.causes) == causes for guess in diagnosis.guesses[:3]) else "wrong"


def fitted(trials: Sequence[Trial]) -> Calibration:
    """The calibration by which the held out faults are the likeliest; what no other fault has the cause of is unknown."""
    if len(trials) < 20:
        return Calibration()
    return min(_grid(), key=lambda calibration: _surprise(trials, calibration))


def _grid() -> Iterator[Calibration]:
    for sharpness, floor, second in itertools.product(_SHARPNESS, _FLOOR, _SECOND):
        yield Calibration(sharpness, floor, second)


def _surprise(trials: Sequence[Trial], calibration: Calibration) -> float:
    total = 0.0
    for trial in trials:
        diagnosis = _weighed(trial, calibration)
        probability = diagnosis.unknown
        if trial.has_other:
            causes = frozenset(trial.fault.causes)
            probability = sum(each.probability for each in diagnosis.guesses if frozenset(each.causes) == causes)
        total -= math.log(max(probability, _LEAST))
    return total


def calibrated(table: Fingerprints) -> Fingerprints:
    """The table with the calibration that its own faults give."""
    return replace(table, calibration=fitted(held_out(table)))
