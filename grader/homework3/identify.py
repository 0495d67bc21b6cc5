"""Attention judged by function: maps fitted to a few results predict other results, whatever the layout of the weights.

Where no mask hides anything, log(alpha[i, j] / alpha[i, k]) is [x_i, 1] M (x_j - x_k), and for given attention weights the
output is linear in the tokens. Least squares in float64 finds both maps. What is not attention misfits; what fits is then asked
for the rank of its maps, for how they grow with the parameters, and for whether heads share anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grader.kernel.wire import Array

LEAST_WEIGHT = 1e-30
"""Attention weights below this have no logarithm that float32 could be trusted with."""
FIT_TOKENS = 12
"""How many tokens of a long sequence a score map is fitted to."""
RANK_TOLERANCE = 1e-3
SAME_SPACE = 2e-2


def basis_of(x: Array) -> Array:
    """Orthonormal rows (r, d) that span the tokens ``x`` (..., d)."""
    tokens = x.reshape(-1, x.shape[-1]).astype(np.float64)
    _, sizes, rows = np.linalg.svd(tokens, full_matrices=False)
    basis: Array = rows[sizes > 1e-4 * sizes.max(initial=1e-30)]
    return basis


def softmax(scores: Array, mask: Array | None) -> Array:
    """Along the last axis, over what the mask permits."""
    if mask is not None:
        scores = np.where(mask > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    shares: Array = weights / weights.sum(-1, keepdims=True)
    return shares


def with_one(x: Array) -> Array:
    """Tokens with a 1 appended, so that a map of them has a bias."""
    return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)


@dataclass(frozen=True)
class ScoreMap:
    """The matrix M (r + 1, r) of a head's scores, in coordinates of ``basis`` (r, d)."""

    basis: Array
    matrix: Array

    @property
    def tokens_only(self) -> Array:
        """M without the row of the query's bias: what the query's token itself counts for."""
        return self.matrix[:-1]

    def alphas(self, x: Array, mask: Array | None = None) -> Array:
        """The attention weights (B, T, T) of other tokens."""
        z = x.astype(np.float64) @ self.basis.T
        return softmax(with_one(z) @ self.matrix @ np.swapaxes(z, -1, -2), mask)


def fit_scores(x: Array, alphas: Array, basis: Array | None = None) -> ScoreMap:
    """The score map that fits unmasked attention weights (B, T, T) of tokens (B, T, d) best."""
    basis = basis_of(x) if basis is None else basis
    z = x[:, :FIT_TOKENS].astype(np.float64) @ basis.T
    logs = np.log(np.maximum(alphas[:, :FIT_TOKENS, :FIT_TOKENS], LEAST_WEIGHT))
    logs = logs - logs.mean(-1, keepdims=True)
    keys = z - z.mean(1, keepdims=True)
    rows = np.einsum("bip,bjq->bijpq", with_one(z), keys).reshape(logs.size, -1)
    found = np.linalg.lstsq(rows, logs.reshape(-1), rcond=1e-9)[0]
    return ScoreMap(basis, found.reshape(basis.shape[0] + 1, basis.shape[0]))


@dataclass(frozen=True)
class ValueMap:
    """The matrices (H, r + 1, m) that take tokens to what each head adds to the output, in coordinates of ``basis`` (r, d)."""

    basis: Array
    matrices: Array
    constant: Array | float = 0.0

    def tokens_only(self, head: int) -> Array:
        """A head's matrix without its bias."""
        return self.matrices[head, :-1]

    def outputs(self, x: Array, alphas: Array) -> Array:
        """The output (B, T, m) for tokens (B, T, d) and attention weights (B, H, T, T)."""
        made: Array = mixed(x, alphas, self.basis) @ self.matrices.reshape(-1, self.matrices.shape[-1])
        return made + self.constant


def mixed(x: Array, alphas: Array, basis: Array) -> Array:
    """The tokens as each head mixes them, side by side: (B, T, H * (r + 1))."""
    z = with_one(x.astype(np.float64) @ basis.T)[:, None]
    both: Array = np.moveaxis(alphas @ z, 1, 2)
    return both.reshape(*both.shape[:2], -1)


def fit_values(
    x: Array, alphas: Array, outputs: Array, basis: Array | None = None, *, constant: bool = False
) -> ValueMap:
    """The value maps that fit outputs (B, T, m) of tokens (B, T, d) and attention weights (B, H, T, T) best.

    With ``constant`` a bias of the output is fitted, too, which differs from the values' where weights do not sum to 1.
    """
    basis = basis_of(x) if basis is None else basis
    rows = mixed(x, alphas, basis)
    if constant:
        rows = np.concatenate([rows, np.ones_like(rows[..., :1])], axis=-1)
    found = np.linalg.lstsq(
        rows.reshape(-1, rows.shape[-1]), outputs.reshape(-1, outputs.shape[-1]), rcond=1e-5
    )[0]
    maps, rest = (found[:-1], found[-1]) if constant else (found, 0.0)
    return ValueMap(basis, maps.reshape(alphas.shape[1], -1, outputs.shape[-1]), rest)


def rank(matrix: Array) -> int:
    """How many singular values are not 0, up to the rounding of float32 weights."""
    sizes = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(sizes > RANK_TOLERANCE * sizes.max(initial=1e-30))) if sizes.max(initial=0.0) > 1e-6 else 0


def has_rank(matrix: Array, count: int) -> bool:
    """Whether a matrix is of this rank, where neither a small singular value nor the rounding of float32 speaks against it."""
    sizes = np.linalg.svd(matrix, compute_uv=False)
    largest = sizes.max(initial=0.0)
    least, more = sizes[count - 1 : count], sizes[count : count + 1]
    return bool(largest > 1e-6 and np.all(least > 2e-4 * largest) and len(least) and np.all(more < 1e-2 * largest))


def same_space(one: Array, other: Array, count: int) -> bool:
    """Whether the ``count`` leading directions of two matrices' columns span the same space."""
    spaces = [np.linalg.svd(matrix)[0][:, :count] for matrix in (one, other)]
    first, second = (space @ space.T for space in spaces)
    return bool(np.abs(first - second).max() < SAME_SPACE)


def is_symmetric(matrix: Array) -> bool:
    """Whether a square matrix equals its transpose, as that of scores does where queries are keys."""
    return bool(np.abs(matrix - matrix.T).max() < SAME_SPACE * np.abs(matrix).max(initial=1e-30))


def ratio(one: Array, other: Array) -> float:
    """The number by which ``other`` has to be multiplied to come nearest to ``one``."""
    return float((one * other).sum() / max(float((other * other).sum()), 1e-30))
