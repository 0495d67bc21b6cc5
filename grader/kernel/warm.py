"""One warm parent for all workers of a machine: started, watched and started again by who hands out the work.

Workers reach it through a door: one end of a pair of sockets, which they inherit. There is no path at which a kernel, or
anyone else, could ask for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from grader.errors import KernelError
from grader.kernel.confinement import require_kernels
from grader.kernel.confinement.janitor import JANITOR
from grader.kernel.process import WarmClient, WarmParent, environment


def can_fork() -> bool:
    """Whether kernels can be forked from one that is warm: by Linux' ways, pidfds among them."""
    return sys.platform == "linux" and all(hasattr(os, name) for name in ("fork", "pidfd_open"))


@dataclass(frozen=True)
class Door:
    """The workers' end. A forked worker has it already; one that starts afresh gets it as an argument, and calls `keep`."""

    name: str
    socket: socket.socket

    def keep(self) -> None:
        """Use it in this process, so that `client_of` finds it."""
        _doors[self.name] = self.socket


_doors: dict[str, socket.socket] = {}


class WarmHost:
    """Keeps a warm parent that answers at ``address``. Use as a context manager, and `ensure` before work is handed out.

    Its folder is also where the kernels' private folders are made, so that a batch that was killed leaves one folder behind.
    If ``fork`` is false, no parent is launched and kernels start cold; by default there is one wherever kernels can be forked.
    With ``for_one`` submission, nobody resumes after a kill, so the folder is then deleted at once, and the parent skips
    what pays off only with many kernels. ``trains`` says that the kernel of that submission trains a model.
    """

    def __init__(self, *, fork: bool | None = None, for_one: bool = False, trains: bool = False) -> None:
        self._fork, self._for_one, self._trains = can_fork() if fork is None else fork, for_one, trains
        self._parent: WarmParent | None = None
        self.address: str | None = None
        self.door: Door | None = None
        self.restarts = -1

    def __enter__(self) -> WarmHost:
        """Make the folder and launch the parent, which gets warm meanwhile. Raises `UsageError` where no kernel can run."""
        require_kernels()
        base = tempfile.gettempdir()
        self.folder = Path(tempfile.mkdtemp(prefix="hw3b-", dir=base if len(base) < 40 else "/tmp"))
        self.folder.chmod(0o711)
        self._home = self.folder / "h"
        self._home.mkdir(mode=0o700)
        if self._fork:
            # All parents, one after the other, listen at the same end: workers keep theirs.
            ours, self._inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.door = Door(secrets.token_hex(8), ours)
            self.door.keep()
        self._launch()
        if self._for_one:
            JANITOR.watch_folder(self.folder)
        return self

    def __exit__(self, *exception: object) -> None:
        """End the parent with all kernels and delete the folder."""
        self._end()
        if self.door is not None:
            _doors.pop(self.door.name, None)
            self.door.socket.close()
            self._inside.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._for_one:
            JANITOR.forget(self.folder)

    def release_in_child(self) -> None:
        """Let go, in a forked child, of the connection with which the parent would live on, and of its end of the door."""
        if self._parent is not None:
            self._parent.close()
        if self.door is not None:
            self._inside.close()

    @property
    def pid(self) -> int | None:
        """The warm parent's."""
        return self._parent.pid if self._parent else None

    def ensure(self) -> bool:
        """Wait for the parent, and start it again if it is gone; whether one runs. Without one, kernels start cold."""
        if self._parent is None or not self._parent.is_alive():
            self._end()
            self._launch()
        if self._parent is None or self.door is None:
            return False
        try:
            self._parent.__enter__()
        except (KernelError, OSError):
            self._end()
            return False
        self.address = f"{self.door.name}:{self.restarts}"
        return True

    def _launch(self) -> None:
        if self.door is None:
            return
        self.restarts += 1
        with contextlib.suppress(OSError):
            self._parent = WarmParent(
                environment(self._home),
                door=self._inside,
                generation=self.restarts,
                for_one=self._for_one,
                trains=self._trains,
            )

    def _end(self) -> None:
        self.address = None
        if self._parent is not None:
            with contextlib.suppress(OSError):
                self._parent.__exit__()
            self._parent = None


_clients: dict[str, WarmClient] = {}


def client_of(address: str | None) -> WarmClient | None:
    """This process' connection to the warm parent at an address; None where nobody answers there (any more)."""
    if address is None:
        return None
    known = _clients.get(address)
    if known is not None and known.is_alive():
        return known
    for client in _clients.values():
        client.close()
    _clients.clear()
    name, _, generation = address.partition(":")
    door = _doors.get(name)
    if door is None:
        return None
    try:
        _clients[address] = WarmClient(door, int(generation))
    except KernelError:
        return None
    return _clients[address]
