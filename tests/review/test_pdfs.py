"""The pages of students' PDFs beside their answers."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from grader.errors import UsageError
from grader.review.classroom import handle_of
from tests.review.made import Browser, make_class, site_of

pytest.importorskip("pypdfium2")
canvas = pytest.importorskip("reportlab.pdfgen.canvas")


def write_pdf(path: Path, pages: Sequence[Sequence[str]]) -> None:
    """A PDF with lines of text on each page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = canvas.Canvas(str(path))
    for lines in pages:
        for number, line in enumerate(lines):
            drawn.setFont("Helvetica-Bold" if number == 0 else "Helvetica", 14)
            drawn.drawString(72, 760 - 24 * number, line)
        drawn.showPage()
    drawn.save()


def test_each_answer_is_shown_with_its_pages(tmp_path: Path) -> None:
    people = make_class(tmp_path / "hw3", 3)
    archive = tmp_path / "pdfs"
    first, second, third = people
    answers = [["Problem 1a", "h2 is a sum."], ["Problem 1b", "h3 is a sum, too."], ["Problem 1d", "It vanishes."]]
    write_pdf(archive / f"{first.name}.pdf", answers)
    (archive / f"{second.name}.pdf").write_bytes(b"%PDF-1.4 damaged <script>")
    write_pdf(archive / "nobody known.pdf", answers)
    site = site_of(tmp_path / "hw3", archive)
    browser = Browser(site)
    path = f"/item/1b/{handle_of('1b', first.key)}"
    shown = browser.get(path).text
    assert "Pages 2 of 3" in shown and f'src="{path}/page/2' in shown
    image = browser.get(f"{path}/page/2")
    assert image.headers["content-type"] == "image/png" and "no-store" not in image.headers["cache-control"]
    with Image.open(io.BytesIO(image.content)) as page:
        assert page.format == "PNG" and page.width >= 1000

    assert browser.post(f"{path}/pages", {"pages": "1-2"}).status_code == 303
    assert "Pages 1, 2 of 3, chosen by hand" in browser.get(path).text
    assert browser.post(f"{path}/pages", {"pages": "x"}).status_code == 400
    assert "damaged" in browser.get(f"/item/1b/{handle_of('1b', second.key)}").text
    assert "No PDF was handed in." in browser.get(f"/item/1b/{handle_of('1b', third.key)}").text
    assert browser.get(f"{path}/page/9").status_code == 500

    overview = browser.get("/").text
    assert "nobody known.pdf" in overview and third.name in overview and "damaged" in overview
    site.room.close()


def test_pages_of_the_answers_that_come_next_are_drawn_before_anybody_opens_them(tmp_path: Path) -> None:
    people = make_class(tmp_path / "hw3", 4)
    for one in people:
        write_pdf(tmp_path / "pdfs" / f"{one.name}.pdf", [["Problem 1a", one.name], ["Problem 1b", "More."]])
    site = site_of(tmp_path / "hw3", tmp_path / "pdfs")
    assert site.room.pdfs is not None
    for one in people:
        site.room.pdfs.shown(one.key, "1b", None)
    Browser(site).get("/item/1b", follow_redirects=True)
    drawn, deadline = tmp_path / "hw3" / "pdfs" / "pages", time.monotonic() + 60
    # The page that is open is drawn when its browser asks for it.
    while len(names := [path.name for path in drawn.glob("[!.]*.png")]) < len(people) - 1:
        assert time.monotonic() < deadline, names
        time.sleep(0.05)
    assert all("-2-" in name for name in names)
    site.room.close()


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    make_class(tmp_path / "hw3", 1)
    with pytest.raises(UsageError, match=r"missing\.zip"):
        site_of(tmp_path / "hw3", tmp_path / "missing.zip")
