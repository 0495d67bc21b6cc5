"""Makes text that a student can influence harmless, once, for every format that a result is written in.

Whatever cannot be seen is written out (``\\x1b``, ``\\u202e``), so no text can move a cursor, reorder a line,
look like something else or break a parser. All functions are total: they accept every ``str``, never raise.
"""

from __future__ import annotations

import html
import re
import unicodedata

LONG = 4000
"""Characters that a message, a counterexample or a piece of evidence may have."""
SHORT = 300
"""Characters that a title, a reason or a name may have."""

# Printable for Python, yet drawn as nothing.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MARKS_IN_A_ROW = 3
_FORMULA = tuple("=+-@|%\uff1d\uff0b\uff0d\uff20")


def _visible(character: str) -> str:
    """A printable spelling of one character."""
    if character in "\n ":
        return character
    if character == "\t":
        return "    "
    if unicodedata.category(character) == "Zs":
        return " "
    if character.isprintable() and not _BLANK.match(character):
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _calm(text: str) -> str:
    """Drops combining marks beyond the third in a row, which would be drawn over the lines around."""
    calm: list[str] = []
    run = 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if run <= _MARKS_IN_A_ROW:
            calm.append(character)
    return "".join(calm)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters: the middle gives way to a note of how much was cut."""
    if len(text) <= limit:
        return text
    note = f" … [{len(text) - limit} characters cut] … "
    if limit < 3 * len(note):
        return text[: max(limit - 1, 0)] + "…"[:limit]
    # The note's own length is cut too; its number stays a round one rather than an exact one.
    head = (limit - len(note)) * 2 // 3
    tail = limit - len(note) - head
    return text[:head] + note + text[len(text) - tail :]


def clean(text: str, limit: int = LONG) -> str:
    """Printable characters and line feeds only, at most `limit` of them. Cleaning twice changes nothing."""
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.replace("\n", "").isprintable():
        return shorten(text, limit)
    if len(text) > 2 * limit + 200:
        text = shorten(text, 2 * limit + 200)
    return shorten(_calm("".join(map(_visible, text))), limit)


def one_line(text: str, limit: int = SHORT) -> str:
    """`clean`, with every run of spaces and line feeds made one space."""
    return shorten(" ".join(clean(text, 4 * limit + 200).split()), limit)


def for_csv(text: str, limit: int = LONG) -> str:
    """A cell that a spreadsheet reads as text: what could begin a formula gets an apostrophe in front."""
    line = one_line(text, limit)
    return "'" + line if line.startswith(_FORMULA) else line


def for_html(text: str, limit: int = LONG) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(clean(text, limit), quote=True).replace("`", "&#96;")


def for_markdown(text: str, limit: int = LONG) -> str:
    """Running text that no Markdown flavour takes for markup, HTML, a link or a mention."""
    escaped = re.sub(r"[!-/:-@\[-`{-~]", _markdown_escape, clean(text, limit))
    # Four spaces at a line's beginning would make it code.
    return re.sub(r"(?m)^ +| +$", "", escaped)


def _markdown_escape(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};" if match[0] in "&<>@" else "\\" + match[0]


def markdown_code(text: str, limit: int = LONG) -> str:
    """A fenced block that its text cannot close."""
    text = clean(text, limit)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"
