"""What a student wrote, made harmless."""

from __future__ import annotations

import base64
import io
import random
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from grader.review.mathml import math_html
from grader.review.pictures import Pictures, reencoded
from grader.review.prose import prose
from tests.review.made import picture

ALLOWED = {
    *("p", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "br"),
    *("hr", "span", "s", "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle", "msub"),
    *("msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mpadded", "mphantom", "menclose"),
    *("mmultiscripts", "mprescripts"),
}
ATTRIBUTES = {
    *("class", "start", "display", "displaystyle", "stretchy", "fence", "separator", "form", "accent", "movablelimits"),
    *("mathvariant", "linethickness", "tabindex"),
}


class Strict(HTMLParser):
    """Collects what a browser would find."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def check(html: str) -> None:
    parser = Strict()
    parser.feed(html)
    for tag, attributes in parser.found:
        assert tag in ALLOWED, (tag, html)
        assert {name for name, _ in attributes} <= ATTRIBUTES, (attributes, html)


HOSTILE = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)"><style>*{display:none}</style>',
    "![x](https://evil.example/a.png) ![y](attachment:a.png)",
    "[x](javascript:alert(1)) [y](https://evil.example) <https://evil.example>",
    r"$\text{<script>alert(1)</script>}$ and $\href{javascript:alert(1)}{x}$",
    r"$\color{red}{x}$ $\style{position:fixed}{x}$ $\class{skip}{x}$ $\unicode{x202e}$",
    "| a | b |\n|:-:|--:|\n| <b>x</b> | y |",
    "```<script>\nx\n```",
    "$" * 1000,
    "$" + "{" * 500 + "}" * 500 + "$",
    r"$\frac{" * 200,
    ">" * 500 + " x",
    "[" * 800,
    "# <h1 style=color:red>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_survives(text: str) -> None:
    check(str(prose(text)))


@given(st.text(alphabet=st.sampled_from(list("$\\{}<>&\"'`[]()!|#*_-=\n abx1^/:")), max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_gives_harmless_html(text: str) -> None:
    check(str(prose(text)))


@pytest.mark.parametrize(
    "text",
    [
        "$x_1$",
        "$ x_1 $",
        r"\(x_1\)",
        "so $$x_1$$",
        "$$\n- x_1\n= y\n$$",
        r"\[x_1\]",
        "\\begin{align}\nx_1 &= y \\\\\n- z &= w\n\\end{align}",
    ],
)
def test_mathematics_becomes_mathml(text: str) -> None:
    html = str(prose(text))
    assert re.search(r"<msub><mi>x</mi><mn>1</mn></msub>", html) and "<li>" not in html and "$" not in html, html


@pytest.mark.parametrize("text", ["It costs $5 and $6.", "`$x$`", r"\$x\$"])
def test_what_is_no_mathematics_stays(text: str) -> None:
    assert "<math" not in str(prose(text))


def test_what_cannot_be_converted_is_shown_as_it_was_written() -> None:
    assert math_html(r"\frac{a") == r'<code class="latex">\frac{a</code>'
    assert "&lt;b&gt;" in math_html(r"\text{<b>x</b>}") and "<b>" not in math_html(r"\text{<b>x</b>}")


def test_links_show_where_they_lead_without_leading_there() -> None:
    html = str(prose("[paper](https://example.org/a) ![plot](attachment:p.png)"))
    assert "<code>https://example.org/a</code>" in html and "[image: plot]" in html and "href" not in html


def test_a_picture_is_encoded_anew() -> None:
    data = base64.b64decode(picture(1))
    trailing = reencoded(data + b"<script>alert(1)</script>")
    assert trailing is not None and b"script" not in trailing
    with Image.open(io.BytesIO(trailing)) as image:
        assert (image.format, image.size) == ("PNG", (120, 80))


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_picture_is_not_shown(data: bytes) -> None:
    assert reencoded(data) is None


def test_a_picture_too_large_to_decode_is_not_shown() -> None:
    encoded = io.BytesIO()
    Image.new("1", (30_000, 1_000)).save(encoded, "png")
    assert reencoded(encoded.getvalue()) is None


def test_the_images_that_were_shown_last_are_kept() -> None:
    loads: list[int] = []

    def image(number: int) -> bytes | None:
        def load() -> bytes:
            loads.append(number)
            encoded = io.BytesIO()
            Image.frombytes("RGB", (40, 40), random.Random(number).randbytes(4800)).save(encoded, "png")
            return encoded.getvalue() if number else b"no image"

        return pictures.of(number, load)

    pictures = Pictures(most_bytes=12_000)
    assert image(1) == image(1) != image(2)
    assert loads == [1, 2]
    image(1)
    image(3)
    image(1)
    assert loads == [1, 2, 3]
    image(2)
    assert loads == [1, 2, 3, 2]
    assert image(0) is None and image(0) is None and loads[-1] == 0 and len(loads) == 5
