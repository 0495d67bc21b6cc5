"""How images are cut into patches: what a right answer has to do, so no public property may use it."""

from __future__ import annotations

import numpy as np

from grader.homework3.strategies import ImageCase
from grader.kernel.wire import Array


def patches_of(x: Array, case: ImageCase) -> Array:
    """The pixels of each patch (B, N, nin * p * p), in raster order: by channel, row and column within a patch."""
    count, side, size = x.shape[0], case.side, case.patch_size
    cut = x.astype(np.float64).reshape(count, case.nin, side, size, side, size)
    patches: Array = cut.transpose(0, 2, 4, 1, 3, 5).reshape(count, side**2, -1)
    return patches


def one_pixel_each(case: ImageCase) -> list[Array]:
    """Images that are 0 but for one pixel in each patch, another in each, until each pixel of a patch had its turn."""
    made: list[Array] | None = case.__dict__.get("impulses")
    if made is None:
        pixels, places = case.nin * case.patch_size**2, case.side**2
        made = []
        for first in range(0, pixels, places):
            patches = np.zeros((places, pixels), np.float32)
            patches[np.arange(places), (first + np.arange(places)) % pixels] = 1
            cut = patches.reshape(case.side, case.side, case.nin, case.patch_size, case.patch_size)
            image = cut.transpose(2, 0, 3, 1, 4).reshape(1, case.nin, case.img_size, case.img_size)
            made.append(np.ascontiguousarray(image))
        case.__dict__["impulses"] = made
    return made
