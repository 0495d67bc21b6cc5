"""Names the likely cause of what a part fails by: the known faults that fail most alike, with how sure that is.

Two sets of symptoms are alike by what they share: a property in the same state, the same kind of message, and numbers that
compare alike, each counted by how few of the part's known faults have it. Where no known fault is alike enough, the cause is
unknown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from grader.insight.fingerprints import Calibration, Fingerprints, KnownFault
from grader.insight.symptoms import Symptoms

MOST_GUESSES = 5
LEAST_SHOWN = 0.05
"""Less likely guesses are left out."""
_FIRSTS = 12
"""How many of the most similar faults are tried as one of two."""
_SECONDS = 5
_LEAST_WEIGHT = 0.1
_KINDS = {"state": 1.0, "message": 0.3, "word": 0.3, "relation": 1.0}
"""What each kind of feature counts. A message has many words, so similar messages are alike without being equal."""
_SAME = 1e-9

Feature = tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """A known fault, or two of them at once, and how much of the symptoms they share, from 0 to 1."""

    similarity: float
    faults: tuple[KnownFault, ...]


@dataclass(frozen=True)
class Guess:
    """What may be wrong.

    Args:
        causes: in words; two where two faults together explain more than either.
        probability: how likely that is, from 0 to 1.
        nearest: the known faults that fail most alike, one for each cause.
        similarity: how much of the symptoms they share, from 0 to 1.
    """

    causes: tuple[str, ...]
    probability: float
    nearest: tuple[KnownFault, ...]
    similarity: float


@dataclass(frozen=True)
class Diagnosis:
    """The guesses about a part, the likeliest first.

    Args:
        guesses: what may be wrong.
        unknown: the probability that none of them is right.
        is_known: whether the first guess is likelier than that.
    """

    guesses: tuple[Guess, ...] = ()
    unknown: float = 1.0
    is_known: bool = False

    @property
    def first(self) -> Guess | None:
        """The likeliest guess; None where the cause is more likely an unknown one."""
        return self.guesses[0] if self.is_known else None

    @property
    def ambiguous(self) -> tuple[Guess, ...]:
        """The guesses whose known faults fail exactly as the first one's do, if there are several."""
        first = self.first
        equal = [guess for guess in self.guesses if first is not None and _is_equal(guess, first)]
        return tuple(equal) if len(equal) > 1 else ()


def _is_equal(guess: Guess, first: Guess) -> bool:
    return len(guess.nearest) == len(first.nearest) and abs(guess.similarity - first.similarity) < _SAME


class Part:
    """The known faults of one part, to match symptoms with."""

    def __init__(self, faults: Sequence[KnownFault], calibration: Calibration) -> None:
        self.faults = tuple(faults)
        self.calibration = calibration
        features = [_features(fault.symptoms) for fault in self.faults]
        self._columns = {name: place for place, name in enumerate(sorted(set().union(*features)))}
        self._has = np.zeros((len(features), len(self._columns)), bool)
        for row, names in enumerate(features):
            self._has[row, [self._columns[name] for name in names]] = True
        # What all faults have in common tells nothing; what none has tells as much as the rarest.
        kinds = np.array([_KINDS[name[0]] for name in sorted(self._columns)])
        self._weights = kinds * (np.log((1 + len(features)) / np.maximum(self._has.sum(0), 1)) + _LEAST_WEIGHT)
        self._rare = math.log(1 + len(features)) + _LEAST_WEIGHT
        causes = {cause: place for place, cause in enumerate(sorted({c for fault in faults for c in fault.causes}))}
        self._causes = np.zeros((len(features), len(causes)), bool)
        for row, fault in enumerate(self.faults):
            self._causes[row, [causes[cause] for cause in fault.causes]] = True

    def without(self, name: str) -> Part:
        """The same without one fault, to see what the others make of it."""
        return Part([fault for fault in self.faults if fault.name != name], self.calibration)

    def similarities(self, symptoms: Symptoms) -> list[Match]:
        """All faults, and the pairs of faults that explain more than any single one, the most similar first.

        The similarity is the weight of what both have, of what either has. Pairs are not charged for being two here.
        """
        if not self.faults:
            return []
        seen, strange = self._seen(symptoms)
        single = self._similar(self._has, seen, strange)
        found = [Match(float(value), (fault,)) for value, fault in zip(single, self.faults, strict=True)]
        best = float(single.max())
        if best < 1 - _SAME:
            found += self._pairs(seen, strange, single, best)
        return sorted(found, key=lambda match: -match.similarity)

    def _seen(self, symptoms: Symptoms) -> tuple[NDArray[np.bool_], float]:
        """The symptoms as a row, and the weight of those that no known fault has."""
        features = _features(symptoms)
        seen = np.zeros(len(self._columns), bool)
        seen[[self._columns[name] for name in features if name in self._columns]] = True
        return seen, self._rare * sum(_KINDS[name[0]] for name in features if name not in self._columns)

    def _similar(self, rows: NDArray[np.bool_], seen: NDArray[np.bool_], strange: float) -> NDArray[np.float64]:
        both = (rows & seen) @ self._weights
        either = (rows | seen) @ self._weights + strange
        return np.where(either > 0, both / np.maximum(either, _SAME), 0.0)

    def _pairs(
        self, seen: NDArray[np.bool_], strange: float, single: NDArray[np.float64], best: float
    ) -> Iterator[Match]:
        """Pairs of faults with different causes of which each explains something that the other does not."""
        explains = self._has & seen
        for first in np.argsort(-single)[:_FIRSTS]:
            others = ~(self._causes & self._causes[first]).any(1)
            others &= (explains & ~explains[first]).any(1) & (explains[first] & ~explains).any(1)
            similar = np.where(others, self._similar(self._has | self._has[first], seen, strange), 0.0)
            for other in np.argsort(-similar)[:_SECONDS]:
                if similar[other] > best:
                    yield Match(float(similar[other]), (self.faults[first], self.faults[other]))

    def diagnose(self, symptoms: Symptoms) -> Diagnosis:
        """What is likely wrong with a part that has these symptoms; empty where it has none."""
        if not any(symptom.state == "failed" for symptom in symptoms.values()):
            return Diagnosis((), 0.0)
        return self.weigh(self.similarities(symptoms))

    def weigh(self, matches: Sequence[Match]) -> Diagnosis:
        """The guesses that matches give."""
        sharp, second = self.calibration.sharpness, self.calibration.second
        weight: defaultdict[tuple[str, ...], float] = defaultdict(float)
        nearest: dict[tuple[str, ...], Match] = {}
        for match in matches:
            causes = tuple(sorted({cause for fault in match.faults for cause in fault.causes}))
            charge = second * (len(match.faults) - 1)
            # A cause counts by what is most alike: many faults that are a little alike do not add up.
            weight[causes] = max(weight[causes], math.exp(sharp * (match.similarity - charge - 1)))
            nearest.setdefault(causes, match)
        # Symptoms that many causes have in common are likely those of further ones, too.
        alike = sum(value >= max(weight.values()) - _SAME for value in weight.values())
        none = math.exp(sharp * (self.calibration.floor - 1)) * max(alike, 1)
        total = none + sum(weight.values())
        guesses = [
            Guess(causes, each / total, nearest[causes].faults, nearest[causes].similarity) for causes, each in weight.items()
        ]
        guesses.sort(key=lambda guess: (-guess.probability, guess.causes))
        if not guesses or guesses[0].probability < none / total:
            return Diagnosis(_shown(guesses), none / total)
        return self._honest(guesses, none / total)

    def _honest(self, guesses: Sequence[Guess], unknown: float) -> Diagnosis:
        """The guesses with probabilities that those which come first have been found to have."""
        together = sum(guess.probability for guess in guesses if _is_equal(guess, guesses[0]))
        wanted = self.calibration.honest(together)
        others = (1 - wanted) / max(1 - together, _SAME)
        scaled = [
            replace(guess, probability=guess.probability * (wanted / together if _is_equal(guess, guesses[0]) else others))
            for guess in guesses
        ]
        return Diagnosis(_shown(scaled), unknown * others, is_known=True)


def _shown(guesses: Sequence[Guess]) -> tuple[Guess, ...]:
    """The guesses that are likely enough to be told, and the first one in any case."""
    return tuple(each for n, each in enumerate(guesses[:MOST_GUESSES]) if n == 0 or each.probability >= LEAST_SHOWN)


class Diagnoser:
    """Diagnoses the parts of a homework's submissions; the same symptoms are matched once."""

    def __init__(self, table: Fingerprints) -> None:
        self._table = table
        self._parts: dict[str, Part] = {}
        self._known: dict[tuple[str, frozenset[Feature]], Diagnosis] = {}

    def diagnose(self, part: str, symptoms: Symptoms) -> Diagnosis:
        """What is likely wrong with a part that has these symptoms."""
        asked = (part, _features(symptoms))
        if asked not in self._known:
            if part not in self._parts:
                self._parts[part] = Part(self._table.of_part(part), self._table.calibration)
            self._known[asked] = self._parts[part].diagnose(symptoms)
        return self._known[asked]


def _features(symptoms: Symptoms) -> frozenset[Feature]:
    """What symptoms have in common with others, each a kind, a property, and what is the case there."""
    found: set[Feature] = set()
    for name, symptom in symptoms.items():
        found.add(("state", name, symptom.state))
        found.add(("message", name, symptom.message))
        found.update(("word", name, word) for word in symptom.message.split())
        found.update(("relation", name, part) for part in symptom.relation.split("; ") if part)
    return frozenset(found)
