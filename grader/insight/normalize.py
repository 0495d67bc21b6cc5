"""What an answer says, apart from how it is set: tokens that are equal only where the answers mean the same.

Case, white space, punctuation between words, quotes, Markdown emphasis, and LaTeX's bold type and spacing are dropped. Numbers,
variables, operators, brackets and all of a formula are kept as they are.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["word", "exact", "math", "bullet", "stop"]


class Piece(NamedTuple):
    """A token: a word in lower case, something exact in prose, a part of a formula, a mark of a list, the end of a sentence."""

    text: str
    kind: Kind


_SCRIPT = re.compile(r"<(super|sub)> ")
_FOREIGN = re.compile("[^\x00-\x7f]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
_DASHES = str.maketrans({"−": "-", "–": "-", "‐": "-", "‑": "-"})

IMAGE = re.compile(r"!\[|<img\b|<svg\b|\(attachment:", re.IGNORECASE)
"""An image in Markdown. What it shows is not in the text."""

_BEGIN = r"\\begin\{(?:equation|align|gather|multline)\*?\}"
_MATH = re.compile(
    r"\$\$([^$]+)\$\$|(?<![\\$])\$(?=\S)([^$\n]*(?:\n[^$\n]+)*?)(?<=\S)\$(?!\d)"
    # No opening mark within what is looked through, so the time is linear in the length of the text.
    r"|\\\[((?:(?!\\\[).)+?)\\\]|\\\(((?:(?!\\\().)+?)\\\)"
    rf"|({_BEGIN}(?:(?!{_BEGIN}).)+?\\end\{{(?:equation|align|gather|multline)\*?\}})",
    re.DOTALL,
)
_SPACING = re.compile(
    r"\\[,;:!> \n]|\\(?:quad|qquad|thinspace|medspace|thickspace|enspace|left|right|middle|[bB]igg?[lrm]?|displaystyle"
    r"|textstyle|limits|nolimits|nonumber|notag)(?![A-Za-z])|~|\\(?:begin|end)\{(?:equation|align|aligned|gather|gathered"
    r"|split|multline)\*?\}"
)
_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm)(?![A-Za-z])\s*")
_BOLD_LETTER = re.compile(_BOLD.pattern + r"\{?\s*([A-Za-z])")
_SCRIPTS_AND_COMMANDS = re.compile(r"[_^]\s*(?:\{[^{}]*\}|[^\\])|\\[A-Za-z]+")
_MATH_TOKEN = re.compile(r"\\[A-Za-z]+|\\\\|\\.|\d+(?:\.\d+)?|\S", re.DOTALL)
_SAME = {
    "\\leq": "\\le", "\\geq": "\\ge", "\\neq": "\\ne", "\\rightarrow": "\\to", "\\ldots": "...", "\\dots": "...",
    "\\cdots": "...", "\\lbrace": "\\{", "\\rbrace": "\\}", "\\dfrac": "\\frac", "\\tfrac": "\\frac",
}  # fmt: skip

_EMPHASIS = (
    re.compile(r"(?<![\w*\\])(\*\*\*|\*\*)(?=\S)([^*\n]{1,400}?)(?<=[^\s\\])\1(?![\w*])"),
    re.compile(r"(?<![\w*\\])(\*)(?=\S)([^*\n]{0,300}?[A-Za-z]{2}[^*\n]{0,300}?)(?<=[^\s\\])\1(?![\w*])"),
    re.compile(r"(?<![\w\\])(__|_)(?=\S)([^_\n]{0,300}?[A-Za-z]{2}[^_\n]{0,300}?)(?<=[^\s\\])\1(?!\w)"),
)
_CODE = re.compile(r"`([^`\n]+)`")
_LINE = re.compile(r"^[ \t]*(?:(#{1,6})[ \t]+|([-*+])[ \t]+|(\d{1,2}[.)])[ \t]+|(>)[ \t]+)", re.MULTILINE)
_BREAK = re.compile(r"<br\s*/?>|&nbsp;", re.IGNORECASE)
_PROSE_TOKEN = re.compile(
    r"(?P<command>\\[A-Za-z]+)|(?P<number>\d+(?:[.,]\d+)*(?![^\W\d_]))|(?P<mixed>[^\W_]*\d[^\W_]*)|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)"
    r"|(?P<dots>\.{2,})|(?P<newline>\n[ \t]*\n\s*)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\([*_#`>~&$%+.()\[\]{}!|-])")
_PAUSES = frozenset(".,;:—")
_VOWEL = re.compile(r"[aeiouyäöüàáâèéêìíîòóôùúû]", re.IGNORECASE)
_LATIN = re.compile(r"[a-zà-öø-ÿ']+\Z")
_TWO_LETTERS = frozenset("in it is as at an by of on or so to we if no be do he up my us am go".split())  # noqa: SIM905
_NOT = {"can't": ("can", "not"), "cannot": ("can", "not"), "won't": ("will", "not"), "shan't": ("shall", "not")}


def pieces(text: str) -> tuple[Piece, ...]:
    """The tokens of an answer, in order."""
    return tuple(_pieces(_flat(text)))


def key(found: tuple[Piece, ...]) -> tuple[str, ...]:
    """What two answers share exactly if they are identical after normalization."""
    return tuple(piece.text for piece in found if piece.kind != "stop")


def _flat(text: str) -> str:
    """One spelling for each character. What is raised or lowered stays so: T² is T^2, not T2."""
    text = unicodedata.normalize("NFC", _FOREIGN.sub(_plain, _INVISIBLE.sub("", text)))
    return text.translate(_QUOTES).translate(_DASHES).replace("\r\n", "\n").replace("\r", "\n")


def _plain(run: re.Match[str]) -> str:
    """Characters outside of ASCII, each as what it stands for."""
    flat: list[str] = []
    scripts = [_SCRIPT.match(unicodedata.decomposition(character)) for character in run[0]]
    for script, group in itertools.groupby(zip(scripts, run[0], strict=True), key=lambda pair: pair[0] and pair[0][1]):
        characters = [character for _, character in group]
        if script:
            inner = unicodedata.normalize("NFKC", "".join(characters))
            flat.append(("^" if script == "super" else "_") + (inner if len(inner) == 1 else "{" + inner + "}"))
            continue
        for character in characters:
            decomposition = unicodedata.decomposition(character)
            # 2½ is not 21/2.
            flat.append(" " if decomposition.startswith("<fraction>") else "")
            flat.append(unicodedata.normalize("NFKC", character) if decomposition.startswith("<") else character)
    return "".join(flat)


def _pieces(text: str) -> Iterator[Piece]:
    at = 0
    for found in _MATH.finditer(text):
        yield from _prose(text[at : found.start()])
        yield from (Piece(token, "math") for token in _math(found[found.lastindex or 0]))
        at = found.end()
    yield from _prose(text[at:])


def _math(source: str) -> list[str]:
    """The tokens of a formula, without bold type, spacing and braces that hold one symbol."""
    bold = set(_BOLD_LETTER.findall(source))
    plain = set(_SCRIPTS_AND_COMMANDS.sub(" ", _BOLD_LETTER.sub(" ", source)))
    # A letter that is both bold and plain may stand for two variables.
    if not bold & plain:
        source = _BOLD.sub(" ", source)
    source = _SPACING.sub(" ", source)
    if not re.search(r"matrix|array|cases", source):
        source = source.replace("&", " ")
    found = [_SAME.get(token, token) for token in _MATH_TOKEN.findall(source)]
    found = _unbraced(found)
    while found and found[-1] in (".", ",", ";"):
        found.pop()
    return found


def _unbraced(found: list[str]) -> list[str]:
    """Without braces around a single symbol; those around 12 in x^{12} stay, as x^12 reads otherwise."""
    kept: list[str] = []
    for token in found:
        kept.append(token)
        while len(kept) >= 3 and kept[-1] == "}" and kept[-3] == "{" and _is_symbol(kept[-2]):
            kept[-3:] = [kept[-2]]
    return kept


def _is_symbol(token: str) -> bool:
    return (len(token) == 1 and token not in "{}") or re.fullmatch(r"\\[A-Za-z]+", token) is not None


def _prose(text: str) -> Iterator[Piece]:
    """The tokens of text outside of formulas."""
    at = 0
    for code in _CODE.finditer(text):
        if not code[1].isalnum():
            yield from _spoken(text[at : code.start()])
            yield from (Piece(token, "math") for token in _MATH_TOKEN.findall(code[1]))
            at = code.end()
    yield from _spoken(text[at:])


def _spoken(text: str) -> Iterator[Piece]:
    """The tokens of text without code."""
    text = _CODE.sub(r" \1 ", _BREAK.sub(" ", text))
    for pattern in _EMPHASIS:
        text = pattern.sub(r" \2 ", text)
    found = list(_marked(_ESCAPE.sub(r"\1", text)))
    for i, piece in enumerate(found):
        if piece.kind == "bullet":
            yield Piece("", "stop")
            follows = found[i + 1].kind == "word" if i + 1 < len(found) else True
            if not (follows and piece.text in "-*+>"):
                yield piece
        elif piece.text in _PAUSES and piece.kind == "exact":
            before = found[i - 1].kind if i else "stop"
            after = found[i + 1].kind if i + 1 < len(found) else "stop"
            if before == "exact" == after:
                yield piece
            elif piece.text in ".;":
                yield Piece("", "stop")
        elif piece.text in "?!" and piece.kind == "exact":
            if piece.text == "?" or (i and found[i - 1].kind == "exact"):
                yield piece
            else:
                yield Piece("", "stop")
        else:
            yield piece


def _marked(text: str) -> Iterator[Piece]:
    """Words, numbers and single characters, with the marks that begin a line told apart."""
    at = 0
    for line in _LINE.finditer(text):
        yield from _scanned(text[at : line.start()])
        mark = line[2] or line[3] or line[4]
        if mark:
            yield Piece(mark, "bullet")
        at = line.end()
    yield from _scanned(text[at:])


def _scanned(text: str) -> Iterator[Piece]:
    for found in _PROSE_TOKEN.finditer(text):
        kind, token = found.lastgroup, found[0]
        if kind == "word":
            yield from _word(token)
        elif kind == "newline":
            yield Piece("", "stop")
        elif kind == "dots":
            yield Piece("...", "exact")
        elif kind in ("command", "number", "mixed") or (kind == "other" and token != '"'):
            yield Piece(token, "exact")


def _word(token: str) -> Iterator[Piece]:
    """A word in lower case; what may be a variable, such as T or Wh, as it is."""
    lower = token.lower()
    if lower in _NOT and _folds(token, lower):
        yield from (Piece(word, "word") for word in _NOT[lower])
    elif lower.endswith("n't") and _folds(token, lower):
        yield from (Piece(lower[:-3], "word"), Piece("not", "word"))
    elif _folds(token, lower):
        yield Piece(lower, "word")
    else:
        yield Piece(token, "exact")


def _folds(token: str, lower: str) -> bool:
    """Whether case says nothing in a token: it is a word, and its capitals are those of a word."""
    if len(token) <= 2:
        return lower in _TWO_LETTERS and token[1:].islower()
    usual = token.islower() or token.istitle() or token[1:].islower() or (token.isupper() and len(token) > 3)
    return usual and _LATIN.match(lower) is not None and _VOWEL.search(lower) is not None
