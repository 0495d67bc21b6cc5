"""A result in which every field holds a given text, with pictures of every kind."""

from __future__ import annotations

from typing import Any

from grader.homework3 import HOMEWORK
from grader.scoring.pictures import Grid, Matrices, Matrix, Picture, Row, Sequences, Table, Tiles, Tokens
from grader.scoring.result import (
    Cell,
    ChosenEntry,
    CodeLine,
    Excerpt,
    Flag,
    Grading,
    Penalty,
    Result,
    SetBy,
    Versions,
    totals,
)
from grader.scoring.rubric import load_rubric
from grader.scoring.score import score
from grader.scoring.verdict import Verdict

RUBRIC = load_rubric(HOMEWORK.rubric)
CRITERIA = {criterion.id: criterion for item in RUBRIC.automatic for criterion in item.criteria}
HOSTILE = (
    "</pre></style></script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    "<style>*{display:none}</style>\" onclick=\"document.title='run'\" {{ 7 * 7 }} {% raw %} \u202e\x1b[31m ]]> <!-- &amp;"
)


def pictures(text: str = "alpha") -> tuple[Picture, ...]:
    """A picture of every kind, with a text wherever one goes."""
    rows = ((0.5, "nan", -0.25), (0.0, 1.0, "-inf"))
    one = Matrix(title=text, rows=rows, whole=(2, 3), marks=((0, 1),), hatched=((1, 2),))
    tiles = Tiles(title=text, size=(2, 3), marked=((0, 0),), outlined=((1, 1),), numbered=True)
    return (
        Matrices(caption=text, panels=(one, one.model_copy(update={"first": (4, 5), "whole": (9, 9)}))),
        Grid(caption=text, panels=(tiles,), marked=text, outlined=text),
        Sequences(caption=text, rows=(Tokens(title=text, tokens=(text, "b")), Tokens(title=text, tokens=("c",))), mark=1),
        Table(caption=text, columns=(text, "y"), rows=(Row(cells=(text, "1"), faded=True), Row(cells=("2",), marked=True))),
    )


def made(text: str = "plain", **fields: Any) -> Result:
    """A result with failures, an error, a graded manual item, penalties, comments, cells and code."""
    verdicts = {name: Verdict(name, "passed") for name in RUBRIC.properties}
    for criterion, places in (("2a.mask", (CodeLine(cell=2, line=3),)), ("4d.padding", ())):
        name = CRITERIA[criterion].properties[0]
        verdicts[name] = Verdict(
            name,
            "failed",
            f"message {text}",
            f"x = {text}",
            f"Property {text}",
            notes=(f"note {text}",),
            pictures=pictures(text),
            snippet=f"print('{text}')",
            places=places,
        )
    broken = CRITERIA["3a.linear"].properties[0]
    verdicts[broken] = Verdict(broken, "error", f"broken {text}")
    items = list(score(RUBRIC, verdicts))
    for place, item in enumerate(items):
        if item.id == "1e":
            grading = Grading(who=text, entries=(ChosenEntry(points=-0.5, text=text),), adjustment=0.25, comment=text)
            items[place] = item.model_copy(update={"grading": grading, "points": 1.5, "status": "partial"})
        if item.id == "1f":
            set_by = SetBy(who=text, why=text)
            items[place] = item.model_copy(update={"set_by": set_by, "points": 1.0, "status": "passed"})
    code = (
        Excerpt(cell=2, first=1, text=f"class A:\n    # {text}\n    raise ValueError", items=("2a",)),
        Excerpt(cell=9, first=4, text=f"@{text}\nclass B:\n    x = 1\n    y = 2\n    z = 3", items=("4d",), folded=(6, 7)),
    )
    whole = {
        "title": text,
        "submission": f"{text}.ipynb",
        "items": tuple(items),
        "warnings": (f"warning {text}",),
        "cells": (
            Cell(number=1, decision="run", status="ok"),
            Cell(number=2, decision="skip", status="skipped", reason=f"trains {text}"),
            Cell(number=30, decision="partly", status="raised", reason=text, error=f"NameError {text}"),
        ),
        "flags": (Flag(kind="flagged", message=f"flag {text}"),),
        "penalties": (Penalty(id="late", percent=3, reason=f"late {text}"),),
        "comments": (f"comment {text}",),
        "code": code,
        "seed": "secret",
        "versions": Versions(grader="0.1", rubric="1", python="3.11"),
    }
    return Result(**(whole | totals(items)._asdict() | fields))
