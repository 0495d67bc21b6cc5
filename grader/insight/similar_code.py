"""Pairs of submissions whose code is more alike than independent work is. Advice for a person to look at, never a verdict.

Code is compared by its data flow (`program`), so renamed identifiers, the order of independent statements, comments, layout,
type hints, docstrings, dead code, loops written as comprehensions and extracted helpers make no difference. What many others
write as well counts little, and what the homework gives students counts nothing.
"""

from __future__ import annotations

import ast
import io
import math
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from grader.insight.code_fingerprints import (
    Fingerprint,
    Matrix,
    Weights,
    counterparts,
    fingerprints_of,
    overlaps,
)
from grader.insight.data_flow import Statement
from grader.insight.program import Known, nodes_of

LEAST_SHARE = 0.7
"""Of the code of both, for a part to be alike."""
MARGIN = 5.5
"""Nats of evidence beyond the logarithm of the number of pairs: chance makes a pair in about 250 classes, as far as parts are
independent. With evidence for the logarithm alone it would make one in each class."""
CORRELATED = 6.0
"""Choices within a part go together: so many tell as much as one would on its own."""
_LEAST_OF_STATEMENT = 0.6
_LEAST_OF_OTHERS = 0.8
_IGNORED = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)

Cells = Sequence["Cell"]


@dataclass(frozen=True)
class Cell:
    """A code cell in which a student wrote.

    Args:
        source: its text, as the notebook holds it.
        tree: the syntax tree of that text; magics are blanked out, so that lines agree.
        number: which code cell of the notebook it is, from 1.
    """

    source: str
    tree: ast.Module
    number: int = 0


@dataclass(frozen=True)
class Lines:
    """Lines of a cell, from 1, the last one included. ``cell`` is an index into the cells of the submission."""

    cell: int
    first: int
    last: int


@dataclass(frozen=True)
class MatchedSpan:
    """A statement of the first submission and the one of the second that does the same.

    ``common_in_class`` is the number of other submissions of the class with such a statement.
    """

    first: Lines
    second: Lines
    common_in_class: int


@dataclass(frozen=True)
class PartMatch:
    """How alike one part is in a pair.

    Args:
        part: the item whose class it is, such as 2a; empty for other code.
        alike: the number of statements of the first submission with a counterpart in the second.
        statements: the number of statements that the first and the second wrote themselves.
        common_in_class: the number of other submissions of the class that write this part so.
        share: how much of the part is alike, from 0 to 1, where rare code counts more than common code.
        identical: whether the code of both is the same but for comments and layout.
        matches: the counterparts, in the order of the first submission.
    """

    part: str
    alike: int
    statements: tuple[int, int]
    common_in_class: int
    share: float
    identical: bool
    matches: tuple[MatchedSpan, ...]

    @property
    def wording(self) -> str:
        """``alike in 7 of 9 statements; 3 others in the class write this part so``."""
        total = min(self.statements)
        alike = min(self.alike, total)
        count = self.common_in_class
        others = {0: "nobody else in the class writes", 1: "1 other in the class writes"}
        who = others.get(count, f"{count} others in the class write")
        return f"alike in {alike} of {total} statement{'' if total == 1 else 's'}; {who} this part so"


@dataclass(frozen=True)
class Pair:
    """Two submissions that are more alike than independent ones are.

    Args:
        first: the key of a submission of the class.
        second: the key of another one; ``source`` says where from, empty for the same class.
        score: from 0 to 1, the share of the code of both that is alike, rare code counting more.
        parts: the parts that are alike, the most alike first.
    """

    first: str
    second: str
    score: float
    parts: tuple[PartMatch, ...]
    source: str = ""


def similar_pairs(
    submissions: Mapping[str, Cells],
    parts: Mapping[str, str],
    *,
    given: Cells = (),
    background: Sequence[Cells] = (),
    against: Mapping[str, Mapping[str, Cells]] | None = None,
) -> list[Pair]:
    """The pairs of a class that are more alike than independent submissions are, the most alike first.

    Args:
        submissions: the cells of each submission by its key.
        parts: the item by the class or function that students write for it.
        given: the cells that students got; what they hold counts nothing.
        background: right solutions by others (the reference, the audit's variants), each of which counts as one more student.
        against: other submissions by source, such as last year's folder, and key. They are not compared with each other.
    """
    population = Population(submissions, parts, given, background, against or {})
    found = [population.pair(one, other) for one, other in population.suspects()]
    return sorted(found, key=lambda pair: (-pair.score, pair.first, pair.source, pair.second))


@dataclass(frozen=True)
class _Author:
    """A submission with its fingerprints by part; ``source`` is empty for the class."""

    key: str
    source: str
    cells: Cells
    prints: Mapping[str, Fingerprint]


class Population:
    """A class, those it is compared with, and how alike any two of them are."""

    def __init__(
        self,
        submissions: Mapping[str, Cells],
        parts: Mapping[str, str],
        given: Cells,
        background: Sequence[Cells],
        against: Mapping[str, Mapping[str, Cells]],
    ) -> None:
        known = Known.of(parts, [cell.tree for cell in given])
        free = frozenset(
            signature
            for node in nodes_of([cell.tree for cell in given], known)
            for signature in node.signatures
        )

        def prints(cells: Cells) -> dict[str, Fingerprint]:
            return fingerprints_of(nodes_of([cell.tree for cell in cells], known), free)

        self.authors = [_Author(key, "", cells, prints(cells)) for key, cells in submissions.items()]
        self.size = len(self.authors)
        self.authors += [
            _Author(key, source, cells, prints(cells))
            for source, others in against.items()
            for key, cells in others.items()
        ]
        self.others = [prints(cells) for cells in background]
        self.parts = sorted({part for author in self.authors[: self.size] for part in author.prints})
        self.weights = {
            part: Weights.of(
                [
                    one[part]
                    for one in (*(author.prints for author in self.authors), *self.others)
                    if part in one
                ]
            )
            for part in self.parts
        }

    @cached_property
    def _measures(self) -> tuple[Matrix, Matrix]:
        """The share of all code that each pair has in common, and the evidence of the parts that are alike."""
        count = len(self.authors)
        shared, evidence = np.zeros((count, count), np.float32), np.zeros((count, count), np.float32)
        own = np.zeros(count, np.float32)
        for part in self.parts:
            prints = [author.prints.get(part) for author in self.authors]
            found = overlaps(
                [*prints, *(one[part] for one in self.others if part in one)], self.weights[part]
            )
            shared += found.shared[:count, :count]
            own += found.own[:count]
            is_alike = found.share >= LEAST_SHARE
            evidence += (is_alike * _evidence(is_alike, found.evidence, self.weights[part].people))[
                :count, :count
            ]
        return 2 * shared / np.maximum(own[:, None] + own[None, :], 1e-6), evidence

    @property
    def share(self) -> Matrix:
        """How much of their code any two have in common, from 0 to 1."""
        return self._measures[0]

    @property
    def evidence(self) -> Matrix:
        """How much the parts in which any two are alike tell, in nats."""
        return self._measures[1]

    def suspects(self) -> Iterator[tuple[int, int]]:
        """The pairs that are more alike than chance makes them; the first is always of the class."""
        pairs = self.size * (self.size - 1) / 2 + self.size * (len(self.authors) - self.size)
        is_alike = self.evidence >= math.log(max(1.0, pairs)) + MARGIN
        rows, columns = np.nonzero(np.triu(is_alike, 1)[: self.size])
        yield from zip(rows.tolist(), columns.tolist(), strict=True)

    def pair(self, one: int, other: int) -> Pair:
        """What two submissions have in common."""
        first, second = self.authors[one], self.authors[other]
        others = [
            author.prints
            for place, author in enumerate(self.authors[: self.size])
            if place not in (one, other)
        ]
        found = [
            self._part(part, (first, second), [prints[part] for prints in others if part in prints])
            for part in self.parts
            if part in first.prints and part in second.prints
        ]
        alike = sorted(
            (match for match in found if match.share >= LEAST_SHARE), key=lambda match: -match.share
        )
        return Pair(
            first.key, second.key, round(float(self.share[one, other]), 3), tuple(alike), second.source
        )

    def _part(self, part: str, pair: tuple[_Author, _Author], others: Sequence[Fingerprint]) -> PartMatch:
        one, other = (author.prints[part] for author in pair)
        weights = self.weights[part]
        matched = counterparts(one, other, weights.weight, _LEAST_OF_STATEMENT)
        spans = [
            MatchedSpan(_lines(first), _lines(second), _many_choose(others, one.choices.intersection(common)))
            for first, second, common in matched
        ]
        common = one.signatures & other.signatures
        total = sum(
            weights.weight(signature) * count
            for each in (one, other)
            for signature, count in each.signatures.items()
        )
        shared = 2 * sum(weights.weight(signature) * count for signature, count in common.items())
        texts = [_own_text(author.cells, author.prints[part]) for author in pair]
        return PartMatch(
            part,
            len(matched),
            (len(one.statements), len(other.statements)),
            sum(
                len(common.keys() & each.signatures.keys()) >= _LEAST_OF_OTHERS * len(common)
                for each in others
            ),
            round(shared / total, 3) if total else 0.0,
            texts[0] == texts[1],
            tuple(sorted(spans, key=lambda span: (span.first.cell, span.first.first, span.second.first))),
        )


def _evidence(is_alike: NDArray[np.bool_], choices: Matrix, people: int) -> Matrix:
    """How much it tells in nats that two people write a part alike.

    It is the rarity of that way to write the part, or that of the single choices, if that is more.

    Args:
        is_alike: whether any two people write the part alike.
        choices: the weight of the single choices that they share.
        people: how many wrote the part.
    """
    near = is_alike.astype(np.float32)
    np.fill_diagonal(near, 0)
    rarity = np.log((people + 1) / (near @ near + 1))
    found: Matrix = np.maximum(np.minimum(rarity, choices), choices / CORRELATED)
    return found


def _many_choose(others: Sequence[Fingerprint], choices: Collection[int]) -> int:
    """How many others make nearly all of the choices, too."""
    return (
        sum(len(each.choices.intersection(choices)) >= _LEAST_OF_OTHERS * len(choices) for each in others)
        if choices
        else 0
    )


def _lines(statement: Statement) -> Lines:
    return Lines(statement.cell, statement.first, statement.last)


def _own_text(cells: Cells, fingerprint: Fingerprint) -> list[list[str]]:
    """The words and signs of the lines that a part was written in, without comments and layout."""
    found = []
    for statement in sorted(fingerprint.statements, key=lambda one: (one.cell, one.first)):
        lines = cells[statement.cell].source.split("\n")[statement.first - 1 : statement.last]
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO("\n".join(lines).lstrip()).readline))
            found.append([token.string for token in tokens if token.type not in _IGNORED])
        except (tokenize.TokenError, SyntaxError):  # the head of a compound statement, cut off
            found.append("\n".join(lines).split())
    return found
