"""What a line of text says as a heading: which items it begins, or which problem, or that something else begins.

Items are called by a problem's number and a letter. Students write this in many ways: ``1a``, ``1 (a)``, ``Problem 1, part a``,
``2.d``, ``Q3(c)``, ``1a-1c``; or they write the number once, and then ``(a)``, ``(b)``.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Kind = Literal["item", "problem", "number", "part", "end"]
"""``number`` is a problem's number without a word for it; ``part`` is a letter without a number."""

_WORD = (
    r"(?:(?:homework|hw|assignment)\s*#?\d+\s*[:,.-]*\s*)?"
    r"(?P<word>(?:answers?|solutions?)\s+(?:to|for|of)(?:\s+(?:problem|question|exercise|part|task|item))?"
    r"|problem|prob|question|exercise|ex|task|part|section|sec|item|answer|ans|solution|sol|pb|q|p)(?![a-z])"
)
_PREFIX = rf"(?:{_WORD}\s*(?:\.|:|no\.?|\#)?\s*)?"
_LETTER = r"(?:[-.,:]?\s*(?:sub)?part\s*)?(?P<open>[(\[]\s*)?(?P<letter>[a-z])(?P<close>\s*[)\]])?"
_ITEM = re.compile(
    rf"{_PREFIX}(?P<outer>[(\[]\s*)?(?P<number>\d{{1,2}})(?P<between>\s*[-.,:)]?\s*){_LETTER}(?![^\W_])(?P<rest>.*)",
    re.I | re.S,
)
_PROBLEM = re.compile(
    rf"{_WORD}\s*(?:\.|no\.?|\#)?\s*(?P<number>\d{{1,2}})(?![\w])(?!\.\d)(?P<rest>.*)", re.I | re.S
)
_NUMBER = re.compile(r"[(\[]?(?P<number>\d{1,2})(?:[.):\]]+(?!\d)|(?=\s+[A-Z]))(?P<rest>.*)", re.S)
_PART = re.compile(
    r"(?P<word>(?:sub)?part\s+)?"
    r"(?:[(\[]\s*(?P<bracketed>[a-z])\s*[)\]]|(?P<dotted>[a-z])\s*[.):](?!\w)|(?<=part )(?P<worded>[a-z])\b)(?P<rest>.*)",
    re.I | re.S,
)
_SECTION = re.compile(r"\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+(?=\S)")
_MORE = re.compile(
    r"\s*(?P<joint>,|&|/|\+|and\b|to\b|through\b|-)\s*(?:and\s+)?(?P<number>\d{1,2})?\s*[.]?\s*"
    r"[(\[]?\s*(?P<letter>[a-z])\s*[)\]]?(?![^\W_])",
    re.I,
)
_END = re.compile(
    r"(?:[\dA-Z]{1,2}[.:]?\s+)?(?:appendix|appendices|references|bibliography|works cited|acknowledge?ments?|collaborators?"
    r"|collaboration|supplementary|supplement|scratch ?work|extra material|attachments?|code listings?|lecture notes?)\b",
    re.I,
)
_LONGEST_END = 60
_LONGEST_LEADER = 200
_LEADERS = re.compile(r"(?:\s*\.){4,}\s*\d{0,4}\s*$|[…⋯]{2,}|(?:_\s*){5,}\d+\s*$")
_BULLET = re.compile(r"^(?:[•●◦▪■*>§¶\s]|#{2,})+")
_LIKE = {"–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "（": "(", "）": ")"}


@dataclass(frozen=True)
class Heading:
    """What a line begins with, read as a heading, and what follows on the line.

    ``labels`` are items, such as 1a; for a problem or a number, its number; for a part, its letter. ``worded`` is whether a
    word such as Problem stands before it, ``marked`` whether a bracket or a dot sets it apart.
    """

    kind: Kind
    labels: tuple[str, ...]
    rest: str
    worded: bool = False
    marked: bool = False
    nested: bool = False
    """Whether a problem's first letter stands beside its number, as in ``1. (a)``, which ``(b)`` may follow alone."""


def plain(text: str) -> str:
    """A line with one spelling for dashes, brackets and spaces, without bullets and pilcrows around it."""
    folded = "".join(_LIKE.get(char, char) for char in unicodedata.normalize("NFKC", text))
    return " ".join(_BULLET.sub("", folded).rstrip("¶ ").split())


def problem_of(label: str) -> str:
    """The number of the problem that an item is of."""
    return label.rstrip(string.ascii_lowercase)


def is_of_contents(text: str) -> bool:
    """Whether a line is one of a table of contents, which leads to a page number."""
    return bool(_LEADERS.search(text[-_LONGEST_LEADER:]))


def headings_of(text: str, known: Collection[str]) -> list[Heading]:
    """The ways to read a line as a heading, the most telling one first; ``known`` are the items of the homework."""
    line = plain(text)[:400]
    if _END.match(line) and len(line) < _LONGEST_END:
        return [Heading("end", (), line)]
    section = _SECTION.match(line)
    within = line[section.end() :] if section else ""
    if found := _item(line, known) or _item(within, known):
        return [found]
    problems = {problem_of(label) for label in known}
    if found := _problem(line, problems) or _problem(within, problems):
        return [found]
    part, number = _part(line) or _part(within), _number(line, problems)
    return [found for found in (number, part) if found]


def _problem(line: str, problems: Collection[str]) -> Heading | None:
    match = _PROBLEM.match(line)
    if match is None or match["number"].lstrip("0") not in problems:
        return None
    return Heading("problem", (match["number"].lstrip("0"),), match["rest"].strip(), worded=True)


def _number(line: str, problems: Collection[str]) -> Heading | None:
    match = _NUMBER.match(line)
    if match is None or match["number"].lstrip("0") not in problems:
        return None
    return Heading("number", (match["number"].lstrip("0"),), match["rest"].strip())


def _part(line: str) -> Heading | None:
    match = _PART.match(line)
    if match is None:
        return None
    letter = match["bracketed"] or match["dotted"] or match["worded"]
    # "A:" begins an answer, and "I." a sentence.
    if match["dotted"] and letter.isupper() and not match["word"]:
        return None
    is_marked = bool(match["bracketed"])
    return Heading("part", (letter.lower(),), match["rest"].strip(), bool(match["word"]), is_marked)


def _item(line: str, known: Collection[str]) -> Heading | None:
    match = _ITEM.match(line)
    if match is None or match["number"].lstrip("0") + match["letter"].lower() not in known:
        return None
    letter, between, rest = match["letter"], match["between"], match["rest"]
    is_bracketed = bool(match["open"] or match["close"])
    is_followed = re.match(r"\s+[^\W\d_]|['’,]", rest) is not None
    if not is_bracketed and is_followed and between != between.strip():
        # "1. A model" and "Problem 2: a model" have no letter in them.
        is_lower = re.match(r"\s+[a-z]|['’,]", rest) is not None
        if letter.lower() in "ai" or letter.isupper() or is_lower or ":" in between:
            return None
    # "2D inputs" and "2-D inputs" are words, "1e-3" is a number.
    if letter.isupper() and not is_bracketed and is_followed and between != "." and not match["word"]:
        return None
    if re.match(r"[-+]\d+(?![a-z])", rest) and letter in "eE" and not between and not match["open"]:
        return None
    if match["outer"] and not match["close"] and not match["open"]:
        rest = rest.lstrip(")] ")
    labels, rest = _more(match["number"].lstrip("0") + letter.lower(), rest, known)
    is_marked = bool(
        between.strip() or is_bracketed or match["outer"] or rest.lstrip()[:1] in (".", ")", ":")
    )
    is_nested = between.strip() in (".", ")", ":") and between[-1:].isspace() and len(labels) == 1
    return Heading("item", labels, rest.strip(), bool(match["word"]), is_marked, is_nested)


def _more(label: str, rest: str, known: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Further labels of one heading, such as ``1a-1c`` or ``1 (a) and (b)``."""
    labels = [label]
    while (match := _MORE.match(rest)) is not None:
        number, letter = match["number"] or labels[-1][:-1], match["letter"].lower()
        further = number + letter
        after = rest[match.end() :]
        if further not in known or (match["number"] is None and _is_word(after)):
            break
        if match["joint"].lower() in ("-", "to", "through"):
            if number != labels[-1][:-1] or letter <= labels[-1][-1]:
                break
            labels += [f"{number}{chr(code)}" for code in range(ord(labels[-1][-1]) + 1, ord(letter))]
        labels.append(further)
        rest = after
    if len(labels) == 1 or rest.strip(" .:)-") == "" or rest.strip()[:1] in ".:([":
        return tuple(dict.fromkeys(labels)), rest
    # "1a and 1b are alike" is a sentence.
    return (label,), rest


def _is_word(rest: str) -> bool:
    """Whether a letter is followed as a word of a sentence is."""
    return bool(re.match(r"\s+[a-z]|,", rest))
