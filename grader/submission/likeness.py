"""Measures how much of the homework a notebook holds, from the text of its code cells alone."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grader.submission.opening import MAX_JSON_VALUES
from grader.submission.template import Template, load_template

_DEFINED = re.compile(r"^(?:[ \t]*class|(?:async[ \t]+)?def)[ \t]+(\w+)", re.M)


class Likeness(NamedTuple):
    """What a notebook holds of the homework."""

    defined: frozenset[str]
    """The required names that it defines."""
    worked: int
    """How many of them differ from the template's."""
    is_homework: bool


def code_of(data: bytes) -> list[tuple[str, str]] | None:
    """Id and source of a notebook's code cells; None if the data is no notebook."""
    try:
        text = data.decode(json.detect_encoding(data), "replace").removeprefix("\ufeff")
        if not text.lstrip().startswith("{") or sum(map(text.count, "{[,")) > MAX_JSON_VALUES:
            return None
        notebook = json.loads(text, strict=False)
        cells = notebook.get("cells")
        if not isinstance(cells, list):
            cells = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
        return None
    found = []
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type", "code") == "code":
            metadata = cell.get("metadata")
            identity = cell.get("id") or (metadata.get("id") if isinstance(metadata, dict) else "")
            found.append((str(identity), _text(cell.get("source", cell.get("input")))))
    return found


def _text(source: Any) -> str:
    if isinstance(source, list):
        lines = [line for line in source if isinstance(line, str)]
        return ("" if any(line.endswith("\n") for line in lines) else "\n").join(lines)
    return source if isinstance(source, str) else ""


def likeness_of(sources: Sequence[tuple[str, str]], template: Template) -> Likeness:
    """What code cells (id and source) hold of the homework."""
    required = _required(template)
    latest: dict[str, str] = {}
    for _, source in sources:
        for name in _DEFINED.findall(source):
            if name in required:
                latest[name] = _squeezed(source)
    ids, cells = _given(template)
    known = sum(identity in ids or _squeezed(source) in cells for identity, source in sources)
    worked = sum(source != required[name] for name, source in latest.items())
    return Likeness(frozenset(latest), worked, bool(latest) or known > len(ids) // 4)


@functools.lru_cache(maxsize=4)
def _required(template: Template) -> dict[str, str]:
    """What the template has a student write, by name, without its white space."""
    return {
        name: _squeezed(cell.source)
        for cell in template.cells
        if cell.role == "solution"
        for name in _DEFINED.findall(cell.source)
    }


@functools.lru_cache(maxsize=4)
def _given(template: Template) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of the template's cells, and their sources without white space."""
    return frozenset(cell.id for cell in template.cells), frozenset(
        _squeezed(cell.source) for cell in template.cells
    )


def _squeezed(source: str) -> str:
    return "".join(source.split())


def default_template() -> Template:
    """The template of the default homework."""
    from grader.homework import load_homework  # noqa: PLC0415 - it loads properties, which a notebook does not need

    homework = load_homework()
    return _loaded(homework.template, homework.provided_classes)


@functools.cache
def _loaded(template: Path, provided_classes: frozenset[str]) -> Template:
    return load_template(template, provided_classes)


def why_unlike(data: bytes, template: Template) -> tuple[str, ...]:
    """A warning if a notebook holds nothing of the homework, else nothing."""
    # Parsing a notebook takes a while, and most contain these bytes.
    if any(mark in data for mark in _marks(template)):
        return ()
    sources = code_of(data)
    if sources is None or likeness_of(sources, template).is_homework:
        return ()
    return (
        "this notebook does not look like the homework: it defines none of its classes; check that it is the right file",
    )


@functools.lru_cache(maxsize=4)
def _marks(template: Template) -> tuple[bytes, ...]:
    return tuple(f"{what} {name}".encode() for name in _required(template) for what in ("class", "def"))
