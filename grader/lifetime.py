"""Ends helper processes when the process that started them ends, even if it is killed. Standard library only."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

_PR_SET_PDEATHSIG = 1


def end_with_forking_process(pid: int) -> None:
    """Have Linux kill this process when the thread that forked it ends; ``pid`` is that thread's process.

    Does nothing on other systems.

    Source: prctl(2).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != pid:
            os._exit(1)


def end_with_spawning_process() -> None:
    """Start a thread that ends this process when the one that spawned it by `multiprocessing` ends.

    A pool's worker would otherwise finish what is queued and then wait forever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent.sentinel,), name="lifetime", daemon=True).start()


def _wait_for(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
