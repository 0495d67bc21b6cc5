"""How often something happens, with a bound on how often it may happen at most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Rate:
    """``count`` of ``total`` trials."""

    count: int
    total: int

    @property
    def share(self) -> float | None:
        """From 0 to 1; None without trials."""
        return self.count / self.total if self.total else None

    @property
    def bound(self) -> float | None:
        """The one-sided 95% upper bound; None without trials."""
        return upper_bound(self.count, self.total) if self.total else None


def upper_bound(count: int, total: int, level: float = LEVEL) -> float:
    """The one-sided upper bound of a proportion by Clopper and Pearson, for independent trials.

    For a count of 0 it is nearly ``3 / total`` at a level of 95%: the rule of three.
    Raises `ValueError` unless ``0 <= count <= total`` and ``total > 0``.
    """
    if not 0 <= count <= total or total <= 0:
        raise ValueError(f"{count} of {total} is no proportion")
    if count == total:
        return 1.0
    if count == 0:
        return float(-np.expm1(np.log1p(-level) / total))
    low, high = count / total, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _at_most(count, total, middle) > 1 - level else (low, middle)
    return high


def _at_most(count: int, total: int, p: float) -> float:
    """The probability of at most ``count`` of ``total``."""
    k = np.arange(1, count + 1)
    # The logarithm of each binomial coefficient from the one before.
    coefficients = np.concatenate([[0.0], np.cumsum(np.log(total - k + 1) - np.log(k))])
    powers = np.arange(count + 1)
    terms = coefficients + powers * np.log(p) + (total - powers) * np.log1p(-p)
    return float(np.exp(terms).sum())
