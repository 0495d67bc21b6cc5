"""Helper processes end with the process that started them, however that ends; standard library only."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

_PR_SET_PDEATHSIG = 1


def end_with_maker(pid: int) -> None:
    """End this process when the thread that forked it ends; Linux only. ``pid`` is the process of that thread.

    Source: prctl(2).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != pid:
            os._exit(1)


def end_with_parent() -> None:
    """End this process, which `multiprocessing` spawned, when its parent process ends. A thread waits for that.

    Without it, a worker of a pool whose parent was killed goes on with what is queued, and then waits forever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent.sentinel,), name="lifetime", daemon=True).start()


def _wait_for(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
