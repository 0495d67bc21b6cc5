"""PNG files that other programs read back."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from grader.files.png import png_of


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_pillow_reads_the_same_pixels(width: int, height: int, dice) -> None:
    pixels = dice.randbytes(3 * width * height)
    with Image.open(io.BytesIO(png_of(width, height, pixels))) as image:
        image.verify()
    with Image.open(io.BytesIO(png_of(width, height, pixels))) as image:
        assert (image.format, image.mode, image.size, image.tobytes()) == ("PNG", "RGB", (width, height), pixels)


@pytest.mark.parametrize(("width", "height", "size"), [(0, 1, 0), (1, 0, 0), (-1, -1, 3), (2, 2, 11), (2, 2, 13)])
def test_a_size_that_does_not_fit_is_refused(width: int, height: int, size: int) -> None:
    with pytest.raises(ValueError, match="pixels"):
        png_of(width, height, b"\0" * size)
