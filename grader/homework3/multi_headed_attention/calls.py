"""The part, its cases, and how a module is built, called and read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.homework3 import checks, parameters, stand_in_calls, strategies
from grader.homework3.checks import Results
from grader.homework3.strategies import SequenceCase
from grader.judging.property import Part
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

PART = Part(
    "2b",
    "MultiHeadedAttention",
    ("AttentionHead",),
    (6, 4, 2),
    lambda: strategies.plain_inputs(6),
    family="multi_headed_attention",
)
REAL_MASKS = ("causal", "previous", "padding", "random")


def cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases in which the axis of the heads cannot be taken for another one."""
    chosen = {"dim": (2, 6), "n_hidden": (1, 5), "num_heads": (1, 4), "masks": ("none",), **how}
    return strategies.sequences(**chosen).filter(lambda case: case.num_heads not in (case.batch, case.tokens))


def many_heads(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases with more heads than the homework has."""
    return cases(
        **{"num_heads": (5, 6), "n_hidden": (1, 3), "dim": (3, 6), "least_tokens": 2, "most_tokens": 4, **how}
    )


def square_cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases with H = B = T = n_hidden, where a wrong axis has the right size."""
    same = {"least_batch": 3, "most_batch": 3, "masks": ("none",), **how}
    return strategies.square_sequences(3, 3, "num_heads", "n_hidden", dim=(3, 6), **same)


def long_cases(mask: str = "none", batch: int = 1) -> SearchStrategy[SequenceCase]:
    """Cases with a token more than the homework's images have, and small heads."""
    return strategies.long_sequences(mask, batch=batch, tokens=66, dim=6, n_hidden=3, num_heads=3)


def build(student: Student, case: SequenceCase) -> Remote:
    """The module as it is after construction, in evaluation mode."""
    module: Remote = student.MultiHeadedAttention(case.dim, case.n_hidden, case.num_heads)
    module.mode(False)
    return module


def randomize_weights(
    module: Remote, case: SequenceCase, rng: np.random.Generator
) -> Generator[Any, Any, dict[str, Array]]:
    """Give the module's own parameters new weights of ordinary size."""
    return parameters.randomize_weights(module, rng, lambda: checks.call_unmasked(module, case.x, case.x.shape))


@dataclass(frozen=True)
class Way:
    """How a module is called where nothing is hidden."""

    ones: bool = False

    def call(self, student: Student, module: Remote, x: Any, shape: tuple[int, ...] | None = None) -> Remote:
        """Call a module without a mask: with None, or with a mask of ones, or with whatever it takes."""
        shape = shape or x.shape
        x = student.tensor(x) if isinstance(x, np.ndarray) else x
        return checks.call_unmasked(module, x, shape, ones_first=self.ones)


def given(student: Student, module: Remote, x: Any, mask: Any) -> Remote:
    """Call a module with the case's mask, or without one."""
    return Way().call(student, module, x) if mask is None else checks.call_masked(module, x, mask)


def alphas_shape(case: SequenceCase) -> tuple[int, ...]:
    """(B, H, T, T)."""
    return case.batch, case.num_heads, case.tokens, case.tokens


def readable(reply: Any, case: SequenceCase, x: Array | None = None) -> Results:
    """The module's two results, as far as they can be told; their numbers need not be finite."""
    batch, tokens = (case.x if x is None else x).shape[:2]
    shapes = (batch, tokens, case.dim), (batch, case.num_heads, tokens, tokens)
    return checks.two_results(reply, *shapes)


def output_of(results: Results) -> Array:
    """The output; a violation if there is none."""
    return checks.returned(results.output, "output", "no output of shape (B, T, dim) is returned")


def alphas_of(results: Results) -> Array:
    """The attention weights; a violation if there are none."""
    return checks.returned(results.alphas, "alphas", "no attention weights of shape (B, H, T, T) are returned")


def heads_called(
    student: Student, module: Remote, case: SequenceCase
) -> Generator[Any, Any, list[dict[str, Any]]]:
    """The calls of stand-in heads that one call makes, with the case's mask if there is one."""
    student.forget_calls()
    given(student, module, case.x, case.mask)
    return stand_in_calls.recorded_calls((yield student.calls()), case.batch)


def given_tensor(student: Student, module: Remote, x: Remote, case: SequenceCase) -> Remote:
    """`given`, for a tensor that is in the kernel."""
    return Way().call(student, module, x, case.x.shape) if case.mask is None else checks.call_masked(module, x, case.mask)
