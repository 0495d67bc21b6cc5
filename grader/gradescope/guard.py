"""Ends what a trial started and deletes its folder, even if the trial is killed.

A process of its own, since a killed one clears up nothing: it is told of process groups over a pipe whose other end only the
trial holds, and acts when that end closes. Run as a script, it needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO


class Guard:
    """Runs commands in process groups of their own. Use as a context manager; leaving it deletes ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(Path(__file__).resolve()), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def __enter__(self) -> Guard:
        """The process already listens."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End what is left, delete the folder, and wait for that."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        self._popen.wait()

    def run(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
        """Run a command to its end; its exit status and what it printed. What it leaves running is ended."""
        # Into a file: a process that is left running would keep a pipe open.
        with tempfile.TemporaryFile(dir=self.folder) as printed:
            popen = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._tell(f"+{popen.pid}")
            try:
                status = popen.wait()
            finally:
                _end(popen.pid)
                popen.wait()
                self._tell(f"-{popen.pid}")
            printed.seek(0)
            return status, printed.read().decode("utf-8", "replace")

    def _tell(self, message: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{message}\n".encode())
        self._popen.stdin.flush()


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main(told: IO[bytes], folder: Path) -> None:
    """Listen until the trial is over or gone, then end its processes and delete its folder."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in told:
        with contextlib.suppress(ValueError):
            number = int(line[1:])
            groups.add(number) if line[:1] == b"+" else groups.discard(number)
    for group in groups:
        _end(group)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.stdin.buffer, Path(sys.argv[1]))
