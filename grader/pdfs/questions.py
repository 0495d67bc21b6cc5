"""The template's own words about each item, by which an exported notebook and a copied question are recognized."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from grader.submission.reading import Submission

SHORT = 8
"""A question with fewer words has to be there wholly."""
ENOUGH = 0.6
"""Of a longer question's three-word phrases."""
_FIRST = 3
_PLACEHOLDER = re.compile(r"\*?\*?answer[.:]?\*?\*?[.:]?|\*your answer here\*", re.I)
_HEADING = re.compile(r"^\s*#+.*$", re.M)
_EMPTY = frozenset({"answer", "your", "here", "in", "out", "solution"})


def words_of(text: str) -> list[str]:
    """Letters and digits, in lower case; h_2 is the word h2."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("_", "")
    return re.findall(r"[^\W_]+", folded)


@dataclass(frozen=True)
class Question:
    """What the template asks for one item, in one cell."""

    item: str
    words: tuple[str, ...]

    @cached_property
    def phrases(self) -> frozenset[tuple[str, ...]]:
        """Every three words that follow one another."""
        return frozenset(zip(self.words, self.words[1:], self.words[2:], strict=False))

    def is_in(self, words: Sequence[str]) -> bool:
        """Whether a text that should begin with the question does."""
        if tuple(words[:_FIRST]) != self.words[:_FIRST]:
            return False
        if len(self.words) < SHORT:
            return tuple(words[: len(self.words)]) == self.words
        reach = words[: len(self.words) + len(self.words) // 3 + 5]
        found = self.phrases & frozenset(zip(reach, reach[1:], reach[2:], strict=False))
        return len(found) >= ENOUGH * len(self.phrases)


@dataclass(frozen=True)
class Questions:
    """All questions of a template, and the items that it has cells for."""

    all: tuple[Question, ...] = ()
    items: tuple[str, ...] = ()
    headings: frozenset[str] = frozenset()
    """Those of the template's cells, without what marks them as headings."""
    said: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The words of the template's cells of each item."""

    @cached_property
    def _by_beginning(self) -> dict[tuple[str, ...], list[Question]]:
        found: dict[tuple[str, ...], list[Question]] = {}
        for question in self.all:
            found.setdefault(question.words[:_FIRST], []).append(question)
        return found

    def at(self, words: Sequence[str]) -> Question | None:
        """The question that a text begins with."""
        asked = self._by_beginning.get(tuple(words[:_FIRST]), ())
        return next((question for question in asked if question.is_in(words)), None)

    def says_more(self, item: str, words: Iterable[str]) -> bool:
        """Whether a text says more about an item than the template's cells do."""
        said = self.said.get(item, frozenset())
        # Long lines of code are cut or broken anywhere.
        return any(
            word not in said and not any(one.startswith(word) or one.endswith(word) for one in said)
            for word in words
            if word not in _EMPTY
        )


def questions_of(template: Submission | None, items: Collection[str]) -> Questions:
    """The questions that the template's cells of text ask about these items; none without a template."""
    if template is None:
        return Questions()
    found: list[Question] = []
    headings: set[str] = set()
    said: dict[str, set[str]] = defaultdict(set)
    for cell in template.markdown:
        lines = [line.lstrip("# ").strip() for line in cell.source.splitlines() if line.startswith("#")]
        headings.update(" ".join(words_of(line)) for line in lines)
        # What stands above a cell's last heading introduces a whole problem.
        own = _PLACEHOLDER.sub(" ", _HEADING.split(cell.source)[-1])
        words = tuple(words_of(own))
        label = next((item for item in items if lines and words_of(lines[-1])[:1] == [item]), cell.part)
        if label in items and label is not None and len(words) >= _FIRST:
            found.append(Question(label, words))
        said[label or ""].update(words_of(cell.source))
    for code in template.cells:
        said[code.part or ""].update(words_of(code.source))
    parts = [cell.part for cell in template.markdown] + [cell.part for cell in template.cells]
    return Questions(
        tuple(found),
        tuple(dict.fromkeys(filter(None, parts))),
        frozenset(headings - {""}),
        {item: frozenset(words) for item, words in said.items()},
    )
