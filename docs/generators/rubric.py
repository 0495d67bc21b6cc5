"""The page of the rubric's format, from the classes that read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generators.tables import table_of
from grader.scoring import rubric
from grader.scoring.formats import RUBRIC

ORDER = (
    "Rubric", "AutomaticItem", "Criterion", "TrainingItem", "Budget", "ManualItem", "RubricEntry", "PenaltyRule",
    "GradescopeSettings", "Lateness",
)  # fmt: skip
HEAD = """# The rubric file

`rubric.yaml` says what each part of the homework is worth. It is read strictly: an unknown key, a missing one or points that
do not add up are refused, and one message names every faulty line. Change a rubric of a class that is graded already with
`grader rescore`.

This page describes format {version}. A file may state the format that it was written for (`format: "{version}"`). The first
number changes where an earlier file would be misread, the second one where an entry is added that a file may leave out. A
grader reads its own format and earlier ones with the same first number, and refuses others in one line.
"""


def pages() -> Mapping[str, str]:
    """One page with a table for each kind of entry."""
    sections = [HEAD.format(version=RUBRIC)]
    for name in ORDER:
        model: Any = getattr(rubric, name)
        sections.append(f"## {name}\n\n{model.__doc__}\n\n{table_of(model)}")
    return {"reference/rubric.md": "\n\n".join(sections) + "\n"}
