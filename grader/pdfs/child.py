"""Runs PDFium on a student's PDF, in a process that can do nothing else.

Run as ``python -I child.py REQUEST`` with the PDF on standard input: REQUEST is JSON that names what is wanted and the policy
by which the process confines itself before it looks at the PDF. The reply goes to standard output. It imports nothing from the
grader, and whoever starts it checks every value of the reply.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

MAX_CHARS_OF_A_PAGE = 40_000
MAX_CHARS = 2_000_000
"""Of a whole PDF; of further pages, no text is read."""
MAX_LINES_OF_A_PAGE = 2_000
MAX_OBJECTS = 20_000
SMALLEST_PICTURE = 30.0
"""Points; what is smaller in width or height is an icon or a rule."""
WIDE_GAP = 4.0
"""Between two texts on one line, in heights of a line; beyond it they are lines of their own."""
MAX_HEIGHT = 8_000
_PATH, _IMAGE, _SHADING, _FORM = 2, 3, 4, 5
_WITH_ANNOTATIONS, _RED_FIRST, _THREE_BYTES = 0x01, 0x10, 2
_FORCED_BOLD = 1 << 18
_PASSWORD, _UNSUPPORTED_SECURITY = 4, 5
_TENTHS = 10


@dataclass
class Run:
    """Characters that stand side by side. Coordinates are in points, from the upper left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    bold: bool

    @property
    def height(self) -> float:
        """Of the font's box."""
        return self.bottom - self.top


def joined(runs: list[Run]) -> list[Run]:
    """The runs as lines, from top to bottom and left to right."""
    lines: list[Run] = []
    for run in sorted(runs, key=lambda run: (round(run.bottom, 1), run.left)):
        for line in reversed(lines[-12:]):
            overlap = min(line.bottom, run.bottom) - max(line.top, run.top)
            small, large = sorted((line.height, run.height))
            if overlap < 0.5 * small:
                continue
            gap = max(run.left - line.right, line.left - run.right)
            if gap < WIDE_GAP * large:
                _join(line, run, gap)
                break
        else:
            lines.append(run)
    return sorted(lines, key=lambda line: (line.top, line.left))


def _join(line: Run, run: Run, gap: float) -> None:
    first, second = (line, run) if line.left <= run.left else (run, line)
    space = " " if gap > 0.12 * max(line.height, run.height) else ""
    line.text, line.bold = first.text + space + second.text, first.bold
    line.left, line.right = min(line.left, run.left), max(line.right, run.right)
    line.top, line.bottom = min(line.top, run.top), max(line.bottom, run.bottom)


class Page:
    """An open page of a PDF."""

    def __init__(self, pdfium: Any, document: Any, number: int) -> None:
        self.pdfium = pdfium
        self.handle = pdfium.FPDF_LoadPage(document, number)
        if not self.handle:
            raise ValueError(f"page {number + 1} is damaged")
        self.width = float(pdfium.FPDF_GetPageWidthF(self.handle))
        self.height = float(pdfium.FPDF_GetPageHeightF(self.handle))
        if not (1 <= self.width <= 20_000 and 1 <= self.height <= 20_000):
            raise ValueError(f"page {number + 1} is {self.width:.0f} x {self.height:.0f} points large")

    def close(self) -> None:
        """Give its memory back."""
        self.pdfium.FPDF_ClosePage(self.handle)

    def shown(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """A box in the page's own coordinates, as it is shown: turned and cut, from the upper left corner."""
        x, y = ctypes.c_int(), ctypes.c_int()
        points = []
        for across, up in ((left, top), (right, bottom)):
            size = round(self.width * _TENTHS), round(self.height * _TENTHS)
            self.pdfium.FPDF_PageToDevice(self.handle, 0, 0, *size, 0, across, up, x, y)
            points.append((x.value / _TENTHS, y.value / _TENTHS))
        (x0, y0), (x1, y1) = points
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def lines(self) -> list[Run]:
        """The page's text."""
        text = self.pdfium.FPDFText_LoadPage(self.handle)
        if not text:
            return []
        try:
            return joined(self._runs(text))[:MAX_LINES_OF_A_PAGE]
        finally:
            self.pdfium.FPDFText_ClosePage(text)

    def _runs(self, text: Any) -> list[Run]:
        count = min(self.pdfium.FPDFText_CountChars(text), MAX_CHARS_OF_A_PAGE)
        code_of, box_of = self.pdfium.FPDFText_GetUnicode, self.pdfium.FPDFText_GetLooseCharBox
        box = self.pdfium.FS_RECTF()
        runs: list[Run] = []
        letters: list[str] = []
        start, left, top, right, bottom = 0, 0.0, 0.0, 0.0, 0.0

        def close() -> None:
            if (words := _plain("".join(letters))) and right > left and top > bottom:
                runs.append(Run(words, *self.shown(left, top, right, bottom), self._is_bold(text, start)))
            letters.clear()

        for index in range(count):
            code = code_of(text, index)
            if code in (0, 10, 13, 0xFFFE):
                if code in (10, 13):
                    close()
                continue
            if code in (32, 160):
                if letters:
                    letters.append(" ")
                continue
            if not box_of(text, index, box):
                continue
            if letters:
                height = min(top - bottom, box.top - box.bottom)
                is_beside = min(top, box.top) - max(bottom, box.bottom) >= 0.4 * height
                if not is_beside or not -2.0 * (top - bottom) < box.left - right < WIDE_GAP * (top - bottom):
                    close()
            if not letters:
                start, left, top, right, bottom = index, box.left, box.top, box.right, box.bottom
            letters.append(chr(code) if code < 0x110000 else " ")
            left, right = min(left, box.left), max(right, box.right)
            top, bottom = max(top, box.top), min(bottom, box.bottom)
        close()
        return runs

    def _is_bold(self, text: Any, index: int) -> bool:
        flags, name = ctypes.c_int(0), ctypes.create_string_buffer(200)
        self.pdfium.FPDFText_GetFontInfo(text, index, name, len(name), flags)
        called = name.value.lower()
        return bool(flags.value & _FORCED_BOLD) or any(
            word in called for word in (b"bold", b"cmbx", b"black", b"heavy", b"sfbx", b"demi")
        )

    def pictures(self) -> tuple[list[tuple[float, float, float, float]], int]:
        """Boxes of images and figures, and how many lines and curves there are, by which some write by hand."""
        found, strokes = [], 0
        edges = [ctypes.c_float() for _ in range(4)]
        for number in range(min(self.pdfium.FPDFPage_CountObjects(self.handle), MAX_OBJECTS)):
            item = self.pdfium.FPDFPage_GetObject(self.handle, number)
            kind = self.pdfium.FPDFPageObj_GetType(item)
            strokes += kind == _PATH
            if kind not in (_IMAGE, _SHADING, _FORM):
                continue
            if self.pdfium.FPDFPageObj_GetBounds(item, *edges):
                left, bottom, right, top = (edge.value for edge in edges)
                box = self.shown(left, top, right, bottom)
                if box[2] - box[0] >= SMALLEST_PICTURE and box[3] - box[1] >= SMALLEST_PICTURE:
                    found.append(box)
        return found[:200], strokes

    def pixels(self, width: int) -> tuple[int, int, bytes]:
        """The page drawn on white: its width and height, and three bytes for each pixel."""
        height = round(width * self.height / self.width)
        if height > MAX_HEIGHT:
            width, height = max(1, round(width * MAX_HEIGHT / height)), MAX_HEIGHT
        height = max(height, 1)
        buffer = (ctypes.c_ubyte * (width * height * 3))()
        bitmap = self.pdfium.FPDFBitmap_CreateEx(width, height, _THREE_BYTES, buffer, width * 3)
        if not bitmap:
            raise MemoryError
        self.pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
        flags = _WITH_ANNOTATIONS | _RED_FIRST
        self.pdfium.FPDF_RenderPageBitmap(bitmap, self.handle, 0, 0, width, height, 0, flags)
        self.pdfium.FPDFBitmap_Destroy(bitmap)
        return width, height, bytes(buffer)


def _plain(text: str) -> str:
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return " ".join(whole.split())


def describe(pdfium: Any, document: Any, most_pages: int) -> dict[str, Any]:
    """Text and pictures of every page, as JSON can carry them."""
    count = pdfium.FPDF_GetPageCount(document)
    if count > most_pages:
        return {"problem": f"has {count} pages; at most {most_pages} are read"}
    pages = []
    chars = 0
    for number in range(count):
        try:
            page = Page(pdfium, document, number)
        except ValueError as error:
            return {"problem": str(error)}
        pictures, strokes = page.pictures()
        lines: list[list[Any]] = [
            [line.text, line.left, line.top, line.right, line.bottom, line.bold]
            for line in (page.lines() if chars < MAX_CHARS else [])
        ]
        chars += sum(len(line[0]) for line in lines)
        size = {"width": page.width, "height": page.height}
        pages.append({**size, "lines": lines, "pictures": pictures, "strokes": strokes})
        page.close()
    return {"pages": pages} if pages else {"problem": "has no pages"}


def draw(pdfium: Any, document: Any, numbers: list[int], width: int) -> tuple[dict[str, Any], bytes]:
    """Pages as pixels, one after another; ``numbers`` count from 0."""
    sizes, pixels = [], []
    for number in numbers:
        if number >= pdfium.FPDF_GetPageCount(document):
            return {"problem": f"has no page {number + 1}"}, b""
        try:
            page = Page(pdfium, document, number)
        except ValueError as error:
            return {"problem": str(error)}, b""
        wide, high, data = page.pixels(width)
        page.close()
        sizes.append([wide, high])
        pixels.append(data)
    return {"sizes": sizes}, b"".join(pixels)


def answer(pdfium: Any, data: bytes, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The reply to a request: what JSON can carry, and bytes that follow it."""
    pdfium.FPDF_InitLibrary()
    document = pdfium.FPDF_LoadMemDocument64(data, len(data), None)
    if not document:
        error = pdfium.FPDF_GetLastError()
        if error in (_PASSWORD, _UNSUPPORTED_SECURITY):
            return {"problem": "is encrypted; ask for a PDF without a password"}, b""
        return {"problem": "is damaged or is not a PDF"}, b""
    if request["task"] == "read":
        return describe(pdfium, document, request["most_pages"]), b""
    return draw(pdfium, document, request["pages"], request["width"])


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.argv[1])
    sys.path.append(request["site"])
    pdfium = importlib.import_module("pypdfium2.raw")
    specification = importlib.util.spec_from_file_location("confine", request["confine"])
    if specification is None or specification.loader is None:
        raise ImportError(request["confine"])
    confine = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(confine)
    # Codecs are files too, which are out of reach from here on.
    _plain("a")
    confine.apply(request["policy"])
    with os.fdopen(0, "rb") as file:
        data = file.read()
    try:
        reply, more = answer(pdfium, data, request)
    except MemoryError:
        reply, more = {"problem": "needs too much memory"}, b""
    with os.fdopen(1, "wb") as file:
        file.write(json.dumps(reply).encode() + b"\n" + more)
        file.flush()
    # PDFium's own end could fail on a PDF that it has read.
    os._exit(0)


if __name__ == "__main__":
    main()
