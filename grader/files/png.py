"""PNG files from pixels. Unlike Pillow, it lets other threads run while it compresses, which a server needs."""

from __future__ import annotations

import struct
import zlib

_LEVEL = 4
_CHANNELS = 3
_RGB = (8, 2, 0, 0, 0)
"""Bits a channel, kind of pixels, and the only values of compression, filter and interlacing."""


def png_of(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG of rows of RGB pixels, 8 bits each; raises ValueError where the pixels are not ``width * height * 3`` bytes."""
    stride = _CHANNELS * width
    if width <= 0 or height <= 0 or len(pixels) != stride * height:
        raise ValueError(f"{len(pixels)} bytes are not {width} x {height} pixels")
    rows = b"".join(b"\0" + pixels[start : start + stride] for start in range(0, len(pixels), stride))
    header = struct.pack(">IIBBBBB", width, height, *_RGB)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, _LEVEL)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
