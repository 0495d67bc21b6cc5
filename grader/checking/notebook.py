"""The notebook around the check: its names, its cells, and how it shows something."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from grader.checking.report import Report


def notebook_names() -> dict[str, Any]:
    """What the notebook defines; outside a notebook, what the script that runs defines."""
    shell = get_ipython()
    names: dict[str, Any] = vars(sys.modules["__main__"]) if shell is None else shell.user_ns
    return names


def cell_of_file(filename: str) -> str | None:
    """The execution count of the cell that was compiled under this name; None for other code."""
    compiler = getattr(get_ipython(), "compile", None)
    number = getattr(compiler, "_filename_map", {}).get(filename)
    return None if number is None else str(number)


def show(report: Report) -> None:
    """Show a report as a table in a notebook, and as text anywhere else."""
    if get_ipython() is None:
        print(report)
    else:
        display(report)  # type: ignore[no-untyped-call]
