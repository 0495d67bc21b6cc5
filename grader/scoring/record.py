"""What all records of a result share: they are immutable, and their text is harmless."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from grader.text.safe_text import LONG, clean, one_line


def _clean(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def _one_line(value: object) -> object:
    return one_line(value) if isinstance(value, str) else value


Line = Annotated[str, BeforeValidator(_one_line)]
"""One harmless line."""
Block = Annotated[str, BeforeValidator(_clean), Field(max_length=LONG)]
"""Harmless text of several lines."""


class Record(BaseModel):
    """Immutable, and closed: a misspelt field is an error, not a loss."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CodeLine(Record):
    """A line of a code cell."""

    cell: int = Field(ge=1, description="Number of the code cell, from 1.")
    line: int = Field(ge=1, description="Number of the line, from 1.")
