"""Runs a command of the grader, and looks at it from outside meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVERY = 0.1
"""Seconds between two looks."""


def watched(command: Sequence[str], look: Callable[[int], None]) -> float:
    """Wall seconds of a command that must succeed; ``look`` gets its process ID ten times a second."""
    started, ended = time.perf_counter(), threading.Event()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def watch() -> None:
        while not ended.wait(EVERY):
            look(process.pid)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        text, _ = process.communicate()
    finally:
        ended.set()
        thread.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    return time.perf_counter() - started


def children(pid: int) -> list[int]:
    """The processes that a process has started and not yet reaped; none where it is gone."""
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def descendants(pid: int) -> Iterator[int]:
    """Its children, and theirs."""
    for child in children(pid):
        yield child
        yield from descendants(child)
