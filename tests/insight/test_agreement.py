from __future__ import annotations

import random
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.errors import UsageError
from grader.insight.agreement import Grading, agreements, disagreements, grader_means, second_sample

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units.
PUBLISHED = {
    "A": "1 2 3 3 2 1 4 1 2 * * *",
    "B": "1 2 3 3 2 2 4 1 2 5 * 3",
    "C": "* 3 3 3 2 3 4 2 2 5 1 *",
    "D": "1 2 3 3 2 4 4 1 2 5 1 *",
}


def table(rows: dict[str, str], item: str = "q") -> list[Grading]:
    return [
        Grading(f"s{unit}", item, grader, float(value))
        for grader, row in rows.items()
        for unit, value in enumerate(row.split())
        if value != "*"
    ]


def one_each(answers: int, graders: str = "ABC", item: str = "q") -> list[Grading]:
    return [Grading(f"s{i}", item, graders[i % len(graders)], 1.0) for i in range(answers)]


def test_alpha_of_the_published_example() -> None:
    pytest.importorskip("krippendorff")
    (agreement,) = agreements(table(PUBLISHED))
    assert agreement.alpha == pytest.approx(0.849, abs=5e-4)
    assert (agreement.answers, agreement.same) == (11, 8)


def test_alpha_of_two_graders_computed_by_hand() -> None:
    pytest.importorskip("krippendorff")
    # Pairs (0, 0), (1, 1), (0, 1): observed 2/6; expected, from three zeros and three ones, 18/30.
    (agreement,) = agreements(table({"A": "0 1 0", "B": "0 1 1"}))
    assert agreement.alpha == pytest.approx(1 - (2 / 6) / (18 / 30))


def test_alpha_is_one_where_all_agree_and_negative_where_all_differ() -> None:
    pytest.importorskip("krippendorff")
    equal, opposed = agreements([*table({"A": "0 1 2", "B": "0 1 2"}, "q"), *table({"A": "0 1", "B": "1 0"}, "r")])
    assert (equal.item, equal.alpha, equal.same) == ("q", 1.0, 3)
    assert opposed.alpha is not None and opposed.alpha < 0


@pytest.mark.parametrize("rows", [{"A": "0 1 2"}, {"A": "1 1", "B": "1 1"}, {"A": "0 *", "B": "* 1"}])
def test_alpha_is_undefined_without_pairs_or_differences(rows: dict[str, str]) -> None:
    assert agreements(table(rows))[0].alpha is None


def test_no_gradings_have_no_agreement() -> None:
    assert agreements([]) == disagreements([]) == grader_means([]) == second_sample([], ["A", "B"]) == ()


@given(
    st.lists(st.integers(1, 80), min_size=1, max_size=4),
    st.integers(2, 5),
    st.floats(0.01, 1),
    st.integers(0, 3),
)
def test_the_sample_is_large_enough_fair_and_never_asks_the_first_grader(
    sizes: list[int], people: int, share: float, seed: int
) -> None:
    graders = "ABCDE"[:people]
    gradings = [g for i, size in enumerate(sizes) for g in one_each(size, graders, f"q{i}")]
    first = {(g.item, g.submission): g.grader for g in gradings}
    sample = second_sample(gradings, graders, share=share, seed=seed)
    assert sample == second_sample(list(reversed(gradings)), reversed(graders), share=share, seed=seed)
    assert len({(s.item, s.submission) for s in sample}) == len(sample)
    assert all(first[s.item, s.submission] != s.grader for s in sample)
    counts = Counter(s.item for s in sample)
    for i, size in enumerate(sizes):
        assert max(1, share * size - 1e-6) <= counts[f"q{i}"] <= max(1, share * size + 1)


def test_the_sample_of_a_class_of_300_is_a_twentieth_and_shared_evenly() -> None:
    gradings = [g for i in range(15) for g in one_each(300, "ABCD", f"q{i:02}")]
    sample = second_sample(gradings, "ABCD")
    assert Counter(s.item for s in sample) == {f"q{i:02}": 15 for i in range(15)}
    work = Counter(s.grader for s in sample)
    assert max(work.values()) - min(work.values()) <= 5


def test_another_seed_draws_another_sample() -> None:
    gradings = one_each(100)
    assert second_sample(gradings, "ABC", seed=1) != second_sample(gradings, "ABC", seed=2)


def test_more_grades_change_little_of_the_sample() -> None:
    before = {s.submission for s in second_sample(one_each(200), "ABC")}
    after = {s.submission for s in second_sample(one_each(210), "ABC")}
    assert len(before & after) >= 8


def test_what_is_graded_twice_counts_towards_the_share() -> None:
    gradings = one_each(40)
    twice = [Grading(s.submission, s.item, s.grader, 1.0) for s in second_sample(gradings, "ABC")]
    assert len(twice) == 2
    assert second_sample([*gradings, *twice], "ABC") == ()


@pytest.mark.parametrize(("share", "graders"), [(0, "AB"), (1.5, "AB"), (float("nan"), "AB"), (0.05, "A"), (0.05, "")])
def test_a_sample_that_cannot_be_drawn_is_refused(share: float, graders: str) -> None:
    with pytest.raises(UsageError):
        second_sample(one_each(10, "A"), graders, share=share)


def test_disagreements_begin_with_the_largest() -> None:
    found = disagreements(table({"A": "0 1 0.5 2", "B": "1 1 * 0", "C": "* * 1 *"}))
    assert [(d.submission, d.difference) for d in found] == [("s3", 2.0), ("s0", 1.0), ("s2", 0.5)]
    assert found[0].points == (("A", 2.0), ("B", 0.0))


def test_means_are_differences_from_the_means_of_the_items() -> None:
    gradings = [
        *(Grading(f"s{i}", "easy", "A" if i < 3 else "B", points) for i, points in enumerate([3, 3, 2, 2])),
        *(Grading(f"s{i}", "hard", "A" if i < 1 else "B", points) for i, points in enumerate([1, 0, 0, 1])),
    ]
    a, b = grader_means(gradings)
    # The easy item's mean is 2.5 and the hard one's 0.5.
    assert (a.grader, a.gradings, b.grader, b.gradings) == ("A", 4, "B", 4)
    assert a.difference == pytest.approx((0.5 + 0.5 - 0.5 + 0.5) / 4)
    assert b.difference == pytest.approx((-0.5 - 0.5 - 0.5 + 0.5) / 4)


def test_an_item_graded_by_one_person_tells_nothing() -> None:
    alone = [Grading(f"s{i}", "q", "A", i % 2) for i in range(10)]
    (a,) = grader_means(alone)
    assert (a.gradings, a.difference, a.low, a.high) == (0, None, None, None)


def make_class(harsh: float, seed: int) -> list[Grading]:
    """Four graders share 300 answers of six items; D gives the full points less often, by `harsh`."""
    lots = random.Random(seed)
    return [
        Grading(f"s{i}", f"q{item}", grader, float(lots.random() < 0.3 + 0.1 * item - harsh * (grader == "D")))
        for item in range(6)
        for i in range(300)
        for grader in [lots.choice("ABCD")]
    ]


def test_a_harsh_grader_shows() -> None:
    *others, harsh = grader_means(make_class(0.2, 0))
    assert harsh.difference is not None and harsh.high is not None and harsh.high < 0
    assert all(other.low is not None and other.low > harsh.high for other in others)


def test_intervals_hold_as_often_as_they_say() -> None:
    inside = total = 0
    for seed in range(40):
        for mean in grader_means(make_class(0.0, seed), resamples=200, seed=seed):
            assert mean.low is not None and mean.high is not None
            inside += mean.low <= 0 <= mean.high
            total += 1
    assert 0.88 <= inside / total <= 0.99


def test_the_same_seed_gives_the_same_intervals() -> None:
    gradings = make_class(0.1, 1)
    assert grader_means(gradings) == grader_means(gradings)
    assert grader_means(gradings, level=0.5)[0].low > grader_means(gradings)[0].low  # type: ignore[operator]


def test_a_level_outside_0_to_1_is_refused() -> None:
    with pytest.raises(UsageError, match="level"):
        grader_means(one_each(4), level=95)


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(UsageError, match=r'run pip install "hw3-grader\[review\]"'):
        agreements(table({"A": "0 1", "B": "1 1"}))
