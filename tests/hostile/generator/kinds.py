"""What a hostile notebook is, and what payloads leave behind where they get through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Notebook = dict[str, Any]
Category = Literal["forge", "fool", "leak", "exhaust", "survive", "attack", "malformed", "report"]
SECRET = "planted-secret-7f3a91c2"
"""Stands in the seed file, the judge's environment, a file beside the rubric and an earlier result."""
BREACH = "hw3-breached"
"""What a payload says when it got somewhere; it stands in no source."""
CHECKOUT = str(Path(__file__).resolve().parents[3])
"""Where this grader's own files lie; stands for ``<checkout>`` in cells."""
TRACE = "hw3-hostile-trace"
"""Part of the names of files that payloads try to leave behind."""


@dataclass(frozen=True)
class Kind:
    """One way to be hostile."""

    category: Category
    make: Callable[[Notebook], bytes]
    slow: bool = False
    """Takes its time limits, so it is left out of quick runs."""


def kinds(category: Category, *, slow: bool = False, **made: Callable[[Notebook], bytes]) -> dict[str, Kind]:
    """Kinds of one category, by their names."""
    return {name: Kind(category, make, slow) for name, make in made.items()}
