"""Finds the pages of a student's PDF that hold the answer to each item."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from grader.pdfs.document import Document, Page
from grader.pdfs.headings import headings_of, problem_of
from grader.pdfs.layout import Row, rows_of
from grader.pdfs.marks import Mark, marks_of
from grader.pdfs.questions import Questions, questions_of, words_of
from grader.submission.reading import Submission

_PROMPT = re.compile(r"\s*(?:In|Out)\s*\[[\s\d*]*\]\s*:?")


@dataclass(frozen=True)
class Found:
    """The pages that hold an answer, which count from 1.

    ``confidence`` is from 0 to 1; at 0 nothing was found, and the pages are all that may hold the answer. ``reason`` says in
    one line what it rests on. ``page`` and ``top``, a fraction of the page's height, are where to begin to read.
    """

    pages: tuple[int, ...]
    confidence: float
    reason: str
    page: int = 1
    top: float = 0.0


@dataclass(frozen=True)
class _Span:
    """What stands from one mark up to the next."""

    mark: Mark
    pages: tuple[int, ...]
    rows: tuple[Row, ...]
    pictured: bool


def find_items(
    document: Document, items: Sequence[str], template: Submission | None = None
) -> dict[str, Found]:
    """Where each item is answered. ``items`` are those of the whole homework, also those that nobody looks up.

    ``template`` is the notebook that students get, by whose words an export of it is recognized. Where an item is not found,
    its pages are those without text, which may be scans, else the whole document.
    """
    questions = questions_of(template, items)
    # A template has parts with nothing to hand in; their headings end an answer, too.
    known = _in_order([*items, *(part for part in questions.items if part.strip("0"))])
    if document.is_scan:
        everything = Found(document.numbers, 0.0, "the PDF has no text, as scans have none")
        return dict.fromkeys(items, everything)
    rows = rows_of(document, lambda text: any(one.kind == "item" for one in headings_of(text, known)))
    spans = _spans(document, rows, marks_of(rows, known, questions))
    return {item: _found(item, spans, document, questions) for item in items}


def _in_order(labels: Sequence[str]) -> list[str]:
    def key(label: str) -> tuple[int, str]:
        digits = "".join(char for char in label if char.isdigit())
        return int(digits or 0), label[len(digits) :]

    known = set(labels)
    whole = {problem_of(label) for label in known if label[-1:].isalpha()}
    # A problem with lettered items is none itself.
    return sorted(known - whole, key=key)


def _spans(document: Document, rows: Sequence[Row], marks: Sequence[Mark]) -> list[_Span]:
    pages = {page.number: page for page in document.pages}
    spans = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        first = mark.row.page
        last = following.row.page.number if following else document.numbers[-1]
        if following is not None and following.row.is_first and last > first.number:
            last -= 1
        numbers = []
        for number in range(first.number, last + 1):
            if not _is_alike(first, pages[number]):
                break
            numbers.append(number)
        end = following.row.place if following else len(rows)
        own = tuple(row for row in rows[mark.row.place : end] if row.page.number in numbers)
        full = {mark.row.page.number, *(row.page.number for row in own)}
        kept = tuple(number for number in numbers if number in full or pages[number].is_drawn)
        spans.append(_Span(mark, kept, own, _is_pictured(mark, following, pages, kept)))
    return spans


def _is_alike(first: Page, page: Page) -> bool:
    """Whether a page may go on with what began on another: of the same size, in either direction, or without text."""
    sizes = [sorted((one.width, one.height)) for one in (first, page)]
    same = all(abs(one - other) <= 0.02 * one for one, other in zip(*sizes, strict=True))
    return same or not page.lines


def _is_pictured(mark: Mark, following: Mark | None, pages: dict[int, Page], numbers: Sequence[int]) -> bool:
    for number in numbers:
        top = mark.row.line.box.top if number == mark.row.page.number else 0.0
        is_last = following is not None and number == following.row.page.number
        bottom = following.row.line.box.top if is_last and following else pages[number].height
        page = pages[number]
        if any(top <= (box.top + box.bottom) / 2 <= bottom for box in page.pictures):
            return True
        if not page.lines and page.is_drawn:
            return True
    return False


def _found(item: str, spans: Sequence[_Span], document: Document, questions: Questions) -> Found:
    own = [span for span in spans if span.mark.kind in ("item", "question") and item in span.mark.labels]
    answered = [span for span in own if _is_answered(item, span, questions)]
    textless = tuple(page.number for page in document.pages if not page.lines and page.is_drawn)
    if answered or (own and not textless):
        own = answered or own
        surest = max(own, key=lambda span: span.mark.score)
        where = _answer_row(item, surest, questions)
        return Found(
            tuple(sorted({number for span in own for number in span.pages})),
            round(min(max(surest.mark.score, 0.05), 1.0), 2),
            f"{surest.mark.reason} on page {surest.mark.row.page.number}",
            where.page.number,
            round(min(max(where.line.box.top / where.page.height, 0.0), 1.0), 3),
        )
    pages = textless or document.numbers
    told = "has no text in the PDF but pages without text" if textless else "has no heading in the PDF"
    return Found(pages, 0.0, f"{item} {told}", pages[0])


def _is_answered(item: str, span: _Span, questions: Questions) -> bool:
    """Whether a span holds more than the template's text."""
    if span.pictured or not span.rows:
        return span.pictured
    first, *others = span.rows
    words = [word for row in others if not _PROMPT.match(row.line.text) for word in row.words]
    return questions.says_more(item, [*_rest(first, item), *words])


def _rest(row: Row, item: str) -> list[str]:
    """The words on a heading's line after its label."""
    found = [one for one in headings_of(row.line.text, [item]) if one.kind in ("item", "part")]
    return words_of(found[0].rest) if found else row.words


def _asked(item: str, span: _Span, questions: Questions) -> int | None:
    """Where in a span the template's question begins, the last one if there are several."""
    places = [
        number
        for number, row in enumerate(span.rows)
        if (asked := questions.at(_words_from(span.rows, number, item))) is not None and asked.item == item
    ]
    return places[-1] if places else None


def _words_from(rows: Sequence[Row], number: int, item: str) -> list[str]:
    first = rows[number]
    words = list(first.words)
    if words[:1] == [item]:
        words = words[1:]
    for row in rows[number + 1 : number + 12]:
        words += row.words
    return words


def _answer_row(item: str, span: _Span, questions: Questions) -> Row:
    """Where to begin to read: at the question's own words if they are there, else at the heading."""
    asked = _asked(item, span, questions)
    return span.mark.row if asked in (None, 0) or not span.rows else span.rows[asked or 0]
