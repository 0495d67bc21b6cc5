"""Lays out text on pages with reportlab, and keeps the books on which pages each item takes."""

from __future__ import annotations

import io
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4, letter
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

A4_SIZE, LETTER = A4, letter
_FOLDER = Path(matplotlib.get_data_path(), "fonts", "ttf")
for _name, _file in (
    ("DejaVu", "DejaVuSans"), ("DejaVu-Bold", "DejaVuSans-Bold"), ("Serif", "DejaVuSerif"), ("Serif-Bold", "DejaVuSerif-Bold"),
    ("Stix", "STIXGeneral"), ("Stix-Bold", "STIXGeneralBol"),
):  # fmt: skip
    pdfmetrics.registerFont(TTFont(_name, str(_FOLDER / f"{_file}.ttf")))
FAMILIES = {
    "Times": ("Times-Roman", "Times-Bold"),
    "Helvetica": ("Helvetica", "Helvetica-Bold"),
    "DejaVu": ("DejaVu", "DejaVu-Bold"),
    "Serif": ("Serif", "Serif-Bold"),
    "Stix": ("Stix", "Stix-Bold"),
}


def picture(dice: random.Random, width: int, height: int, text: str = "") -> Image.Image:
    """An image of noise, or of text that no reader finds."""
    image = Image.new("RGB", (max(width, 1), max(height, 1)), "white")
    drawing = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = dice.randrange(image.width), dice.randrange(image.height)
        drawing.rectangle((x, y, x + 20, y + 20), fill=tuple(dice.randrange(256) for _ in range(3)))
    for number, line in enumerate(text.splitlines()):
        drawing.text((40, 40 + 16 * number), line[:100], fill="black")
    return image


class Flow:
    """Text that flows over pages. What is drawn counts for the labels in ``current``."""

    def __init__(
        self,
        size: tuple[float, float] = LETTER,
        margin: float = 72,
        furniture: Callable[[Canvas, int], None] | None = None,
    ) -> None:
        self.buffer = io.BytesIO()
        self.canvas = Canvas(self.buffer, pagesize=size)
        self.size, self.margin, self.furniture = size, margin, furniture
        self.page, self.y = 1, size[1] - margin
        self.current: tuple[str, ...] = ()
        self.truth: dict[str, set[int]] = defaultdict(set)
        self.said: set[str] = set()
        """Items to which something was added that the template does not say."""
        self.dice = random.Random(0)
        self._begin()

    def _begin(self) -> None:
        self.canvas.setPageSize(self.size)
        if self.furniture:
            self.furniture(self.canvas, self.page)

    def new_page(self, size: tuple[float, float] | None = None) -> None:
        """Go on with the next page."""
        self.canvas.showPage()
        self.size = size or self.size
        self.page, self.y = self.page + 1, self.size[1] - self.margin
        self._begin()

    def room(self, height: float) -> None:
        """A new page, if this one has no room for it."""
        if self.y - height < self.margin:
            self.new_page()

    def count(self) -> None:
        """What was drawn on this page is the current items'."""
        for label in self.current:
            self.truth[label].add(self.page)

    def gap(self, height: float) -> None:
        """Room that is lost at a page's end."""
        self.y = self.y - height if self.y < self.size[1] - self.margin else self.y

    def wrapped(self, text: str, font: str, size: float, width: float) -> list[str]:
        """The text's lines."""
        lines, line = [], ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if line and pdfmetrics.stringWidth(longer, font, size) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        return [*lines, line]

    def text(
        self,
        text: str,
        font: str,
        size: float,
        *,
        lead: float = 1.2,
        indent: float = 0,
        justified: bool = False,
    ) -> None:
        """A paragraph."""
        width = self.size[0] - 2 * self.margin - indent
        lines = self.wrapped(text, font, size, width)
        for number, line in enumerate(lines):
            self.room(lead * size)
            self.y -= lead * size
            writer = self.canvas.beginText(self.margin + indent, self.y)
            writer.setFont(font, size)
            spaces = line.count(" ")
            if justified and number < len(lines) - 1 and spaces:
                writer.setWordSpace((width - pdfmetrics.stringWidth(line, font, size)) / spaces)
            writer.textOut(line)
            writer.setWordSpace(0)
            self.canvas.drawText(writer)
            self.count()

    def heading(
        self, text: str, font: str, size: float, *, above: float = 10, below: float = 3, keep: float = 30
    ) -> None:
        """A line with room around it, which does not stand alone at a page's end."""
        self.gap(above)
        self.room(size * 1.2 + below + keep)
        self.text(text, font, size)
        self.gap(below)

    def figure(self, height: float) -> None:
        """An image."""
        self.room(height + 10)
        self.y -= height + 6
        image = picture(self.dice, 200, int(height))
        self.canvas.drawImage(ImageReader(image), self.margin + 20, self.y, 300, height)
        self.y -= 4
        self.count()

    def code(self, text: str, *, size: float = 9, boxed: bool = False) -> None:
        """Lines as they are."""
        for line in text.splitlines():
            self.room(1.25 * size)
            self.y -= 1.25 * size
            if boxed:
                self.canvas.setFillColorRGB(0.95, 0.95, 0.95)
                width = self.size[0] - 2 * self.margin
                self.canvas.rect(self.margin - 4, self.y - 3, width + 8, 1.25 * size, stroke=0, fill=1)
                self.canvas.setFillColorRGB(0, 0, 0)
            self.canvas.setFont("Courier", size)
            self.canvas.drawString(self.margin, self.y, line[:100])
            self.count()

    def scan(self, text: str = "") -> None:
        """A whole page that is an image."""
        image = picture(self.dice, 400, 520, text)
        self.canvas.drawImage(ImageReader(image), 0, 0, *self.size)
        self.count()

    def done(self) -> tuple[bytes, dict[str, set[int]], int]:
        """The PDF, the pages of each item, and how many pages there are."""
        self.canvas.save()
        return self.buffer.getvalue(), dict(self.truth), self.page
