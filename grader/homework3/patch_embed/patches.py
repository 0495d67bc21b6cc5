"""Each patch gives its own embedding, by one affine map of all its pixels."""

from __future__ import annotations

import functools
from collections.abc import Generator
from typing import Any

import numpy as np

from grader.homework3 import checks, parameters, strategies
from grader.homework3.patch_embed.calls import (
    FELT,
    LEAST_SHARE,
    PATCHES,
    SUMMED,
    Affine,
    affine_of,
    effects_of,
    identify,
    probes_of,
    readable,
)
from grader.homework3.patch_embed.cases import PART, everywhere, homework, images_of, pixel_name, place_of
from grader.homework3.patch_embed.shapes import is_same_everywhere
from grader.homework3.strategies import ImageCase
from grader.judging import expect, pictures
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array
from grader.scoring.pictures import Grid, Tiles

STEP = 0.2
"""The size of a step along the gradient, beside that of the weights."""


@property_of(PART, homework, examples=2)
def test_a_patch_changes_its_own_embedding_only(student: Student, case: ImageCase) -> Program:
    """Each embedding depends only on the patch at its raster index (rows first), and all patches use the same map."""
    module, found, predicts = yield from identify(student, case)
    yield from _has_weights(student, module, case)
    if predicts and is_same_everywhere(found):
        expect.compared()
    else:  # a map that is not linear may still be one for each patch
        yield from _one_patch_changed(module, case)
        yield from _equal_patches(module, case)


def _has_weights(student: Student, module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Without any parameter, two modules differ where weights were drawn but not registered."""
    found = yield from parameters.own_parameters(module)
    if not found:
        other = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
        one, two = yield module(case.x), other(case.x)
        same = isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and np.array_equal(one, two)
        expect.require(not same, "the module has no weights: two of them give the same embeddings")


def _one_patch_changed(module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that one patch changes one embedding: one in the second row, where other orders differ, and the last."""
    rng = case.rng()
    last = case.side**2 - 1
    chosen = [case.side + 1, last, int(rng.integers(last))] if case.side > 1 else [0]
    images = [case.x]
    for index in chosen:
        rows, columns = place_of(index, case)
        change = 5 * strategies.numbers(rng, *case.x[:, :, rows, columns].shape)
        for sign in (1, -1):
            images.append(case.x.copy())
            images[-1][:, :, rows, columns] += sign * change
    before, *after = (readable(reply, case) for reply in (yield [module(image) for image in images]))
    for place, index in enumerate(chosen):
        gap = np.max([np.abs(value - before) for value in after[2 * place : 2 * place + 2]], axis=(0, 1, 3))
        row, column = divmod(index, case.side)
        which = f"patch {index} (row {row}, column {column} of the patches)"
        far = np.where(np.arange(case.side**2) == index, 0.0, gap)
        least = FELT * max(1.0, float(gap.max()))
        draw = functools.partial(_grids, case, index, gap > least)
        if far.max() > least:
            raise expect.Violation(
                f"only the pixels of {which} were changed, and embedding {int(np.argmax(far))} changes as well",
                {"embeddings that change": _listed([int(i) for i in np.flatnonzero(gap > least)])},
                draw=draw,
                code=_code(case, index),
            )
        expect.compared()
        if gap[index] <= least:
            why = f"the pixels of {which} were changed, and embedding {index} does not change"
            raise expect.Violation(why, draw=draw, code=_code(case, index))


def _grids(case: ImageCase, index: int, changes: Array) -> Grid | None:
    """The patch whose pixels were changed, and which embeddings change."""
    size, place = (case.side, case.side), divmod(index, case.side)
    wrong = [divmod(int(each), case.side) for each in np.flatnonzero(changes)]
    return pictures.grid(
        [
            Tiles(title="patches of the image", size=size, outlined=(place,), numbered=True),
            Tiles(title="embeddings", size=size, marked=tuple(wrong), outlined=(place,), numbered=True),
        ],
        marked="changes",
        outlined="the patch whose pixels were changed, and the only embedding that may change",
    )


def _code(case: ImageCase, index: int) -> list[str]:
    rows, columns = place_of(index, case)
    return [
        f"patch_embed = {PART.name}({case.img_size}, {case.patch_size}, {case.nin}, {case.nout}).eval()",
        f"x = torch.randn(1, {case.nin}, {case.img_size}, {case.img_size})",
        "changed = x.clone()",
        f"changed[:, :, {rows.start}:{rows.stop}, {columns.start}:{columns.stop}] += 1  # the pixels of patch {index}",
        "difference = (patch_embed(changed) - patch_embed(x)).abs()",
        "print(difference.amax(dim=-1))  # by embedding",
    ]


def _equal_patches(module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that an image of equal patches gives equal embeddings."""
    size = case.patch_size
    x = np.tile(case.x[:, :, :size, :size], (1, 1, case.side, case.side))
    got = readable((yield module(x)), case)
    if not checks.matches(got, np.broadcast_to(got[:, :1], got.shape), scale=SUMMED):
        why = "all patches of the image are equal, and their embeddings are not"
        other = np.abs(got - got[:, :1]).max(axis=(0, 2)) > FELT
        raise expect.Violation(why, {"your output": expect.show(got)}, draw=lambda: _unlike(case, other), values=[got])


def _unlike(case: ImageCase, other: Array) -> Grid | None:
    """Which embeddings differ from that of the first patch."""
    wrong = tuple(divmod(int(each), case.side) for each in np.flatnonzero(other))
    tiles = Tiles(title="embeddings of equal patches", size=(case.side, case.side), marked=wrong, numbered=True)
    return pictures.grid([tiles], marked="differs from embedding 0")


def _listed(numbers: list[int]) -> str:
    first = ", ".join(str(number) for number in numbers[:8])
    return first if len(numbers) <= 8 else f"{first}, ... ({len(numbers)} in all)"


@property_of(PART, homework, examples=1)
def test_one_affine_map_of_all_pixels(student: Student, case: ImageCase) -> Program:
    """An embedding is a linear map of all pixels of its patch, with separate weights, plus a bias."""
    module, found, predicts = yield from identify(student, case)
    matrix, bias = found.matrix, found.bias
    numbers = matrix.T
    if not predicts:
        yield from _linear(module, case)
        replies = yield [module(image) for image in (*everywhere(case), case.x)]
        matrix, bias = effects_of(replies[:-1], case)
        numbers = (readable(replies[-1], case)[0] - bias).T
    _holds_map(matrix.reshape(matrix.shape[0], -1, case.nout), numbers, case)
    _holds_bias(bias)
    if not predicts:
        expect.stand_back(PATCHES, "an embedding is not what the pixels of its patch give alone")


def _linear(module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that the embeddings are linear in the pixels, but for a constant."""
    x, shift = case.x, images_of(case, 1)
    replies = yield [module(value) for value in (x, shift, x + shift, np.zeros_like(x))]
    at_x, at_shift, at_both, at_zero = (readable(reply, case) for reply in replies)
    why = "the embeddings f(x) are not linear in the pixels, even but for a constant: f(x + y) - f(y) is not f(x) - f(0)"
    expect.close(at_both - at_shift, at_x - at_zero, "f(x + y) - f(y)", why, scale=SUMMED)


def _holds_map(effects: Array, numbers: Array, case: ImageCase) -> None:
    """Each pixel counts for each number of an embedding (pixels, N, nout), no two alike, and none only through others.

    ``numbers`` (nout, ...) are values by which the numbers of an embedding are told apart.
    """
    size = np.abs(effects).max(axis=1)
    expect.require(float(size.max()) > FELT, "the embeddings do not depend on the pixels")
    shares = size / np.maximum(size.max(axis=0), 1e-30)
    if shares.min() <= LEAST_SHARE:
        pixel, number = (int(i) for i in np.unravel_index(int(np.argmin(shares)), size.shape))
        raise expect.Violation(
            f"number {number} of the embeddings does not follow the pixel in {pixel_name(pixel, case)} of a patch: a change"
            f" of that pixel by 1 changes it by {size[pixel, number]:.2g}, others by up to {size[:, number].max():.2g}"
        )
    flat = effects.reshape(len(effects), -1)
    _different(flat, "two pixels of a patch count in the same way for all numbers of its embedding", case)
    _different(numbers, "two numbers of an embedding are the same up to a constant")
    products = flat @ flat.T
    squares = np.linalg.eigvalsh(products)  # of the singular values, which are many times slower to get
    rank = int((squares > (1e-4) ** 2 * squares.max()).sum())
    whole = min(len(flat), case.nout)
    why = f"the {len(flat)} pixels of a patch count through {rank} numbers only, by which the whole embedding is made"
    expect.holds(rank >= whole, why)


def _different(flat: Array, why: str, case: ImageCase | None = None) -> None:
    """No two rows are alike; with ``case`` they are pixels."""
    products = flat @ flat.T
    squares = np.diag(products)[:, None] + np.diag(products) - 2 * products
    # Few are near in the mean of squares, which is quickly found for all pairs at once.
    near = squares <= flat.shape[1] * FELT**2 + 1e-9 * products.max()
    for first, other in zip(*np.nonzero(np.triu(near, 1)), strict=True):
        names = [f"number {n}" if case is None else pixel_name(int(n), case) for n in (first, other)]
        expect.require(
            bool(np.abs(flat[first] - flat[other]).max() > FELT), f"{why}: {names[0]} and {names[1]}"
        )


def _holds_bias(bias: Array) -> None:
    """An image of zeros gives each number of an embedding a value of its own."""
    values = bias.mean(axis=0)
    shown = {"the embeddings of an image of zeros": expect.show(bias)}
    why = "there is no bias: an image of zeros has embeddings of zeros, whatever the module's parameters are"
    expect.holds(bool(np.abs(values).max() > FELT), why, shown)
    expect.holds(
        len(values) < 2 or bool(np.ptp(values) > FELT),
        "all numbers of an embedding have the same bias",
        shown,
    )


@property_of(PART, homework, examples=1)
def test_the_map_learns(student: Student, case: ImageCase) -> Program:
    """A gradient step changes every weight and every bias of the map, and the gradient reaches x."""
    module, before, predicts = yield from identify(student, case)
    found = yield from parameters.own_parameters(module)
    weights = parameters.generic_weights(found, case.rng())
    expect.require(bool(weights), "the module has no parameters that could learn")
    probes = probes_of(case) if predicts else everywhere(case)
    if not predicts:
        before = Affine(*effects_of((yield [module(image) for image in probes]), case)[::-1])
    module.mode(True)
    x = student.tensor(images_of(case, 2), requires_grad=True)
    out = module(x.method("clone"))
    taken = student.parameter_gradients(out, None, module), student.gradients(out, None, [x])
    by_name, (by_x,) = yield taken
    module.mode(False)
    again = module(images_of(case, 2))
    late = yield student.parameter_gradients(again, None, module)
    found = {
        name: value for name, value in by_name.items() if isinstance(value, np.ndarray) and name in weights
    }
    for name, gradient in found.items():
        expect.require(bool(np.all(np.isfinite(gradient))), f"the gradient of {name} is not finite")
    reached = any(bool(np.any(gradient)) for gradient in found.values())
    expect.require(reached, "no parameter gets a gradient, so the map cannot be learned")
    in_evaluation = any(isinstance(value, np.ndarray) and bool(np.any(value)) for value in late.values())
    expect.require(in_evaluation, "in evaluation mode no parameter gets a gradient")
    expect.require(isinstance(by_x, np.ndarray) and bool(np.any(by_x)), "no gradient reaches the input x")
    size = np.sqrt(sum(float((weights[name] ** 2).sum()) for name in found))
    length = np.sqrt(sum(float((gradient**2).sum()) for gradient in found.values()))
    module.load(
        {
            n: (weights[n] + STEP * size / length * gradient).astype(np.float32)
            for n, gradient in found.items()
        }
    )
    replies = yield [module(image) for image in probes]
    after = affine_of(replies, case) if predicts else Affine(*effects_of(replies, case)[::-1])
    moved = np.abs(after.matrix - before.matrix).reshape(len(before.matrix), -1, case.nout).max(axis=1)
    still = moved <= 1e-6 * max(1.0, float(moved.max()))
    for share, name in (
        (still.mean(axis=0), "of an embedding's numbers"),
        (still.mean(axis=1), "of a patch's pixels"),
    ):
        stuck = int((share > 0.5).sum())
        expect.holds(
            stuck == 0, f"a step along the gradient leaves the weights of {stuck} {name} as they are"
        )
    moves = np.abs(after.bias - before.bias).mean(axis=0)
    stuck = int((moves <= 1e-6).sum())
    expect.holds(
        stuck < 0.1 * case.nout, f"a step along the gradient leaves the bias of {stuck} numbers as it is"
    )
