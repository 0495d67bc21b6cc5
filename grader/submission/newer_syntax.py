"""Syntax of a newer Python than the grader's, put into words that this one understands, line for line.

A student whose Python is newer has made no mistake. What cannot be put otherwise is at least called by its name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from grader.submission.syntax import parse

_STRING = re.compile(r"([A-Za-z]{0,2})('''|\"\"\"|'|\")")
_TYPE = re.compile(r"^([ \t]*)type[ \t]+(\w+)[ \t]*(\[[^=\n]*\])?[ \t]*=(?!=)", re.MULTILINE)
_GENERIC = re.compile(r"^([ \t]*(?:async[ \t]+def|def|class)[ \t]+\w+)[ \t]*\[", re.MULTILINE)
_EXCEPT = re.compile(r"^([ \t]*except\*?[ \t]+)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)[ \t]*:", re.MULTILINE)
MAX_CHARS = 200_000


@dataclass(frozen=True)
class Newer:
    """Newer syntax: the Python that brought it, and the source without it, None if that cannot be."""

    version: str
    source: str | None

    def __str__(self) -> str:
        return f"uses syntax of Python {self.version}; the grader runs Python {running()}"


def running() -> str:
    """The grader's own version of Python, as in 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def newer_syntax(source: str) -> Newer | None:
    """What makes a source that does not parse here parse in a newer Python; None if nothing known does."""
    if len(source) > MAX_CHARS:
        return None
    steps: list[tuple[str, Callable[[str], str]]] = [
        ("3.12", lambda text: _TYPE.sub(r"\1\2 =", text)),
        ("3.12", _without_type_parameters),
        ("3.12", lambda text: _Strings(text, "f").rewritten()),
        ("3.14", lambda text: _EXCEPT.sub(r"\1(\2):", text)),
    ]
    version = ""
    for since, step in steps:
        changed = step(source)
        if changed != source:
            source, version = changed, since
    if version and parse(source) is not None:
        return Newer(version, source)
    without_templates = _Strings(source, "t").rewritten()
    if without_templates != source and parse(without_templates) is not None:
        return Newer("3.14", None)
    return None


def _without_type_parameters(text: str) -> str:
    """``def f[T](x)`` and ``class A[T]`` without their brackets."""
    kept, position = [], 0
    while found := _GENERIC.search(text, position):
        end, depth = found.end(), 1
        while end < len(text) and depth:
            depth += {"[": 1, "]": -1}.get(text[end], 0)
            end += 1
        if depth:
            break
        kept += [text[position : found.start()], found[1], "\n" * text.count("\n", found.end(), end)]
        position = end
    return "".join([*kept, text[position:]])


class _Unreadable(Exception):
    """A string that is not what it seemed, or one that does not end."""


class _Strings:
    """Rewrites the f-strings (or t-strings) of a source that this Python does not parse as calls of ``str.format``."""

    def __init__(self, text: str, kind: str) -> None:
        self.text, self.kind = text, kind

    def rewritten(self) -> str:
        """The source with these strings rewritten; as it was if it cannot be read."""
        try:
            return self._code(0, "")[0]
        except (_Unreadable, RecursionError):
            return self.text

    def _code(self, position: int, closing: str) -> tuple[str, int]:
        """Code from a position up to a character of ``closing`` outside of brackets, or the end."""
        text, kept, depth = self.text, [], 0
        while position < len(text):
            char = text[position]
            if char == "#":
                end = text.find("\n", position)
                end = len(text) if end < 0 else end
                kept.append(text[position:end])
                position = end
                continue
            if (char.isalpha() or char in "'\"") and (found := _STRING.match(text, position)):
                string, position = self._string(position, found)
                kept.append(string)
                continue
            if char.isidentifier():
                end = position
                while end < len(text) and (text[end].isalnum() or text[end] == "_"):
                    end += 1
                kept.append(text[position:end])
                position = end
                continue
            if text[position : position + 2] in ("==", "!=", "<=", ">="):
                kept.append(text[position : position + 2])
                position += 2
                continue
            if depth == 0 and char in closing:
                return "".join(kept), position
            depth += (char in "([{") - (char in ")]}")
            kept.append(char)
            position += 1
        if closing:
            raise _Unreadable
        return "".join(kept), position

    def _string(self, start: int, found: re.Match[str]) -> tuple[str, int]:
        prefix, quote = found[1].lower(), found[2]
        if "f" in prefix or "t" in prefix:
            literal, arguments, end = self._formatted(found.end(), quote, raw="r" in prefix)
            whole = self.text[start:end]
            if self.kind not in prefix or (self.kind == "f" and parse(whole) is not None):
                return whole, end
            plain = found[1].translate(str.maketrans("", "", "fFtT"))
            return f"{plain}{quote}{literal}{quote}.format({', '.join(arguments)})", end
        position = found.end()
        while not self.text.startswith(quote, position):
            if position >= len(self.text) or (len(quote) == 1 and self.text[position] == "\n"):
                raise _Unreadable
            position += 2 if self.text[position] == "\\" else 1
        return self.text[start : position + len(quote)], position + len(quote)

    def _formatted(self, position: int, quote: str, *, raw: bool) -> tuple[str, list[str], int]:
        """Literal, arguments and end of a formatted string whose text begins at a position."""
        text, literal, arguments = self.text, "", []
        while not text.startswith(quote, position):
            if position >= len(text) or (len(quote) == 1 and text[position] == "\n"):
                raise _Unreadable
            if text[position] == "\\" or text[position : position + 2] in ("{{", "}}"):
                literal, position = literal + text[position : position + 2], position + 2
            elif text[position] == "{":
                field, found, position = self._field(position + 1)
                literal += field
                arguments += found
            else:
                literal, position = literal + text[position], position + 1
        return literal, arguments, position + len(quote)

    def _field(self, position: int) -> tuple[str, list[str], int]:
        """A replacement field for ``str.format``, its arguments, and where it ends."""
        expression, position = self._code(position, "!:}=")
        if self.text[position] == "=":  # a field that shows its own expression
            raise _Unreadable
        field, arguments = "{", [f"({expression.strip()})"]
        if self.text[position] == "!":
            field, position = field + self.text[position : position + 2], position + 2
        if self.text[position : position + 1] == ":":
            field, position = field + ":", position + 1
            while self.text[position : position + 1] not in ("}", ""):
                if self.text[position] == "{":
                    inner, found, position = self._field(position + 1)
                    field += inner
                    arguments += found
                else:
                    field, position = field + self.text[position], position + 1
        if self.text[position : position + 1] != "}":
            raise _Unreadable
        return field + "}", arguments, position + 1
