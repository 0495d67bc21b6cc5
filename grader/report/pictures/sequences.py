"""Sequences below each other, position by position."""

from __future__ import annotations

from markupsafe import Markup

from grader.report.pictures.svg import element
from grader.scoring.pictures import Sequences


def draw_sequences(picture: Sequences) -> Markup:
    """A table with a column for each position; the first difference is marked."""
    count = max(len(row.tokens) for row in picture.rows)
    places = range(picture.first, picture.first + count)
    head = [element("th", "position", scope="col")]
    head += [element("th", str(place), scope="col", **_class_of(place == picture.mark)) for place in places]
    body = []
    for row in picture.rows:
        cells = [element("th", row.title, scope="row")]
        for offset, place in enumerate(places):
            token = row.tokens[offset] if offset < len(row.tokens) else None
            content = element("code", token or "''") if token is not None else element("span", "nothing", class_="quiet")
            cells.append(element("td", content, **_class_of(place == picture.mark)))
        body.append(element("tr", Markup("").join(cells)))
    table = element("thead", element("tr", Markup("").join(head))) + element("tbody", Markup("").join(body))
    return element("table", table, class_="tokens")


def _class_of(is_marked: bool) -> dict[str, str]:
    return {"class_": "marked"} if is_marked else {}
