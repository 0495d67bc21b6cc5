"""The part and its cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from grader.homework3 import strategies
from grader.homework3.strategies import MaskedCase
from grader.judging.property import Part
from grader.kernel.wire import Array

PART = Part(
    "2c",
    "Transformer",
    ("AttentionResidual",),
    (4, 3, 5, 2, 2),
    lambda: strategies.plain_inputs(4),
    family="transformer",
)
SIZES = ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers")
MANY = 257
"""More sequences than a batch has in the homework."""


def of_sizes(sizes: Sequence[int], batch: int, tokens: int, seed: int) -> MaskedCase:
    """A case of given sizes, with a mask that hides something where there are two tokens or more."""
    rng = np.random.default_rng(seed)
    x = strategies.numbers(rng, batch, tokens, sizes[0])
    return MaskedCase(
        dict(zip(SIZES, sizes, strict=True)),
        batch,
        tokens,
        "hiding",
        seed,
        x,
        hiding_mask(rng, batch, tokens),
    )


def hiding_mask(rng: np.random.Generator, batch: int, tokens: int) -> Array:
    """Float 0/1 mask (B, T, T), another for each sequence; each token may attend to itself and not to all others."""
    mask = (rng.random((batch, tokens, tokens)) < 0.5).astype(np.float32)
    rows = np.arange(tokens)
    mask[:, rows, (rows + 1) % tokens] = 0
    mask[:, rows, rows] = 1
    return mask


@st.composite
def ordinary(draw: st.DrawFn, least_layers: int = 2) -> MaskedCase:
    """Small sizes, no two of which are equal."""
    dim, attn_dim, mlp_dim = draw(st.permutations((3, 4, 5, 6)))[:3]
    heads, layers = draw(
        st.sampled_from(((1, 2), (1, 3), (2, 3), (2, 4), (3, 2)) if least_layers > 1 else ((2, 1),))
    )
    batch, tokens = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    return of_sizes((dim, attn_dim, mlp_dim, heads, layers), batch, tokens, draw(strategies.seeds))


@st.composite
def square(draw: st.DrawFn) -> MaskedCase:
    """Sizes that coincide: as many tokens as numbers in a token, as many sequences as layers and heads."""
    dim, count = draw(st.integers(4, 5)), draw(st.integers(2, 3))
    return of_sizes((dim, dim, dim, count, count), count, dim, draw(strategies.seeds))


single = strategies.seeds.map(lambda seed: of_sizes((3, 2, 4, 1, 2), 1, 1, seed))
"""One token in one sequence."""
one_layer = ordinary(least_layers=1)
homework = strategies.seeds.map(lambda seed: of_sizes((128, 64, 128, 3, 6), 1, 65, seed))
"""The Vision Transformer's sizes."""
deep = strategies.seeds.map(lambda seed: of_sizes((3, 2, 4, 2, 6), 2, 66, seed))
"""As many layers and more tokens than in the homework, each of them small."""
SMALL_SIZES: tuple[SearchStrategy[MaskedCase], ...] = (ordinary(), square(), single)
