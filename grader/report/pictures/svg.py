"""SVG elements as escaped markup. Colors are classes, so a page's style gives them, in light, in dark and in print."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from markupsafe import Markup, escape

CHARACTER = 7.3
"""Width of a character of a drawing's text, in its units."""


def element(tag: str, content: str | Markup = "", **attributes: str | float) -> Markup:
    """An element; ``class_`` is its class, and other underscores are hyphens."""
    # Put together by hand, as a page has thousands of elements and `Markup.format` takes ten times as long.
    named = "".join(_attribute(name, value) for name, value in attributes.items())
    inner = content if isinstance(content, Markup) else escape(content)
    return Markup(f"<{tag}{named}>{inner}</{tag}>")


def drawing(width: float, height: float, parts: Iterable[Markup], label: str) -> Markup:
    """A drawing of its natural size, which ``label`` describes to whoever cannot see it."""
    size = f"0 0 {_written(width)} {_written(height)}"
    return element("svg", joined(parts), viewBox=size, width=width, height=height, role="img", aria_label=label)


def joined(parts: Iterable[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def panels(drawings: Iterable[Markup]) -> Markup:
    """Drawings side by side, or below each other where there is no room."""
    return element("div", joined(drawings), class_="panels")


def text(content: str, x: float, y: float, class_: str = "", anchor: str = "middle") -> Markup:
    """Text around, from or up to a point."""
    return element("text", content, x=x, y=y, text_anchor=anchor, **({"class_": class_} if class_ else {}))


def hatching(x: float, y: float, width: float, height: float) -> Markup:
    """Diagonal lines over a rectangle."""
    step, lines = 7, []
    for start in range(step, int(width + height), step):
        left, right = max(0.0, start - height), min(float(start), width)
        lines.append(f"M{_written(x + left)} {_written(y + start - left)}L{_written(x + right)} {_written(y + start - right)}")
    return element("path", d="".join(lines), class_="hatch")


@functools.lru_cache(maxsize=4096)
def _attribute(parameter: str, value: str | float) -> str:
    """Places and classes are the same in many drawings."""
    name = parameter.rstrip("_").replace("_", "-")
    return f' {name}="{escape(value) if isinstance(value, str) else _written(value)}"'


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
