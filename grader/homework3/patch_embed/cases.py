"""The part, its cases, and what a case's images and patches are."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from grader.homework3 import strategies
from grader.homework3.strategies import ImageCase
from grader.judging.property import Part
from grader.kernel.wire import Array

PART = Part("3a", "PatchEmbed", family="patch_embed")
MANY = 257
"""More images than a batch has in the homework."""


def of_sizes(patch: int, side: int, nin: int, nout: int, batch: int = 1) -> st.SearchStrategy[ImageCase]:
    """Cases of these sizes."""
    return strategies.seeds.map(lambda seed: strategies.image_case(patch, side, nin, nout, batch, seed))


homework = of_sizes(4, 8, 3, 128)
many_patches = of_sizes(4, 10, 2, 3)
"""More patches, and a larger image, than in the homework."""
large_patches = of_sizes(6, 2, 1, 4)
"""Larger patches than in the homework."""
channels_as_edge = of_sizes(2, 2, 4, 5)
"""As many channels as pixels along an edge."""
single_pixels = of_sizes(1, 3, 4, 4)
"""Patches of one pixel, whose embeddings are as large as they are."""
one_patch = of_sizes(3, 1, 3, 2)
"""One patch, with as many channels as rows."""
COINCIDING = (channels_as_edge, single_pixels, one_patch)


def images_of(case: ImageCase, count: int, number: int = 0) -> Array:
    """Other images for a case, drawn once; ``number`` tells apart those of equal shapes."""
    made: dict[tuple[int, int], Array] = case.__dict__.setdefault("other_images", {})
    if (count, number) not in made:
        rng = np.random.default_rng([case.seed, count, number])
        made[count, number] = strategies.numbers(rng, count, case.nin, case.img_size, case.img_size)
    return made[count, number]


def place_of(index: int, case: ImageCase) -> tuple[slice, slice]:
    """Rows and columns of the pixels of the patch with this raster index."""
    row, column = divmod(index, case.side)
    size = case.patch_size
    return slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)


def pixel_name(number: int, case: ImageCase) -> str:
    """Which pixel of a patch has this number."""
    channel, row, column = np.unravel_index(number, (case.nin, case.patch_size, case.patch_size))
    return f"channel {channel}, row {row}, column {column}"


def everywhere(case: ImageCase) -> list[Array]:
    """An image of zeros, and for each pixel of a patch one in which it is set in all patches.

    That all patches are alike leaves their order, and how they are cut, to other properties.
    """
    size = case.patch_size
    images = [np.zeros((1, case.nin, case.img_size, case.img_size), np.float32)]
    for channel, row, column in np.ndindex(case.nin, size, size):
        images.append(images[0].copy())
        images[-1][:, channel, row::size, column::size] = 1
    return images
