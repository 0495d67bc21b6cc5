"""The page of the result's format, from the classes that write it."""

from __future__ import annotations

from collections.abc import Mapping

from generators.tables import models_of, table_of
from grader.scoring.result import Result

HEAD = """# The result file

`grader grade --json FILE` writes a result, and a class folder keeps one for each student in `results/`. Its JSON schema ships
with the grader (`grader/scoring/result.schema.json`).
"""


def pages() -> Mapping[str, str]:
    """One page with a table for each object of a result."""
    sections = [HEAD, *(f"## {model.__name__}\n\n{model.__doc__}\n\n{table_of(model)}" for model in models_of(Result))]
    return {"reference/result.md": "\n\n".join(sections) + "\n"}
