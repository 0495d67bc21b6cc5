"""The page of the result's format, from the classes that write it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from generators.tables import table_of
from grader.scoring import result

HEAD = """# The result file

`grader grade --json FILE` writes a result, and a class folder keeps one for each student in `results/`. Its JSON schema ships
with the grader (`grader/scoring/result.schema.json`).
"""


def pages() -> Mapping[str, str]:
    """One page with a table for each object of a result."""
    models = [
        value
        for value in vars(result).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == result.__name__
        and not value.__name__.startswith("_")
    ]  # fmt: skip
    models.sort(key=lambda model: model.__name__ != "Result")
    sections = [HEAD, *(f"## {model.__name__}\n\n{model.__doc__}\n\n{table_of(model)}" for model in models)]
    return {"reference/result.md": "\n\n".join(sections) + "\n"}
