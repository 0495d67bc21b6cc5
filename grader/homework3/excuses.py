"""Whose fault it is: a property that fails asks what else may be the reason, and stands back where another must find it.

Asking costs calls, but only for answers that are wrong somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from grader.homework3 import checks
from grader.homework3.checks import Results
from grader.judging import expect
from grader.kernel.remote import StudentError
from grader.kernel.wire import Array

Judged = Generator[Any, Any, None]


class InexcusableViolation(expect.Violation):
    """A violation that nothing excuses."""


def passes(program: Judged) -> Generator[Any, Any, bool]:
    """Whether a program finds nothing wrong; what it compares earns nothing."""
    tally = expect.current_tally()
    before = tally.made
    try:
        yield from program
        return True
    except (expect.Violation, expect.StoodBack, StudentError):
        return False
    finally:
        tally.made = before


def check_or_excuse(check: Callable[[], None], *excuses: Judged) -> Judged:
    """Compare; only if that fails run each of ``excuses``, which stand back where another property finds the fault."""
    violation = None
    try:
        check()
    except expect.Violation as found:
        violation = found
    if violation is not None:
        for excuse in excuses:
            yield from excuse
        raise violation
    for excuse in excuses:
        excuse.close()


def same_results(one: Results, other: Results) -> bool:
    """Whether two results are the same as far as both are there; what is no number is the same as itself."""
    return all(
        value is None
        or again is None
        or (
            bool(np.array_equal(np.isfinite(value), np.isfinite(again)))
            and checks.matches(finite_or_zero(value), finite_or_zero(again))
        )
        for value, again in zip(one, other, strict=True)
    )


def finite_or_zero(value: Array) -> Array:
    """A tensor with 0 for what is not finite."""
    return np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)


def is_uniform(alpha: Array | None) -> bool:
    """Whether every token gets the same attention weight, of several tokens."""
    if alpha is None or alpha.shape[-1] < 2 or not checks.is_distribution(alpha):
        return False
    return bool(np.ptp(alpha, axis=-1).max(initial=0.0) < 1e-6)


def is_constant(out: Array) -> bool:
    """Whether an output of several sequences is the same for every token."""
    return out.shape[0] > 1 and bool(np.ptp(finite_or_zero(out), axis=(0, 1)).max(initial=0.0) < 1e-6)
