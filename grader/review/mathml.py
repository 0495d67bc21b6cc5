"""LaTeX as MathML, rebuilt from a list of elements and attributes that are allowed."""

from __future__ import annotations

import functools
import html
from xml.etree import ElementTree

from latex2mathml.converter import convert

LONGEST = 4000
"""Characters of a formula that is converted; longer ones are shown as they were written."""
_DEEPEST = 60
_XML = "{http://www.w3.org/1998/Math/MathML}"
_ELEMENTS = frozenset(
    {
        *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle", "mpadded", "mphantom"),
        *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd", "menclose", "mmultiscripts"),
        "mprescripts",
    }
)
_ATTRIBUTES = {
    "display": frozenset({"inline", "block"}),
    "displaystyle": frozenset({"true", "false"}),
    "stretchy": frozenset({"true", "false"}),
    "fence": frozenset({"true", "false"}),
    "separator": frozenset({"true", "false"}),
    "form": frozenset({"prefix", "infix", "postfix"}),
    "accent": frozenset({"true", "false"}),
    "movablelimits": frozenset({"true", "false"}),
    "mathvariant": frozenset({"normal"}),
    "linethickness": frozenset({"0", "0px"}),
}
"""With their allowed values: nothing that colors, sizes, links or moves."""
_PARTS = {
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}
"""How many parts an element has; with another number a formula lacks something."""


class _Refused(ValueError):
    """The converter made something that is not allowed."""


@functools.lru_cache(maxsize=4096)
def math_html(latex: str, *, block: bool = False) -> str:
    """A formula as MathML, or as the text that was written where it cannot be converted. Accepts any text."""
    text = latex.strip()
    converted = _converted(text, block) if 0 < len(text) <= LONGEST else None
    if converted is None:
        return f'<code class="latex">{html.escape(text)}</code>'
    return f'<span class="display-math" tabindex="0">{converted}</span>' if block else converted


def _converted(text: str, block: bool) -> str | None:
    if text.count("{") > 400 or _depth(text) > _DEEPEST:
        return None
    try:
        written = convert(text, display="block" if block else "inline")
        if "<!" in written:  # a document type could define entities
            return None
        return _serialized(ElementTree.fromstring(written), 0)
    except Exception:  # the converter fails in many ways on what students write
        return None


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return max(deepest, text.count(r"\left"), text.count(r"\begin"))


def _serialized(element: ElementTree.Element, depth: int) -> str:
    name = element.tag.removeprefix(_XML)
    if name not in _ELEMENTS or depth > 4 * _DEEPEST or len(element) != _PARTS.get(name, len(element)):
        raise _Refused(name)
    attributes = "".join(
        f' {key}="{value}"' for key, value in element.attrib.items() if value in _ATTRIBUTES.get(key, ())
    )
    inner = html.escape(element.text or "")
    for child in element:
        inner += _serialized(child, depth + 1) + html.escape(child.tail or "")
    return f"<{name}{attributes}>{inner}</{name}>"
