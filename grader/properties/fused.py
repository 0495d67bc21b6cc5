"""Readings of attention modules that keep all heads in one matrix, for the layouts that students use.

A reading says where queries, keys and values stand in the weights. What fits no reading proves nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from grader.kernel.wire import Array
from grader.properties import common, oracles
from grader.properties.draws import SequenceCase

Projection = tuple[Array, Array | None]
"""A matrix (H * n, dim), head after head, and its bias."""


@dataclass(frozen=True)
class Reading:
    """Queries, keys and values (H * n, dim) of a module, and the names of the weights that hold them."""

    three: tuple[Projection, Projection, Projection]
    names: frozenset[str]

    def heads(self, which: int, case: SequenceCase) -> Array:
        """(B, T, dim) -> (B, H, T, n)."""
        flat = oracles.affine(case.x.astype(np.float64), *self.three[which])
        return np.moveaxis(flat.reshape(*flat.shape[:2], case.num_heads, case.n_hidden), 2, 1)

    def alphas(self, case: SequenceCase) -> Array:
        """softmax(Q K^T / sqrt(n_hidden)) of each head."""
        queries, keys = self.heads(0, case), self.heads(1, case)
        return oracles.attention(queries, keys, queries, None)[1]


def all_alphas(weights: Mapping[str, Array], case: SequenceCase) -> Iterator[Array]:
    """The attention weights of every reading of a module."""
    for reading in readings(weights, case):
        yield reading.alphas(case)


def outputs(weights: Mapping[str, Array], case: SequenceCase, alphas: Array) -> Iterator[Array]:
    """What the output may be for these attention weights, for the readings that agree with them."""
    pool = common.wide(dict(weights))
    for reading in readings(weights, case):
        own = reading.alphas(case)
        if not (common.matches(alphas, own) or common.other_temperature(alphas, own)):
            continue
        merged = np.moveaxis(alphas @ reading.heads(2, case), 1, 2)  # (B, T, H, n)
        for side_by_side in (merged, np.swapaxes(merged, 2, 3)):
            flat = side_by_side.reshape(case.batch, case.tokens, -1)
            rest = {name: weight for name, weight in pool.items() if name not in reading.names}
            for matrix, bias in output_maps(rest, case.dim, case.num_heads * case.n_hidden, case.num_heads):
                yield oracles.affine(flat, matrix, bias)


def readings(weights: Mapping[str, Array], case: SequenceCase) -> Iterator[Reading]:
    """Every reading: three maps to H * n numbers, one map to 3 * H * n, or a map or three for each head; in any order."""
    pool = common.wide(dict(weights))
    for three, names in itertools.chain(_separate(pool, case), _joined(pool, case), _by_head(pool, case)):
        for q, k, v in oracles.orders(3):
            yield Reading((three[q], three[k], three[v]), names)


Found = Iterator[tuple[tuple[Projection, ...], frozenset[str]]]


def _separate(pool: Mapping[str, Array], case: SequenceCase) -> Found:
    total = case.num_heads * case.n_hidden
    single: dict[str, list[Projection]] = {}
    for name, matrix, _, bias in oracles.maps(pool, total, case.dim, square_too=False):
        if _own_bias(name, bias, pool):
            single.setdefault(name, []).append((matrix, bias))
    turned = np.arange(total).reshape(case.n_hidden, case.num_heads).T.reshape(-1)
    for chosen in itertools.combinations(sorted(single), 3):
        for three in itertools.product(*(single[name] for name in chosen)):
            yield three, frozenset(chosen)
            yield tuple(_rows(projection, turned) for projection in three), frozenset(chosen)


def _joined(pool: Mapping[str, Array], case: SequenceCase) -> Found:
    """One map to 3 * H * n numbers, whose axes stand in any order."""
    axes = {"three": 3, "head": case.num_heads, "number": case.n_hidden}
    rows = np.arange(3 * case.num_heads * case.n_hidden)
    for name, matrix, _, bias in oracles.maps(pool, rows.size, case.dim):
        for order in itertools.permutations(axes):
            grid = rows.reshape([axes[axis] for axis in order])
            parts = np.transpose(grid, [order.index(axis) for axis in axes]).reshape(3, -1)
            yield tuple(_rows((matrix, bias), part) for part in parts), frozenset([name])


def _by_head(pool: Mapping[str, Array], case: SequenceCase) -> Found:
    """A list of maps with an entry for each head, or tensors (H, dim, n) and (H, n, dim)."""
    size, dim, count = case.n_hidden, case.dim, case.num_heads
    stacked: dict[str, list[Projection]] = {}
    for prefix, members in _lists(pool, count).items():
        biases = [pool.get(name.rpartition(".")[0] + ".bias") for name in members]
        known = [bias for bias in biases if bias is not None]
        for matrices in _turned([pool[name] for name in members], dim):
            joined = np.concatenate(matrices)
            bias = np.concatenate(known) if len(known) == count else None
            for each in (None, bias):
                if matrices[0].shape[0] == size:
                    stacked.setdefault(prefix, []).append((joined, each))
                elif matrices[0].shape[0] == 3 * size:
                    grid = np.arange(3 * count * size).reshape(count, 3, size)
                    for three in (np.moveaxis(grid, 1, 0), np.moveaxis(grid.reshape(count, size, 3), 2, 0)):
                        parts = three.reshape(3, -1)
                        yield tuple(_rows((joined, each), part) for part in parts), frozenset(members)
    for name, weight in pool.items():
        if weight.ndim == 3 and weight.shape[0] == count:
            for matrices in _turned(list(weight), dim):
                if matrices[0].shape[0] == size:
                    stacked.setdefault(name, []).append((np.concatenate(matrices), None))
    for chosen in itertools.combinations(sorted(stacked), 3):
        for triple in itertools.product(*(stacked[name] for name in chosen)):
            yield triple, frozenset(name for name in pool if any(name.startswith(part) for part in chosen))


def output_maps(pool: Mapping[str, Array], dim: int, width: int, count: int) -> Iterator[Projection]:
    """What may be W_O (dim, width) of ``count`` heads: one matrix, a tensor with a slice for each head, or a list of maps."""
    for _, matrix, _, bias in oracles.maps(pool, dim, width):
        yield matrix, bias
    size = width // count
    biases = [None, *(weight.reshape(-1) for weight in pool.values() if weight.size == dim)]
    for weight in pool.values():
        if weight.ndim == 3:
            for order in oracles.orders(3):
                turned = np.transpose(weight, order)
                if turned.shape == (count, size, dim):
                    for bias in biases:
                        yield turned.reshape(width, dim).T, bias
    for members in _lists(pool, count).values():
        matrices = [pool[name] for name in members]
        if all(matrix.shape == (dim, size) for matrix in matrices):
            own = [pool.get(name.rpartition(".")[0] + ".bias") for name in members]
            total = sum((bias for bias in own if bias is not None), np.zeros(dim))
            yield np.concatenate(matrices, axis=1), total


def _lists(pool: Mapping[str, Array], count: int) -> dict[str, list[str]]:
    """Matrices whose names differ in a number only, ``count`` of them, in its order."""
    groups: dict[str, list[tuple[list[int], str]]] = {}
    for name, weight in pool.items():
        parts = name.split(".")
        numbers = [int(part) for part in parts if part.isdigit()]
        if weight.ndim == 2 and numbers:
            stem = ".".join("#" if part.isdigit() else part for part in parts)
            groups.setdefault(stem, []).append((numbers, name))
    return {
        stem: [name for _, name in sorted(members)] for stem, members in groups.items() if len(members) == count
    }


def _turned(matrices: list[Array], dim: int) -> Iterator[list[Array]]:
    """Matrices with ``dim`` columns, as they stand or the other way round."""
    if all(matrix.shape[1] == dim for matrix in matrices):
        yield matrices
    if all(matrix.shape[0] == dim for matrix in matrices):
        yield [matrix.T for matrix in matrices]


def _rows(projection: Projection, rows: Array) -> Projection:
    matrix, bias = projection
    return matrix[rows], None if bias is None else bias[rows]


def _own_bias(name: str, bias: Array | None, pool: Mapping[str, Array]) -> bool:
    """Keep a map without bias, or with the bias that stands beside it."""
    stem = name.rpartition(".")[0]
    beside = pool.get(f"{stem}.bias") if stem else None
    return bias is None or beside is None or bool(np.array_equal(bias, beside.reshape(-1)))
