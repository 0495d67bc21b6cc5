"""A class of students who all wrote right solutions of Homework 3 on their own.

Each answer to each part is used once. It is a right variant of the audit's corpus, as far as there are any, or is written by
an `Author` of `idioms`, who makes each decision by chance. So what two of these submissions have in common, they have in common
because people do. Students are simulated; the habits and how often they occur are our estimate of real ones.
"""

from __future__ import annotations

import ast
import random
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache

from grader.audit.corpus import Case, cells_of, load_all
from grader.audit.mechanical import Target, targets
from grader.insight.similar_code import Cell
from grader.scoring.rubric import load_rubric
from tests.insight.idioms import Author

Sources = dict[str, str]
"""The code of one submission by part."""


@cache
def all_targets() -> tuple[Target, ...]:
    return tuple(targets())


@cache
def variants() -> dict[str, tuple[str, ...]]:
    """The right answers of the corpus to each part, with the cells that belong to them."""
    criteria = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
    found: dict[str, list[str]] = {}
    for case in load_all(criteria):
        if case.entry.kind == "variant":
            found.setdefault(case.part, []).append(own_code(case))
    return {part: tuple(codes) for part, codes in found.items()}


def own_code(case: Case) -> str:
    """The cells of a case that differ from the reference's, as one cell."""
    from grader.audit.corpus import reference_cells

    return "\n\n".join(cell for cell in case.cells if cell not in reference_cells())


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
    return {f"s{number:03}": {part: codes[number] for part, codes in answers.items()} for number in range(size)}


def cells(sources: Mapping[str, str]) -> list[Cell]:
    return [Cell(source, ast.parse(source), number) for number, source in enumerate(sources.values(), start=1)]


def parts() -> dict[str, str]:
    """The item of each class that students write."""
    return {target.class_name: target.part for target in all_targets()}


def background() -> list[list[Cell]]:
    """The audit's right variants, each of which is one more student."""
    return [[Cell(code, ast.parse(code))] for codes in variants().values() for code in codes]


def given_cells(submission: Sequence[str]) -> list[Cell]:
    return [Cell(source, ast.parse(source)) for source in submission]


__all__ = ["Cell", "cells_of", "independent_class"]
