"""Versions of the files that outlive a version of the grader: results and rubrics.

They follow semantic versioning. The last number changes where only words do; the middle one where something is added that a
file may leave out; the first one where an earlier file would be misread. A grader reads its own version and earlier ones with
the same first number.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

RESULT = "1.0.0"
"""Of `grader.scoring.result.Result`."""
RUBRIC = "1.0.0"
"""Of `grader.scoring.rubric.Rubric`."""
_PATTERN = r"^\d+\.\d+\.\d+$"


def _readable(value: Any, known: str, before: tuple[Any, ...]) -> Any:
    """The version that a file states; raises ValueError where this grader does not read it."""
    if any(value == old and type(value) is type(old) for old in before):
        return known
    if not isinstance(value, str) or not re.match(_PATTERN, value):
        raise ValueError(f"must be a version such as \"{known}\", in quotes")
    (major, minor, _), (own_major, own_minor, _) = (tuple(map(int, each.split("."))) for each in (value, known))
    if major != own_major or minor > own_minor:
        raise ValueError(f"version {value} cannot be read by this grader, which reads {known}; install the one that wrote it")
    return value


ResultVersion = Annotated[str, BeforeValidator(lambda value: _readable(value, RESULT, (1,))), Field(pattern=_PATTERN)]
"""Grader 0.1 wrote the number 1."""
RubricVersion = Annotated[str, BeforeValidator(lambda value: _readable(value, RUBRIC, ())), Field(pattern=_PATTERN)]
