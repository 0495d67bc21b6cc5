"""Progress of a batch on standard error: a live view on a terminal, a line a submission elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from grader.batch.jobs import Progress
from grader.report.console import FAILURE, QUIET
from grader.text.safe_text import one_line

MOST_RUNNING = 8


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """Gives the function to report with. It draws when told to, in no thread of its own, as workers may be forked meanwhile."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    news = _News(console)
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def draw(progress: Progress) -> None:
            news(progress)
            live.update(view(progress, time.monotonic() - progress.started), refresh=True)

        yield draw


class _News:
    """A line for each thing that happened to workers."""

    def __init__(self, console: Console) -> None:
        self.console, self.progress, self.told = console, Progress(), 0

    def __call__(self, progress: Progress) -> None:
        """Print what is new."""
        if progress is not self.progress:
            self.progress, self.told = progress, 0
        for line in progress.news[self.told :]:
            self.console.print(
                f"grader: {one_line(line, 600)}", markup=False, highlight=False, soft_wrap=True
            )
        self.told = len(progress.news)


class _Lines:
    """A line for each submission that is done."""

    def __init__(self, console: Console) -> None:
        self.console, self.done, self.doing, self.news = console, 0, "graded", _News(console)

    def __call__(self, progress: Progress) -> None:
        """Print what is new."""
        self.news(progress)
        if progress.doing != self.doing:
            self.done, self.doing = 0, progress.doing
        if progress.done > self.done:
            self.done = progress.done
            line = f"[{progress.done}/{progress.total}] {one_line(progress.last)}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def view(progress: Progress, seconds: float) -> Group:
    """A bar, the counts, the time that is left, and what runs now."""
    left = progress.total - progress.done
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(progress.total, 1), completed=progress.done, width=30)
    facts = Text(f"{progress.done} of {progress.total} {progress.doing}")
    if progress.known:
        facts.append(f", {progress.known} graded before", QUIET)
    if progress.failed:
        facts.append(f", {progress.failed} failed", FAILURE)
    if progress.done and left:
        facts.append(f", {_clock(seconds / progress.done * left)} left", QUIET)
    head.add_row(bar, facts)
    lines = [Text(f"  {one_line(name, 100)}", no_wrap=True) for name in progress.running[:MOST_RUNNING]]
    return Group(head, *lines)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
