"""Takes statements out of a source without moving a line."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """A stretch of source to be replaced: lines from 1, columns in UTF-8 bytes, as syntax trees have them."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str = "pass"

    @property
    def start(self) -> tuple[int, int]:
        """Where the stretch begins."""
        return self.line, self.column


def edit_for(node: ast.stmt | ast.expr, text: str = "pass") -> Edit:
    """Replace a statement, with its decorators, or an expression."""
    line = node.lineno
    decorators = getattr(node, "decorator_list", [])
    if decorators:
        line = min(line, *(decorator.lineno for decorator in decorators))
    return Edit(line, node.col_offset, node.end_lineno or line, node.end_col_offset or 0, text)


def edited(source: str, edits: Iterable[Edit]) -> str:
    """The source with every stretch replaced; it has as many lines as before. Stretches may not overlap."""
    lines = [line.encode() for line in source.split("\n")]
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        first, last = edit.line - 1, edit.end_line - 1
        before, after = lines[first][: edit.column], lines[last][edit.end_column :]
        text = edit.text.encode()
        if first == last:
            lines[first] = before + text + after
        elif edit.text.endswith(":"):
            lines[first], lines[last] = before + text, after
        elif edit.text != "pass":
            # Only parentheses let an expression go on over several lines.
            lines[first], lines[last] = before + b"(" + text, b")" + after
        elif not after.strip() or after.lstrip().startswith(b"#"):
            lines[first], lines[last] = before + text, after.lstrip()
        else:
            lines[first], lines[last] = before + b"(None", b")" + after
        for between in range(first + 1, last):
            lines[between] = b""
    return b"\n".join(lines).decode()


def anchored(source: str) -> str:
    """The source with a first line that is not empty: IPython drops empty ones and counts without them."""
    first, end, rest = source.partition("\n")
    return f"#{end}{rest}" if end and not first.strip() else source
