"""The pages of each item are found in generated PDFs, and nothing fools it that stands in running text."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.pdfs import Document, Found, find_items, read
from grader.pdfs.document import Box, Line, Page
from tests.pdfs import held_out, styles
from tests.pdfs.answers import ITEMS, template
from tests.pdfs.conftest import Made, pdf_of
from tests.pdfs.measure import wrong_in


def found_in(path: Path) -> dict[str, Found]:
    return find_items(read(path), ITEMS, template())


def pages(found: dict[str, Found]) -> dict[str, tuple[int, ...]]:
    """Of those that were found."""
    return {item: one.pages for item, one in found.items() if one.confidence > 0}


@pytest.mark.parametrize("style", styles.STYLES)
def test_every_item_is_found_in_layouts_that_it_was_built_for(style: str, tmp_path: Path) -> None:
    one = styles.sample(style, 1)
    path = tmp_path / f"{style}.pdf"
    path.write_bytes(one.data)
    assert wrong_in(one, read(path)) == []


@pytest.mark.parametrize("style", held_out.STYLES)
def test_items_are_found_in_layouts_that_it_was_not_built_for(style: str, tmp_path: Path) -> None:
    one = held_out.sample(style, 0)
    path = tmp_path / f"{style}.pdf"
    path.write_bytes(one.data)
    assert len(wrong_in(one, read(path))) <= 1


def test_a_reason_and_a_place_are_given(made: Made) -> None:
    found = found_in(made(["Problem 1a", "h_2 is this."], ["Problem 1b", "h_3 is that."]))
    assert found["1b"].pages == (2,) and found["1b"].reason == "heading “Problem 1b” on page 2"
    assert found["1b"].page == 2 and 0.08 < found["1b"].top < 0.15 and found["1b"].confidence >= 0.9
    assert found["1c"] == Found((1, 2), 0.0, "1c has no heading in the PDF", 1)


def test_two_items_share_a_page_and_one_spans_two(made: Made) -> None:
    found = found_in(made(["1a. First.", "1b. Second."], ["It goes on.", "1c. Third."], ["1d. Fourth."]))
    assert pages(found) == {"1a": (1,), "1b": (1, 2), "1c": (2,), "1d": (3,)}


def test_references_in_running_text_begin_nothing(made: Made, tmp_path: Path) -> None:
    long = "This is a line of text that goes up to the margin of the page, and then it goes on with what we saw in"
    lines = [
        (72.0, 700.0 - 14 * number, text)
        for number, text in enumerate(
            [
                "Problem 1b",
                long,
                "1a, where we had the same. " + long[:80],
                long,
                "Problem 1(c). Then we " + long[:80],
                long,
                "2D inputs, too.",
            ]
        )
    ]
    path = tmp_path / "ada.pdf"
    path.write_bytes(pdf_of(lines, [(72, 700, "Problem 1c"), (72, 680, "Yes."), (500, 680, "(1a)")]))
    assert pages(found_in(path)) == {"1b": (1,), "1c": (2,)}


def test_a_table_of_contents_and_a_list_of_items_begin_nothing(made: Made) -> None:
    contents = [f"{item} . . . . . . . . . . {number}" for number, item in enumerate(["1a", "1b", "1c"], 2)]
    listed = ["Answered: 1a, 1b", "1a", "1b", "1c"]
    found = found_in(made(contents, listed, ["1a", "First."], ["1b", "Second."], ["1c", "Third."]))
    assert pages(found) == {"1a": (3,), "1b": (4,), "1c": (5,)}


def test_headings_without_answers_are_found_all_the_same(made: Made) -> None:
    assert pages(found_in(made(["1a", "1b", "1c"], ["1d", "Fourth."]))) == {
        "1a": (1,),
        "1b": (1,),
        "1c": (1,),
        "1d": (2,),
    }


def test_letters_belong_to_the_problem_above(made: Made) -> None:
    found = found_in(
        made(["Problem 1", "(a) First.", "(b) Second."], ["(c) Third.", "Problem 2", "(d) A fourth."])
    )
    assert pages(found) == {"1a": (1,), "1b": (1,), "1c": (2,), "2d": (2,)}


def test_a_scan_is_shown_as_a_whole(tmp_path: Path) -> None:
    one = styles.sample("scanned", 4)
    path = tmp_path / "scan.pdf"
    path.write_bytes(one.data)
    found = found_in(path)
    assert {item.pages for item in found.values()} == {tuple(range(1, one.pages + 1))}
    assert {item.reason for item in found.values()} == {"the PDF has no text, as scans have none"}


def test_hostile_lines_cost_little_time(made: Made) -> None:
    lines = [
        "1" * 3000,
        "(a" * 1500,
        "1a," * 1000,
        "Problem " * 400,
        ". " * 1500,
        "1 (a) and (b) and " * 150,
        "Part " * 500,
    ]
    assert found_in(made(lines, ["1a", "yes"]))["1a"].pages == (2,)


def test_thousands_of_lines_that_look_like_headings_are_read() -> None:
    texts = ["1. First", "(a) x", "1a z", "Problem 2", "(b)", "3 (c) and", "1b where", "Problem 1", "d) X"]
    lines = [Line(texts[n % len(texts)], Box(72, 20.0 + n, 200, 30.0 + n)) for n in range(700)]
    page = Page(1, 600, 800, tuple(lines))
    document = Document("many.pdf", "", tuple(Page(n, 600, 800, page.lines) for n in range(1, 31)))
    assert set(find_items(document, ITEMS, template())) == set(ITEMS)
