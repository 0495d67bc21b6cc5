"""Runs a function over many items in processes that may die, beside one warm parent of kernels that may die too.

    with workers(jobs=2) as pool:
        for item, outcome in pool.run(function, items):
            ...

``function(item, address)`` runs in a worker; with ``warm.client_of(address)`` it forks kernels from the warm parent. It raises
`WarmParentLost` when that died meanwhile, and is then called again; after a `HostError` it is called once more, alone.
Written against `concurrent.futures.Executor` alone: give
``executor``, a function that makes one, to use a cluster's. One that loses a worker raises `BrokenExecutor` and is made anew.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from grader.errors import HostError
from grader.kernel.warm import Door, WarmHost, can_fork
from grader.lifetime import end_with_forking_process, end_with_spawning_process

TRIES = 3
TICK_SECONDS = 0.25
Item = TypeVar("Item")
Value = TypeVar("Value")
Work = tuple[Callable[[Any, str | None], Any], tuple[Any, ...]]
"""A function and the items to call it with."""


class WarmParentLost(Exception):
    """The warm parent died while a function used it, so that what it found cannot be trusted."""


@dataclass(frozen=True)
class Lost:
    """An item that no worker survived or finished, and why, in one line."""

    reason: str


class Pool(Protocol):
    """What runs items for a batch: `Workers` on this machine, or those of a cluster. A context manager."""

    @property
    def folder(self) -> Path | None:
        """Where its workers keep what is theirs on this machine."""

    @property
    def restarts(self) -> int:
        """How many times a warm parent on this machine was restarted."""

    def __enter__(self) -> Pool:
        """Get ready."""

    def __exit__(self, *exception: object) -> None:
        """End, at once if an exception passes."""

    def run(
        self,
        function: Callable[[Any, str | None], Value],
        items: Sequence[Item],
        tick: Callable[[list[Item]], None] = lambda running: None,
    ) -> Iterator[tuple[Item, Value | Lost]]:
        """Items with what came of them, in the order of their end; see `Workers.run`."""


@dataclass
class _Try(Generic[Item]):
    item: Item
    place: int
    """Which of the items it is."""
    number: int = 0
    warm: bool = True
    alone: bool = False
    """Whether nothing else runs beside it."""


def _after(
    error: BaseException, attempt: _Try[Item], waiting: deque[_Try[Item]], suspects: deque[_Try[Item]]
) -> Lost | None:
    """Put an item that failed where it is tried again; `Lost` where it was tried enough."""
    attempt.number += 1
    if isinstance(error, WarmParentLost):
        attempt.warm = attempt.number < TRIES
        waiting.appendleft(attempt)
    elif isinstance(error, BrokenExecutor):
        if attempt.number >= TRIES:
            return Lost("the process that graded it died every time")
        suspects.append(attempt)
    elif isinstance(error, HostError):
        # Others may have used up what was missing: it is tried again, alone and once.
        if attempt.number > 1:
            return Lost(str(error))
        suspects.append(attempt)
    else:
        return Lost(f"the grader failed ({type(error).__name__}: {error})"[:500])
    return None


class Workers:
    """Some workers and their warm parent. Made by `workers`; use as a context manager."""

    def __init__(
        self,
        jobs: int,
        executor: Callable[[], Executor] | None,
        in_child: Callable[[], None],
        host: WarmHost | None,
    ) -> None:
        self.jobs = jobs
        self.host = host or WarmHost()
        self._own_host = host is None
        self._make = executor or self._local
        self._own = executor is None
        self._in_child = in_child
        self._executor: Executor | None = None
        self._work: Work | None = None

    def __enter__(self) -> Workers:
        """Launch the warm parent; workers start with the first item."""
        if self._own_host:
            self.host.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        """End the workers and the warm parent, at once if an exception passes."""
        if exception[0] is not None:
            self.kill()
        self._drop_executor()
        if self._own_host:
            self.host.__exit__()

    @property
    def folder(self) -> Path:
        """The warm parent's, in which workers make their own."""
        return self.host.folder

    @property
    def restarts(self) -> int:
        """How many times the warm parent was restarted."""
        return self.host.restarts

    def kill(self) -> None:
        """End workers of this machine in the midst of their work."""
        if self._own:
            for child in multiprocessing.active_children():
                child.kill()

    def run(
        self,
        function: Callable[[Item, str | None], Value],
        items: Sequence[Item],
        tick: Callable[[list[Item]], None] = lambda running: None,
    ) -> Iterator[tuple[Item, Value | Lost]]:
        """Items with what the function gave for them, in the order of their end; ``tick`` is told often what runs now.

        A worker that dies costs the others nothing: what was under way is run again, one by one, as one of them may be what
        kills workers; what does so three times is `Lost`.
        """
        if self._own:
            self._drop_executor()
            self._work = function, tuple(items)
        waiting = deque(_Try(item, place) for place, item in enumerate(items))
        suspects: deque[_Try[Item]] = deque()
        running: dict[Future[Value], _Try[Item]] = {}
        while waiting or suspects or running:
            is_alone = any(attempt.alone for attempt in running.values())
            if not is_alone and (not suspects or not running):
                queue, room = (suspects, 1) if suspects else (waiting, self.jobs + 1)
                # One more than there are workers: the next starts without waiting for us.
                while queue and len(running) < room:
                    attempt = queue.popleft()
                    attempt.alone = queue is suspects
                    running[self._submit(function, attempt)] = attempt
            done, _ = wait(running, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            broken = False
            for future in done:
                attempt = running.pop(future)
                error = future.exception()
                if error is None:
                    yield attempt.item, future.result()
                else:
                    broken = broken or isinstance(error, BrokenExecutor)
                    if (lost := _after(error, attempt, waiting, suspects)) is not None:
                        yield attempt.item, lost
            if broken:
                for attempt in running.values():
                    attempt.number += 1
                    suspects.append(attempt)
                running.clear()
                self._drop_executor()
            tick([attempt.item for attempt in running.values()][: self.jobs])

    def _submit(self, function: Callable[[Item, str | None], Value], attempt: _Try[Item]) -> Future[Value]:
        self.host.ensure()
        address = self.host.address if attempt.warm else None
        for _ in range(TRIES):
            if self._executor is None:
                self._executor = self._make()
            with contextlib.suppress(BrokenExecutor):
                if self._own:
                    return self._executor.submit(_call, attempt.place, address)
                return self._executor.submit(function, attempt.item, address)
            self._drop_executor()
        failed: Future[Value] = Future()
        failed.set_exception(BrokenExecutor("no worker can be started"))
        return failed

    def _drop_executor(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _local(self) -> Executor:
        # Forked workers share the grader's memory and the drawn cases; with other threads about, that is not safe.
        fork = can_fork() and threading.active_count() == 1
        method = "fork" if fork else "spawn"
        if fork:
            gc.collect()
            gc.freeze()
        return ProcessPoolExecutor(
            self.jobs,
            multiprocessing.get_context(method),
            begin_worker,
            (os.getpid(), self.host.folder, self._release if fork else None, self.host.door, self._work),
        )

    def _release(self) -> None:
        self.host.release_in_child()
        self._in_child()


def workers(
    jobs: int,
    executor: Callable[[], Executor] | None = None,
    in_child: Callable[[], None] = lambda: None,
    host: WarmHost | None = None,
) -> Workers:
    """Workers for `Workers.run`; ``in_child`` is called in each one that is forked, to let go of what is the parent's.

    ``host`` keeps the warm parent, if it was launched before.
    """
    return Workers(jobs, executor, in_child, host)


def begin_worker(
    parent: int, folder: Path, release: Callable[[], None] | None, door: Door | None, work: Work | None = None
) -> None:
    """Make a process a worker: it dies with its parent, leaves Ctrl-C to it, and makes its folders in ``folder``.

    It gets all ``work`` at its start, so that jobs stay small in the executor's pipe. If a worker is killed while it reads a
    job that is larger than the pipe, Python before 3.11.5 hangs (https://github.com/python/cpython/issues/94777).
    """
    _given.clear()
    if work is not None:
        _given.append(work)
    if door is not None:
        door.keep()
    if release is not None:
        release()
        end_with_forking_process(parent)
    else:
        end_with_spawning_process()
    # A function instead of SIG_IGN, which programs that are started from here would inherit.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    tempfile.tempdir = str(folder)


_given: list[Work] = []
"""What this process works on, if it is a worker."""


def _call(place: int, address: str | None) -> Any:
    function, items = _given[0]
    return function(items[place], address)


@contextlib.contextmanager
def alarm(seconds: float, error: type[BaseException]) -> Iterator[None]:
    """Raise ``error`` after so many seconds, where signals can be used: in a main thread, not on Windows."""
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable:
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
