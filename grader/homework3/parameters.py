"""Weights that properties give to a module."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from grader.judging import expect
from grader.kernel.remote import Remote
from grader.kernel.wire import Array, Other

SMALL = 0.02
"""A change so small that only what has a gradient follows it."""


def own_parameters(
    module: Remote, call: Callable[[], Remote] | None = None
) -> Generator[Any, Any, dict[str, Array]]:
    """A module's own parameters by name; ``call`` runs it first if it has lazy ones, which get their sizes in a call."""
    found = yield module.parameters()
    if (
        call is not None
        and isinstance(found, dict)
        and not all(isinstance(v, np.ndarray) for v in found.values())
    ):
        call()
        found = yield module.parameters()
    if not isinstance(found, dict):
        return {}
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    others = {value.type for value in found.values() if isinstance(value, Other)}
    expect.require(
        bool(arrays) or not others,
        f"the module's parameters cannot be compared ({', '.join(sorted(others))}); keep them in float32",
    )
    return arrays


def randomize_weights(
    module: Remote, rng: np.random.Generator, call: Callable[[], Remote] | None = None
) -> Generator[Any, Any, dict[str, Array]]:
    """Give a module's own parameters new weights of ordinary size; a module that does not follow them fails its properties."""
    found = yield from own_parameters(module, call)
    weights = random_weights(found, rng)
    if weights:
        module.load(weights)
    return weights


def random_weights(
    parameters: Mapping[str, Any], rng: np.random.Generator, size: float = 0.5
) -> dict[str, Array]:
    """New float32 weights of ordinary size, none of them 0, for a module's parameters, by name."""
    drawn = {
        name: np.round(rng.normal(size=value.shape) * size, 2)
        for name, value in parameters.items()
        if isinstance(value, np.ndarray)
    }
    return {name: np.where(value == 0, 0.05, value).astype(np.float32) for name, value in drawn.items()}


def generic_weights(weights: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Other weights for the same names, of ordinary size and not rounded, so that none are alike by chance."""
    return {name: np.asarray(rng.normal(size=value.shape), np.float32) for name, value in weights.items()}


def nudged(value: Array, rng: np.random.Generator, where: Array | bool = True, size: float = SMALL) -> Array:
    """``value`` with a small random step added to the entries where ``where`` holds."""
    step = size * (0.5 + rng.random(size=value.shape)) * np.where(rng.random(size=value.shape) < 0.5, -1, 1)
    return np.asarray(value + np.where(where, step, 0.0), np.float32)


def to_float64(weights: dict[str, Array]) -> dict[str, Array]:
    """Weights in float64."""
    return {name: weight.astype(np.float64) for name, weight in weights.items()}
