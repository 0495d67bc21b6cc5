"""Shakespeare's plays as dialogues, which the kernel gets as ``input.txt`` and the judge draws texts from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PATH = Path(__file__).parent / "data" / "shakespeare.txt"


@cache
def shakespeare() -> str:
    """The whole text: dialogues of a name, a colon and lines, with an empty line after each."""
    return PATH.read_text(encoding="utf-8")
