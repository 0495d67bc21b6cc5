"""Draws pages of a student's PDF as PNG files, once for each content and width."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grader.errors import GraderError, UsageError
from grader.files.atomic import write_bytes_atomically
from grader.files.png import png_of
from grader.pdfs.document import digest_of
from grader.pdfs.process import Limits, ask, unreadable
from grader.text.safe_text import one_line

NARROWEST, WIDEST = 50, 2400
"""Pixels."""
_AT_ONCE = 4


def render(path: Path, page: int, width: int, cache: Path) -> Path:
    """The PNG file in the folder ``cache`` of a page, which counts from 1; raises `UnreadablePdf`."""
    return render_pages(path, [page], width, cache)[0]


def render_pages(
    path: Path, pages: Sequence[int], width: int, cache: Path, limits: Limits | None = None
) -> list[Path]:
    """The same for several pages, which costs less than one by one."""
    if not NARROWEST <= width <= WIDEST:
        raise UsageError(f"a page is drawn {NARROWEST} to {WIDEST} pixels wide, not {width}")
    if any(page < 1 for page in pages):
        raise UsageError("pages count from 1")
    digest = digest_of(path)
    places = {page: cache / f"{digest}-{page}-{width}.png" for page in pages}
    missing = [page for page, place in places.items() if not place.is_file()]
    for start in range(0, len(missing), _AT_ONCE):
        drawn = missing[start : start + _AT_ONCE]
        for page, image in zip(drawn, _draw(path, drawn, width, limits), strict=True):
            _keep(places[page], image)
    return [places[page] for page in pages]


def _draw(path: Path, pages: Sequence[int], width: int, limits: Limits | None) -> list[bytes]:
    request = {"task": "draw", "pages": [page - 1 for page in pages], "width": width}
    reply, pixels = ask(path, request, limits)
    try:
        return _images(reply["sizes"], pixels, len(pages))
    except (ValueError, KeyError, TypeError):
        raise unreadable(path, "cannot be drawn (the PDF reader gave a malformed answer)") from None


def _images(sizes: Any, pixels: bytes, count: int) -> list[bytes]:
    """What the confined process drew, as PNG: it may be wrong, but it is nothing but pixels."""
    images = []
    for width, height in sizes:
        size = width * height * 3
        if not (0 < width <= WIDEST and height > 0) or size > len(pixels):
            raise ValueError("size")
        images.append(png_of(width, height, pixels[:size]))
        pixels = pixels[size:]
    if pixels or len(images) != count:
        raise ValueError("count")
    return images


def _keep(place: Path, image: bytes) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraderError(f"cannot write {one_line(str(place))}: {error.strerror or error}") from None
    write_bytes_atomically(place, image)
