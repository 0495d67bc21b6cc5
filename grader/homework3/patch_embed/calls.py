"""How a module is built, called and read, and the affine map that its replies fit."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.homework3 import checks, parameters
from grader.homework3.patch_embed.cases import images_of
from grader.homework3.patch_embed.cutting import one_pixel_each, patches_of
from grader.homework3.strategies import ImageCase
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

PATCHES = "patch_embed.test_a_patch_changes_its_own_embedding_only"
LINEAR = ("patch_embed.test_one_affine_map_of_all_pixels", "patch_embed.test_the_map_learns")
FELT = 1e-4
"""What a number has to change by, beside the largest change, to count as changed."""
LEAST_SHARE = 1e-6
"""The least effect of a pixel beside the largest, so that it counts at all."""
SUMMED = 50.0
"""About the size of the terms that are summed to one number."""


def build(student: Student, case: ImageCase) -> Generator[Any, Any, tuple[Remote, dict[str, Array]]]:
    """An embedding in evaluation mode with new weights of ordinary size, no two of them equal, and these weights."""
    module: Remote = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
    found = yield from parameters.own_parameters(module, lambda: module(case.x[:1]))
    weights = parameters.generic_weights(found, case.rng())
    if weights:
        module.load(weights)
    module.mode(False)
    return module, weights


def readable(reply: Any, case: ImageCase, batch: int = 1) -> Array:
    """The result as (B, N, nout), also where its axes are in another order or an extra token comes first."""
    count, size, side, nout = batch, case.side**2, case.side, case.nout
    if isinstance(reply, np.ndarray) and reply.shape != (count, size, nout):
        if reply.shape[:1] == (1,) and reply.ndim == 4 and reply.shape[1:] == (count, size, nout):
            reply = reply[0]
        elif reply.shape == (count, nout, size):
            reply = reply.swapaxes(1, 2)
        elif reply.shape == (size, count, nout):
            reply = reply.swapaxes(0, 1)
        elif reply.shape == (count, nout, side, side):
            reply = reply.reshape(count, nout, size).swapaxes(1, 2)
        elif reply.shape == (count, side, side, nout):
            reply = reply.reshape(count, size, nout)
        elif reply.shape == (count, size + 1, nout):
            reply = reply[:, 1:]
        elif reply.shape == (size, nout) and count == 1:
            reply = reply[None]
    return expect.tensor(reply, (count, size, nout), "output")


def holds_shape(reply: Any, case: ImageCase, batch: int) -> None:
    """The result has the shape (B, N, nout), to the letter."""
    wanted = (batch, case.side**2, case.nout)
    if isinstance(reply, np.ndarray) and reply.shape != wanted:
        raise expect.Violation(f"the output has shape {reply.shape}, expected (B, N, nout) = {wanted}")
    expect.shape(reply, wanted, "output")


@dataclass(frozen=True)
class Affine:
    """What images of zeros and of single pixels give: a bias for each patch (N, nout), and a map (nin * p * p, nout).

    Where patches are not alike the map is one for each of them, (nin * p * p, N, nout).
    """

    bias: Array
    matrix: Array

    def embeddings(self, x: Array, case: ImageCase) -> Array:
        """The embeddings (B, N, nout) of other images."""
        found: Array = patches_of(x, case) @ self.matrix + self.bias
        return found


def probes_of(case: ImageCase) -> list[Array]:
    """The images that tell the map: zeros, and one pixel in each patch."""
    return [np.zeros((1, case.nin, case.img_size, case.img_size), np.float32), *one_pixel_each(case)]


def affine_of(replies: list[Any], case: ImageCase) -> Affine:
    """The map that the replies to `probes_of` tell."""
    nothing, *values = (readable(reply, case)[0] for reply in replies)
    pixels, places = case.nin * case.patch_size**2, case.side**2
    matrix = np.zeros((pixels, case.nout))
    for number, value in enumerate(values):
        matrix[(number * places + np.arange(places)) % pixels] = value - nothing
    return Affine(nothing, matrix)


def identify(student: Student, case: ImageCase) -> Generator[Any, Any, tuple[Remote, Affine, bool]]:
    """A module, the map that single pixels tell, and whether it predicts what other images give."""
    module, _ = yield from build(student, case)
    fresh = [images_of(case, 1, number) * np.float32(1 + 2 * number) for number in range(2)]
    replies = yield [module(image) for image in (*probes_of(case), *fresh)]
    found = affine_of(replies[: -len(fresh)], case)
    predicts = all(
        checks.matches(readable(reply, case), found.embeddings(image, case), scale=SUMMED)
        for reply, image in zip(replies[-len(fresh) :], fresh, strict=True)
    )
    return module, found, predicts and bool(np.abs(found.matrix).max() > FELT)


def effects_of(replies: list[Any], case: ImageCase) -> tuple[Array, Array]:
    """What each pixel adds to the embeddings by the replies to `everywhere` (pixels, N, nout), and the bias (N, nout)."""
    nothing, *values = (readable(reply, case)[0] for reply in replies)
    return np.stack(values) - nothing, nothing
