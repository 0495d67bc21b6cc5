"""Matrices as colored numbers: blue for positive ones, orange for negative ones, the stronger the larger."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from grader.report.pictures import svg
from grader.scoring.pictures import Matrices, Matrix, Number

LEVELS = 8
"""Steps of a color, each a class of the page's style."""
_HEIGHT = 27.0
_MARGIN = 26.0
"""Room for the numbers of rows and columns."""


def draw_matrices(picture: Matrices) -> Markup:
    """The matrices side by side; those that share a scale have the same colors for the same numbers."""
    largest: dict[int, float] = {}
    for panel in picture.panels:
        sizes = [abs(value) for row in panel.rows for value in row if isinstance(value, float)]
        largest[panel.scale] = max([largest.get(panel.scale, 0.0), *sizes])
    return svg.panels(_panel(panel, 0.0 if picture.is_plain else largest[panel.scale]) for panel in picture.panels)


def written(value: Number) -> str:
    """A number as it is drawn, with a true minus."""
    text = value if isinstance(value, str) else f"{value:.4g}"
    return text.replace("-", "−")


def level(value: Number, largest: float) -> str:
    """The class that colors a number, beside the largest one of its scale."""
    if isinstance(value, str):
        return "odd"
    if value == 0 or largest == 0:
        return "p0"
    return f"{'p' if value > 0 else 'm'}{max(1, min(LEVELS, round(LEVELS * (abs(value) / largest))))}"


def _panel(panel: Matrix, largest: float) -> Markup:
    columns = len(panel.rows[0]) if panel.rows else 0
    longest = max((len(written(value)) for row in panel.rows for value in row), default=1)
    width = max(30.0, longest * svg.CHARACTER + 10)
    title = _title(panel)
    whole = max(_MARGIN + columns * width, len(title) * 6.6) + 2
    top = 2 * _MARGIN - 8
    return svg.drawing(whole, top + len(panel.rows) * _HEIGHT + 3, _parts(panel, largest, width, top, title), _label(panel))


def _title(panel: Matrix) -> str:
    rows, columns = panel.whole
    shown = len(panel.rows), len(panel.rows[0]) if panel.rows else 0
    return panel.title if shown == panel.whole else f"{panel.title}, part of {rows} × {columns}"


def _parts(panel: Matrix, largest: float, width: float, top: float, title: str) -> Iterator[Markup]:
    yield svg.text(title, 0, 13, "label", "start")
    for column in range(len(panel.rows[0]) if panel.rows else 0):
        yield svg.text(str(panel.first[1] + column), _MARGIN + (column + 0.5) * width, top - 6, "label")
    for row, values in enumerate(panel.rows):
        y = top + row * _HEIGHT
        yield svg.text(str(panel.first[0] + row), _MARGIN - 7, y + _HEIGHT / 2 + 4, "label", "end")
        for column, value in enumerate(values):
            x = _MARGIN + column * width
            shade = level(value, largest)
            yield svg.element("rect", x=x, y=y, width=width, height=_HEIGHT, class_=shade)
            if (row, column) in panel.hatched:
                yield svg.hatching(x, y, width, _HEIGHT)
            is_marked = (row, column) in panel.marks
            yield svg.text(
                written(value), x + width / 2, y + _HEIGHT / 2 + 4, f"on-{shade} marked" if is_marked else f"on-{shade}"
            )
    for row, column in panel.marks:
        x, y = _MARGIN + column * width, top + row * _HEIGHT
        yield svg.element("rect", x=x, y=y, width=width, height=_HEIGHT, class_="mark")


def _label(panel: Matrix) -> str:
    rows, columns = panel.whole
    label = f"{panel.title}, {rows} by {columns} numbers."
    for row, column in panel.marks:
        if row < len(panel.rows) and column < len(panel.rows[row]):
            place = f"row {panel.first[0] + row}, column {panel.first[1] + column}"
            label += f" Marked: {place}, {written(panel.rows[row][column])}."
    return label
