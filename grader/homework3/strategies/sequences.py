"""Sequences of tokens (B, T, dim) with masks, for attention and the Transformer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from grader.homework3.strategies.basic import SizedCase, numbers, seeds
from grader.kernel.wire import Array

MASKS = ("none", "full", "causal", "previous", "padding", "random")


def make_mask(kind: str, batch: int, tokens: int, rng: np.random.Generator) -> Array | None:
    """Float 0/1 mask (B, T, T) with at least one 1 in each row, or None; 1 where token i may attend to token j."""
    if kind == "none":
        return None
    places = np.arange(tokens)
    row, column = places[:, None], places[None, :]
    if kind == "causal":
        mask = np.broadcast_to(column <= row, (batch, tokens, tokens))
    elif kind == "previous":
        mask = np.broadcast_to((column == row) | (column == row - 1), (batch, tokens, tokens))
    elif kind == "padding":
        lengths = rng.integers(1, tokens + 1, size=batch)
        mask = np.broadcast_to(column[None] < lengths[:, None, None], (batch, tokens, tokens))
    elif kind == "random":
        chosen = rng.random((batch, tokens, tokens)) < 0.5
        always = rng.integers(0, tokens, size=(batch, tokens))
        mask = chosen | (np.arange(tokens)[None, None, :] == always[:, :, None])
    else:
        mask = np.ones((batch, tokens, tokens), dtype=bool)
    return np.ascontiguousarray(mask).astype(np.float32)


@dataclass(frozen=True)
class SequenceCase(SizedCase):
    """Tokens x (B, T, dim) and a mask, with the sizes of the module that they go through."""

    sizes: dict[str, int]
    batch: int
    tokens: int
    mask_kind: str
    seed: int
    x: Array = field(repr=False)
    mask: Array | None = field(repr=False)

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return self.shown_with({"x": self.x, "attn_mask": self.mask})


class MaskedCase(SequenceCase):
    """A case with a mask."""

    mask: Array


def sequence_case(
    sizes: dict[str, int], batch: int, tokens: int, kind: str, seed: int, x: Array, mask: Array | None
) -> SequenceCase:
    """A `MaskedCase` if there is a mask, else a `SequenceCase`."""
    made = SequenceCase if mask is None else MaskedCase
    return made(sizes, batch, tokens, kind, seed, x, mask)


def sequences(
    *,
    masks: tuple[str, ...] = MASKS,
    least_tokens: int = 1,
    most_tokens: int = 5,
    least_batch: int = 1,
    most_batch: int = 3,
    **sizes: tuple[int, int],
) -> st.SearchStrategy[SequenceCase]:
    """Cases with each named size in its (least, most) range."""

    @st.composite
    def draw_case(draw: st.DrawFn) -> SequenceCase:
        chosen = {name: draw(st.integers(*bounds)) for name, bounds in sizes.items()}
        batch = draw(st.integers(least_batch, most_batch))
        tokens = draw(st.integers(least_tokens, most_tokens))
        kind = draw(st.sampled_from(masks))
        seed = draw(seeds)
        rng = np.random.default_rng(seed)
        x = numbers(rng, batch, tokens, chosen["dim"])
        return sequence_case(chosen, batch, tokens, kind, seed, x, make_mask(kind, batch, tokens, rng))

    return draw_case()


def few_directions(rng: np.random.Generator, batch: int, tokens: int, dim: int) -> Array:
    """Tokens (B, T, dim) of ordinary length that lie in at most four directions, so that few of them tell a map."""
    count = min(dim, 4)
    directions = np.linalg.qr(rng.normal(size=(dim, count)))[0].T
    return np.asarray(rng.normal(size=(batch, tokens, count)) @ directions, np.float32)


def long_sequences(
    mask: str = "none", *, batch: int = 1, tokens: int = 65, **sizes: int
) -> st.SearchStrategy[SequenceCase]:
    """Cases of given sizes, by default with as many tokens as the homework's images have."""

    def case(seed: int) -> SequenceCase:
        rng = np.random.default_rng(seed)
        x = few_directions(rng, batch, tokens, sizes["dim"])
        return sequence_case(sizes, batch, tokens, mask, seed, x, make_mask(mask, batch, tokens, rng))

    return seeds.map(case)


def square_sequences(least: int, most: int, *names: str, **how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases with as many tokens as each named size has, so that a wrong axis has the right size."""

    def of(size: int) -> st.SearchStrategy[SequenceCase]:
        same = dict.fromkeys(names, (size, size))
        return sequences(**{"least_tokens": size, "most_tokens": size, **same, **how})

    return st.integers(least, most).flatmap(of)


def plain_inputs(dim: int) -> tuple[Array, Array]:
    """x (2, 3, dim) and a mask of ones, to find out whether a module works at all."""
    return np.ones((2, 3, dim), np.float32), np.ones((2, 3, 3), np.float32)


def heads(**how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases for AttentionHead(dim, n_hidden)."""
    return sequences(dim=(1, 6), n_hidden=(1, 6), **how)


def multi_heads(**how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases for MultiHeadedAttention(dim, n_hidden, num_heads); n_hidden need not divide by num_heads."""
    return sequences(dim=(1, 6), n_hidden=(1, 5), num_heads=(1, 4), **how)


def transformers(*, least_layers: int = 1, **how: Any) -> st.SearchStrategy[SequenceCase]:
    """Cases for Transformer(dim, attn_dim, mlp_dim, num_heads, num_layers)."""
    return sequences(
        dim=(2, 6), attn_dim=(1, 5), mlp_dim=(1, 7), num_heads=(1, 3), num_layers=(least_layers, 3), **how
    )
