"""A class of 30 with PDFs is graded by keyboard, from the overview to final grades."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.cli import app
from tests.review import lifelike
from tests.review.served import CHROMIUM, chromium, serving

pytest.importorskip("playwright.sync_api")
pytest.importorskip("pypdfium2")
pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
SIZE = 30


def test_from_the_overview_to_final_grades(tmp_path: Path) -> None:
    site = lifelike.site(tmp_path, SIZE)
    book, items = site.room.book, site.room.klass.items
    with serving(site) as served, chromium() as browser:
        page = served.open(browser, viewport={"width": 1440, "height": 900})
        assert "Start with 1a" in page.inner_text("#start")
        page.keyboard.press("n")
        graded = 0
        for item in items:
            page.wait_for_selector(f'#answer[data-place^="{item}/"]')
            page.wait_for_selector("#grade[data-saved]")  # the page is there before its script listens to keys
            for _ in site.room.klass.order(item):
                place = page.get_attribute("#answer", "data-place")
                page.keyboard.press("1")
                page.keyboard.press("n")
                page.wait_for_selector(f'#answer:not([data-place="{place}"])')
                graded += 1
            assert f"Nothing is left to grade in {item}" in page.inner_text("main")
            assert len(book.state().graded(item)) == len(site.room.klass.order(item)) == SIZE - 1
            page.keyboard.press("n")
        assert graded == len(items) * (SIZE - 1)
        assert "Every answer is graded" in page.inner_text("main")
        page.get_by_role("link", name="final grades", exact=True).focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/grades")
        # Who handed in no notebook has no automatic points yet; that is for --absent to say.
        fully = SIZE - lifelike.PDFS_ALONE - 1
        assert f"{fully} of {SIZE} students graded fully" in page.inner_text("main")
        assert served.console == []
    ran = CliRunner().invoke(app, ["grades", str(tmp_path / "hw3"), "--absent", "zero"])
    assert ran.exit_code == 0, ran.output
    with (tmp_path / "hw3" / "final" / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        totals = [float(row["total"]) for row in csv.DictReader(file)]
    rubric = site.room.klass.graded.rubric
    by_hand = sum(item.entries[0].points for item in rubric.by_hand)
    automatic = sum(item.points for item in rubric.automatic)
    criteria = [criterion for item in rubric.automatic for criterion in item.criteria]
    lost = sum(criterion.points for criterion in criteria if lifelike.FAILED.keys() & set(criterion.properties))
    judged = [automatic - (lost if number % 3 != 2 else 0) for number in range(fully)]
    assert totals == [*(by_hand + points for points in judged), *[by_hand] * lifelike.PDFS_ALONE, 0]
