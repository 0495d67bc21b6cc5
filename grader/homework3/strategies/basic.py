"""Numbers and ids that several kinds of cases are made of."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from grader.kernel.wire import Array

seeds = st.integers(0, 2**16 - 1)
START, PAD, UNK = 0, 1, 2


def numbers(rng: np.random.Generator, *shape: int) -> Array:
    """Ordinary floats of about unit size, one decimal, none of them 0."""
    values = np.round(rng.normal(size=shape), 1)
    return np.where(values == 0, 0.1, values).astype(np.float32)
