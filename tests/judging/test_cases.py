"""Strategies of a property take turns, so that every seed meets the sizes that matter."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from grader.judging.cases import cases_for
from grader.judging.property import Part, property_of


class Drawn:
    """A case that knows what it came from."""

    def __init__(self, source: str, number: int) -> None:
        self.source, self.number = source, number

    def shown(self) -> dict[str, str]:
        return {"number": str(self.number)}


def program(student, case):
    """A property of the tests."""
    yield


@pytest.mark.parametrize("seed", [b"one", b"two", b"three"])
def test_strategies_take_turns_with_every_seed(seed):
    common = st.integers(0, 99).map(lambda number: Drawn("common", number))
    rare = st.integers(0, 99).map(lambda number: Drawn("rare", number))
    declared = property_of(Part("9a", "Doubler"), (common, common, rare), examples=5)(program).prop
    assert [case.source for case in cases_for(declared, seed)] == ["common", "common", "rare", "common", "common"]
