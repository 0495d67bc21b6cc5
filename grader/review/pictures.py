"""Students' images, decoded and encoded anew, so that a page shows nothing but pixels."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Hashable

from PIL import Image

from grader.files.png import png_of

MOST_PIXELS = 20_000_000
WIDEST = 1600
_FORMATS = ("PNG", "JPEG")


class Pictures:
    """The images that were shown last, as `reencoded` made them, up to so many bytes."""

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: dict[Hashable, bytes | None] = {}
        self._size = 0

    def of(self, name: Hashable, load: Callable[[], bytes]) -> bytes | None:
        """The image of a name, which ``load`` reads where it is not kept; None where it cannot be decoded."""
        with self._lock:
            if name in self._kept:
                self._kept[name] = found = self._kept.pop(name)
                return found
        image = reencoded(load())
        with self._lock:
            if name not in self._kept:
                self._kept[name] = image
                self._size += len(image or b"")
            while self._size > self._most:
                oldest = next(iter(self._kept))
                self._size -= len(self._kept.pop(oldest) or b"")
        return image


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
        return png_of(opaque.width, opaque.height, opaque.tobytes())
    except Exception:  # Pillow's decoders fail in many ways on what is no image
        return None
