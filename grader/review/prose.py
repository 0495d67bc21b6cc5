"""Markdown as HTML that runs, loads and styles nothing: no HTML of its own, no links, no images."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup

from grader.review.mathml import LONGEST, math_html

_PAIRS = (("$$", "$$", True), ("$", "$", False), (r"\[", r"\]", True), (r"\(", r"\)", False))
"""How a formula begins and ends, and whether it stands on a line of its own."""
_ENVIRONMENT = re.compile(r"\\begin\{((?:equation|align|gather|multline|eqnarray|aligned|flalign)\*?)\}")
_ALIGNED = re.compile(r"\\(begin|end)\{(?:equation|align|gather|multline|eqnarray|aligned|flalign)\*?\}")
_MATH = "math"


@functools.lru_cache(maxsize=2048)
def prose(text: str) -> Markup:
    """Markdown with LaTeX in it as safe HTML. Accepts any text."""
    try:
        return Markup(_parser().render(text))
    except RecursionError:
        return Markup(f"<pre>{html.escape(text)}</pre>")


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": 40}).enable(["table", "strikethrough"])
    parser.inline.ruler.before("escape", _MATH, _inline)
    parser.block.ruler.before("fence", _MATH, _block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    for name, rule in (
        (_MATH, _render_math),
        ("image", _render_image),
        ("link_open", _render_link_open),
        ("link_close", _render_link_close),
        ("heading_open", _render_heading_open),
        ("heading_close", _render_heading_close),
        ("fence", _render_code),
        ("code_block", _render_code),
        ("th_open", _render_cell),
        ("td_open", _render_cell),
    ):
        parser.add_render_rule(name, rule)
    return parser


def _formula(text: str, start: int) -> tuple[int, str, bool] | None:
    """Where a formula that begins at a place ends, what it says, and whether it is a block; None if there is none."""
    found = _ENVIRONMENT.match(text, start)
    if found is not None:
        closing = rf"\end{{{found[1]}}}"
        end = text.find(closing, found.end(), start + LONGEST)
        return None if end < 0 else (end + len(closing), _plain(text[start : end + len(closing)]), True)
    for opening, closing, is_block in _PAIRS:
        if not text.startswith(opening, start):
            continue
        begin = start + len(opening)
        end = _closing(text, closing, begin)
        inner = text[begin:end] if end >= 0 else ""
        if not inner.strip() or "\n\n" in inner:
            return None
        # An amount of money is no formula.
        if opening == "$" and (text[end + 1 : end + 2].isdigit() or (inner[-1].isspace() and not inner[0].isspace())):
            return None
        return end + len(closing), _plain(inner), is_block
    return None


def _closing(text: str, closing: str, begin: int) -> int:
    end = text.find(closing, begin, begin + LONGEST)
    while end > 0 and closing.startswith("$") and text[end - 1] == "\\" and text[end - 2 : end - 1] != "\\":
        end = text.find(closing, end + 1, begin + LONGEST)
    return end


def _plain(formula: str) -> str:
    """A formula without the environments that number equations, which the converter does not know."""
    if "&" in formula and _ALIGNED.search(formula):
        return _ALIGNED.sub(lambda found: rf"\{found[1]}{{matrix}}", formula)
    return _ALIGNED.sub("", formula)


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = _formula(state.src, state.pos)
    if found is None:
        return False
    end, formula, is_block = found
    if not silent:
        token = state.push(_MATH, "", 0)
        token.content, token.block = formula, is_block
    state.pos = end
    return True


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A formula that begins a line, with all its lines, in which a minus is no list and an equals sign no heading."""
    start = state.bMarks[first] + state.tShift[first]
    if state.is_code_block(first) or not state.src.startswith(("$$", r"\[", r"\begin{"), start):
        return False
    found = _formula(state.src[: state.eMarks[last - 1]], start)
    if found is None:
        return False
    end, formula, _ = found
    line = next((number for number in range(first, last) if state.eMarks[number] >= end), None)
    if line is None or state.src[end : state.eMarks[line]].strip():
        return False
    if not silent:
        state.line = line + 1
        token = state.push(_MATH, "", 0)
        token.content, token.block, token.map = formula, True, [first, line + 1]
    return True


def _render_math(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return math_html(tokens[index].content, block=tokens[index].block)


def _render_image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f'<span class="picture-note">[image: {html.escape(tokens[index].content) or "without a title"}]</span>'


def _render_link_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    env.setdefault("links", []).append(str(tokens[index].attrs.get("href", "")))
    return ""


def _render_link_close(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    address = env["links"].pop() if env.get("links") else ""
    return f" <code>{html.escape(address[:300])}</code>"


def _render_heading_open(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return '<p class="heading"><strong>'


def _render_heading_close(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</strong></p>\n"


def _render_code(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f'<pre tabindex="0">{html.escape(tokens[index].content)}</pre>\n'


def _render_cell(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Without the style that aligns it, which the page's policy would refuse."""
    return f"<{tokens[index].tag}>"
