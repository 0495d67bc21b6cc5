"""Small PDFs for tests that are not about layouts."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pypdfium2")
pytest.importorskip("reportlab")
pytest.importorskip("fpdf")

from reportlab.pdfgen.canvas import Canvas

Made = Callable[..., Path]


def pdf_of(
    *pages: list[tuple[float, float, str]], size: tuple[float, float] = (612, 792), encrypt: str | None = None
) -> bytes:
    """A PDF with texts at places that are given from the lower left corner."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size, encrypt=encrypt)
    for page in pages:
        for x, y, text in page:
            is_heading = text.startswith("Problem") and len(text) < 20
            canvas.setFont("Helvetica-Bold" if is_heading else "Helvetica", 12)
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Writes a PDF with a line for each text, and gives its path."""

    def make(*pages: list[str], name: str = "ada.pdf") -> Path:
        placed = [[(72.0, 700.0 - 40 * number, text) for number, text in enumerate(page)] for page in pages]
        path = tmp_path / name
        path.write_bytes(pdf_of(*placed))
        return path

    return make
