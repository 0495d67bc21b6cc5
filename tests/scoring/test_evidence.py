"""What of a notebook's outputs is shown to the person who grades."""

from __future__ import annotations

import pytest

from grader.scoring.evidence import _states_accuracy


@pytest.mark.parametrize(
    ("line", "states"),
    [
        ("epoch 3: val acc 0.53", True),
        ("Accuracy: 53%", True),
        ("accuracy", False),
        ("0.9 acc", False),
        ("accurate to 3 digits", False),
        ("x" * 1000 + " acc " + "y" * 1000 + "7", True),
        # These took minutes: all of a line was looked at from each of its places.
        ("o" * (3 << 20), False),
        ("acc " * (1 << 20), False),
    ],
)
def test_a_line_that_states_an_accuracy(line: str, states: bool) -> None:
    assert _states_accuracy(line) is states
