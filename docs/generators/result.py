"""The page of the result's format, from the classes that write it."""

from __future__ import annotations

from collections.abc import Mapping

from generators.tables import models_of, table_of
from grader.scoring.formats import RESULT
from grader.scoring.result import Result

HEAD = """# The result file

`grader grade --json FILE` writes a result, and a class folder keeps one for each student in `results/`. Its JSON schema ships
with the grader (`grader/scoring/result.schema.json`).

This page describes version {version} of the form, which `schema_version` names. The first number changes where an earlier
result would be misread, the second one where a field is added. A grader reads its own version and earlier ones with the same
first number, those of grader 0.1 among them, which wrote the number 1. So a class folder stays readable until the first number
changes.
"""


def pages() -> Mapping[str, str]:
    """One page with a table for each object of a result."""
    tables = (f"## {model.__name__}\n\n{model.__doc__}\n\n{table_of(model)}" for model in models_of(Result))
    sections = [HEAD.format(version=RESULT), *tables]
    return {"reference/result.md": "\n\n".join(sections) + "\n"}
