"""Where the grader prints: consoles whose output reads well on any background, and in a file."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

SUCCESS = "green"
FAILURE = "red"
NOTICE = "magenta"
"""Neither yellow nor cyan, which hardly show on white."""
ERROR = "bold magenta"
QUIET = "dim"
"""Not bright black, which is the background itself in some color schemes."""


class _Trimmed:
    """A text file that drops the blanks at the end of each line, with which tables are filled up to their width."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._held = file, ""

    def write(self, text: str) -> int:
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            self._file.write(line.rstrip(" ") + "\n")
        return len(text)

    def flush(self) -> None:
        self._file.write(self._held)
        self._held = ""
        self._file.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def output() -> Console:
    """The console on standard output; piped, its lines have no blanks at their ends."""
    console = Console()
    if console.is_terminal:
        return console
    return Console(file=_Trimmed(sys.stdout))  # type: ignore[arg-type]
