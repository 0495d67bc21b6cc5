"""A module that is judged whole: cases, probes, and the maps that are fitted to what it returns."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.homework3 import checks, identify
from grader.homework3.checks import Results
from grader.homework3.excuses import finite_or_zero, is_uniform
from grader.homework3.multi_headed_attention.calls import Way, cases, output_of, readable
from grader.homework3.multi_headed_attention.names import SHAPES, WHOLE_ALPHAS, WHOLE_VALUES
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


def whole_cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases of heads that are smaller than tokens, so that what heads share can be told from their maps."""
    chosen = {
        "dim": (4, 5),
        "n_hidden": (2, 3),
        "num_heads": (2, 4),
        "least_tokens": 3,
        "most_batch": 1,
        **how,
    }
    return cases(**chosen)


def probes_for(case: SequenceCase, rng: np.random.Generator, count: int) -> list[Array]:
    """Sequences (1, T, dim) that tell the maps of all heads, in the directions of the case's tokens."""
    basis = identify.basis_of(case.x)
    if basis.shape[0] < min(case.dim, 4):
        basis = np.eye(case.dim)
    size = (1, identify.FIT_TOKENS, basis.shape[0])
    return [np.asarray(1.2 * rng.normal(size=size) @ basis, np.float32) for _ in range(count)]


def score_maps(probe: Array, alphas: Array) -> list[identify.ScoreMap]:
    """The score map of each head from unmasked attention weights (1, H, T, T)."""
    basis = identify.basis_of(probe)
    return [identify.fit_scores(probe, alphas[:, head], basis) for head in range(alphas.shape[1])]


def predicted(maps: list[identify.ScoreMap], x: Array) -> Array:
    """Attention weights (1, H, T, T) by the score maps of all heads."""
    return np.stack([found.alphas(x) for found in maps], axis=1)


def alphas_or_stand_back(alphas: Array | None) -> Array:
    """The attention weights that an output may be made with, which need not be distributions."""
    if alphas is None:
        expect.stand_back(SHAPES, "no attention weights of shape (B, H, T, T) are returned")
    return finite_or_zero(alphas)


def fitted_values(probes: list[Array], alphas: list[Array], outs: list[Array]) -> identify.ValueMap | None:
    """The map of values and W_O of each head that fits all outputs; None if none does."""
    x, used, out = (np.concatenate(part) for part in (probes, alphas, outs))
    found = identify.fit_values(x, used, out)
    return found if checks.matches(found.outputs(x, used), out, scale=20.0) else None


def informative_alphas(alphas: Array | None) -> Array:
    """Attention weights of an unmasked call that show what a mask does to them; else stand back."""
    if alphas is None:
        expect.stand_back(SHAPES, "no attention weights of shape (B, H, T, T) are returned")
    if not checks.is_distribution(alphas) or is_uniform(alphas):
        expect.stand_back(WHOLE_ALPHAS, "the attention weights are even, or no distributions over the tokens")
    return alphas


def identified(
    way: Way, student: Student, module: Remote, case: SequenceCase, fresh: list[Array]
) -> Generator[Any, Any, tuple[identify.ValueMap, Callable[[Array], Array], list[Results]]]:
    """What each head adds to the output, fitted to probes; how returned weights are used; the results for ``fresh`` inputs.

    Weights that are returned wrong but used right, such as scores, are not the projection's matter.
    """
    probes = probes_for(case, case.rng(), 4 + case.num_heads)
    inputs = [*probes, *fresh]
    replies = yield [way.call(student, module, x) for x in inputs]
    results = [readable(reply, case, x) for reply, x in zip(replies, inputs, strict=True)]
    outs, alphas = (
        [output_of(found) for found in results],
        [alphas_or_stand_back(found.alphas) for found in results],
    )
    first = alphas[0]
    if is_uniform(first) or np.ptp(first, axis=-2).max() < 1e-6:
        expect.stand_back(WHOLE_ALPHAS, "the attention weights do not depend on the query")
    if any(
        np.abs(first[:, head] - first[:, other]).max() < 1e-6
        for head in range(case.num_heads)
        for other in range(head)
    ):
        expect.stand_back(WHOLE_VALUES, "heads have the same attention weights")
    ways: list[Callable[[Array], Array]] = [finite_or_zero]
    if not checks.is_distribution(first):
        ways.append(lambda found: identify.softmax(np.nan_to_num(found, neginf=-1e30), None))
    x, out = np.concatenate(probes), np.concatenate(outs[: len(probes)])
    for use in ways:
        used = np.concatenate([use(found) for found in alphas[: len(probes)]])
        found = identify.fit_values(x, used, out, constant=True)
        if checks.matches(found.outputs(x, used), out, scale=20.0):
            break
    else:
        maps = score_maps(probes[0], np.maximum(first, 1e-30))
        if not checks.is_distribution(first) or not checks.matches(
            predicted(maps, probes[0]), first, scale=5.0
        ):
            expect.stand_back(
                WHOLE_ALPHAS, "the attention weights that are returned are not those of attention"
            )
        why = "the output is not one linear map of the concatenated head outputs (alphas times values)"
        expect.close(out, found.outputs(x, used), "output", why, scale=20.0)
    return found, use, results[len(probes) :]


def present(alphas: Array | None) -> Array:
    """Attention weights that are known to be there."""
    assert alphas is not None
    return alphas
