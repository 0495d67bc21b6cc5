"""Students' images, decoded and encoded anew, so that a page shows nothing but pixels."""

from __future__ import annotations

import functools
import io
import warnings

from PIL import Image

MOST_PIXELS = 20_000_000
WIDEST = 1600
_FORMATS = ("PNG", "JPEG")


@functools.lru_cache(maxsize=256)
def reencoded(data: bytes) -> bytes | None:
    """An image as PNG, at most 1600 pixels wide or high; None where it cannot be decoded or is too large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    return None
                image.load()
                # Transparent plots are drawn for a white page.
                opaque = Image.new("RGB", image.size, "white")
                shown = image.convert("RGBA")
                opaque.paste(shown, mask=shown.getchannel("A"))
        opaque.thumbnail((WIDEST, WIDEST))
        encoded = io.BytesIO()
        opaque.save(encoded, "png", compress_level=3)
    except Exception:  # Pillow's decoders fail in many ways on what is no image
        return None
    return encoded.getvalue()
