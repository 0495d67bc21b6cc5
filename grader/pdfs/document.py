"""A student's PDF as text with positions: read once, in a confined process, and kept by content."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.files.atomic import write_atomically
from grader.pdfs.process import MAX_PAGES, Limits, ask, open_pdf, unreadable

_FORMAT = 1
_MAX_LINES = 20_000
_MAX_TEXT = 20_000
_RULES = 5


@dataclass(frozen=True)
class Box:
    """Where something stands on a page: in points, from the page's upper left corner as it is shown."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        """In points."""
        return self.bottom - self.top


@dataclass(frozen=True)
class Line:
    """A line of text. ``bold`` is said of its beginning."""

    text: str
    box: Box
    bold: bool = False


@dataclass(frozen=True)
class Page:
    """A page with its lines from top to bottom; ``number`` counts from 1.

    ``pictures`` are images and figures; ``strokes`` counts lines and curves, such as handwriting on a tablet.
    """

    number: int
    width: float
    height: float
    lines: tuple[Line, ...] = ()
    pictures: tuple[Box, ...] = ()
    strokes: int = 0

    @property
    def is_drawn(self) -> bool:
        """Whether something other than text is on it, apart from a rule or two."""
        return bool(self.pictures) or self.strokes > _RULES


@dataclass(frozen=True)
class Document:
    """A PDF's pages. ``digest`` is the SHA-256 of the file in hex."""

    name: str
    digest: str
    pages: tuple[Page, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of all pages."""
        return tuple(page.number for page in self.pages)

    @property
    def is_scan(self) -> bool:
        """Whether no page holds text by which an answer could be found."""
        return sum(len(line.text) for page in self.pages for line in page.lines) < 4 * len(self.pages)


def read(path: Path, cache: Path | None = None, limits: Limits | None = None) -> Document:
    """The text of a PDF, from the folder ``cache`` if it was read before.

    Raises `UnreadablePdf` for a PDF that is damaged, encrypted or too large; the message is one line that names the file.
    """
    digest = digest_of(path)
    kept = cache / f"{digest}.json" if cache is not None else None
    if kept is not None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            stored = json.loads(kept.read_text(encoding="utf-8"))
            if stored["format"] == _FORMAT:
                return Document(path.name, digest, pages_of(stored["pages"]))
    reply, _ = ask(path, {"task": "read"}, limits)
    try:
        document = Document(path.name, digest, pages_of(reply["pages"]))
    except (ValueError, KeyError):
        raise unreadable(path, "cannot be read (the PDF reader gave a malformed answer)") from None
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps({"format": _FORMAT, "pages": reply["pages"]}))
    return document


def digest_of(path: Path) -> str:
    """The SHA-256 of a PDF in hex; raises `UnreadablePdf`."""
    with contextlib.suppress(OSError, ValueError):
        state = path.stat()
        return _digest(path, state.st_size, state.st_mtime_ns, state.st_ino)
    return _digest(path, 0, 0, 0)


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, *_state: int) -> str:
    with open_pdf(path) as file:
        found = hashlib.sha256()
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def pages_of(values: Any) -> tuple[Page, ...]:
    """The pages in the confined process's reply, which a PDF may have forged; raises ValueError for a malformed one."""
    if not isinstance(values, list) or not 0 < len(values) <= MAX_PAGES:
        raise ValueError("pages")
    try:
        return tuple(_page(number, value) for number, value in enumerate(values, 1))
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError("page") from error


def _page(number: int, value: Any) -> Page:
    lines, pictures = value["lines"], value["pictures"]
    if len(lines) > _MAX_LINES or len(pictures) > _MAX_LINES:
        raise ValueError("too many")
    return Page(
        number,
        _number(value["width"]),
        _number(value["height"]),
        tuple(_line(line) for line in lines),
        tuple(_box(picture) for picture in pictures),
        int(_number(value["strokes"])),
    )


def _line(value: Sequence[Any]) -> Line:
    if not isinstance(value, list):
        raise ValueError("line")
    text, *box, bold = value
    if not isinstance(text, str) or len(text) > _MAX_TEXT or not isinstance(bold, bool):
        raise ValueError("line")
    return Line(text, _box(box), bold)


def _box(values: Sequence[Any]) -> Box:
    left, top, right, bottom = map(_number, values)
    return Box(left, top, right, bottom)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e6:
        raise ValueError("number")
    return float(value)
