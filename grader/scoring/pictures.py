"""What a picture of a counterexample shows, as data: the judge makes it, the result keeps it, and a report draws it.

Each kind is bounded, so a result stays small whatever a submission returns.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from grader.scoring.record import Line, Record
from grader.text.safe_text import one_line

MOST_ENTRIES = 12
"""Rows, and columns, of a matrix or a grid that are shown."""
MOST_TOKENS = 16
MOST_ROWS = 24
MOST_CHARACTERS = 40
"""Of a token."""
MOST_PANELS = 8
MOST_PICTURES = 4

NotFinite = Literal["nan", "inf", "-inf"]
Number = float | NotFinite
Place = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
"""Row and column within what is shown."""
Token = Annotated[str, BeforeValidator(lambda value: one_line(value, MOST_CHARACTERS) if isinstance(value, str) else value)]
"""A word, a number or another short text."""


class Matrix(Record):
    """A part of a tensor's last two axes."""

    title: Line
    rows: tuple[Annotated[tuple[Number, ...], Field(max_length=MOST_ENTRIES)], ...] = Field(max_length=MOST_ENTRIES)
    first: Place = Field(default=(0, 0), description="Row and column of the first entry that is shown.")
    whole: Place = Field(description="Rows and columns of the whole matrix.")
    marks: tuple[Place, ...] = Field(default=(), max_length=MOST_ENTRIES, description="Entries that are wrong.")
    hatched: tuple[Place, ...] = Field(
        default=(), max_length=MOST_ENTRIES**2, description="Entries that are masked, padding or the like."
    )
    scale: int = Field(default=0, ge=0, description="Matrices with the same number share a color scale.")


class Matrices(Record):
    """Matrices side by side."""

    kind: Literal["matrices"] = "matrices"
    caption: Line = ""
    panels: tuple[Matrix, ...] = Field(min_length=1, max_length=MOST_PANELS)
    is_plain: bool = Field(default=False, description="Whether numbers are not colored by their size.")


class Tiles(Record):
    """A grid of which some tiles stand out: ``marked`` in the way that is wrong, ``outlined`` as it should be."""

    title: Line
    size: Place = Field(description="Rows and columns.")
    marked: tuple[Place, ...] = Field(default=(), max_length=MOST_ENTRIES**2)
    outlined: tuple[Place, ...] = Field(default=(), max_length=MOST_ENTRIES**2)
    numbered: bool = Field(default=False, description="Whether each tile bears its number, in raster order.")


class Grid(Record):
    """Grids side by side, and what their marks mean."""

    kind: Literal["grid"] = "grid"
    caption: Line = ""
    panels: tuple[Tiles, ...] = Field(min_length=1, max_length=MOST_PANELS)
    marked: Line = ""
    outlined: Line = ""


class Tokens(Record):
    """A sequence, or a part of it."""

    title: Line
    tokens: tuple[Token, ...] = Field(max_length=MOST_TOKENS)


class Sequences(Record):
    """Sequences below each other, aligned by position."""

    kind: Literal["sequences"] = "sequences"
    caption: Line = ""
    rows: tuple[Tokens, ...] = Field(min_length=1, max_length=MOST_PANELS)
    first: int = Field(default=0, ge=0, description="Position of the first tokens that are shown.")
    mark: int | None = Field(default=None, ge=0, description="Position of the first difference.")


class Row(Record):
    """A row of a table; one that is ``faded`` counts for nothing."""

    cells: tuple[Token, ...] = Field(max_length=12)
    faded: bool = False
    marked: bool = False


class Table(Record):
    """A table, for instance of a sequence: a row for each position."""

    kind: Literal["table"] = "table"
    caption: Line = ""
    columns: tuple[Token, ...] = Field(min_length=1, max_length=12)
    rows: tuple[Row, ...] = Field(max_length=MOST_ROWS)


Picture = Annotated[Matrices | Grid | Sequences | Table, Field(discriminator="kind")]
Pictures = Annotated[tuple[Picture, ...], Field(max_length=MOST_PICTURES)]
