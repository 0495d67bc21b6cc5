"""From LaTeX or plain text to tokens, and from tokens to the equations that a text states."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MOST_CHARACTERS = 10_000
MOST_TOKENS = 5_000

Kind = Literal["letter", "number", "mark", "command", "words", "space"]


class Token(NamedTuple):
    """A piece of a formula, with its place in the text."""

    kind: Kind
    text: str
    at: int


class FormulaError(Exception):
    """A formula that cannot be read: the reason, and the place in the text."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at


@dataclass
class Chain:
    """The sides of ``a = b = c``, each a list of tokens; one side where there is no equals sign."""

    sides: list[list[Token]] = field(default_factory=list)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPACES = _words(", ; : ! >")
_GREEK = _words(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"
)
_LETTERS = {
    **{name: name for name in _GREEK},
    **{f"var{name}": name for name in ("phi", "epsilon", "theta", "rho", "sigma", "pi")},
    "ell": "l",
}
_GREEK_CHARACTERS = {
    unicodedata.lookup(f"GREEK SMALL LETTER {'LAMDA' if name == 'lambda' else name.upper()}"): name for name in _GREEK
} | {"ϕ": "phi", "ϵ": "epsilon"}

_SKIPPED = _words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr middle displaystyle textstyle limits nolimits "
    "nonumber notag thinspace medspace thickspace enspace negthinspace bf rm it sf cal allowbreak boxed mathbf mathit "
    "boldsymbol bm pmb symbf vec underline mathnormal"
)
"""Fonts and spacing, which change no formula. What stands in the braces of a font is a group."""
_UPRIGHT = _words("mathrm mathsf text textrm textbf textit mathtt")
"""Fonts for words, and for the mark of a transpose."""
_WITH_ARGUMENT = _words("begin end label tag hspace vspace phantom hphantom vphantom color ref eqref")
_MARKS = {
    "cdot": "*", "times": "*", "ast": "*", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")", "{": "(", "}": ")",
    "coloneqq": "=", "equiv": "=", "div": "/", "leq": "≤", "le": "≤", "leqslant": "≤",
}  # fmt: skip
_COMMANDS = {
    "sum": "sum", "prod": "prod", "frac": "frac", "dfrac": "frac", "tfrac": "frac", "top": "top", "intercal": "top",
    "dots": "dots", "ldots": "dots", "cdots": "dots", "dotsb": "dots", "dotsc": "dots",
}  # fmt: skip
_SEPARATORS = _words(
    "implies Rightarrow Longrightarrow iff Leftrightarrow Longleftrightarrow therefore because to rightarrow land"
)
_CHARACTERS = {
    "−": "-", "–": "-", "·": "*", "⋅": "*", "×": "*", "∗": "*", "@": "*", "⩽": "≤", "≡": "=",
}  # fmt: skip
_COMMAND_CHARACTERS = {"∑": "sum", "Σ": "sum", "∏": "prod", "Π": "prod", "…": "dots", "⋯": "dots", "⊤": "top", "ᵀ": "^top"}
_PROSE = _words(
    "and where with for since so then thus hence because therefore if also or is are we have get which gives as by in "
    "finally substituting the this that using answer"
)
_PLAIN_COMMANDS = {"sum": "sum", "prod": "prod"}
_DECOMPOSED = re.compile(r"<(super|sub)> ([0-9A-F ]+)")
_RUN = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COMMAND = re.compile(r"\\(?:([A-Za-z]+)\*?|\\(?:\[[^\]]{0,20}\])?|(.))", re.DOTALL)
_GROUP = re.compile(r"\s*\{([^{}]*)\}")
_DOTS = re.compile(r"\.(?:\s?\.)+")
_BEGIN = r"\\begin\{(?:equation|align|gather|multline|eqnarray|flalign)\*?\}"
_DELIMITED = re.compile(
    # No opening mark within what is looked through, so the time is linear in the length of the text.
    r"\$\$([^$]+)\$\$|(?<!\\)\$([^$]+)\$|\\\[((?:(?!\\\[).)+?)\\\]|\\\(((?:(?!\\\().)+?)\\\)"
    rf"|({_BEGIN}(?:(?!{_BEGIN}).)+?\\end\{{(?:equation|align|gather|multline|eqnarray|flalign)\*?\}})",
    re.DOTALL,
)


def equations(text: str) -> list[Chain]:
    """The equations that a text states, in order: those in its mathematics or, if it has none, in its lines."""
    if len(text) > MOST_CHARACTERS:
        raise FormulaError(f"the text is longer than {MOST_CHARACTERS} characters", MOST_CHARACTERS)
    chains: list[Chain] = []
    spans = [match.span(match.lastindex or 0) for match in _DELIMITED.finditer(text)]
    for start, end in spans:
        _gather(tokens(text, start, end), chains)
    if not spans:
        _gather(tokens(text, lines="\\\\" not in text and "\\begin" not in text), chains)
    return chains


def tokens(text: str, start: int = 0, end: int | None = None, *, lines: bool = False) -> list[Token]:
    """The tokens of a part of a text; with `lines`, a new line may begin a new equation."""
    stop = len(text) if end is None else end
    found: list[Token] = []
    at = start
    while at < stop:
        fresh, at = _next(text, at, stop, lines)
        found += fresh
        if len(found) > MOST_TOKENS:
            raise FormulaError(f"the formula has more than {MOST_TOKENS} symbols", at)
    return found


def _next(text: str, at: int, stop: int, lines: bool) -> tuple[list[Token], int]:
    """The tokens that begin at a place (none for a space), and where to go on."""
    character = text[at]
    if character == "\\":
        return _command(text, at, stop)
    if number := _NUMBER.match(text, at, stop):
        return [Token("number", number[0], at)], number.end()
    if run := _RUN.match(text, at, stop):
        return _letters(run[0], at), run.end()
    if dots := _DOTS.match(text, at, stop):
        return [Token("command", "dots", at)], dots.end()
    if character == "\n" and lines:
        return [Token("space", "line", at)], at + 1
    if character.isspace() or character in "&~`\u200b\ufeff":
        return [], at + 1
    if text.startswith(":=", at):
        return [Token("mark", "=", at)], at + 2
    if character == ":" or (character == "." and not re.match(r"[\w\\]", text[at + 1 : at + 2])):
        return [Token("mark", ";", at)], at + 1
    if character in _GREEK_CHARACTERS:
        return [Token("letter", _GREEK_CHARACTERS[character], at)], at + 1
    if command := _COMMAND_CHARACTERS.get(character):
        raised = [Token("mark", "^", at)] if command.startswith("^") else []
        return [*raised, Token("command", command.removeprefix("^"), at)], at + 1
    if _DECOMPOSED.match(unicodedata.decomposition(character)):
        return _scripts(text, at, stop)
    plain = unicodedata.normalize("NFKC", character)
    if plain != character and len(plain) == 1 and (plain.isascii() or plain in _GREEK_CHARACTERS):
        fresh, _ = _next(plain, 0, 1, lines)
        return [token._replace(at=at) for token in fresh], at + 1
    return [Token("mark", _CHARACTERS.get(character, character), at)], at + 1


def _letters(run: str, at: int) -> list[Token]:
    """A run of letters: a word of prose, the plain name of a command or a Greek letter, or else a symbol for each letter."""
    if run.lower() in _PROSE and len(run) > 1:
        return [Token("words", run, at)]
    if run in _PLAIN_COMMANDS:
        return [Token("command", _PLAIN_COMMANDS[run], at)]
    if run in _GREEK:
        return [Token("letter", run, at)]
    return [Token("letter", letter, at + i) for i, letter in enumerate(run)]


def _scripts(text: str, at: int, stop: int) -> tuple[list[Token], int]:
    """Raised or lowered characters, such as those of x₁₂, as a group after ``^`` or ``_``."""
    first = _DECOMPOSED.match(unicodedata.decomposition(text[at]))
    assert first is not None
    inner: list[Token] = []
    place = at
    while place < stop:
        found = _DECOMPOSED.match(unicodedata.decomposition(text[place]))
        if found is None or found[1] != first[1]:
            break
        plain = unicodedata.normalize("NFKC", text[place])
        inner += [token._replace(at=place) for token in tokens(plain)]
        place += 1
    digits = "".join(token.text for token in inner)
    if digits.isdecimal():
        inner = [Token("number", digits, at)]
    raised = "^" if first[1] == "super" else "_"
    return [Token("mark", raised, at), Token("mark", "{", at), *inner, Token("mark", "}", at)], place


def _command(text: str, at: int, stop: int) -> tuple[list[Token], int]:
    found = _COMMAND.match(text, at, stop)
    if found is None:
        raise FormulaError("a backslash without a command", at)
    name, after = found[1] or found[2] or "", found.end()
    if not name:
        return [Token("space", "line", at)], after
    if name in ("quad", "qquad"):
        return [Token("space", "quad", at)], after
    if name in _SKIPPED or name in _SPACES or name.isspace():
        return [], after
    if name in _WITH_ARGUMENT:
        group = _GROUP.match(text, after, stop)
        return [], group.end() if group else after
    if name in _UPRIGHT:
        return _upright(text, at, after, stop)
    if name in _LETTERS:
        return [Token("letter", _LETTERS[name], at)], after
    if name in _MARKS:
        return [Token("mark", _MARKS[name], at)], after
    if name in _SEPARATORS:
        return [Token("words", name, at)], after
    return [Token("command", _COMMANDS.get(name, f"\\{name}"), at)], after


def _upright(text: str, at: int, after: int, stop: int) -> tuple[list[Token], int]:
    """What stands in an upright font: T is a transpose, another letter or a formula is itself, the rest are words."""
    group = _GROUP.match(text, after, stop)
    if group is None:
        return [], after
    inner = group[1].strip()
    if inner == "T":
        return [Token("command", "top", at)], group.end()
    if re.fullmatch(r"[A-Za-z]|\d+|[A-Za-z]?[_^].*", inner):
        return [], after
    return ([Token("words", inner, at)] if inner else []), group.end()


def _gather(found: list[Token], chains: list[Chain]) -> None:
    """Adds the equations of a stretch of tokens; one that begins or breaks off in the middle goes on from the last."""
    for separator, fragment in _fragments(found):
        sides = _sides(fragment)
        last = chains[-1] if chains else None
        breaks = separator in ("", "line")
        if last is not None and not sides[0]:
            last.sides += sides[1:]
        elif last is not None and breaks and (_opens(fragment) or _is_open(last.sides[-1])):
            last.sides[-1] += sides[0]
            last.sides += sides[1:]
        else:
            chains.append(Chain([side for side in sides if side] if not sides[0] else sides))


def _fragments(found: Sequence[Token]) -> list[tuple[str, list[Token]]]:
    """The pieces between separators outside of brackets, each with the separator before it."""
    pieces: list[tuple[str, list[Token]]] = [("", [])]
    depth = 0
    for token in found:
        mark = token.text if token.kind == "mark" else ""
        depth = max(0, depth + (mark in "([{" and mark != "") - (mark in ")]}" and mark != ""))
        separates = token.kind in ("words", "space") or mark in (",", ";")
        if separates and depth == 0:
            if pieces[-1][1]:
                pieces.append((token.text if token.kind == "space" else "words", []))
            elif token.kind != "space":
                pieces[-1] = ("words", [])
        elif token.kind != "space":
            pieces[-1][1].append(token)
    return [piece for piece in pieces if piece[1]]


def _sides(fragment: Sequence[Token]) -> list[list[Token]]:
    sides: list[list[Token]] = [[]]
    depth = 0
    for token in fragment:
        mark = token.text if token.kind == "mark" else ""
        depth = max(0, depth + (mark in "([{" and mark != "") - (mark in ")]}" and mark != ""))
        if mark == "=" and depth == 0:
            sides.append([])
        else:
            sides[-1].append(token)
    return sides


def _opens(fragment: Sequence[Token]) -> bool:
    return fragment[0].kind == "mark" and fragment[0].text in "+-*"


def _is_open(side: Sequence[Token]) -> bool:
    return not side or (side[-1].kind == "mark" and side[-1].text in "+-*")
