"""Moves a process' memory into huge pages, so that it is forked in a third of the time.

A fork copies the table of memory pages, and its end empties it, so its cost grows with the number of pages. On some virtual
machines a huge page takes 20 ms, as the host has to find the memory, so it is done a few pages at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import pathlib
import time
from collections.abc import Iterator

MADV_COLLAPSE = 25
"""See madvise(2), Linux 6.1."""
HUGE = 2 << 20


class HugePages:
    """Huge pages for the memory that this process holds when the first one is made."""

    def __init__(self) -> None:
        self._waiting = _aligned()
        self.made = 0

    def make(self, seconds: float = math.inf) -> None:
        """Move memory into huge pages for about that long; does nothing where all is done or the system makes none."""
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            madvise = ctypes.CDLL(None).madvise
            while time.monotonic() < until and (address := next(self._waiting, None)) is not None:
                self.made += madvise(ctypes.c_void_p(address), ctypes.c_size_t(HUGE), MADV_COLLAPSE) == 0


def _aligned() -> Iterator[int]:
    """Where in the allocated memory a huge page fits."""
    with contextlib.suppress(OSError):
        for start, end in _allocated():
            yield from range(-(-start // HUGE) * HUGE, end - HUGE + 1, HUGE)


def _allocated() -> Iterator[tuple[int, int]]:
    """Start and end of each writable region that maps no file."""
    for line in pathlib.Path("/proc/self/maps").read_text(encoding="ascii", errors="replace").splitlines():
        addresses, permissions, _, _, _, *name = line.split(maxsplit=5)
        if permissions.startswith("rw-p") and name in ([], ["[heap]"]):
            start, _, end = addresses.partition("-")
            yield int(start, 16), int(end, 16)
