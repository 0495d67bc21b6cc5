"""What the judge itself may spend on one property, whatever comes back from a kernel: processor time and memory.

    budget = Budget()
    with budget.memory():
        with budget.clock():
            ...   # what a property computes from a reply

The clock is a timer of the process, so it also stops a loop that never looks at it. Only a process's main thread can have
one; elsewhere `check`, which long loops call, does its work.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np

SECONDS = 5.0
"""Processor time of the judge for one property with all its cases and their shrinking; right answers take milliseconds."""
MEMORY = 512 << 20
"""How far the judge's memory may grow for one property."""


class Spent(BaseException):
    """A property has used up its budget. No `Exception`, so that nothing on the way takes it for one of its own."""


class Budget:
    """The budget of one property.

    Without ``memory`` there is no limit of it. Without ``alarm`` nothing of the process is changed, and the time is looked at
    by `check` alone. It is used in the thread that makes it.
    """

    def __init__(
        self, seconds: float = SECONDS, memory: int | None = MEMORY, *, alarm: bool = True
    ) -> None:
        self._seconds, self._memory = seconds, memory
        self._alarm = alarm and _has_alarm()
        self.left = seconds
        self._deadline = 0.0

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Count the processor time of what happens within; raises `Spent` there when it is used up."""
        if self.left <= 0:
            raise Spent(self._reason())
        started = time.thread_time()
        self._deadline = started + self.left
        outer, _RUNNING.budget = _RUNNING.budget, self
        try:
            if self._alarm:
                # Again and again, as an exception that is raised in a destructor is lost.
                signal.setitimer(signal.ITIMER_PROF, self.left, 0.1)
            yield
        finally:
            _RUNNING.budget = outer
            if self._alarm:
                signal.setitimer(signal.ITIMER_PROF, 0.0)
            self.left -= time.thread_time() - started

    def look(self) -> None:
        """Raise `Spent` if the time is used up."""
        if time.thread_time() >= self._deadline:
            raise Spent(self._reason())

    def _reason(self) -> str:
        return (
            f"comparing what your code returned took the grader more than {self._seconds:g} s of computing, so it was stopped"
        )

    @contextlib.contextmanager
    def memory(self) -> Iterator[None]:
        """Let no more memory be taken within than the budget has; beyond that allocations raise `MemoryError`.

        Only where the system can say how much there is, and only in the main thread, as the limit is the process's.
        """
        used = _data_in_use() if threading.current_thread() is threading.main_thread() else None
        if used is None or self._memory is None:
            yield
            return
        import resource  # noqa: PLC0415  (not on every system)

        _warm_up()
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = used + self._memory
        if soft != resource.RLIM_INFINITY:
            wanted = min(wanted, soft)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class _Running(threading.local):
    budget: Budget | None = None


_RUNNING = _Running()


def check() -> None:
    """Raise `Spent` if the budget of what runs now is used up. For loops whose length a reply decides."""
    if _RUNNING.budget is not None:
        _RUNNING.budget.look()


def _ring(number: int, frame: FrameType | None) -> None:
    check()


def _has_alarm() -> bool:
    """Whether this thread is told when its time is up. The handler stays: without one, a late signal ends the process."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGPROF"):
        return False
    if signal.getsignal(signal.SIGPROF) is signal.SIG_DFL:
        signal.signal(signal.SIGPROF, _ring)
    return signal.getsignal(signal.SIGPROF) is _ring


def _data_in_use() -> int | None:
    """Bytes that count against the limit now."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return None


@functools.cache
def _warm_up() -> None:
    """Let BLAS take its own memory before there is a limit: where it gets none it ends the process."""
    square = np.ones((256, 256))
    square @ square
