"""What right answers compute, in float64 with numpy. Shapes as in the homework: B batch, T tokens, D width, V vocabulary.

No public property may use them: students could read the answers off.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from grader.homework3 import checks
from grader.judging import budget
from grader.kernel.wire import Array


def attention(queries: Array, keys: Array, values: Array, mask: Array | None) -> tuple[Array, Array]:
    """softmax(Q K^T / sqrt(d)) V over the permitted tokens: output (B, T, d) and weights (B, T, T)."""
    scores = queries @ np.swapaxes(keys, -1, -2) / np.sqrt(queries.shape[-1])
    if mask is not None:
        scores = np.where(mask > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return weights @ values, weights


def affine(x: Array, weight: Array, bias: Array | None) -> Array:
    """x W^T + b with W (out, in), as nn.Linear keeps it."""
    product: Array = x @ weight.T
    return product if bias is None else product + bias


def next_token_loss(logits: Array, input_ids: Array, mask: Array) -> float:
    """Mean cross entropy of token i+1 under logits i, over the batch's real tokens but the first of each row."""
    chosen = np.take_along_axis(checks.log_softmax(logits[:, :-1]), input_ids[:, 1:, None], axis=-1)[..., 0]
    real = mask[:, 1:]
    return float(-(chosen * real).sum() / real.sum())


def maps(
    weights: Mapping[str, Array], rows: int, columns: int, *, square_too: bool = True
) -> Iterator[tuple[str, Array, str | None, Array | None]]:
    """Linear maps (columns -> rows) among a module's weights: name and (rows, columns) matrix, with each possible bias.

    A matrix kept the other way round is turned; where it is square both readings are given.
    """
    biases = [(name, w.reshape(-1)) for name, w in weights.items() if w.size == rows and w.ndim <= 3]
    for name, weight in weights.items():
        shape = list(weight.shape)
        while len(shape) > 2 and 1 in (shape[0], shape[-1]):  # a kernel of width 1, or an axis in front
            shape = shape[:-1] if shape[-1] == 1 else shape[1:]
        if len(shape) != 2:
            continue
        flat = weight.reshape(shape)
        readings = []
        if shape == [rows, columns]:
            readings.append(flat)
        if shape == [columns, rows] and (rows != columns or square_too):
            readings.append(flat.T)
        for reading in readings:
            budget.check()
            yield name, reading, None, None
            for other, bias in biases:
                if other != name:
                    yield name, reading, other, bias


def orders(count: int) -> Iterator[tuple[int, ...]]:
    """All orders of ``count`` things."""
    return itertools.permutations(range(count))
