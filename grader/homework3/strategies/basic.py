"""Numbers and ids that several kinds of cases are made of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from grader.judging.expect import show
from grader.kernel.wire import Array

seeds = st.integers(0, 2**16 - 1)
START, PAD, UNK = 0, 1, 2


def numbers(rng: np.random.Generator, *shape: int) -> Array:
    """Ordinary floats of about unit size, one decimal, none of them 0."""
    values = np.round(rng.normal(size=shape), 1)
    return np.where(values == 0, 0.1, values).astype(np.float32)


class SizedCase:
    """A case whose ``sizes``, by name, are attributes of their own: ``case.dim``."""

    sizes: dict[str, int]
    seed: int

    def __getattr__(self, name: str) -> int:
        try:
            return int(self.__dict__["sizes"][name])
        except KeyError:
            raise AttributeError(name) from None

    def rng(self) -> np.random.Generator:
        """Randomness of this case beyond its inputs: weights, cotangents, changes."""
        return np.random.default_rng([self.seed, 1])

    def shown_with(self, inputs: Mapping[str, object]) -> dict[str, str]:
        """The sizes and these inputs, for a person."""
        sizes = {", ".join(self.sizes): ", ".join(str(size) for size in self.sizes.values())}
        return {**sizes, **{name: show(value) for name, value in inputs.items()}}
