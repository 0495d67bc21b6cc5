"""Draws the cases of properties, item by item, while a kernel starts or works: in a thread, or in a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grader.judging.cases import cases_for, keep
from grader.judging.property import Property

_SWITCH_SECONDS = 0.001
"""How long one thread runs before another gets its turn, while cases are drawn; Python's own 5 ms would slow down kernels."""


def by_item(properties: Iterable[Property], only: Collection[str] | None = None) -> dict[str, list[Property]]:
    """Properties by item, in the order of the items; all of them, or only those with these names."""
    wanted = [prop for prop in properties if only is None or prop.name in only]
    items = sorted({prop.part.item for prop in wanted})
    return {item: [prop for prop in wanted if prop.part.item == item] for item in items}


class Drawing:
    """The drawing of cases, which begins at once. Use as a context manager."""

    def __init__(
        self,
        properties: Mapping[str, list[Property]],
        seed: bytes,
        helper: Helper | None = None,
        warm_up: Callable[[], object] = lambda: None,
    ) -> None:
        """``properties`` by item. A ``helper`` draws them if there is one, and a thread of this process what it does not.

        That thread begins with ``warm_up``.
        """
        self._helper, self._seed, self._is_over = helper, seed, False
        self._pool = ThreadPoolExecutor(1)
        self._pool.submit(warm_up)
        self._items = {item: self._pool.submit(self._draw, own) for item, own in properties.items()}

    def __enter__(self) -> Drawing:
        """Let other threads, which mostly wait for kernels, run sooner than usual."""
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        return self

    def __exit__(self, *exception: object) -> None:
        """Draw no further item."""
        sys.setswitchinterval(self._interval)
        self._is_over = True
        if self._helper is not None:
            self._helper.end()
        self._pool.shutdown(cancel_futures=True)

    def wait_for(self, item: str) -> None:
        """Wait for the cases of an item; raises what drawing them raised."""
        self._items[item].result()

    def _draw(self, properties: list[Property]) -> None:
        for prop in properties:
            if self._is_over:
                return
            if self._helper is not None and (drawn := self._helper.next()) is not None:
                keep(prop, self._seed, drawn)
            cases_for(prop, self._seed)


class Helper:
    """A fork of this process that draws the cases of properties in their order and sends them through a socket.

    A thread that draws would hold the interpreter while this process starts the kernel. The fork holds nothing of a submission,
    and ends by itself.
    """

    def __init__(self, properties: Mapping[str, list[Property]], seed: bytes) -> None:
        """Fork while this process has one thread."""
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):  # whatever it is happens here, too, and is reported here
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                ours.close()
                _hand_over(theirs, [prop for own in properties.values() for prop in own], seed)
            os._exit(0)
        theirs.close()
        self._file: io.BufferedReader | None = ours.makefile("rb")
        ours.close()

    def next(self) -> tuple[Any, ...] | None:
        """The cases of the next property; None if the helper has ended."""
        if self._file is not None:
            with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
                cases: tuple[Any, ...] = pickle.load(self._file)
                return cases
            self._file = None
        return None

    def end(self) -> None:
        """End the process."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def _hand_over(to: socket.socket, properties: list[Property], seed: bytes) -> None:
    for prop in properties:
        to.sendall(pickle.dumps(cases_for(prop, seed), pickle.HIGHEST_PROTOCOL))
