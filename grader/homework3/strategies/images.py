"""Images (B, C, H, W) for patch embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from grader.homework3.strategies.basic import numbers, seeds
from grader.judging.expect import show
from grader.kernel.wire import Array


@dataclass(frozen=True)
class ImageCase:
    """Images x (B, nin, img_size, img_size) and the sizes of a patch embedding."""

    patch_size: int
    side: int
    nin: int
    nout: int
    batch: int
    seed: int
    x: Array = field(repr=False)

    @property
    def img_size(self) -> int:
        """Pixels along an edge."""
        return self.patch_size * self.side

    def rng(self) -> np.random.Generator:
        """Randomness of this case beyond its inputs."""
        return np.random.default_rng([self.seed, 1])

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        return {
            "img_size, patch_size, nin, nout": f"{self.img_size}, {self.patch_size}, {self.nin}, {self.nout}",
            "x": show(self.x),
        }


def image_case(patch: int, side: int, nin: int, nout: int, batch: int, seed: int) -> ImageCase:
    """A case of given sizes."""
    x = numbers(np.random.default_rng(seed), batch, nin, patch * side, patch * side)
    return ImageCase(patch, side, nin, nout, batch, seed, x)


@st.composite
def images(draw: st.DrawFn) -> ImageCase:
    """Cases for PatchEmbed(img_size, patch_size, nin, nout)."""
    patch, side = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    nin, nout, batch = draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 3))
    return image_case(patch, side, nin, nout, batch, draw(seeds))


@st.composite
def other_images(draw: st.DrawFn) -> ImageCase:
    """Cases with no size as in the homework."""
    patch, side = draw(st.sampled_from(((1, 2), (2, 3), (3, 4), (5, 5), (6, 6), (7, 7))))
    nin, nout = draw(st.sampled_from((1, 2, 4))), draw(st.integers(2, 7))
    return image_case(patch, side, nin, nout, 1, draw(seeds))
