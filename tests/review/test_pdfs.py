"""The pages of students' PDFs beside their answers."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from grader.errors import UsageError
from grader.grades.final import compose
from grader.grades.load import load_class
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
    assert "Page 2 of 3" in shown and f'src="{path}/page/2' in shown
    image = browser.get(f"{path}/page/2")
    assert image.headers["content-type"] == "image/png" and "no-store" not in image.headers["cache-control"]
    with Image.open(io.BytesIO(image.content)) as page:
        assert page.format == "PNG" and page.width >= 1000

    assert browser.post(f"{path}/pages", {"pages": "1-2"}).status_code == 303
    assert "Pages 1-2 of 3, chosen by hand" in browser.get(path).text
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


def test_who_handed_in_a_pdf_alone_is_graded_and_never_zero_by_mistake(tmp_path: Path) -> None:
    folder, archive = tmp_path / "hw3", tmp_path / "pdfs"
    *_, with_pdf, nobody = make_class(folder, 4, absent=2)
    write_pdf(archive / f"{with_pdf.name}.pdf", [["Problem 1a", "h2 is a sum."], ["Problem 1d", "It vanishes."]])
    site = site_of(folder, archive)
    assert with_pdf.key in site.room.klass.order("1d") and nobody.key not in site.room.klass.order("1d")
    path = f"/item/1d/{handle_of('1d', with_pdf.key)}"
    browser = Browser(site)
    shown = browser.get(path).text
    assert "No notebook was handed in." in shown and "Page 2 of 2" in shown

    def waiting() -> tuple[str, ...]:
        graded = load_class(folder)
        state = site.room.book.state()
        final = compose(graded.rubric, graded.results, state, graded.students, "zero")
        totals = {each.submission: each for each in final}
        assert totals[nobody.key].total == 0
        return totals[with_pdf.key].pending

    by_hand = tuple(item.id for item in site.room.klass.graded.rubric.by_hand)
    assert waiting() == by_hand
    browser.grade(with_pdf.key, "1d", "no-condition")
    assert waiting() == tuple(item for item in by_hand if item != "1d")
    site.room.close()
    # A review that is started without the archive knows of the PDF all the same.
    later = site_of(folder)
    shown = Browser(later, "Ben").get(path).text
    assert "A PDF was handed in, too." in shown and "--pdfs" in shown
    later.room.close()


def test_an_empty_notebook_beside_a_pdf_is_no_empty_answer(tmp_path: Path) -> None:
    folder, archive = tmp_path / "hw3", tmp_path / "pdfs"
    people = make_class(folder, 4)
    people = make_class(folder, 4, evidence={one.key: {} for one in people})
    site = site_of(folder)
    assert "Group 1: 4 answers. No answer" in Browser(site).get("/groups/1d").text
    site.room.close()
    write_pdf(archive / f"{people[0].name}.pdf", [["Problem 1d", "It vanishes."]])
    site = site_of(folder, archive)
    shown = Browser(site).get("/groups/1d").text
    assert "Group 1: 3 answers. No answer" in shown and handle_of("1d", people[0].key) not in shown
    site.room.close()


def test_several_pdfs_of_a_student_are_shown_as_one(tmp_path: Path) -> None:
    folder, archive = tmp_path / "hw3", tmp_path / "pdfs"
    one, other = make_class(folder, 2)
    write_pdf(archive / other.name / "homework.pdf", [["Problem 1a", "h2 is a product."]])
    write_pdf(archive / one.name / "1 answers.pdf", [["Problem 1a", "h2 is a sum."], ["Problem 1b", "h3 is a sum."]])
    write_pdf(archive / one.name / "2 more.pdf", [["Problem 1d", "It vanishes."]])
    site = site_of(folder, archive)
    browser = Browser(site)
    path = f"/item/1d/{handle_of('1d', one.key)}"
    shown = browser.get(path).text
    assert "Page 3 of 3" in shown and "of 2 more.pdf" in shown
    assert browser.get(f"{path}/page/3").status_code == 200
    assert browser.get(f"{path}/page/4").status_code == 500
    assert "Page 2 of 3" in browser.get(f"/item/1b/{handle_of('1b', one.key)}").text
    site.room.close()


def test_another_pdf_than_the_one_that_was_graded_is_looked_at_again(tmp_path: Path) -> None:
    folder, archive = tmp_path / "hw3", tmp_path / "pdfs"
    one = make_class(folder, 1)[0]
    write_pdf(archive / f"{one.name}.pdf", [["Problem 1d", "It vanishes."]])
    site = site_of(folder, archive)
    Browser(site).grade(one.key, "1d", "no-condition")
    site.room.close()
    for text, again in (("It vanishes.", False), ("It explodes.", True)):
        if again:
            write_pdf(archive / f"{one.name}.pdf", [["Problem 1d", text]])
        site = site_of(folder, archive)
        shown = Browser(site).get(f"/item/1d/{handle_of('1d', one.key)}").text
        assert ("The answer changed after it was graded" in shown) is again
        site.room.close()
