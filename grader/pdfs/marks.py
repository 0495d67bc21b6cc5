"""Decides which lines of a PDF begin an answer, a problem or something else.

Each line that reads as a heading gets a score by how it is written and set. A line that mentions an item in running text, or in
a table of contents, scores low. Letters without a number count only where a problem's items are not written in full.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from grader.pdfs.headings import Heading, headings_of, is_of_contents, plain, problem_of
from grader.pdfs.layout import Row
from grader.pdfs.questions import Questions, words_of

ACCEPTED = 0.5
POSSIBLE = 0.2
"""What is accepted for an item that is found nowhere else, if it is in the right order."""
_USUAL = 2
"""Items written in full, by which all are taken to be written so."""
_INDEX = 3
"""Items in a row with nothing between them are a list of items."""
_LOOK_AHEAD = 12
_MOST_PARTS = 500
_SAME_MARGIN = 9.0
"""Points."""


@dataclass(frozen=True)
class Mark:
    """A line where something begins: the answer to ``labels``, or where there are none, something that is no answer."""

    row: Row
    labels: tuple[str, ...]
    score: float
    reason: str
    kind: str = "item"
    nested: bool = False
    """Whether letters alone may follow it."""


@dataclass(frozen=True)
class _Candidate:
    row: Row
    heading: Heading
    score: float


_Placed = TypeVar("_Placed", Mark, _Candidate)


def marks_of(rows: Sequence[Row], known: Collection[str], questions: Questions) -> list[Mark]:
    """The marks, in the order of the text; ``known`` are all items of the homework."""
    candidates = [found for row in rows for found in _candidates(rows, row, known, questions)]
    candidates = _without_lists(rows, candidates)
    items = _items(candidates, known)
    marks = [*items, *_questions(rows, items, questions)]
    borders = [row.place for row in rows if row.is_large and _as_in_template(row.line.text, questions)]
    marks += _bounds(candidates, marks, known, borders)
    marks += _parts(candidates, marks, known)
    marks += _others(rows, marks, questions)
    marks = _one_each(sorted(marks, key=_place))
    return _without_repeats(marks)


# -- lines as headings -------------------------------------------------------------------------------------------


def _candidates(
    rows: Sequence[Row], row: Row, known: Collection[str], questions: Questions
) -> list[_Candidate]:
    text = row.line.text
    if is_of_contents(text):
        return []
    found = []
    for heading in headings_of(text, known):
        score = _score(row, heading)
        if heading.kind == "item":
            question = questions.at(_following(rows, row, heading.rest))
            is_asked = question is not None and question.item in heading.labels
            if (is_asked and score > 0) or (score >= ACCEPTED and _as_in_template(text, questions)):
                score = max(score, 0.95)
        found.append(_Candidate(row, heading, score))
    return found


def _following(rows: Sequence[Row], row: Row, rest: str | None = None) -> list[str]:
    """The words from a line on, or from the rest of it on."""
    words = list(row.words) if rest is None else words_of(rest)
    for later in rows[row.place + 1 : row.place + _LOOK_AHEAD]:
        words += later.words
    return words


def _as_in_template(text: str, questions: Questions) -> bool:
    words = words_of(plain(text))
    while words and " ".join(words) not in questions.headings:
        # An exported notebook may number its sections.
        words = words[1:] if words[0].isdigit() else []
    return bool(words)


def _score(row: Row, heading: Heading) -> float:
    """How much a line looks like a heading, from below 0 to 1."""
    score = 0.6 if heading.worded else 0.5 if heading.marked else 0.4
    if heading.kind in ("part", "number"):
        score = 0.5 if heading.worded or heading.marked else 0.4
    rest = heading.rest.lstrip(" .:)]-")
    if not rest:
        score += 0.3
    elif heading.rest[:1] in ".:)-([" or rest[:1] in "([":
        score += 0.2
    elif rest[:1].islower() or rest[:1] in ",;'’":
        score -= 0.3
    elif heading.marked or not rest[:1].isalpha():
        score += 0.1
    if row.is_large:
        score += 0.3
    if row.is_spaced:
        score += 0.1
    box, metrics = row.line.box, row.metrics
    if box.left > metrics.left + 0.5 * (metrics.right - metrics.left):
        score -= 0.6
    if row.is_running:
        score -= 0.3 if row.is_large else 0.6
    return min(score, 1.0)


def _is_page_number(row: Row) -> bool:
    return len(row.words) <= 1 and row.line.text.strip(" .").isdigit()


def _without_lists(rows: Sequence[Row], candidates: list[_Candidate]) -> list[_Candidate]:
    """Without items of a table of contents, or of another list in which nothing stands between them."""
    by_place = {one.row.place: one for one in candidates if one.heading.kind in ("item", "problem")}
    listed: set[int] = set()
    run: list[int] = []
    for row in [*rows, None]:
        goes_on = row is not None and row.place in by_place and len(row.words) <= _LOOK_AHEAD
        begins_page = bool(run) and row is not None and row.page != rows[run[-1]].page
        if begins_page or not (goes_on or (row is not None and _is_page_number(row))):
            if sum(by_place[place].heading.kind == "item" for place in run) >= _INDEX:
                listed.update(run)
            run = []
        if row is not None and goes_on:
            run.append(row.place)
    elsewhere = {
        label
        for one in candidates
        if one.row.place not in listed and one.heading.kind == "item" and one.score >= ACCEPTED
        for label in one.heading.labels
    }
    return [
        one
        for one in candidates
        if one.row.place not in listed
        or (one.heading.kind == "item" and not elsewhere.intersection(one.heading.labels))
    ]


# -- items written in full ---------------------------------------------------------------------------------------


def _items(candidates: Sequence[_Candidate], known: Collection[str]) -> list[Mark]:
    whole = [
        one
        for one in candidates
        if one.heading.kind == "item" or (one.heading.kind == "problem" and one.heading.labels[0] in known)
    ]
    marks = [_mark(one) for one in whole if one.score >= ACCEPTED]
    found = {label for mark in marks for label in mark.labels}
    order = {label: number for number, label in enumerate(known)}
    places: dict[str, tuple[int, int]] = {}
    for mark in marks:
        first, last = places.get(mark.labels[0], (mark.row.place, mark.row.place))
        places[mark.labels[0]] = min(first, mark.row.place), max(last, mark.row.place)
    for one in whole:
        labels = tuple(label for label in one.heading.labels if label not in found)
        if (
            POSSIBLE <= one.score < ACCEPTED
            and labels
            and _is_in_order(one.row.place, labels[0], places, order)
        ):
            marks.append(replace(_mark(one), labels=labels))
            found.update(labels)
            places[labels[0]] = one.row.place, one.row.place
    return marks


def _is_in_order(place: int, label: str, places: dict[str, tuple[int, int]], order: dict[str, int]) -> bool:
    """Whether items before it in the homework begin before a place, and later ones after it."""
    return all(
        last < place if order[other] < order[label] else place < first
        for other, (first, last) in places.items()
    )


def _mark(one: _Candidate) -> Mark:
    return Mark(
        one.row, one.heading.labels, one.score, f"heading “{_shown(one.row)}”", nested=one.heading.nested
    )


def _shown(row: Row) -> str:
    text = plain(row.line.text)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _questions(rows: Sequence[Row], items: Sequence[Mark], questions: Questions) -> list[Mark]:
    """Where the template's words stand with no heading of their item above them."""
    starts = {mark.row.place: mark for mark in items}
    marks: list[Mark] = []
    current: tuple[str, ...] = ()
    for row in rows:
        if row.place in starts:
            current = starts[row.place].labels
            continue
        if len(row.words) < 3:
            continue
        question = questions.at(_following(rows, row))
        if question is not None and question.item not in current:
            current = (question.item,)
            marks.append(Mark(row, current, 0.9, "the question’s own words", "question"))
    return marks


# -- problems, and letters without a number ----------------------------------------------------------------------


def _bounds(
    candidates: Sequence[_Candidate], marks: Sequence[Mark], known: Collection[str], borders: Sequence[int]
) -> list[Mark]:
    """Where a problem, or something that is no answer, begins.

    The template's headings are ``borders``: what follows one may be an exported notebook, which is written in another way.
    """
    taken = {mark.row.place for mark in marks}
    if not candidates:
        return []
    whole = Counter(bisect(borders, mark.row.place) for mark in marks if not mark.nested)
    bounds = []
    after: list[_Candidate | None] = [None]
    for one in reversed(candidates[1:]):
        after.append(after[-1] if one.heading.kind == "end" else one)
    for one, following in zip(candidates, reversed(after), strict=True):
        heading, row = one.heading, one.row
        if row.place in taken:
            continue
        is_problem = heading.kind == "problem" and one.score >= ACCEPTED
        # Where items are written in full, a number alone is one of a list.
        if heading.kind == "number" and not row.is_running and whole[bisect(borders, row.place)] < _USUAL:
            is_problem = _begins_problem(one, following, known)
        if is_problem:
            bounds.append(Mark(row, heading.labels, one.score, f"heading “{_shown(row)}”", "problem"))
        elif heading.kind == "end" and not row.is_running and (row.is_large or row.is_first):
            bounds.append(Mark(row, (), 1.0, f"heading “{_shown(row)}”", "end"))
    return bounds


def _begins_problem(one: _Candidate, after: _Candidate | None, known: Collection[str]) -> bool:
    """Whether a number is a problem's rather than one of a list: a letter of the problem comes next."""
    if one.row.is_large and one.row.is_spaced and one.heading.rest and one.row.size > 1.05:
        return True
    if after is None or after.heading.kind != "part":
        return False
    is_outer = one.row.is_spaced and one.row.line.box.left <= after.row.line.box.left + 2
    return after.heading.labels == ("a",) or (
        is_outer and one.heading.labels[0] + after.heading.labels[0] in known
    )


def _parts(candidates: Sequence[_Candidate], marks: Sequence[Mark], known: Collection[str]) -> list[Mark]:
    """Letters without a number, in the problem in which they stand."""
    found: list[Mark] = []
    letters = [one for one in candidates if one.heading.kind == "part" and one.score >= POSSIBLE]
    items = sorted((mark for mark in marks if mark.kind != "problem" and mark.labels), key=_place)
    for number, beginning, end in _problems(marks):
        whole = _between(items, beginning, end)
        if len(whole) > 1 or (whole and not whole[0].nested):
            continue
        parts = [
            one
            for one in _between(letters, beginning, end)[:_MOST_PARTS]
            if number + one.heading.labels[0] in known
            and all(number + one.heading.labels[0] > mark.labels[0] for mark in whole)
        ]
        found += [
            Mark(
                one.row,
                (number + one.heading.labels[0],),
                min(one.score, 0.9),
                f"heading “{_shown(one.row)}” in {number}",
            )
            for one in _chain(parts)
        ]
    return found


def _place(one: Mark | _Candidate) -> int:
    return one.row.place


def _between(sorted_ones: Sequence[_Placed], beginning: int, end: int) -> Sequence[_Placed]:
    first, last = (bisect_left(sorted_ones, place, key=_place) for place in (beginning, end))
    return sorted_ones[first:last]


def _problems(marks: Sequence[Mark]) -> list[tuple[str, int, int]]:
    """Each problem's number, with the places where it begins and ends."""
    ordered = sorted(marks, key=_place)
    starts: list[tuple[str, int]] = []
    for mark in ordered:
        number = problem_of(mark.labels[0]) if mark.labels else ""
        if not starts or starts[-1][0] != number:
            starts.append((number, mark.row.place))
    ends = [*(place for _, place in starts[1:]), 1 << 60][: len(starts)]
    return [(number, place, end) for (number, place), end in zip(starts, ends, strict=True) if number]


def _chain(parts: Sequence[_Candidate]) -> list[_Candidate]:
    """The best sequence of letters in alphabetical order; a list within an answer is set further in, and begins anew."""
    surest = [one for one in parts if one.score >= ACCEPTED] or parts
    if not surest:
        return []
    outer = min(one.row.line.box.left for one in surest)
    parts = [one for one in parts if abs(one.row.line.box.left - outer) < _SAME_MARGIN]
    best: list[tuple[float, int]] = []
    for number, one in enumerate(parts):
        before = [
            (best[earlier][0], earlier)
            for earlier in range(number)
            if parts[earlier].heading.labels < one.heading.labels
        ]
        gain, previous = max(before, default=(0.0, -1))
        best.append((gain + one.score, previous))
    at = max(range(len(parts)), key=lambda number: best[number][0])
    chosen = []
    while at >= 0:
        chosen.append(parts[at])
        at = best[at][1]
    return chosen[::-1]


# -- what is no answer -------------------------------------------------------------------------------------------


def _others(rows: Sequence[Row], marks: Sequence[Mark], questions: Questions) -> list[Mark]:
    """Titles of something else: the template's own, and those at a page's top that are larger than the items'."""
    taken = {mark.row.place for mark in marks}
    sizes = [mark.row.size for mark in marks if mark.kind in ("item", "question", "problem")]
    largest = max(sizes, default=1.0)
    found = []
    for row in rows:
        if row.place in taken or not row.words:
            continue
        is_title = row.is_first and row.size >= 1.3 and row.size >= 1.12 * largest
        is_of_template = row.is_large and _as_in_template(row.line.text, questions)
        if is_title or is_of_template:
            found.append(Mark(row, (), 1.0, f"title “{_shown(row)}”", "end"))
    return found


def _one_each(marks: Sequence[Mark]) -> list[Mark]:
    """One mark for each line, the surest."""
    best: dict[int, Mark] = {}
    for mark in marks:
        other = best.get(mark.row.place)
        if other is None or (mark.kind == "item", mark.score) > (other.kind == "item", other.score):
            best[mark.row.place] = mark
    return [best[place] for place in sorted(best)]


def _without_repeats(marks: Sequence[Mark]) -> list[Mark]:
    """Without unsure marks of an item that is surely begun elsewhere."""
    best: dict[str, float] = defaultdict(float)
    for mark in marks:
        for label in mark.labels:
            best[label] = max(best[label], mark.score)
    return [
        mark
        for mark in marks
        if mark.kind != "item" or any(mark.score >= best[label] - 0.3 for label in mark.labels)
    ]
