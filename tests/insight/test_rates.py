from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.insight.rates import Rate, upper_bound


def at_most(count: int, total: int, p: float) -> float:
    return math.fsum(math.comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(count + 1))


@settings(max_examples=40)
@given(st.integers(1, 200).flatmap(lambda total: st.tuples(st.integers(0, total - 1), st.just(total))))
def test_at_the_bound_so_few_are_as_unlikely_as_the_level_says(pair: tuple[int, int]) -> None:
    count, total = pair
    assert at_most(count, total, upper_bound(count, total)) == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize("total", [30, 300, 36_000])
def test_none_of_many_is_the_rule_of_three(total: int) -> None:
    assert upper_bound(0, total) == pytest.approx(3 / total, rel=0.06)


def test_bounds_of_published_tables() -> None:
    # Clopper and Pearson (1934): the 90% two-sided interval ends where the 95% one-sided one does.
    assert upper_bound(1, 10) == pytest.approx(0.3942, abs=5e-5)
    assert upper_bound(5, 10) == pytest.approx(0.7776, abs=5e-5)


def test_large_counts_stay_in_reach() -> None:
    assert 0.5 < upper_bound(18_000, 36_000) < 0.505
    assert upper_bound(7, 7) == 1.0


@pytest.mark.parametrize(("count", "total"), [(1, 0), (0, 0), (-1, 4), (5, 4)])
def test_what_is_no_proportion_is_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        upper_bound(count, total)


def test_without_trials_a_rate_is_unknown() -> None:
    assert (Rate(0, 0).share, Rate(0, 0).bound) == (None, None)
    assert (Rate(1, 4).share, Rate(1, 4).bound) == (0.25, upper_bound(1, 4))
