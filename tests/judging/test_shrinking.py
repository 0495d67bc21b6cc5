"""Shrinking tries the cases that hypothesis tries, whatever was shrunk before."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, find
from hypothesis import strategies as st

from grader.judging.cases import random_for, settings_for
from grader.judging.property import Part, Property
from grader.judging.shrinking import Shrinker

SEED = b"a seed"


def _program(student: Any, case: Any) -> Any:
    yield None


PROP = Property(
    "made.test_up",
    "",
    Part("1a", "Layer"),
    "any",
    3,
    (st.tuples(st.integers(0, 1000), st.integers(0, 1000)), st.lists(st.integers(0, 99), max_size=6)),
    _program,
)
PREDICATES: dict[str, Callable[[Any], bool]] = {
    "always": lambda case: True,
    "never": lambda case: False,
    "large": lambda case: sum(case) > 20,
    "long": lambda case: len(case) > 1 and case[0] > 3,
    "odd": lambda case: sum(case) % 2 == 1,
}


def tried(
    search: Callable[[Callable[[Any], bool]], Any], predicate: Callable[[Any], bool]
) -> list[tuple[Any, bool]]:
    """The cases that a search asks about, with the answers that it gets."""
    found = []

    def fails(case: Any) -> bool:
        found.append((case, predicate(case)))
        return found[-1][1]

    with contextlib.suppress(Exception):
        search(fails)
    return found


def by_hypothesis(number: int) -> Callable[[Callable[[Any], bool]], Any]:
    settings = settings_for(2, Phase.generate, Phase.shrink)
    return lambda fails: find(
        PROP.strategy_for(number), fails, settings=settings, random=random_for(PROP, SEED, number)
    )


@pytest.mark.parametrize("most_bytes", [0, 20_000, 16 << 20])
def test_the_same_cases_are_tried_in_any_order_of_submissions(most_bytes: int) -> None:
    wanted = {
        (name, number): tried(by_hypothesis(number), predicate)
        for name, predicate in PREDICATES.items()
        for number in range(3)
    }
    assert max(map(len, wanted.values())) > 20
    shrinker, lots = Shrinker(most_bytes), random.Random(0)
    for name, number in lots.sample([*wanted] * 3, 3 * len(wanted)):
        most = lots.choice([1, 2, 7, 120])
        found = tried(lambda fails: shrinker.search(PROP, SEED, number, fails, most), PREDICATES[name])  # noqa: B023
        assert found == wanted[name, number][:most], (name, number, most)


def test_hypothesis_is_not_asked_about_a_failure_like_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    shrinker = Shrinker()
    first = tried(lambda fails: shrinker.search(PROP, SEED, 1, fails, 120), PREDICATES["large"])

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr("grader.judging.shrinking.find", refuse)
    again = []
    shrinker.search(PROP, SEED, 1, lambda case: not again.append(case) and PREDICATES["large"](case), 120)
    assert again == [case for case, _ in first]


@dataclass(frozen=True)
class Named:
    """A case that shows nothing but its name."""

    name: str

    def shown(self) -> dict[str, str]:
        """The name."""
        return {"name": self.name}


def test_the_smallest_of_all_has_the_least_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = [Named("four"), Named("one"), Named("two"), Named("three")]
    calls = []

    def find_all(strategy: Any, fails: Callable[[Any], bool], **options: Any) -> None:
        calls.append(strategy)
        assert all(fails(case) for case in tried)

    monkeypatch.setattr("grader.judging.shrinking.find", find_all)
    shrinker = Shrinker()
    assert shrinker.smallest(PROP, SEED) is tried[2], "the last of those that are equally short"
    assert shrinker.smallest(PROP, SEED) is tried[2]
    assert calls == [PROP.strategies[0]], "hypothesis is asked once"


def test_an_exception_passes_and_teaches_nothing() -> None:
    shrinker = Shrinker()
    wanted = tried(lambda fails: Shrinker().search(PROP, SEED, 1, fails, 120), PREDICATES["large"])
    for _ in range(2):
        for after in (1, 3):
            seen = []

            def fails(case: Any) -> bool:
                seen.append(case)  # noqa: B023
                if len(seen) >= after:  # noqa: B023
                    raise ConnectionError("gone")
                return PREDICATES["large"](case)

            # hypothesis may make a group or a failure of its own of it.
            with pytest.raises(Exception, match=r"gone|distinct|Inconsistent"):
                shrinker.search(PROP, SEED, 1, fails, 120)
            assert seen[:after] == [case for case, _ in wanted[:after]]
    assert tried(lambda fails: shrinker.search(PROP, SEED, 1, fails, 120), PREDICATES["large"]) == wanted
