"""Tables of a few columns, such as one with a row for each position of a sequence."""

from __future__ import annotations

from markupsafe import Markup

from grader.report.pictures.svg import element
from grader.scoring.pictures import Row, Table


def draw_table(picture: Table) -> Markup:
    """A table; rows that count for nothing are struck pale, and those that are wrong are marked."""
    head = Markup("").join(element("th", column, scope="col") for column in picture.columns)
    body = Markup("").join(_row(row, len(picture.columns)) for row in picture.rows)
    return element("table", element("thead", element("tr", head)) + element("tbody", body), class_="positions")


def _row(row: Row, columns: int) -> Markup:
    classes = " ".join([*(["faded"] if row.faded else []), *(["marked"] if row.marked else [])])
    first, *rest = [*row.cells, *[""] * columns][:columns]
    cells = element("th", first, scope="row") + Markup("").join(element("td", cell) for cell in rest)
    return element("tr", cells, **({"class_": classes} if classes else {}))
