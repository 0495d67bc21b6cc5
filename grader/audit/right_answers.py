"""The right answers that a homework has: its reference, and the variants of its corpus. They tell what many people write."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from grader.audit.corpus import Entry, class_source, edited, reference_cells
from grader.errors import GraderError
from grader.files.located_yaml import Fault
from grader.homework import Homework

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def right_answers(homework: Homework) -> list[str]:
    """Code that answers one part each. What cannot be read is left out: `grader audit` says what is wrong with it."""
    try:
        reference = [cell for cell in reference_cells() if homework.reference.is_dir()]
    except (OSError, ValueError, GraderError):
        return []
    found = list(reference)
    for path in sorted(homework.corpus.glob("*.yaml")):
        found += _variants(path, reference)
    return found


def _variants(path: Path, reference: list[str]) -> list[str]:
    try:
        # The corpus is large, and the loader that knows lines takes seconds.
        plain = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        name, entries = str(plain["class"]), [one for one in plain["entries"] if one["kind"] == "variant"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return []
    source = next((found for cell in reference if (found := class_source(cell, name)) is not None), None)
    if source is None:
        return []
    codes = []
    for plain in entries:
        try:
            entry = Entry.model_validate(plain)
            own = entry.code if entry.code is not None else edited(source, entry.edits)
        except (ValidationError, Fault):
            continue
        codes.append("\n\n".join(text for text in (entry.before, own, entry.after) if text is not None))
    return codes
