"""Weights that are known by name, in the homework's own three layers, and the scores they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from grader.homework3 import identify, oracles
from grader.homework3.strategies import SequenceCase
from grader.kernel.wire import Array

ROLES = ("W_Q.weight", "W_K.weight", "W_V.weight")
Map = tuple[Array, Array | None]


def affine(x: Array, linear: Map) -> Array:
    """Apply a weight with its bias, if any."""
    return oracles.affine(x, *linear)


def layer_maps(weights: Mapping[str, Array], name: str) -> list[Map]:
    """A named layer of the homework, with its bias and without (its formula has none)."""
    weight, bias = weights[f"{name}.weight"].astype(np.float64), weights.get(f"{name}.bias")
    return [(weight, None), *([(weight, bias.astype(np.float64))] if bias is not None else [])]


def has_named_layers(weights: Mapping[str, Array], case: SequenceCase) -> bool:
    """Whether the homework's own three layers are there."""
    return all(name in weights and weights[name].shape == (case.n_hidden, case.dim) for name in ROLES)


def score_maps(weights: Mapping[str, Array]) -> Iterator[tuple[Map, Map]]:
    """What may be (W_Q, W_K), where they are known by name: each with its bias and without."""
    yield from ((q, k) for q in layer_maps(weights, "W_Q") for k in layer_maps(weights, "W_K"))


def scores(x: Array, query: Map, key: Map) -> Array:
    """q_i · k_j / sqrt(n_hidden) in float64."""
    queries, keys = affine(x.astype(np.float64), query), affine(x.astype(np.float64), key)
    found: Array = queries @ np.swapaxes(keys, -1, -2) / np.sqrt(queries.shape[-1])
    return found


def unmasked_alphas(x: Array, query: Map, key: Map) -> Array:
    """The attention weights of scores, where nothing is masked."""
    return identify.softmax(scores(x, query, key), None)


def with_scores_of(largest: float, x: Array, found: Array) -> Array:
    """Tokens scaled so that the largest of their scores, which are ``found`` but for biases, comes near ``largest``."""
    size = float(np.sqrt(largest / max(float(np.abs(found).max()), 0.01)))
    return np.asarray(size * x, np.float32)


def with_spread_scores(x: Array) -> Array:
    """Tokens whose rows of scores are far apart: pairs that are each other's negative, and a last one that is short.

    So the largest score of most rows is far above their least, and that of the last row is far below those of the others.
    """
    half = (x.shape[1] - 1) // 2
    rest = x[:, 2 * half :].copy()
    rest[:, -1] *= np.float32(0.01)
    return np.concatenate([x[:, :half], -x[:, :half], rest], axis=1)


def one_token_mask(chosen: Array, tokens: int) -> Array:
    """The mask that permits each row just its chosen token."""
    mask: Array = (np.arange(tokens) == chosen[..., None]).astype(np.float32)
    return mask


def largest_score(weights: Mapping[str, Array], case: SequenceCase, x: Array) -> float | None:
    """The largest score of ``x``, where the layout is known."""
    if not has_named_layers(weights, case):
        return None
    return float(max(np.abs(scores(x, q, k)).max() for q, k in score_maps(weights)))
