"""Clears up after a grader that was killed: ends what its kernels left running and deletes their folders.

A process of its own, since a killed grader clears up nothing. It is told of every workspace over a pipe whose other end only
the grader holds, and acts on what is left when that end closes. Run as a script, it needs the standard library alone.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[3]


class Janitor:
    """The grader's end: one process for all workspaces, started when the first one is made."""

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def watch(self, folder: Path, uid: int | None, tag: int) -> None:
        """Clear up this workspace should the grader be gone before `forget`."""
        self._tell({"folder": str(folder), "uid": uid, "tag": tag})

    def watch_folder(self, folder: Path) -> None:
        """The same for a folder that belongs to no kernel."""
        # The mark of no process: there is nothing to end.
        self.watch(folder, None, 1 << 40 | int.from_bytes(os.urandom(5), "big"))

    def forget(self, folder: Path) -> None:
        """The grader has cleared up itself."""
        self._tell({"folder": str(folder)})

    def _tell(self, message: dict[str, Any]) -> None:
        # Grading goes on without it: it makes things better only where they went badly.
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._popen is None or self._pid != os.getpid():
                self._start()
            assert self._popen is not None and self._popen.stdin is not None
            self._popen.stdin.write(json.dumps(message).encode() + b"\n")
            self._popen.stdin.flush()

    def _start(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
        self._pid = os.getpid()
        atexit.register(self._dismiss, self._popen)

    @staticmethod
    def _dismiss(popen: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if popen.stdin is not None:
                popen.stdin.close()
            popen.wait(2)


JANITOR = Janitor()


def main(told: IO[bytes]) -> None:
    """Listen until the grader is gone, then clear up what it has not."""
    sys.path.insert(0, str(ROOT))
    from grader.errors import GraderError  # noqa: PLC0415
    from grader.kernel.confinement.cleanup import remove_shared_memory, remove_traces, remove_tree  # noqa: PLC0415
    from grader.kernel.confinement.processes import Mark, sweep  # noqa: PLC0415

    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    left: dict[str, dict[str, Any]] = {}
    for line in told:
        try:
            message = json.loads(line)
        except ValueError:  # half a line: the grader was killed while it wrote
            continue
        left.pop(message["folder"], None)
        if "tag" in message:
            left[message["folder"]] = message
    for folder, message in left.items():
        with contextlib.suppress(GraderError, OSError):
            sweep(Mark(message["uid"], message["tag"]))
        with contextlib.suppress(OSError):
            remove_tree(Path(folder))
        if message["uid"] is not None:
            remove_shared_memory(message["uid"])
            remove_traces(message["uid"])


if __name__ == "__main__":
    main(sys.stdin.buffer)
