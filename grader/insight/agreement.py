"""How far graders agree: second gradings, Krippendorff's alpha, and each grader's mean beside the others'."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grader.errors import UsageError

_PERCENT = 100


@dataclass(frozen=True)
class Grading:
    """The points that a grader gave to an answer."""

    submission: str
    item: str
    grader: str
    points: float


@dataclass(frozen=True)
class SecondGrading:
    """An answer that a second grader is asked to grade without seeing the first grade."""

    submission: str
    item: str
    grader: str


@dataclass(frozen=True)
class Agreement:
    """How far the gradings of an item agree."""

    item: str
    alpha: float | None
    """Krippendorff's alpha for points; None where it is undefined: no answer was graded twice, or all points are equal."""
    answers: int
    """The answers with at least two gradings."""
    same: int
    """Those whose gradings are all equal."""


@dataclass(frozen=True)
class Disagreement:
    """An answer whose gradings differ."""

    submission: str
    item: str
    points: tuple[tuple[str, float], ...]
    """Graders with their points, in the order of their names."""

    @property
    def difference(self) -> float:
        """Between the most and the fewest points."""
        given = [points for _, points in self.points]
        return max(given) - min(given)


@dataclass(frozen=True)
class GraderMean:
    """How a grader's points differ from the mean of the item, on average, with an interval."""

    grader: str
    gradings: int
    """The gradings on items that another grader graded, too; the others say nothing."""
    difference: float | None
    """In points for each answer; negative for a harsh grader, None without such gradings."""
    low: float | None
    high: float | None


def second_sample(
    gradings: Iterable[Grading], graders: Iterable[str], *, share: float = 0.05, seed: int = 0
) -> tuple[SecondGrading, ...]:
    """A sample of the graded answers for blind second grading: a share of each item, at least one, with even work.

    The same seed draws the same answers. Answers that are already graded by two people count towards the share.
    Raises `UsageError` for a share outside 0 to 1 or fewer than two graders.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the share for second grading must be above 0 and at most 1, not {share:g}")
    people = sorted(set(graders))
    if len(people) < 2:
        raise UsageError("a second grading needs at least two graders")
    first: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for grading in gradings:
        first[grading.item][grading.submission].add(grading.grader)
    work: Counter[str] = Counter()
    chosen = []
    for item, answers in sorted(first.items()):
        # Never fewer than the share, whatever a product such as 0.07 * 100 rounds to.
        wanted = max(1, math.ceil(round(share * len(answers), 9)))
        drawn = sorted(answers, key=lambda submission: _lot(seed, item, submission))
        twice = sum(len(by) > 1 for by in answers.values())
        for submission in [s for s in drawn if len(answers[s]) == 1][: max(0, wanted - twice)]:
            others = [person for person in people if person not in answers[submission]]
            grader = min(others, key=lambda person: (work[person], _lot(seed, item, submission, person)))
            work[grader] += 1
            chosen.append(SecondGrading(submission, item, grader))
    return tuple(chosen)


def _lot(*parts: object) -> str:
    """A number that looks random, the same everywhere for the same parts."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def agreements(gradings: Iterable[Grading]) -> tuple[Agreement, ...]:
    """The agreement on each item, in the order of the items' first gradings."""
    by_item: dict[str, dict[str, dict[str, float]]] = {}
    for grading in gradings:
        by_item.setdefault(grading.item, {}).setdefault(grading.submission, {})[grading.grader] = grading.points
    return tuple(_agreement(item, answers) for item, answers in by_item.items())


def _agreement(item: str, answers: Mapping[str, Mapping[str, float]]) -> Agreement:
    twice = [by for by in answers.values() if len(by) > 1]
    same = sum(len(set(by.values())) == 1 for by in twice)
    different = {points for by in twice for points in by.values()}
    alpha = _alpha(twice) if len(different) > 1 else None
    return Agreement(item, alpha, len(twice), same)


def _alpha(answers: Sequence[Mapping[str, float]]) -> float:
    """Krippendorff's alpha on an interval scale."""
    try:
        import krippendorff  # noqa: PLC0415  (an extra)
    except ImportError:
        raise UsageError('agreement needs the package krippendorff: run pip install "hw3-grader[review]"') from None
    people = sorted({person for by in answers for person in by})
    table = [[by.get(person, math.nan) for by in answers] for person in people]
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="interval"))


def disagreements(gradings: Iterable[Grading]) -> tuple[Disagreement, ...]:
    """The answers whose gradings differ, the largest difference first."""
    by_answer: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for grading in gradings:
        by_answer[grading.item, grading.submission][grading.grader] = grading.points
    found = [
        Disagreement(submission, item, tuple(sorted(by.items())))
        for (item, submission), by in by_answer.items()
        if len(set(by.values())) > 1
    ]
    return tuple(sorted(found, key=lambda one: (-one.difference, one.item, one.submission)))


def grader_means(
    gradings: Sequence[Grading], *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[GraderMean, ...]:
    """For each grader, the mean difference of their points from their items' means, with a bootstrap interval.

    Each item's answers are drawn again with replacement, so the interval covers the means of the items, too. An item that
    one person graded alone does not tell a harsh grader from a hard item, so it is left out.
    """
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval must be between 0 and 1, not {level:g}")
    people = sorted({grading.grader for grading in gradings})
    place = {person: i for i, person in enumerate(people)}
    by_item: dict[str, list[Grading]] = defaultdict(list)
    for grading in gradings:
        by_item[grading.item].append(grading)
    sums, counts = np.zeros(len(people)), np.zeros(len(people))
    drawn_sums, drawn_counts = np.zeros((resamples, len(people))), np.zeros((resamples, len(people)))
    random = np.random.default_rng(seed)
    for _, group in sorted(by_item.items()):
        points = np.array([grading.points for grading in group], dtype=np.float64)
        who = np.array([place[grading.grader] for grading in group])
        if len(set(who.tolist())) < 2:
            continue
        _add(points[None], who[None], sums[None], counts[None])
        lots = random.integers(0, len(group), size=(resamples, len(group)))
        _add(points[lots], who[lots], drawn_sums, drawn_counts)
    tail = _PERCENT * (1 - level) / 2
    found = []
    for person, i in place.items():
        if not counts[i]:
            found.append(GraderMean(person, 0, None, None, None))
            continue
        drawn = drawn_counts[:, i] > 0
        differences = drawn_sums[drawn, i] / drawn_counts[drawn, i]
        low, high = np.percentile(differences, [tail, _PERCENT - tail])
        found.append(GraderMean(person, int(counts[i]), float(sums[i] / counts[i]), float(low), float(high)))
    return tuple(found)


def _add(
    points: NDArray[np.float64], who: NDArray[np.int_], sums: NDArray[np.float64], counts: NDArray[np.float64]
) -> None:
    """Adds each grader's differences from the mean of a row, and their number, to the row of a table."""
    differences = points - points.mean(axis=1, keepdims=True)
    for i in range(sums.shape[1]):
        mine = who == i
        sums[:, i] += np.where(mine, differences, 0.0).sum(axis=1)
        counts[:, i] += mine.sum(axis=1)
