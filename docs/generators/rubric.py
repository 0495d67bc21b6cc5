"""The page of the rubric's format, from the classes that read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generators.tables import table_of
from grader.scoring import rubric

ORDER = (
    "Rubric", "AutomaticItem", "Criterion", "TrainingItem", "Budget", "ManualItem", "RubricEntry", "PenaltyRule",
    "GradescopeSettings", "Lateness",
)  # fmt: skip
HEAD = """# The rubric file

`rubric.yaml` says what each part of the homework is worth. It is read strictly: an unknown key, a missing one or points that
do not add up are refused, and one message names every faulty line. Change a rubric of a class that is graded already with
`grader rescore`.
"""


def pages() -> Mapping[str, str]:
    """One page with a table for each kind of entry."""
    sections = [HEAD]
    for name in ORDER:
        model: Any = getattr(rubric, name)
        sections.append(f"## {name}\n\n{model.__doc__}\n\n{table_of(model)}")
    return {"reference/rubric.md": "\n\n".join(sections) + "\n"}
