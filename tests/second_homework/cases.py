"""Drawn inputs of the second homework."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from grader.judging.expect import show
from grader.kernel.wire import Array


@dataclass(frozen=True)
class LayerCase:
    """Sizes for a constructor, and inputs drawn from a seed."""

    sizes: tuple[int, ...]
    names: tuple[str, ...]
    seed: int
    inputs: dict[str, Array] = field(repr=False)

    def rng(self) -> np.random.Generator:
        """Randomness of this case beyond its inputs."""
        return np.random.default_rng([self.seed, 1])

    def shown(self) -> dict[str, str]:
        """The sizes and the inputs, for a person."""
        sizes = {", ".join(self.names): ", ".join(map(str, self.sizes))}
        return sizes | {name: show(value) for name, value in self.inputs.items()}


def _values(seed: int, *shape: int) -> Array:
    return np.round(np.random.default_rng(seed).normal(size=shape), 1).astype(np.float32)


seeds = st.integers(0, 2**31)


@st.composite
def steps(draw: st.DrawFn) -> LayerCase:
    """Inputs x (B, n_in) and states h (B, n_hidden) for an RNNCell."""
    n_in, n_hidden, batch, seed = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(seeds)
    inputs = {"x": _values(seed, batch, n_in), "h": _values(seed + 1, batch, n_hidden)}
    return LayerCase((n_in, n_hidden), ("n_in", "n_hidden"), seed, inputs)


@st.composite
def sequences(draw: st.DrawFn) -> LayerCase:
    """Sequences xs (B, T, n_in) for an RNN."""
    n_in, n_hidden, batch, tokens = (draw(st.integers(low, 4)) for low in (1, 1, 1, 2))
    seed = draw(seeds)
    return LayerCase((n_in, n_hidden), ("n_in", "n_hidden"), seed, {"xs": _values(seed, batch, tokens, n_in)})


@st.composite
def signals(draw: st.DrawFn) -> LayerCase:
    """Signals x (B, n_in, T) for a Convolution(n_in, n_out, size)."""
    n_in, n_out, size = (draw(st.integers(1, 3)) for _ in range(3))
    batch, seed = draw(st.integers(1, 2)), draw(seeds)
    x = _values(seed, batch, n_in, size + draw(st.integers(1, 4)))
    return LayerCase((n_in, n_out, size), ("n_in", "n_out", "size"), seed, {"x": x})


@st.composite
def batches(draw: st.DrawFn) -> LayerCase:
    """Batches x (B, n) of at least two examples for a BatchNorm."""
    features, batch, seed = draw(st.integers(1, 4)), draw(st.integers(2, 5)), draw(seeds)
    x = _values(seed, batch, features) + np.linspace(0.0, 1.0, batch, dtype=np.float32)[:, None]
    return LayerCase((features,), ("n",), seed, {"x": x.astype(np.float32)})
