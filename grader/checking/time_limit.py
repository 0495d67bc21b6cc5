"""Stops code of the student's that runs for too long in this process."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

AGAIN = 0.2
"""Seconds after which code that swallowed the exception gets it again."""


class OutOfTime(BaseException):
    """The time is up. No `Exception`, so that ``except Exception`` in the student's code lets it through."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` within as soon as this much time has passed.

    The main thread is stopped by a timer, where the system has one; any other by an exception that is set from a thread of
    ours. Both work between two steps of Python code: a call into a library that never returns cannot be stopped.
    """
    in_main = threading.current_thread() is threading.main_thread()
    way = _by_timer if in_main and hasattr(signal, "setitimer") else _by_thread
    with way(seconds):
        yield


@contextlib.contextmanager
def _by_timer(seconds: float) -> Iterator[None]:
    over = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not over:
            raise OutOfTime

    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    left, again = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if left:  # the notebook's own timer goes on
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 0.001), again)


@contextlib.contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    thread, lock, over = threading.get_ident(), threading.Lock(), threading.Event()

    def watch() -> None:
        wait = seconds
        while not over.wait(wait):
            with lock:
                if not over.is_set():
                    _set_exception(thread, OutOfTime)
            wait = AGAIN

    watcher = threading.Thread(target=watch, name="time limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            over.set()
            _set_exception(thread, None)  # one that has not been raised yet never is
        watcher.join()


def _set_exception(thread: int, kind: type[BaseException] | None) -> None:
    value = ctypes.py_object(kind) if kind is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), value)
