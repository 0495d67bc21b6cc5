"""Progress on standard error while one submission is graded; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from grader.text.safe_text import one_line


@contextmanager
def shown(name: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar by stage; gives the function to report (stage, done, total) with."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{one_line(name)}: starting", total=None)

        def report(stage: str, done: int, total: int) -> None:
            bar.update(task, description=f"{one_line(name)}: {stage}", completed=done, total=total)

        yield report
