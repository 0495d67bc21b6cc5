"""The part, its cases, and how a head is built, called and read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.homework3 import checks, identify, parameters, strategies
from grader.homework3.checks import Results
from grader.homework3.strategies import SequenceCase
from grader.judging.property import Part
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

PART = Part("2a", "AttentionHead", family="attention_head")
REAL_MASKS = ("causal", "previous", "padding", "random")


def cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases in which the two results cannot be taken for each other, and no value is one number only."""
    sizes = {"dim": (2, 6), "n_hidden": (2, 6), "masks": ("none",), **how}
    return strategies.sequences(**sizes).filter(
        lambda case: case.n_hidden not in (case.tokens, case.tokens - 1, case.dim)
    )


def square_cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases with T = dim = n_hidden, where a wrong axis has the right size."""
    return strategies.square_sequences(3, 5, "dim", "n_hidden", **{"masks": ("none",), **how})


@dataclass(frozen=True)
class Way:
    """How a head is called where nothing is hidden, and how its results are read."""

    ones: bool = False
    swapped: bool = False

    def call(self, student: Student, head: Remote, x: Any, shape: tuple[int, ...] | None = None) -> Remote:
        """Call a head without a mask: with None, or with a mask of ones, or with whatever it takes."""
        shape = shape or x.shape
        x = student.tensor(x) if isinstance(x, np.ndarray) else x
        return checks.call_unmasked(head, x, shape, ones_first=self.ones)

    def read(self, reply: Any, case: SequenceCase, x: Array | None = None) -> Results:
        """A head's two results, as far as they can be told; their numbers need not be finite."""
        batch, tokens = (case.x if x is None else x).shape[:2]
        if self.swapped and isinstance(reply, tuple | list) and len(reply) == 2:
            reply = reply[::-1]
        return checks.two_results(reply, (batch, tokens, case.n_hidden), (batch, tokens, tokens))


def alpha_of(results: Results) -> Array:
    """The attention weights; a violation if there are none."""
    return checks.returned(results.alphas, "alpha", "no attention weights of shape (B, T, T) are returned")


def output_of(results: Results) -> Array:
    """The output; a violation if there is none."""
    return checks.returned(results.output, "attn_output", "no output of shape (B, T, n_hidden) is returned")


def build(
    student: Student, case: SequenceCase, way: Way | None = None
) -> Generator[Any, Any, tuple[Remote, dict[str, Array]]]:
    """A head in evaluation mode, with new weights of ordinary size that only the case decides; gives it and its weights."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    head.mode(False)
    call = lambda: (way or Way()).call(student, head, case.x)  # noqa: E731
    weights = yield from parameters.randomize_weights(head, case.rng(), call)
    return head, weights


def probe_for(case: SequenceCase, rng: np.random.Generator) -> Array:
    """One sequence (1, T, dim) that tells the maps of a head: as many tokens as they need, in the directions of the case's."""
    basis = identify.basis_of(case.x)
    if basis.shape[0] < min(case.dim, 4):  # a few tokens only: any direction
        basis = np.eye(case.dim)
    tokens = max(identify.FIT_TOKENS, 2 * basis.shape[0] + 4)
    return np.asarray(rng.normal(size=(1, tokens, basis.shape[0])) @ basis, np.float32)
