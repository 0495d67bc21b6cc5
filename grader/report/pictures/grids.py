"""Grids of tiles, such as the patches of an image."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from grader.report.pictures import svg
from grader.scoring.pictures import Grid, Tiles

_TILE = 28.0
_TOP = 22.0


def draw_grid(picture: Grid) -> Markup:
    """The grids side by side, with what their marks mean."""
    drawn = svg.panels(_panel(panel, picture) for panel in picture.panels)
    keys = []
    for meaning, shape in ((picture.marked, "wrong"), (picture.outlined, "mark")):
        if meaning:
            sign = svg.element("rect", x=1.5, y=1.5, width=13, height=13, class_=shape)
            key = svg.element("svg", sign, viewBox="0 0 16 16", width=16, height=16, aria_hidden="true")
            keys.append(svg.element("span", key + " " + meaning, class_="key"))
    return drawn + svg.element("p", Markup(" ").join(keys), class_="keys small") if keys else drawn


def _panel(panel: Tiles, picture: Grid) -> Markup:
    rows, columns = panel.size
    width = max(columns * _TILE, len(panel.title) * 6.6) + 4
    return svg.drawing(width, _TOP + rows * _TILE + 3, _parts(panel), _label(panel, picture))


def _parts(panel: Tiles) -> Iterator[Markup]:
    rows, columns = panel.size
    yield svg.text(panel.title, 0, 13, "label", "start")
    for row in range(rows):
        for column in range(columns):
            x, y = 2 + column * _TILE, _TOP + row * _TILE
            is_marked = (row, column) in panel.marked
            yield svg.element("rect", x=x, y=y, width=_TILE, height=_TILE, class_="wrong" if is_marked else "tile")
            if panel.numbered:
                number = str(row * columns + column)
                yield svg.text(number, x + _TILE / 2, y + _TILE / 2 + 4, "marked" if is_marked else "label")
    for row, column in panel.outlined:
        x, y = 2 + column * _TILE, _TOP + row * _TILE
        yield svg.element("rect", x=x, y=y, width=_TILE, height=_TILE, class_="mark")


def _label(panel: Tiles, picture: Grid) -> str:
    rows, columns = panel.size
    label = f"{panel.title}, {rows} by {columns}."
    for meaning, places in ((picture.marked, panel.marked), (picture.outlined, panel.outlined)):
        if places:
            listed = ", ".join(f"row {row} column {column}" for row, column in places[:12])
            more = f" and {len(places) - 12} more" if len(places) > 12 else ""
            label += f" {meaning or 'Marked'}: {listed}{more}."
    return label
