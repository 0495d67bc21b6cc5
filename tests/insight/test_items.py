from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from grader.insight.items import ItemStatistics, item_statistics, wilson

STUDENTS = 300


def simulated(
    slopes: NDArray[np.float64], thresholds: NDArray[np.float64], students: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Right answers of a class by the two-parameter logistic model: P(right) = 1 / (1 + exp(-a (ability - b)))."""
    ability = random.normal(size=(students, 1))
    right = 1 / (1 + np.exp(-slopes * (ability - thresholds)))
    return (random.random(right.shape) < right).astype(np.float64)


def statistics(points: NDArray[np.float64], **options: int) -> tuple[ItemStatistics, ...]:
    """Of a table in which every column is worth one point."""
    columns = points.shape[1]
    earned, possible = np.nansum(points, axis=1), (~np.isnan(points)).sum(axis=1).astype(np.float64)
    names = [f"i{column}" for column in range(columns)]
    return item_statistics(names, points, np.ones(columns), earned, possible, **options)


def parameters(columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes from weak to strong, thresholds from easy to hard."""
    slopes = np.tile([0.6, 1.0, 1.5, 2.0], columns)[:columns]
    return slopes, np.linspace(-1.8, 1.8, columns)


@pytest.mark.long
def test_intervals_cover_the_true_difficulty_and_discrimination() -> None:
    columns, classes = 12, 200
    slopes, thresholds = parameters(columns)
    truth = statistics(simulated(slopes, thresholds, 400_000, np.random.default_rng(1)), resamples=1)
    random = np.random.default_rng(2)
    covered = np.zeros((2, columns))
    for _ in range(classes):
        for column, found in enumerate(statistics(simulated(slopes, thresholds, STUDENTS, random), resamples=200)):
            true = truth[column]
            for row, (value, interval) in enumerate(
                [
                    (true.difficulty, found.difficulty_interval),
                    (true.discrimination, found.discrimination_interval),
                ]
            ):
                assert value is not None and interval is not None
                covered[row, column] += interval[0] <= value <= interval[1]
    assert (covered / classes).min() >= 0.90
    # An interval that covers everything says nothing.
    assert (covered / classes).mean(axis=1).max() < 0.975


def test_difficulty_and_discrimination_follow_the_parameters() -> None:
    slopes, thresholds = parameters(20)
    points = simulated(slopes, thresholds, STUDENTS, np.random.default_rng(3))
    found = statistics(points)
    difficulties = [each.difficulty for each in found]
    assert difficulties == pytest.approx(points.mean(axis=0).tolist())
    assert np.corrcoef(difficulties, thresholds)[0, 1] < -0.95
    middle = [each.discrimination for each in found[8:12]]
    assert np.argsort(middle).tolist() == np.argsort(slopes[8:12]).tolist()


def test_discrimination_is_the_correlation_with_everything_else() -> None:
    points = simulated(*parameters(7), 50, np.random.default_rng(4))
    for column, found in enumerate(statistics(points)):
        rest = np.delete(points, column, axis=1).sum(axis=1)
        assert found.discrimination == pytest.approx(np.corrcoef(points[:, column], rest)[0, 1])


def test_ten_planted_bad_items_are_found_and_no_others() -> None:
    random = np.random.default_rng(5)
    missed, accused = 0, 0
    for _ in range(10):
        slopes = random.uniform(1.0, 2.0, size=40)
        points = simulated(slopes, random.uniform(-1.5, 1.5, size=40), STUDENTS, random)
        points[:, :5] = random.random((STUDENTS, 5)) < random.uniform(0.3, 0.7, size=5)
        points[:, 5:10] = 1 - points[:, 5:10]
        found = statistics(points)
        missed += sum(not each.hint for each in found[:10])
        accused += sum(bool(each.hint) for each in found[10:])
        assert {each.finding for each in found[5:10]} == {"reversed"}
    assert missed == 0
    assert accused <= 2  # of 300


def test_what_is_pending_is_not_counted_as_zero() -> None:
    points = simulated(*parameters(10), STUDENTS, np.random.default_rng(6))
    pending = np.random.default_rng(7).random(points.shape) < 0.2
    pending[:, 3] = True
    sparse = np.where(pending, np.nan, points)
    for column, found in enumerate(statistics(sparse)):
        assert found.students + found.pending == STUDENTS
        if column == 3:
            assert (found.difficulty, found.discrimination, found.finding) == (None, None, "few")
            continue
        graded = ~pending[:, column]
        rest = np.nanmean(np.delete(sparse, column, axis=1)[graded], axis=1)
        assert found.difficulty == pytest.approx(points[graded, column].mean())
        assert found.discrimination == pytest.approx(np.corrcoef(points[graded, column], rest)[0, 1])


def test_an_item_that_is_pending_for_all_changes_nothing_elsewhere() -> None:
    points = simulated(*parameters(6), 80, np.random.default_rng(8))
    with_pending = np.column_stack([points, np.full(80, np.nan)])
    assert statistics(with_pending)[:6] == statistics(points)


def test_the_same_seed_gives_the_same_interval() -> None:
    points = simulated(*parameters(5), 40, np.random.default_rng(9))
    assert statistics(points) == statistics(points)
    assert statistics(points) != statistics(points, seed=1)


@pytest.mark.parametrize(
    ("column", "finding"),
    [
        ([1.0] * 40, "equal"),
        ([1.0] * 38 + [0.0] * 2, "equal"),
        ([np.nan] * 31 + [1.0, 0.0] * 4 + [1.0], "few"),
    ],
)
def test_an_item_that_says_too_little_has_no_discrimination(column: list[float], finding: str) -> None:
    points = simulated(*parameters(5), 40, np.random.default_rng(10))
    found = statistics(np.column_stack([points, column]))[-1]
    assert (found.finding, found.discrimination, found.discrimination_interval) == (finding, None, None)
    assert found.hint


def test_a_class_of_one_and_a_rubric_of_one_item_do_no_harm() -> None:
    assert statistics(np.ones((1, 2)))[0].finding == "few"
    assert statistics(np.zeros((0, 2)))[0].difficulty is None
    alone = statistics(np.array([[1.0], [0.0]] * 20))[0]
    assert (alone.difficulty, alone.discrimination) == (0.5, None)


def test_partial_credit_counts_by_its_share() -> None:
    points = np.array([[2.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]] * 5)
    found = item_statistics(["a", "b"], points, np.array([2.0, 1.0]), points.sum(axis=1), np.full(20, 3.0))
    assert [each.difficulty for each in found] == [0.5, 0.5]
    assert found[0].discrimination == pytest.approx(np.corrcoef(points.T)[0, 1])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 names"):
        item_statistics(["a", "b"], np.ones((3, 1)), np.ones(1), np.ones(3), np.ones(3))


def test_wilson_interval_of_a_published_example() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I: 81 of 263, and 0 of 20.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
