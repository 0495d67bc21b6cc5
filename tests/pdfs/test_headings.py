"""Lines that are headings of items in the ways that students write them, and lines that are not."""

from __future__ import annotations

import pytest

from grader.pdfs.headings import headings_of, is_of_contents
from tests.pdfs.answers import ITEMS


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("1a", ["1a"]),
        ("1 (a)", ["1a"]),
        ("Problem 1a", ["1a"]),
        ("1a.", ["1a"]),
        ("2.d", ["2d"]),
        ("Question 3 (c)", ["3c"]),
        ("Problem 1, part a", ["1a"]),
        ("Q3(c):", ["3c"]),
        ("(1a)", ["1a"]),
        ("1-a", ["1a"]),
        ("HW3 Q1a", ["1a"]),
        ("1.1.1 1a", ["1a"]),
        ("## 1a", ["1a"]),
        ("1a ¶", ["1a"]),
        ("Answer to 1a:", ["1a"]),
        ("4i. A key-value cache", ["4i"]),
        ("1. (a) In the", ["1a"]),
        ("Homework 3, Problem 1a", ["1a"]),
        ("1 (a)–(c)", ["1a", "1b", "1c"]),
        ("1a, 1b", ["1a", "1b"]),
        ("4(h) & (i)", ["4h", "4i"]),
    ],
)
def test_items_are_written_in_many_ways(line: str, labels: list[str]) -> None:
    (heading,) = headings_of(line, ITEMS)
    assert (heading.kind, list(heading.labels)) == ("item", labels)


@pytest.mark.parametrize(
    ("line", "kind", "label"),
    [
        ("Problem 2: a Transformer", "problem", "2"),
        ("1.1 Problem 1", "problem", "1"),
        ("2. Transformers", "number", "2"),
        ("1. A convolution looks", "number", "1"),
        ("1. A CNN is", "number", "1"),
        ("4. I think so", "number", "4"),
        ("(a) In the", "part", "a"),
        ("b) In the", "part", "b"),
        ("Part c", "part", "c"),
        ("1.1 (a)", "part", "a"),
    ],
)
def test_problems_and_letters_are_told_from_items(line: str, kind: str, label: str) -> None:
    (heading,) = headings_of(line, ITEMS)
    assert (heading.kind, heading.labels) == (kind, (label,))


@pytest.mark.parametrize(
    "line",
    [
        "2D convolution",
        "2D CNN",
        "2-D CNN",
        "1e-3",
        "4e5",
        "5f",
        "A: yes",
        "I. think",
        "e.g. this",
        "",
        "# 1a: see above",
    ],
)
def test_other_lines_are_no_headings(line: str) -> None:
    assert headings_of(line, ITEMS) == []


def test_lines_of_a_table_of_contents_lead_to_a_page() -> None:
    assert is_of_contents("1a Formulas . . . . . . . . 3") and is_of_contents("1 (a) ........ 12")
    assert not is_of_contents("h_1, h_2, ..., h_T") and not is_of_contents("1a. We see ...")


@pytest.mark.parametrize("line", ["Appendix", "A Appendix", "References", "Appendix B. Logs"])
def test_what_is_no_answer_has_headings_too(line: str) -> None:
    assert [heading.kind for heading in headings_of(line, ITEMS)] == ["end"]
