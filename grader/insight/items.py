"""Statistics of items and criteria: how hard they are, and whether they tell strong submissions from weak ones.

Both are those of classical test theory. Difficulty is the mean share of the points. Discrimination is the corrected
item-total correlation: that of an item with the share of the points in everything else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FEWEST = 10
"""Students that a discrimination is computed from, at least."""
FEWEST_DIFFERENT = 3
"""Students who earned other points than most did, at least."""
WEAK = 0.2
"""Below this discrimination, an item is usually revised (Ebel and Frisbie, Essentials of Educational Measurement)."""
RESAMPLES = 1000
_Z = 1.959964
_NEARLY_ONE = 1 - 1e-9
_MOST_UNDEFINED = 0.1
Floats = NDArray[np.float64]
Finding = Literal["", "few", "equal", "reversed", "none", "weak", "unclear"]
"""What is wrong with an item; empty where it discriminates."""

_HINTS: dict[Finding, str] = {
    "": "",
    "few": f"Fewer than {FEWEST} students have points here, too few to say.",
    "equal": "Nearly all students have the same points here, so it does not tell them apart.",
    "reversed": "Students who did well elsewhere did worse here. Check whether right answers lose points.",
    "none": "Points here are unrelated to the points elsewhere. Check what it asks for and how it is graded.",
    "weak": "Points here say little about the points elsewhere. Read some of the answers before you rely on it.",
    "unclear": "Too few students to tell whether it discriminates: the interval contains 0.",
}


@dataclass(frozen=True)
class ItemStatistics:
    """The statistics of one item or criterion, of the students for whom it is not pending.

    Intervals have a level of 95%; they are None where they are undefined.
    """

    name: str
    max_points: float
    students: int
    """For whom it is graded."""
    pending: int
    """For whom it is pending; they count in nothing else."""
    difficulty: float | None
    """The mean share of the points, from 0 to 1: high for an easy item."""
    difficulty_interval: tuple[float, float] | None
    discrimination: float | None
    """The correlation with the share of all other points, from -1 to 1."""
    discrimination_interval: tuple[float, float] | None
    finding: Finding

    @property
    def hint(self) -> str:
        """The finding in a sentence; empty where nothing is wrong."""
        return _HINTS[self.finding]


def item_statistics(
    names: Sequence[str],
    points: Floats,
    most: Floats,
    earned: Floats,
    possible: Floats,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[ItemStatistics, ...]:
    """The statistics of each column of a table.

    Args:
        names: of the columns.
        points: (students, columns), NaN where pending.
        most: (columns,), the points that a column is worth, all above 0.
        earned: (students,), points of the whole submission; what is pending adds nothing.
        possible: (students,), points that could be earned in what is graded of the submission.
        resamples: of the bootstrap over students.
        seed: of the bootstrap; the same seed gives the same intervals.

    Raises:
        ValueError: where the shapes do not fit.
    """
    students, columns = points.shape
    if (len(names), most.shape, earned.shape, possible.shape) != (columns, (columns,), (students,), (students,)):
        raise ValueError(f"{len(names)} names and shapes {points.shape}, {most.shape}, {earned.shape}, {possible.shape}")
    graded = ~np.isnan(points)
    given = np.where(graded, points, 0.0)
    others = possible[:, None] - most
    comparable = graded & (others > 1e-9)
    rest = np.divide(earned[:, None] - given, others, out=np.zeros_like(given), where=comparable)
    shares = given / most
    moments = _Moments(shares, rest, comparable)
    one = np.ones((1, students))
    correlations = moments.correlations(one)[0]
    drawn = moments.correlations(_lots(students, resamples, seed))
    found = []
    for column, name in enumerate(names):
        those = shares[graded[:, column], column]
        correlation = None if math.isnan(correlations[column]) else float(correlations[column])
        interval = None if correlation is None else _interval(correlation, drawn[:, column])
        finding = _finding(shares[comparable[:, column], column], correlation, interval)
        is_known = finding not in ("few", "equal")
        found.append(
            ItemStatistics(
                name,
                float(most[column]),
                len(those),
                students - len(those),
                float(those.mean()) if len(those) else None,
                wilson(float(those.mean()), len(those)) if len(those) else None,
                correlation if is_known else None,
                interval if is_known else None,
                finding,
            )
        )
    return tuple(found)


class _Moments:
    """What correlations are made of, so that a resample is one row of a product of matrices."""

    def __init__(self, x: Floats, y: Floats, known: NDArray[np.bool_]) -> None:
        """All of shape (students, columns). Both are centered first, as sums of squares lose digits else."""
        count = np.maximum(known.sum(axis=0), 1)
        x, y = (np.where(known, z - np.where(known, z, 0.0).sum(axis=0) / count, 0.0) for z in (x, y))
        self._sums = [known.astype(np.float64), x, y, x * x, y * y, x * y]

    def correlations(self, weights: Floats) -> Floats:
        """Shape (resamples, columns) for weights of shape (resamples, students); NaN where one side does not vary."""
        n, x, y, xx, yy, xy = (weights @ column for column in self._sums)
        spread_x, spread_y = n * xx - x * x, n * yy - y * y
        is_defined = (spread_x > 1e-9) & (spread_y > 1e-9)
        product = np.sqrt(np.where(is_defined, spread_x * spread_y, 1.0))
        return np.where(is_defined, (n * xy - x * y) / product, np.nan)


def _lots(students: int, resamples: int, seed: int) -> Floats:
    """How often each student is drawn, with replacement, in each resample: shape (resamples, students)."""
    drawn = np.random.default_rng(seed).integers(0, max(students, 1), size=(resamples, students))
    places = drawn + students * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=resamples * students).reshape(resamples, students).astype(np.float64)


def _interval(correlation: float, drawn: Floats) -> tuple[float, float] | None:
    """By the standard error of Fisher's transform, which the bootstrap gives; percentiles cover a little too little."""
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < max(2, (1 - _MOST_UNDEFINED) * len(drawn)):
        return None
    middle = np.arctanh(np.clip(correlation, -_NEARLY_ONE, _NEARLY_ONE))
    half = _Z * np.arctanh(np.clip(defined, -_NEARLY_ONE, _NEARLY_ONE)).std()
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def _finding(shares: Floats, correlation: float | None, interval: tuple[float, float] | None) -> Finding:
    """What is wrong with an item, by the shares of the points that students earned."""
    if len(shares) < FEWEST:
        return "few"
    _, counts = np.unique(shares, return_counts=True)
    if len(shares) - counts.max() < FEWEST_DIFFERENT:
        return "equal"
    if correlation is None or interval is None:
        return "unclear"
    low, high = interval
    if high < 0:
        return "reversed"
    if low > 0:
        return "weak" if correlation < WEAK else ""
    return "none" if high < 1.5 * WEAK else "unclear"


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a proportion, which a mean share of points needs at most."""
    z = _Z * _Z / count
    middle = (share + z / 2) / (1 + z)
    half = math.sqrt(z * (share * (1 - share) + z / 4)) / (1 + z)
    return max(0.0, middle - half), min(1.0, middle + half)
