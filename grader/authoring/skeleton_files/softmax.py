"""1a Softmax(): x (B, n) -> probabilities (B, n)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Student

PART = Part("1a", "Softmax")


@dataclass(frozen=True)
class Case:
    """A batch of scores x (B, n)."""

    batch: int
    n: int
    seed: int

    @property
    def x(self) -> np.ndarray:
        """The scores, with one decimal so that a counterexample is easy to read."""
        values = np.random.default_rng(self.seed).normal(size=(self.batch, self.n))
        return np.round(values, 1).astype(np.float32)

    def shown(self) -> dict[str, str]:
        """What a student sees of a counterexample."""
        return {"x": expect.show(self.x)}


cases = st.builds(Case, batch=st.integers(1, 3), n=st.integers(1, 4), seed=st.integers(0, 1000))


@property_of(PART, cases)
def test_probabilities_are_the_softmax_of_the_scores(student: Student, case: Case) -> Program:
    """Each row of the result is exp(x) divided by the row's sum of exp(x)."""
    reply = yield student.Softmax()(case.x)
    got = expect.tensor(reply, case.x.shape, "probabilities")
    powers = np.exp(case.x.astype(np.float64))
    expect.close(got, powers / powers.sum(-1, keepdims=True), "probabilities", "this is not the softmax")
