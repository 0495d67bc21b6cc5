"""What the layout of a PDF says about each line: whether it stands out as headings do, or goes on from the line above."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from grader.pdfs.document import Document, Line, Page
from grader.pdfs.questions import words_of

MARGIN = 0.1
"""Of a page's height, above and below, where running headers and footers stand."""
REPEATED = 3
_LONGEST = 1000
"""Characters of a line that are looked at."""
_MOST_ROWS = 30_000
_SHARE_OF_TEXT = 0.15
_NUMBER = re.compile(r"(?:page\s*)?[-–(]?\s*\d{1,4}\s*[-–)]?(?:\s*(?:of|/|\|)\s*\d{1,4})?", re.I)
_ENDED = re.compile(r"[.!?:;][\"')\]”’]*$")


@dataclass(frozen=True)
class Metrics:
    """What is usual on pages of one size: a line's height, the distance between two lines, and the text's edges."""

    height: float
    pitch: float
    left: float
    right: float
    bold_is_rare: bool


@dataclass(frozen=True)
class Row:
    """A line, its place in the whole text, and how it stands out."""

    place: int
    page: Page
    line: Line
    metrics: Metrics
    is_first: bool
    """Whether nothing stands above it on its page."""
    is_spaced: bool
    """Whether there is more room above it than between lines."""
    is_running: bool
    """Whether it goes on from the line above in the middle of a sentence."""

    @cached_property
    def words(self) -> list[str]:
        """Its words, as the questions are compared with them."""
        return words_of(self.line.text[:_LONGEST])

    @property
    def is_large(self) -> bool:
        """Whether it is set larger or bolder than most."""
        bold = self.line.bold and self.metrics.bold_is_rare
        return bold or self.line.box.height >= 1.12 * self.metrics.height

    @property
    def size(self) -> float:
        """Its height beside that of most lines."""
        return self.line.box.height / self.metrics.height


def rows_of(document: Document, keep: Callable[[str], bool]) -> list[Row]:
    """The lines in reading order, without headers, footers and page numbers.

    Of a line that is repeated at the edge of pages the first one stays where ``keep`` says so.
    """
    repeated = _repeated(document)
    seen: set[str] = set()
    metrics = _metrics(document)
    rows: list[Row] = []
    for page in document.pages:
        above: Line | None = None
        for line in page.lines:
            if _is_number(line, page):
                continue
            if line.text in repeated and _is_at_edge(line, page):
                if line.text in seen or not keep(line.text):
                    continue
                seen.add(line.text)
            if len(rows) == _MOST_ROWS:
                return rows
            rows.append(
                _row(len(rows), page, line, above, rows[-1].line if rows else None, metrics[_size(page)])
            )
            above = line
    return rows


def _row(
    place: int, page: Page, line: Line, above: Line | None, before: Line | None, metrics: Metrics
) -> Row:
    first = above is None and not any(box.top < line.box.top - 2 for box in page.pictures)
    spaced = above is None or line.box.top - above.box.top > 1.35 * metrics.pitch
    open_end = before is not None and _is_unfinished(before, line, metrics)
    return Row(
        place,
        page,
        line,
        metrics,
        first,
        spaced,
        open_end and (above is None or not spaced),
    )


def _is_unfinished(before: Line, line: Line, metrics: Metrics) -> bool:
    """Whether a line was broken because the next word did not fit, and its sentence goes on."""
    if _ENDED.search(before.text):
        return False
    first = line.text.split(" ", 1)[0]
    width = (line.box.right - line.box.left) / max(len(line.text), 1) * (len(first) + 1)
    return before.box.right + width > metrics.right - 1


def _size(page: Page) -> tuple[int, int]:
    return round(page.width), round(page.height)


def _metrics(document: Document) -> dict[tuple[int, int], Metrics]:
    lines: dict[tuple[int, int], list[Line]] = defaultdict(list)
    pitches: dict[tuple[int, int], list[float]] = defaultdict(list)
    for page in document.pages:
        lines[_size(page)] += page.lines
        pitches[_size(page)] += [
            below.box.top - above.box.top
            for above, below in zip(page.lines, page.lines[1:], strict=False)
            if 0 < below.box.top - above.box.top < 3 * below.box.height
        ]
    return {
        size: _usual(lines[size], pitches[size], size) for size in {_size(page) for page in document.pages}
    }


def _usual(lines: Sequence[Line], pitches: Sequence[float], size: tuple[int, int]) -> Metrics:
    if not lines:
        return Metrics(12, 14, 0, size[0], True)
    height = _text_height(lines)
    pitch = statistics.median_low(pitches) if pitches else 1.2 * height
    # Where all lines are short, none of them shows where the margin is.
    right = max(
        _weighted_median([(line.box.right, len(line.text) ** 2) for line in lines], 0.8), 0.6 * size[0]
    )
    left = _weighted_median([(line.box.left, len(line.text)) for line in lines], 0.2)
    bold = sum(len(line.text) for line in lines if line.bold)
    return Metrics(height, pitch, left, right, bold < 0.4 * sum(len(line.text) for line in lines))


def _text_height(lines: Sequence[Line]) -> float:
    """The height of a line of text. There may be more code, which is smaller; headings are larger, but few."""
    often: dict[float, int] = defaultdict(int)
    for line in lines:
        often[round(2 * line.box.height) / 2] += len(line.text)
    # Formulas and accents make some lines of a text a little higher.
    near = {height: sum(often.get(height + step, 0) for step in (-0.5, 0, 0.5)) for height in often}
    enough = _SHARE_OF_TEXT * sum(often.values())
    return max(
        (height for height, count in near.items() if count >= enough and often[height] > 0.3 * count),
        default=12.0,
    )


def _weighted_median(values: Sequence[tuple[float, float]], at: float = 0.5) -> float:
    whole = sum(weight for _, weight in values)
    reached = 0.0
    for value, weight in sorted(values):
        reached += weight
        if reached >= at * whole:
            return value
    return values[-1][0]


def _repeated(document: Document) -> set[str]:
    """Texts that stand at the same place on most pages from the first to the last that has them."""
    where: dict[tuple[str, int], set[int]] = defaultdict(set)
    for page in document.pages:
        for line in page.lines:
            if _is_at_edge(line, page):
                where[line.text, round(line.box.top / 4)].add(page.number)
    return {
        text
        for (text, _), pages in where.items()
        if len(pages) >= REPEATED and len(pages) > 0.4 * (max(pages) - min(pages) + 1)
    }


def _is_at_edge(line: Line, page: Page) -> bool:
    return line.box.top < MARGIN * page.height or line.box.bottom > (1 - MARGIN) * page.height


def _is_number(line: Line, page: Page) -> bool:
    return _is_at_edge(line, page) and _NUMBER.fullmatch(line.text.strip()) is not None
