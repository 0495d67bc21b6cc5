"""A class of students who all wrote right solutions of Homework 3 on their own.

Each answer to each part is used once. It is a right variant of the audit's corpus, as far as there are any, or is written by
an `Author` of `idioms`, who makes each decision by chance. So what two of these submissions have in common, they have in common
because people do. Students are simulated; the habits and how often they occur are our estimate of real ones.
"""

from __future__ import annotations

import ast
import random
import re
import textwrap
from collections.abc import Mapping
from functools import cache

from grader.audit.corpus import reference_cells
from grader.audit.mechanical import Target, targets
from grader.audit.right_answers import right_answers
from grader.homework import load_homework
from grader.insight.similar_code import Cell
from grader.submission.own_code import cell_of, given_cells
from grader.submission.template import load_template
from tests.insight.idioms import Author

Sources = dict[str, str]
"""The code of one submission by part."""


@cache
def all_targets() -> tuple[Target, ...]:
    return tuple(targets())


@cache
def variants() -> dict[str, tuple[str, ...]]:
    """The right answers of the corpus to each part, each with the cells that belong to it."""
    codes = right_answers(load_homework())[len(reference_cells()) :]
    return {
        target.part: tuple(code for code in codes if re.search(rf"^class {target.class_name}\b", code, re.M))
        for target in all_targets()
    }


def written_by(author: Author, target: Target) -> str:
    """A class with what an author writes in its regions."""
    lines = target.source.splitlines()
    for region, text in list(zip(target.regions, author.regions(target.class_name), strict=True))[::-1]:
        lines[region.start - 1 : region.stop - 1] = textwrap.indent(text, " " * 8).splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith("# ====="))


def independent_class(size: int, seed: int = 0, *, corpus: bool = True) -> dict[str, Sources]:
    """The code of each submission by part."""
    rng = random.Random(seed)
    answers: dict[str, list[str]] = {}
    for target in all_targets():
        known = list(variants()[target.part]) if corpus else []
        rng.shuffle(known)
        known = known[:size]
        written = [written_by(Author(rng), target) for _ in range(size - len(known))]
        answers[target.part] = [*known, *written]
        rng.shuffle(answers[target.part])
    return {
        f"s{number:03}": {part: codes[number] for part, codes in answers.items()} for number in range(size)
    }


def cells(sources: Mapping[str, str]) -> list[Cell]:
    return [
        Cell(source, ast.parse(source), number) for number, source in enumerate(sources.values(), start=1)
    ]


def parts() -> dict[str, str]:
    """The item of each class that students write."""
    return {target.class_name: target.part for target in all_targets()}


def background() -> list[list[Cell]]:
    """The reference's classes and the audit's right variants."""
    return [[cell] for code in right_answers(load_homework()) if (cell := cell_of(code)) is not None]


def given() -> tuple[Cell, ...]:
    """What students get."""
    homework = load_homework()
    return given_cells(load_template(homework.template, homework.provided_classes))
