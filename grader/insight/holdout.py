"""How well causes are named: each known fault is held out once and named by the others, which also fits the calibration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
_KNOTS = 8
"""At so many confidences it is written down how often guesses are right."""
_FEWEST = 20
"""With fewer trials nothing is fitted."""
_SAME = 1e-9
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
    """The calibration by which the held out faults are the likeliest; what no other fault has the cause of is unknown.

    What a second fault has to add is not fitted, as a corpus has few answers with two faults, and classes have many.
    """
    calibration = Calibration()
    if len(trials) < _FEWEST:
        return calibration
    similar, right = _by_cause(trials, calibration.second)
    is_known = np.array([trial.has_other for trial in trials])
    alike = np.maximum((similar >= similar.max(1, initial=-np.inf, keepdims=True) - _SAME).sum(1), 1)
    found: list[tuple[float, float, float]] = []
    for sharpness, floor in itertools.product(_SHARPNESS, _FLOOR):
        weights = np.exp(sharpness * (similar - 1))
        none = math.exp(sharpness * (floor - 1)) * alike
        total = weights.sum(1) + none
        likely = np.where(right.any(1), (weights * right).sum(1), np.where(is_known, 0.0, none)) / total
        found.append((-float(np.log(np.maximum(likely, _LEAST)).sum()), sharpness, floor))
    _, sharpness, floor = min(found)
    calibration = replace(calibration, sharpness=sharpness, floor=floor)
    return replace(calibration, observed=_observed(named(trials, calibration)))


def _observed(those: Sequence[Named]) -> tuple[tuple[float, float], ...]:
    """Confidences of first guesses with how often they are right, which never falls as confidence grows."""
    guessed = sorted((each.confidence, each.is_right) for each in those if each.guess)
    if len(guessed) < _FEWEST:
        return ()
    size = -(-len(guessed) // _KNOTS)
    parts = [np.array(guessed[start : start + size], float) for start in range(0, len(guessed), size)]
    blocks = [(float(part[:, 0].mean()), float(part[:, 1].mean()), len(part)) for part in parts]
    return tuple((round(confidence, 4), round(right, 4)) for confidence, right in _rising(blocks))


def _rising(blocks: Sequence[tuple[float, float, int]]) -> list[tuple[float, float]]:
    """Blocks of confidence, share and count, with neighbors joined until the shares rise."""
    kept: list[tuple[float, float, int]] = []
    for block in blocks:
        kept.append(block)
        while len(kept) > 1 and kept[-2][1] > kept[-1][1]:
            (low, one, few), (high, other, more) = kept[-2:]
            count = few + more
            kept[-2:] = [((low * few + high * more) / count, (one * few + other * more) / count, count)]
    return [(confidence, share) for confidence, share, _ in kept]


def _by_cause(trials: Sequence[Trial], second: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each trial a row with the similarity of each cause to it, and which of them is right, if it has others."""
    rows: list[dict[frozenset[str], float]] = []
    for trial in trials:
        best: dict[frozenset[str], float] = {}
        for match in trial.matches:
            causes = frozenset(cause for fault in match.faults for cause in fault.causes)
            value = match.similarity - second * (len(match.faults) - 1)
            best[causes] = max(best.get(causes, -np.inf), value)
        rows.append(best)
    width = max((len(best) for best in rows), default=0)
    similar, right = np.full((len(rows), width), -np.inf), np.zeros((len(rows), width), bool)
    for number, (trial, best) in enumerate(zip(trials, rows, strict=True)):
        similar[number, : len(best)] = list(best.values())
        if trial.has_other:
            right[number, : len(best)] = [causes == frozenset(trial.fault.causes) for causes in best]
    return similar, right


def calibrated(table: Fingerprints) -> Fingerprints:
    """The table with the calibration that its own faults give."""
    return replace(table, calibration=fitted(held_out(table)))
